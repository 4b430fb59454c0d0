"""The seam: what every store does, and what an entry's ``meta.json`` says. A new store is one file of this form."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any, NamedTuple

from runway.errors import StoreError

if TYPE_CHECKING:
    from runway.pipeline.keys.tracked import KnownFiles, ReadSet

META = "meta.json"
META_VERSION = 1
INLINE = "inline"
"""The format of a small plain value: it stands in ``meta.json`` itself."""
NO_VALUE = "none"
"""The format of a receipt: it says that an uncached node ran, and keeps nothing."""
NEEDED = {"content", "format", "files", "parts", "created", "seconds", "node"}
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
        """Whether the payload is there: not for a receipt, nor where gc took it away."""
        return not self.is_receipt and not self.meta.get("evicted", False)

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


def parse_meta(data: bytes) -> dict[str, Any] | None:
    """What a ``meta.json`` says; None where another version of runway wrote it.

    Others may have written it: the names in it are looked at before anybody uses them as paths.

    Raises:
        ValueError: it is torn (a JSONDecodeError or UnicodeDecodeError), or not of this form.
    """
    try:
        meta = json.loads(data)
        if meta["version"] != META_VERSION:
            return None
        if not meta.keys() >= NEEDED:
            raise ValueError(f"it has no {', '.join(sorted(NEEDED - meta.keys()))}")
        for name, (size, mtime_ns, digest) in meta["files"].items():
            if not (stays_inside(name) and type(size) is type(mtime_ns) is int and type(digest) is str):
                raise ValueError(f"it names {name!r}, which is no file of an entry")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("it has another form") from error
    return meta


def stays_inside(name: str) -> bool:
    """Whether a file of this relative name lies in the folder that it is put in, on any system."""
    path = PureWindowsPath(name)  # which knows both kinds of slash, and drives
    return bool(path.parts) and not path.anchor and ".." not in path.parts and "\0" not in name


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
    def load(self, entry: Entry) -> Any:
        """The value of an entry.

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
    def claim(self, key: str, what: str) -> AbstractContextManager[None]:
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
