"""Objects at any URL that fsspec has a driver for."""

from __future__ import annotations

import contextlib
import functools
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from runway.errors import StoreError
from runway.pipeline.store.objects import WRITING, Objects, Read


class AnyUrl(Objects):
    """What fsspec has a driver for. It knows no conditions: between looking and writing others may write."""

    excludes = False

    @functools.cached_property
    def _opened(self) -> tuple[Any, str]:
        """The file system, and the root's path in it."""
        import fsspec

        try:
            return fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            hint = (
                "s3://, gs:// and az:// come with 'runway-for-ml[s3]'; others need the fsspec driver of their protocol"
            )
            raise StoreError(
                self._explain(error)[0].replace("reached", "opened"), where=self.shown, hint=hint
            ) from None

    @contextlib.contextmanager
    def _at(self, name: str = "") -> Iterator[tuple[Any, str]]:
        """The file system, and the path of an object."""
        with self._reaching():
            files, root = self._opened
            yield files, f"{root}/{name}"

    def read(self, name: str) -> Read | None:
        with self._at(name) as (files, path):
            try:
                data = files.cat_file(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
            return Read(data, data)

    def create(self, name: str, data: bytes) -> Any:
        return None if self.read(name) is not None else self._write(name, data)

    def replace(self, name: str, data: bytes, version: Any) -> Any:
        now = self.read(name)
        return None if now is None or now.version != version else self._write(name, data)

    def _write(self, name: str, data: bytes) -> bytes:
        with self._at(name) as (files, path):
            files.makedirs(os.path.dirname(path), exist_ok=True)
            if "file" not in files.protocol:
                files.pipe_file(path, data)
                return data
            scratch = f"{self._opened[1]}/{WRITING}{uuid.uuid4().hex}"  # written in place, others would see it torn
            files.makedirs(os.path.dirname(scratch), exist_ok=True)
            files.pipe_file(scratch, data)
            os.replace(scratch, path)
        return data

    def names(self, folder: str = "") -> list[str]:
        with self._at() as (files, root):
            files.invalidate_cache()
            return [path.removeprefix(root[:-1]).lstrip("/") for path in files.find(f"{root}{folder}")]

    def modified(self, name: str) -> float | None:
        with self._at(name) as (files, path):
            try:
                return files.modified(path).timestamp()
            except FileNotFoundError:
                return None
            except NotImplementedError:  # nobody knows: it may be new
                return time.time()

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            with self._at(name) as (files, path), contextlib.suppress(FileNotFoundError):
                files.rm_file(path)
                if "file" in files.protocol:  # elsewhere this may delete what is in the folder, too
                    with contextlib.suppress(OSError):
                        os.rmdir(os.path.dirname(path))

    def upload(self, path: str, name: str) -> None:
        with self._at(name) as (files, target):
            files.makedirs(os.path.dirname(target), exist_ok=True)
            files.put_file(path, target)

    def download(self, name: str, path: str) -> bool:
        with self._at(name) as (files, source):
            try:
                files.get_file(source, path)
            except (FileNotFoundError, NotADirectoryError):
                return False
        return True
