"""A test for each record of ``runway freeze``: it says which node has moved, and why.

Switch it on in the project's ``conftest.py``: ``pytest_plugins = ["runway.testing.pytest_plugin"]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runway.testing.freeze import SUFFIX, told


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take the records among the files that are collected."""
    return FrozenFile.from_parent(parent, path=file_path) if file_path.name.endswith(SUFFIX) else None


class FrozenFile(pytest.File):
    """One record."""

    def collect(self) -> Iterator[pytest.Item]:
        """The one test of it."""
        yield FrozenConfig.from_parent(self, name=self.path.name.removesuffix(SUFFIX))


class FrozenConfig(pytest.Item):
    """That a config comes to what it came to."""

    def runtest(self) -> None:
        """Compare."""
        moved = told(self.path)
        if moved is not None:
            raise Moved(moved)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What has moved, without a traceback of ours."""
        return str(excinfo.value) if isinstance(excinfo.value, Moved) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it stands."""
        return self.path, None, f"frozen: {self.name}"


class Moved(AssertionError):
    """A config comes to something else than it did."""
