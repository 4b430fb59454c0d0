"""Objects in a bucket, by obstore: S3 and what speaks like it, Google Cloud Storage, Azure."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from runway.errors import StoreError
from runway.pipeline.store.objects import AT_ONCE, PIECE, Objects, Read

ALLOW_HTTP = ("AWS_ALLOW_HTTP", "GOOGLE_ALLOW_HTTP", "AZURE_ALLOW_HTTP")
MOST_PIECES = 9000
"""S3 takes 10,000 pieces of a file; they are made larger for one of more than 72 GB."""


class Bucket(Objects):
    """A bucket, by obstore; retries are obstore's. The environment says the credentials and the endpoint."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        if self.shown != self.url:
            hint = "give them in the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for s3://"
            raise StoreError("credentials in the URL of a bucket are not used", where=self.shown, hint=hint)

    def __getstate__(self) -> dict[str, Any]:
        """The URL alone: who opens it elsewhere has credentials of his own."""
        return {"url": self.url, "shown": self.shown}

    @functools.cached_property
    def _obstore(self) -> Any:
        """The library."""
        try:
            import obstore
            import obstore.exceptions
        except ImportError as error:
            hint = "pip install 'runway-for-ml[s3]' (obstore, which reaches s3://, gs:// and az://)"
            raise StoreError("a cache in a bucket needs obstore", where=self.shown, hint=hint) from error
        return obstore

    @functools.cached_property
    def _small(self) -> Any:
        """For small objects, on which a claim's life depends: a request that hangs is given up soon."""
        return self._open(seconds=20)

    @functools.cached_property
    def _large(self) -> Any:
        """For pieces of files, on slow lines too."""
        return self._open(seconds=600)

    def _open(self, seconds: float) -> Any:
        from obstore.store import from_url

        _runs_in.append(os.getpid())
        # What is given here is not looked for in the environment any more.
        is_allowed = any(os.environ.get(name, "").lower() in ("1", "on", "true", "y", "yes") for name in ALLOW_HTTP)
        options: Any = {"allow_http": is_allowed, "timeout": timedelta(seconds=seconds)}
        options["connect_timeout"] = timedelta(seconds=10)
        return from_url(self.url, client_options=options, retry_config={"max_retries": 8})  # 10 to 20 seconds in all

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        if _runs_in and _runs_in[0] != os.getpid():
            hint = "start processes by spawn, or load the data before they are forked"
            raise StoreError("a forked process cannot use a cache in a bucket", where=self.shown, hint=hint)
        with super()._reaching():
            yield

    def _explain(self, error: Exception) -> tuple[str, str]:
        message, hint = super()._explain(error)
        if "NoSuchBucket" in message:
            return "there is no such bucket", "make it first; runway makes no buckets"
        if "parse path" in message:
            return f"a bucket keeps no file of this name: {error}", "give it a name without line ends and empty parts"
        if "169.254.169.254" in message:  # where a machine in a cloud asks for its own
            message = "the cache cannot be reached: no credentials were found"
            hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (`aws configure export-credentials` prints them)"
        elif "builder error" in message and os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
            hint = "AWS_ENDPOINT_URL is no https:// address: set AWS_ALLOW_HTTP=true if that is meant"
        return message, hint

    @functools.cached_property
    def excludes(self) -> bool:
        """Asked of the server: not everything that speaks like S3 heeds conditions, and none says that it does not."""
        name = f"clock/{uuid.uuid4().hex}"
        self.create(name, b"first")
        try:
            return self.create(name, b"second") is None
        finally:
            self.delete([name])

    def read(self, name: str) -> Read | None:
        with self._reaching():
            try:
                found = self._obstore.get(self._small, name)
                version = _version(found.meta)
                return Read(bytes(found.bytes()), version)
            except FileNotFoundError as error:
                _must_be_an_object(error)
                return None

    def create(self, name: str, data: bytes) -> Any:
        return self._put(name, data, "create")

    def replace(self, name: str, data: bytes, version: Any) -> Any:
        return self._put(name, data, version)

    def _put(self, name: str, data: bytes, mode: Any) -> Any:
        with self._reaching():
            try:
                return _version(self._obstore.put(self._small, name, data, mode=mode))
            except (self._obstore.exceptions.AlreadyExistsError, self._obstore.exceptions.PreconditionError):
                return None

    def names(self, folder: str = "") -> list[str]:
        with self._reaching():
            return [found["path"] for some in self._obstore.list(self._small, folder or None) for found in some]

    def modified(self, name: str) -> float | None:
        with self._reaching():
            try:
                return self._obstore.head(self._small, name)["last_modified"].timestamp()
            except FileNotFoundError as error:
                _must_be_an_object(error)
                return None

    def delete(self, names: Iterable[str]) -> None:
        with self._reaching(), contextlib.suppress(FileNotFoundError):  # of what is not there some servers say so
            if gone := list(names):
                self._obstore.delete(self._small, gone)

    def upload(self, path: str, name: str) -> None:
        """In pieces where it is large: it is there once the last one is, and Ctrl-C ends it between two."""
        piece = max(PIECE, os.stat(path).st_size // MOST_PIECES)
        with self._reaching(), open(path, "rb") as file:
            first = file.read(piece)
            if len(first) < piece:
                self._obstore.put(self._large, name, first)
            else:
                pieces = itertools.chain([first], iter(lambda: file.read(piece), b""))
                self._obstore.put(self._large, name, pieces, chunk_size=piece, max_concurrency=AT_ONCE)

    def download(self, name: str, path: str) -> bool:
        """In pieces where it is large: no request takes longer than a piece."""
        with open(path, "wb") as file, self._reaching():
            try:
                found = self._obstore.get(self._large, name)
            except (FileNotFoundError, ValueError) as error:  # nor is there one whose name no object can have
                _must_be_an_object(error)
                return False
            size = found.meta["size"]
            if size <= PIECE:
                file.write(found.bytes())
                return True
            del found  # and with it the request

            def fetch(start: int) -> None:
                data = self._obstore.get_range(self._large, name, start=start, end=min(start + PIECE, size))
                os.pwrite(file.fileno(), data, start)

            with ThreadPoolExecutor(AT_ONCE) as pool:
                for _ in pool.map(fetch, range(0, size, PIECE)):
                    pass
        return True


_runs_in: list[int] = []
"""The process in which obstore's threads run: they are in no process that is forked from it."""


def _version(facts: Any) -> dict[str, str]:
    """What obstore takes for the version of an object; which of the two depends on the server."""
    return {name: facts[name] for name in ("e_tag", "version") if facts.get(name)}


def _must_be_an_object(error: Exception) -> None:
    """Raise the error again where it is not an object that is not there, but the bucket."""
    if "NoSuchBucket" in str(error):
        raise error
