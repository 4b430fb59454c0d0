"""What a node reads on the way, recorded so that its cache entry can be checked against it.

A transform sees the experiment's config through a RecordedView: everything that it asks is noted in a Reads,
as a place and a question. The engine stores the notes with the entry and asks the same at the next look-up.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

from runway.masking import resolved


class _Absent:
    """Stands for "the config had no such key"."""

    def __repr__(self) -> str:
        return "<absent>"


ABSENT = _Absent()
NAMES = "names in"
"""The kind of a folder that was listed: the names in it count, and not what the files hold."""
ConfigPath = tuple[str | int, ...]

QUESTIONS = ("presence", "kind", "emptiness", "keys", "given", "value")
"""What can be asked of a place in the config, the less that an answer tells the earlier:

- presence: is the key there?
- kind: of what kind is it: a section, a list, null, …?
- emptiness: its kind, and of a section whether it has keys.
- keys: the names in a section, in their order.
- given: of the whole config, all of it but for what an experiment adds at run time.
- value: all that is there, with the order of keys.
"""

ADDED_AT_RUN_TIME = ("exp_version", "experiment_path", "train_dir", "test_dir")
"""The keys that an experiment adds to the config that transforms see."""


UNSEEN = {"meta": "runner"}
"""{section: a key in it that says only how nodes are run}: no node sees it, so it is in no key."""


def seen_by_nodes(config: Any) -> Any:
    """A config as nodes see it."""
    for section, key in UNSEEN.items():
        inside = config.get(section) if isinstance(config, Mapping) else None
        if isinstance(inside, Mapping) and key in inside:
            left = {name: value for name, value in inside.items() if name != key}
            config = type(config)({**config, section: left})
    return config


class Reads:
    """What was read, and what the transform noted about its work.

    Args:
        config: {config path: what was asked of it}, one of QUESTIONS.
        files: ("file", path: a folder counts with all in it), ("folder", path: without what is hidden),
            ("glob", pattern), ("names", folder).
        flags: e.g. use_dummy_data.
        code: (module, top-level name) of functions that ran and that the node's code does not lead to.
        notes: {name: plain value} for people; the only part that decides nothing.
    """

    def __init__(
        self,
        config: dict[ConfigPath, str] | None = None,
        files: set[tuple[str, str]] | None = None,
        flags: dict[str, Any] | None = None,
        notes: dict[str, Any] | None = None,
        code: set[tuple[str, str]] | None = None,
    ) -> None:
        self.config = {} if config is None else config
        self.files = set() if files is None else files
        self.flags = {} if flags is None else flags
        self.notes = {} if notes is None else notes
        self.code = set() if code is None else code
        self._stamps: dict[tuple[str, str], Any] = {}

    def note_config(self, path: ConfigPath, question: str) -> None:
        """Note what was asked of a place in the config; what tells more stands for what tells less."""
        known = self.config.get(path, question)
        if {known, question} == {"keys", "given"}:  # neither tells the other
            question = "value"
        self.config[path] = max(known, question, key=QUESTIONS.index)

    def note_file(self, kind: str, name: str) -> None:
        """Note a file or a pattern that is about to be read, as it is now."""
        self.files.add((kind, name))
        self._stamps.setdefault((kind, name), _stamp(kind, name))

    def forget_file(self, kind: str, name: str) -> None:
        """It was no input after all."""
        self.files.discard((kind, name))
        self._stamps.pop((kind, name), None)

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
        for path, question in other.config.items():
            self.note_config(path, question)
        self.files |= other.files
        self.flags.update(other.flags)
        self.code |= other.code
        self.notes = {**other.notes, **self.notes}
        self._stamps = {**other._stamps, **self._stamps}


def _stamp(kind: str, name: str) -> Any:
    """Size, times and inode of a file, or of all in a folder, or of all that match; None where there is none."""
    import os

    from runway.walk import files_in, matches

    if kind == NAMES:
        return names_in(name)
    if kind == "glob":
        return [(match, _stamp("file", match)) for match in matches(name)]
    try:
        status = os.stat(name)
    except OSError:
        return None
    if os.path.isdir(name):
        inside = [os.path.join(name, file) for file in files_in(name, hidden=kind != "folder")]
        return [(file, _stamp("file", file)) for file in inside]
    return status.st_size, status.st_mtime_ns, status.st_ino


def names_in(folder: str) -> list[str] | None:
    """The names in a folder, sorted, without hidden ones and bytecode; None where there is none."""
    import os

    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith(".") and name != "__pycache__")
    except OSError:
        return None


def _as_config(section: Mapping) -> Any:
    from runway.config.config import Config

    return Config(copy.deepcopy(dict(section)))


def lookup(config: Any, path: ConfigPath) -> Any:
    """The value at ``path``, or ABSENT."""
    for part in path:
        if not isinstance(config, Mapping) and not (isinstance(part, int) and isinstance(config, list | tuple)):
            return ABSENT  # text has items, too
        try:
            config = config[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return ABSENT
    return config


def answer(question: str, value: Any) -> str | None:
    """What a question about a value of the config is answered with; None where it takes the whole value.

    Args:
        question: one of QUESTIONS.
        value: what stands there, or ABSENT.

    Returns:
        Words that people can read, or a section's keys as a JSON list.
    """
    if value is ABSENT:
        return "absent"
    if question == "presence":
        return "there"
    if question == "emptiness" and isinstance(value, Mapping) and not value:
        return "an empty section"
    if question in ("kind", "emptiness") or (question == "keys" and not isinstance(value, Mapping)):
        return _kind_of(value)
    return json.dumps(list(value), default=repr, ensure_ascii=False) if question == "keys" else None


def _kind_of(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a section"
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true or false"
    kinds = {"a number": int | float, "text": str, "a list": list | tuple}
    return next((name for name, kind in kinds.items() if isinstance(value, kind)), f"a {type(value).__qualname__}")


class RecordedView(Mapping):
    """A read-only view of a config, by attribute and by item, that notes what is asked of it.

    Each question notes as much as its answer tells: ``in`` whether a key is there, taking a section that it is one,
    ``len`` and going over it its keys, ``bool`` whether it has any, taking anything else its value. Comparing, printing
    and copying a section note the whole of it. A list is one value, with the sections in it.
    """

    def __init__(self, config: Mapping, reads: Reads, path: ConfigPath = ()) -> None:
        object.__setattr__(self, "_config", config)
        object.__setattr__(self, "_reads", reads)
        object.__setattr__(self, "_path", path)

    def _note(self, question: str, *key: Any) -> None:
        """Note what is asked of the section, or of what is at a key in it."""
        if any(not isinstance(part, str | int) or isinstance(part, bool) for part in key):  # JSON would change it
            key, question = (), "value"
        plain = (str.__str__(part) if isinstance(part, str) else int(part) for part in key)
        self._reads.note_config((*self._path, *plain), question)

    def _take(self, key: Any) -> Any:
        value = self._config.get(key, ABSENT)
        if value is ABSENT:
            self._note("presence", key)
        elif isinstance(value, Mapping):
            self._note("kind", key)
            return RecordedView(value, self._reads, (*self._path, key))
        else:
            self._note("value", key)
        if isinstance(value, list):
            return copy.deepcopy(self._resolved(value, key))  # what a node changes, others do not see
        return self._resolved(value, key) if isinstance(value, str) else value

    def _resolved(self, value: Any, *key: Any) -> Any:
        """With what the environment says for ``env:NAME``: the note is of what the config says."""
        from runway.config.overrides import format_path

        return resolved(value, format_path((*self._path, *key)), str(key[-1]) if key else "")

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
        found = key in self._config
        self._note("presence", key)
        return found

    def __iter__(self) -> Iterator[str]:
        self._note("keys")
        return iter(self._config)

    def __len__(self) -> int:
        self._note("keys")
        return len(self._config)

    def __bool__(self) -> bool:
        self._note("emptiness")
        return bool(self._config)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented  # no section is equal to it, whatever it holds
        return self.to_dict() == (other.to_dict() if isinstance(other, RecordedView) else other)

    __hash__ = None  # type: ignore[assignment]

    def __or__(self, other: Any) -> Any:
        return self.copy() | other if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: Any) -> Any:
        return _as_config(other) | self.to_dict() if isinstance(other, Mapping) else NotImplemented

    def __repr__(self) -> str:
        given = self._given()
        return f"RecordedView({given!r})"

    def __copy__(self) -> RecordedView:
        return RecordedView(self._config, self._reads, self._path)

    def __deepcopy__(self, memo: dict) -> Any:
        return self._taken_away()

    def __reduce__(self) -> tuple:
        return _as_config, (self._taken_away(),)

    def _taken_away(self) -> Any:
        """A Config for another process (``num_proc``): what is read there is not seen here, so all of it counts.

        All but what an experiment adds at run time, which is another place in every run.
        """
        self._given()
        return _as_config(self._resolved(self._config))

    def _given(self) -> dict:
        """The section, noted as a whole; of the whole config all but what an experiment adds at run time."""
        self._note("value" if self._path else "given")
        return self._resolved(dict(self._config) if self._path else given(self._config))

    def copy(self) -> Any:
        """The section as a Config of its own, which may be changed; notes the whole of it."""
        return _as_config(self.to_dict())

    def to_dict(self) -> dict:
        """The section as plain dicts and lists; notes the whole of it."""
        self._note("value")
        return copy.deepcopy(self._resolved(dict(self._config)))


def given(config: Mapping) -> dict:
    """A config without what an experiment adds to it at run time."""
    return {key: value for key, value in config.items() if key not in ADDED_AT_RUN_TIME}
