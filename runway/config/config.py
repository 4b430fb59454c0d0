"""Config: what a jsonnet file becomes, a dict whose keys are attributes too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from runway.errors import did_you_mean


class LoadedFrom(NamedTuple):
    """What ``load_config`` made a config of.

    Args:
        path: the config's file.
        project: the project's folder, against which relative paths in the config are taken.
        overrides: as they were given.
        files: every file that was read: the config's and those that it imports, but for runway's own templates.
        warnings: what is probably not meant, one sentence each.
    """

    path: Path
    project: Path
    overrides: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


class Config(dict):
    """A section of a config: ``config.train.batch_size`` and ``config["train"]["batch_size"]`` are the same.

    Objects below it are Configs as well, those in lists too. A key that has the name of a dict method
    (``items``, ``values``, ``copy``, ...) is reached as an item only.

    Attributes:
        loaded_from: where the config comes from, of the one that ``load_config`` gives; None of a section, and of one
            made in Python. A key of this name is reached as an item only. ``config.project`` and its other parts are
            attributes too, where the config has no such keys.
    """

    loaded_from: LoadedFrom | None = None

    def __init__(self, *args: Mapping[str, Any] | Iterable[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__()
        self.update(*args, **kwargs)

    def __getattr__(self, key: str) -> Any:  # only called where normal look-up found nothing
        if key in self:
            return self[key]
        if key.startswith("__"):  # pickle and copy ask for hooks this way
            raise AttributeError(key)
        if self.loaded_from is not None and key in self.loaded_from._fields:
            return getattr(self.loaded_from, key)
        raise AttributeError(f"the config has no key {key!r} here ({did_you_mean(key, self)})")

    def __setattr__(self, key: str, value: Any) -> None:
        if key == "loaded_from":
            super().__setattr__(key, value)
        else:
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
        """A shallow copy, which is loaded from where this one is."""
        twin = Config(self)
        twin.loaded_from = self.loaded_from
        return twin

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts and lists all the way down, as json would give them."""
        return {key: _plain(value) for key, value in self.items()}


def project_of(config: Any) -> Path:
    """The project of a config that was loaded from a file; of another, the current folder."""
    loaded_from = config.loaded_from if isinstance(config, Config) else None
    return loaded_from.project if loaded_from is not None else Path.cwd()


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
