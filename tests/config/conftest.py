"""Fixtures for the config's tests: files in a temporary project, and what load_config makes of them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from runway.config import Config, load_config
from runway.errors import ConfigError, ConfigErrors


class Files:
    """A temporary project with config files.

    Attributes:
        path: its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file below the project, and give its path."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).lstrip("\n").encode())
        return path

    def load(self, text: str | bytes, *overrides: str, engine: str | None = None, check: bool = True) -> Config:
        """Write ``text`` as ``configs/demo/exp_config.jsonnet`` and load it."""
        path = self.write("configs/demo/exp_config.jsonnet", text)
        return load_config(path, overrides, engine=engine, check=check)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """An empty project."""
    (tmp_path / "src").mkdir()
    return Files(tmp_path)


@pytest.fixture
def errors_of(files: Files) -> Callable[..., list[ConfigError]]:
    """A function that loads a config that is wrong, and gives what is wrong with it."""

    def errors(text: str | bytes, *overrides: str) -> list[ConfigError]:
        with pytest.raises(ConfigError) as raised:
            files.load(text, *overrides)
        error = raised.value
        return list(error.errors) if isinstance(error, ConfigErrors) else [error]

    return errors
