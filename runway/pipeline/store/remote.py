"""A store whose entries live under any fsspec URL (``s3://bucket/runway``), with a local read-through copy.

An entry is uploaded payload first and ``meta.json`` last, which is what makes it exist. What is looked up is fetched
as ``meta.json`` alone; the payload follows when the value is wanted, and is held against its digests.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runway.disk import replace_text, scratch_name
from runway.errors import StoreError
from runway.pipeline.keys.fingerprint import combine
from runway.pipeline.store.local import META, Entry, Store

if TYPE_CHECKING:
    from runway.pipeline.keys.tracked import KnownFiles, ReadSet

T = TypeVar("T")
ELSEWHERE = "elsewhere"
"""Set in the ``meta.json`` of the local copy while its payload has not been fetched."""


def is_url(root: str) -> bool:
    """Whether a cache folder is an fsspec URL."""
    return "://" in str(root)


class RemoteStore(Store):
    """Entries under a URL.

    Args:
        url: the root, any protocol that fsspec has a driver for.
        copies: the local folder in which copies are kept.
        allow_pickle: whether pickled entries may be loaded; others write to this store too, so not by default.

    Raises:
        StoreError: there is no driver for the URL.
    """

    def __init__(self, url: str, copies: Path, *, allow_pickle: bool = False) -> None:
        super().__init__(copies / combine(url)[:12], allow_pickle=allow_pickle)
        self.url = url.rstrip("/")
        self._filesystem: Any = None

    @property
    def filesystem(self) -> Any:
        """The fsspec file system, made on first use."""
        if self._filesystem is None:
            import fsspec

            try:
                self._filesystem = fsspec.core.url_to_fs(self.url)[0]
            except (ImportError, ValueError) as error:
                hint = "pip install 'runway-for-ml[s3]' for s3://, or the fsspec driver of your protocol"
                raise StoreError(f"the cache cannot be opened: {error}", where=self.url, hint=hint) from error
        return self._filesystem

    def _there(self, key: str, name: str = "") -> str:
        return f"{self.url}/{key[:2]}/{key}" + (f"/{name}" if name else "")

    def _reach(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except (FileNotFoundError, StoreError):
            raise
        except Exception as error:  # a driver raises what it likes: credentials, network, permissions
            hint = "look at the credentials and the network, or set meta.default_cache_dir to a local folder"
            raise StoreError(f"the cache cannot be reached: {error}", where=self.url, hint=hint) from error

    # -- looking up

    def find(self, key: str) -> Entry | None:
        """The entry of a key: the local copy, or the remote ``meta.json``."""
        entry = super().find(key)
        if entry is not None:
            return entry
        try:
            text = self._reach(lambda: self.filesystem.cat_file(self._there(key, META)))
        except FileNotFoundError:
            return None
        try:
            meta = {**json.loads(text), ELSEWHERE: True}
        except ValueError:  # torn: its owner was killed while it wrote the last file
            return None
        place = Path(self.place(key))
        place.mkdir(parents=True, exist_ok=True)
        replace_text(place / META, json.dumps(meta))
        return super().find(key)

    def is_whole(self, entry: Entry) -> bool:
        """As in a local store; what has not been fetched yet is looked at when it is."""
        return bool(entry.meta.get(ELSEWHERE)) or super().is_whole(entry)

    def load(self, entry: Entry) -> Any:
        """The value, fetched first where it is not here yet."""
        return super().load(self._fetch(entry) if entry.meta.get(ELSEWHERE) else entry)

    def _fetch(self, entry: Entry) -> Entry:
        temporary = Path(scratch_name(entry.path))
        meta = {name: value for name, value in entry.meta.items() if name != ELSEWHERE}
        try:
            temporary.mkdir(parents=True)
            # A file that somebody deleted there is missed by the check that follows, and the node computed again.
            with contextlib.suppress(FileNotFoundError):
                for name in meta["files"]:
                    self._download(self._there(entry.key, name), temporary / name)
            replace_text(temporary / META, json.dumps(meta))
            self._move_into_place(str(temporary), str(entry.path))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return Entry(entry.key, entry.path, meta)

    def _download(self, source: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self._reach(lambda: self.filesystem.get_file(source, str(target)))

    def read_index(self, base_key: str) -> tuple[list[ReadSet], KnownFiles]:
        """The read sets known here and there; digests of files are this machine's own."""
        sets, known = super().read_index(base_key)
        try:
            text = self._reach(lambda: self.filesystem.cat_file(f"{self._there(base_key)}.reads.json"))
            sets = sets + [names for names in json.loads(text)["sets"] if names not in sets]
        except (FileNotFoundError, ValueError, KeyError):
            return sets, known
        return sets, known

    # -- writing

    def write_read_index(self, base_key: str, sets: list[ReadSet], known: KnownFiles) -> None:
        """Replace the index here, and its sets there."""
        super().write_read_index(base_key, sets, known)
        data = json.dumps({"sets": sets, "files": {}}).encode()
        self._reach(lambda: self._put(f"{self._there(base_key)}.reads.json", data))

    def commit(self, key: str, value: Any, meta: dict[str, Any], *, keep_value: bool = True) -> Entry:
        """Write the entry here, then upload it."""
        entry = super().commit(key, value, meta, keep_value=keep_value)
        for name in [*entry.meta["files"], META]:
            self._upload(entry.path / name, self._there(key, name))
        return entry

    def _upload(self, source: Path, target: str) -> None:
        self._reach(lambda: self.filesystem.makedirs(target.rpartition("/")[0], exist_ok=True))
        self._reach(lambda: self.filesystem.put_file(str(source), target))

    def _put(self, target: str, data: bytes) -> None:
        self.filesystem.makedirs(target.rpartition("/")[0], exist_ok=True)
        self.filesystem.pipe_file(target, data)
