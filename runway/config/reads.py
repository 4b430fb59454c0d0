"""What a node reads on the way, recorded so that its cache entry can be checked against it.

A transform sees the experiment's config through a RecordedView: every value that it takes out is
noted in a Reads. The engine stores the notes with the entry and compares at the next look-up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class _Absent:
    """Stands for "the config had no such key"."""

    def __repr__(self) -> str:
        return "<absent>"


ABSENT = _Absent()
ConfigPath = tuple[str | int, ...]


class Reads:
    """What was read, and what the transform noted about its work.

    Args:
        config: config paths with their values.
        files: ("file", path) and ("glob", pattern).
        flags: e.g. use_dummy_data.
        notes: {name: plain value} for people; the only part that decides nothing.
    """

    def __init__(
        self,
        config: dict[ConfigPath, Any] | None = None,
        files: set[tuple[str, str]] | None = None,
        flags: dict[str, Any] | None = None,
        notes: dict[str, Any] | None = None,
    ) -> None:
        self.config = {} if config is None else config
        self.files = set() if files is None else files
        self.flags = {} if flags is None else flags
        self.notes = {} if notes is None else notes
        self._stamps: dict[tuple[str, str], Any] = {}

    def note_file(self, kind: str, name: str) -> None:
        """Note a file or a pattern that is about to be read, as it is now."""
        self.files.add((kind, name))
        self._stamps.setdefault((kind, name), _stamp(kind, name))

    def changed_since(self) -> list[tuple[str, str]]:
        """The files that are no longer as they were when they were noted: which content was read is not known."""
        return sorted(item for item, stamp in self._stamps.items() if _stamp(*item) != stamp)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reads) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"Reads({parts})"

    def merge(self, other: Reads) -> None:
        """Take over what ``other`` holds (an uncached ancestor that ran inside its consumer)."""
        self.config.update(other.config)
        self.files |= other.files
        self.flags.update(other.flags)
        self.notes = {**other.notes, **self.notes}
        self._stamps = {**other._stamps, **self._stamps}


def _stamp(kind: str, name: str) -> Any:
    """Size, times and inode of a file, or of all in a folder, or of all that match; None where there is none."""
    import glob
    import os

    if kind == "glob":
        return [(match, _stamp("file", match)) for match in sorted(glob.glob(name, recursive=True))]
    try:
        status = os.stat(name)
    except OSError:
        return None
    if os.path.isdir(name):
        inside = sorted(os.path.join(folder, file) for folder, _, files in os.walk(name) for file in files)
        return [(file, _stamp("file", file)) for file in inside]
    return status.st_size, status.st_mtime_ns, status.st_ino


ADDED_AT_RUN_TIME = ("exp_version", "experiment_path", "train_dir", "test_dir")
"""The keys that an experiment adds to the config that transforms see."""


def _as_config(section: Mapping) -> Any:
    import copy

    from runway.config.config import Config

    return Config(copy.deepcopy(dict(section)))


def lookup(config: Any, path: ConfigPath) -> Any:
    """The value at ``path``, or ABSENT."""
    for part in path:
        try:
            config = config[part]
        except (KeyError, IndexError, TypeError):
            return ABSENT
    return config


class RecordedView(Mapping):
    """A read-only view of a config, by attribute and by item, that notes what is taken out of it.

    Walking through sections notes nothing; taking a value, asking whether a key is there, or going over
    a section's keys does.
    """

    def __init__(self, config: Mapping, reads: Reads, path: ConfigPath = ()) -> None:
        object.__setattr__(self, "_config", config)
        object.__setattr__(self, "_reads", reads)
        object.__setattr__(self, "_path", path)

    def _take(self, key: Any) -> Any:
        path = (*self._path, key)
        value = self._config.get(key, ABSENT)
        if isinstance(value, Mapping):
            return RecordedView(value, self._reads, path)
        self._reads.config[path] = value
        return value

    def __getitem__(self, key: str) -> Any:
        value = self._take(key)
        if value is ABSENT:
            raise KeyError(key)
        return value

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        value = self._take(key)
        if value is ABSENT:
            from runway.errors import did_you_mean

            place = ".".join(map(str, self._path)) or "the config"
            raise AttributeError(f"{place} has no key {key!r} ({did_you_mean(key, self._config)})")
        return value

    def __setattr__(self, key: str, value: Any) -> None:
        raise TypeError("the config is read-only inside a transform: what a node changed there, others would not see")

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or ``default`` where the key is not there (which is noted too)."""
        value = self._take(key)
        return default if value is ABSENT else value

    def __contains__(self, key: object) -> bool:
        return self._take(key) is not ABSENT or key in self._config

    def __iter__(self) -> Iterator[str]:
        self._note_whole()
        return iter(self._config)

    def __len__(self) -> int:
        self._note_whole()
        return len(self._config)

    def __eq__(self, other: object) -> bool:
        self._note_whole()
        return dict(self._config) == (dict(other._config) if isinstance(other, RecordedView) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RecordedView({self._config!r})"

    def __deepcopy__(self, memo: dict) -> Any:
        return self._taken_away()

    def __reduce__(self) -> tuple:
        return _as_config, (self._taken_away(),)

    def _taken_away(self) -> Any:
        """A Config for another process (``num_proc``): what is read there is not seen here, so all of it counts.

        All but what an experiment adds at run time, which is another place in every run.
        """
        if self._path:
            return _as_config(self.to_dict())
        for key, value in self._config.items():
            if key not in ADDED_AT_RUN_TIME:
                self._reads.config[(key,)] = value
        return _as_config(self._config)

    def to_dict(self) -> dict:
        """The section as plain dicts and lists; notes the whole of it."""
        import copy

        self._note_whole()
        return copy.deepcopy(dict(self._config))

    def _note_whole(self) -> None:
        self._reads.config[self._path] = self._config
