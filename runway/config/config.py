"""Config: what a jsonnet file becomes, a dict whose keys are attributes too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from runway.errors import did_you_mean


class Config(dict):
    """A section of a config: ``config.train.batch_size`` and ``config["train"]["batch_size"]`` are the same.

    Objects below it are Configs as well, those in lists too. A key that has the name of a dict method
    (``items``, ``values``, ``copy``, ...) is reached as an item only.

    The one that ``load_config`` gives has some attributes beside its keys; a key of the same name is
    reached as an item there.

    Attributes:
        path: the config's file.
        project: the project's folder, against which relative paths in the config are taken.
        overrides: the overrides, as they were given.
        notes: what is probably not meant, one sentence each.
        sources: every file that was read: the config's and those that it imports.
    """

    path: Path
    project: Path
    overrides: tuple[str, ...]
    notes: list[str]
    sources: tuple[Path, ...]

    def __init__(self, *args: Mapping[str, Any] | Iterable[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__()
        self.update(*args, **kwargs)

    def __getattr__(self, key: str) -> Any:  # only called where normal look-up found nothing
        if key in self:
            return self[key]
        if key.startswith("__"):  # pickle and copy ask for hooks this way
            raise AttributeError(key)
        raise AttributeError(f"the config has no key {key!r} here ({did_you_mean(key, self)})")

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __delattr__(self, key: str) -> None:
        if key not in self:
            raise AttributeError(f"the config has no key {key!r} here ({did_you_mean(key, self)})")
        del self[key]

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, _wrapped(value))

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(key for key in self if isinstance(key, str) and key.isidentifier())]

    def __or__(self, other: Any) -> Config:
        merged = self.copy()
        merged.update(other)
        return merged

    def __ior__(self, other: Any) -> Config:
        self.update(other)
        return self

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As dict's; objects in what comes become Configs."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As dict's; an object becomes a Config."""
        if key not in self:
            self[key] = default
        return self[key]

    def copy(self) -> Config:
        """A shallow copy, with the path, project, overrides and notes of this one."""
        twin = Config(self)
        twin.__dict__.update(self.__dict__)
        return twin

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts and lists all the way down, as json would give them."""
        return {key: _plain(value) for key, value in self.items()}


def _wrapped(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return Config(value)
    if kind is list or kind is tuple:
        return kind(_wrapped(item) for item in value)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
