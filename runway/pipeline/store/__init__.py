"""Where outputs are kept: bytes and folders. Knows nothing of code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runway.disk import expanded
from runway.masking import resolved
from runway.pipeline.store.local import LocalStore

if TYPE_CHECKING:
    from runway.pipeline.store.base import Store

DEFAULT_CACHE = "cache"


def is_url(location: str) -> bool:
    """Whether a cache folder is an fsspec URL."""
    return "://" in location


def open_store(url: str, *, project: Path, allow_pickle: bool | None = None) -> Store:
    """The store at a location; nothing is read or written yet.

    Args:
        url: a folder, or any fsspec URL (``s3://bucket/runway``); a store's own ``url`` opens it again.
        project: what a relative folder is relative to; copies of what is at a URL are kept in its ``cache/remote``.
        allow_pickle: whether pickled entries may be loaded; None allows it in a folder, but not at a URL, because
            others write there too and a pickle can run code.
    """
    url = resolved(url, "meta.default_cache_dir")
    if is_url(url):
        from runway.pipeline.store.remote import RemoteStore  # a cached run in a folder does not wait for it

        return RemoteStore(url, project / DEFAULT_CACHE / "remote", allow_pickle=bool(allow_pickle))
    return LocalStore(project / expanded(url), allow_pickle=allow_pickle is None or bool(allow_pickle))
