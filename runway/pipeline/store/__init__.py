"""Where outputs are kept: bytes and folders. Knows nothing of code."""

from __future__ import annotations

from pathlib import Path

from runway.pipeline.store.local import Store
from runway.pipeline.store.remote import RemoteStore, is_url


def open_store(url: str, *, project: Path, allow_pickle: bool | None = None) -> Store:
    """The store at a folder or URL.

    Args:
        url: a folder, relative to the project, or an fsspec URL.
        project: the project's folder; copies of a remote store's entries are kept in it.
        allow_pickle: whether pickled entries may be loaded; None: from a local store only.
    """
    if is_url(url):
        return RemoteStore(url, project / "cache" / "remote", allow_pickle=bool(allow_pickle))
    return Store(project / Path(url).expanduser(), allow_pickle=allow_pickle is None or bool(allow_pickle))
