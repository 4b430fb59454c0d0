"""Objects at a URL: the few things that a shared store asks of the place where it keeps its bytes.

Buckets (``s3://``, ``gs://``, ``az://``) are reached with obstore, because their servers decide by condition whether an
object is written: that is what a claim among machines is made of. Any other URL is reached with fsspec, whose drivers
have no such condition.
"""

from __future__ import annotations

import contextlib
import errno
import re
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from runway.errors import StoreError
from runway.masking import MASK, secrets_of_store, without_secrets

BUCKETS = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")
"""What obstore reaches."""
PIECE = 8 << 20
"""Bytes of a large file that go in one request."""
AT_ONCE = 8
"""Requests at once, of pieces of a file or of small objects: what is held in memory is this many pieces."""
WRITING = "writing/"
"""Where an object is written that then gets its name at once, where a place has no other way; a kill may leave it."""


class Read(NamedTuple):
    """An object as it was read: its bytes, and which version of it they are."""

    data: bytes
    version: Any


class Objects(ABC):
    """What is kept under one URL. Names are relative to it, with ``/`` between their parts.

    Every method raises a StoreError where the place cannot be reached.

    Args:
        url: where.

    Attributes:
        shown: the URL without what is secret in it; for people and for files.
    """

    def __init__(self, url: str) -> None:
        self.url = url if url.endswith("://") else url.rstrip("/")
        self.shown = without_secrets(self.url)

    @property
    @abstractmethod
    def excludes(self) -> bool:
        """Whether ``create`` and ``replace`` hold against all who write there at once."""

    @abstractmethod
    def read(self, name: str) -> Read | None:
        """A small object; None where there is none."""

    @abstractmethod
    def create(self, name: str, data: bytes) -> Any:
        """Write a small object where there is none; gives its version, or None: there is one."""

    @abstractmethod
    def replace(self, name: str, data: bytes, version: Any) -> Any:
        """Write a small object in place of that version of it; gives the new one, or None: it is not there any more."""

    @abstractmethod
    def names(self, folder: str = "") -> list[str]:
        """The names of all objects, or of those in a folder and below."""

    @abstractmethod
    def modified(self, name: str) -> float | None:
        """When an object was written, in seconds of the server's clock; None where there is none."""

    @abstractmethod
    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, where they are there."""

    @abstractmethod
    def upload(self, path: str, name: str) -> None:
        """Send a file of any size; the object is there whole or not at all where the server knows how."""

    @abstractmethod
    def download(self, name: str, path: str) -> bool:
        """Fetch an object of any size into a file, whose folder is there; False where there is none."""

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        """{name: what it holds} of many small objects; those that have gone are left out."""
        wanted = list(names)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = zip(wanted, pool.map(self.read, wanted), strict=True)
            return {name: read.data for name, read in found if read is not None}

    def now(self) -> float:
        """The server's clock: this machine's may be wrong, and ages are told by one clock alone."""
        name = f"clock/{uuid.uuid4().hex}"
        self.create(name, b"now")
        try:
            return self.modified(name) or time.time()
        finally:
            self.delete([name])

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """What a driver raises becomes a StoreError: credentials, network, permissions."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise  # it is the disk here that is full
            message, hint = self._explain(error)
            secret = self.shown != self.url
            raise StoreError(message, where=self.shown, hint=hint) from (None if secret else error)

    def _explain(self, error: Exception) -> tuple[str, str]:
        """What is wrong, and the hint."""
        text = " ".join(str(error).partition("\n\nDebug source")[0].split()) or type(error).__name__
        for secret in secrets_of_store(self.url):
            text = text.replace(secret, MASK)
        answer = re.search(r"<Code>([^<]*)</Code>\s*<Message>([^<]*)</Message>", text)
        if answer:
            text = f"{answer[1]}: {answer[2]}"
        hint = "look at the credentials and the network, or set meta.default_cache_dir to a local folder"
        return f"the cache cannot be reached: {text[:400]}", hint


def open_objects(url: str) -> Objects:
    """The objects at a URL; nothing is read or written yet."""
    if url.partition("://")[0].lower() in BUCKETS:
        from runway.pipeline.store.bucket import Bucket

        return Bucket(url)
    from runway.pipeline.store.any_url import AnyUrl

    return AnyUrl(url)
