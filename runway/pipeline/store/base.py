"""The seam: what every store does, and what an entry's ``meta.json`` says. A new store is one file of this form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

from runway.disk import stays_inside
from runway.errors import StoreError
from runway.pipeline.store.records import META_FORM, check, unseal

if TYPE_CHECKING:
    from pathlib import Path

    from runway.pipeline.keys.tracked import KnownFiles, ReadSet

META = "meta.json"
META_VERSION = 1
INLINE = "inline"
"""The format of a small plain value: it stands in ``meta.json`` itself."""
NO_VALUE = "none"
"""The format of a receipt: it says that an uncached node ran, and keeps nothing."""
ELSEWHERE = "elsewhere"
"""Set in the ``meta.json`` of a copy while its payload has not been fetched."""
LEFTOVER_AGE = 24 * 3600
"""Seconds after which nobody is writing any more what is not an entry yet."""


class Entry(NamedTuple):
    """One stored output: its key and what ``meta.json`` says."""

    key: str
    meta: dict[str, Any]

    @property
    def content(self) -> str:
        """The digest of the payload: what the next node's key is made of."""
        return self.meta["content"]

    @property
    def is_receipt(self) -> bool:
        """Whether it only says that an uncached node ran."""
        return self.meta["format"] == NO_VALUE

    @property
    def has_value(self) -> bool:
        """Whether the payload is there: not for a receipt, nor where gc took it away or it was never fetched."""
        return not (self.is_receipt or self.meta.get("evicted", False) or self.meta.get(ELSEWHERE, False))

    @property
    def bytes(self) -> int:
        """The payload's size."""
        return sum(size for size, _, _ in self.meta["files"].values()) + len(self.meta.get("value", ""))

    def is_same(self, other: Entry) -> bool:
        """Whether it was written at once with another one that was read of this key, and not evicted since."""
        return self.meta["created"] == other.meta["created"] and self.has_value == other.has_value


class DamagedEntry(StoreError):
    """An entry is not what was written, and has been set aside."""


class Unsaveable(StoreError):
    """A value that no format can keep."""


def parse_meta(data: bytes, key: str) -> dict[str, Any] | None:
    """What the ``meta.json`` of a key's entry says; None where another version of runway wrote it.

    Raises:
        ValueError: it is torn, altered, not of this form, or another key's.
    """
    meta, is_sealed = unseal(data)
    if type(meta.get("version")) is int and meta["version"] != META_VERSION:
        return None
    check(meta, META_FORM, is_sealed=is_sealed)
    if meta["key"] != key:
        raise ValueError(f"it is the entry of {meta['key']!r}")
    if meta["format"] == INLINE and meta.get("value") is None:
        raise ValueError("it has no value")
    return meta


def check_blob_name(name: str) -> None:
    """Raise a StoreError for a name of a kept file that could be that of an entry, or lead out of the store."""
    folder = name.partition("/")[0]
    if not stays_inside(name) or "/" not in name or len(folder) < 3 or folder.startswith("."):
        raise StoreError("a kept file must have a name like `snapshots/<digest>.tar`", where=name)


class Store(ABC):
    """Entries by key. Several threads, processes and machines may use the same one at once.

    Attributes:
        url: plain text from which ``open_store`` opens it again, in another process too.
        allow_pickle: whether pickled entries may be loaded.
    """

    url: str
    allow_pickle: bool

    @abstractmethod
    def location(self, key: str) -> str:
        """Where the entry of a key stands, or would; for people."""

    @abstractmethod
    def find(self, key: str) -> Entry | None:
        """The entry of a key, by its ``meta.json`` alone."""

    @abstractmethod
    def entries(self) -> list[Entry]:
        """Every entry, in the order of keys."""

    @abstractmethod
    def load(self, entry: Entry, *, as_arrow: bool = False) -> Any:
        """The value of an entry.

        Args:
            entry: which.
            as_arrow: give rows with columns as ``pyarrow`` tables, without loading the library that they are of.

        Raises:
            DamagedEntry: it is not what was written.
            StoreError: it is a pickle and these are not allowed, or its format is unknown.
        """

    @abstractmethod
    def is_whole(self, entry: Entry) -> bool:
        """A quick look at the payload, without reading it. Sets the entry aside if it is not what was written."""

    @abstractmethod
    def verify(self, entry: Entry) -> bool:
        """The same after reading all of the payload."""

    @abstractmethod
    def check_records(self) -> list[str]:
        """Read what the store itself has written beside payloads; gives where it is damaged, and sets that aside."""

    @abstractmethod
    def claim(self, key: str, what: str) -> AbstractContextManager[Any]:
        """Hold the key: nobody else computes ``what`` meanwhile. Says so when it has to wait.

        Look the entry up once more inside: another process may have been faster.
        """

    @abstractmethod
    def commit(self, key: str, value: Any, meta: dict[str, Any], *, keep_value: bool = True) -> Entry:
        """Write an entry, whole or not at all, in place of an old one.

        Args:
            key: its key.
            value: the output.
            meta: what is to be known of it, plain data.
            keep_value: False writes a receipt without the value.

        Raises:
            Unsaveable: the value has no format.
            StoreError: the store cannot be written.
        """

    @abstractmethod
    def evict(self, entry: Entry) -> None:
        """Delete the payload. ``meta.json`` stays: what was computed from the output stays cached by its digest."""

    @abstractmethod
    def sweep(self, *, dry_run: bool = False, older_than: float = LEFTOVER_AGE) -> int:
        """Delete what killed runs and damaged entries left ``older_than`` seconds ago; gives how many.

        The journal is cut down to the last line of each node.
        """

    @abstractmethod
    def read_index(self, base_key: str) -> tuple[list[ReadSet], KnownFiles]:
        """The sets of things that runs with this base key have read, and the digests of files known so far."""

    @abstractmethod
    def write_read_index(self, base_key: str, sets: list[ReadSet], known: KnownFiles) -> None:
        """Replace the index of a base key."""

    @abstractmethod
    def record_key(self, node: str, key: str) -> None:
        """Append to the journal that ``node`` now has ``key``; it explains later why the node runs."""

    @abstractmethod
    def last_keys(self) -> dict[str, str]:
        """{node: the key that it had last}."""

    # -- files beside the entries: what a run needs on every machine (a snapshot of the project's code)

    @abstractmethod
    def keep_blob(self, name: str, path: Path) -> None:
        """Keep a copy of a file beside the entries, whole or not at all.

        Args:
            name: what it is asked for by, as ``snapshots/<digest>.tar``.
            path: the file.

        Raises:
            StoreError: the store cannot be written.
        """

    @abstractmethod
    def blob(self, name: str) -> Path | None:
        """Where a kept file lies on this machine, fetched first where it is elsewhere; None where there is none."""

    @abstractmethod
    def drop_blob(self, name: str) -> None:
        """Delete a kept file, where it is there."""
