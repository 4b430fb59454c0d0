"""Pickles whose bytes are the same in every process: what a set holds is written in an order of its content.

A set is gone through in the order that the hash seed of the process gives. What is written here plain ``pickle`` reads.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, ClassVar

from runway.pipeline.keys.fingerprint import Unfingerprintable, digest
from runway.pipeline.keys.state import State

PROTOCOL = pickle.HIGHEST_PROTOCOL
_Python: Any = pickle._Pickler  # the twin of the pickler in C, as of Python 3.11
_SETS = (set, frozenset)
_REDUCED: Any = (set.__reduce__, frozenset.__reduce__)
_COMPARABLE: tuple[set[type], ...] = ({str}, {int}, {bytes})


def dump(value: Any, file: BinaryIO, note: Callable[[Any], None]) -> None:
    """Write a value into a file that is empty.

    Args:
        value: of any kind that can be pickled.
        file: where to.
        note: gets everything but plain data, once or more often.
    """
    quick = _Quick(file, note)
    quick.dump(value)
    if quick.has_sets:  # rare: the pickler in Python takes some ten times as long
        file.seek(0)
        file.truncate()
        _Ordered(file, note).dump(value)


class _Quick(pickle.Pickler):
    """The pickler in C, which cannot be told how to write a set, but says whether there is one."""

    def __init__(self, file: BinaryIO, note: Callable[[Any], None]) -> None:
        super().__init__(file, protocol=PROTOCOL)
        self.note = note
        self.has_sets = False

    def persistent_id(self, item: Any) -> None:
        """Called for all that is written."""
        if type(item) in _SETS and len(item) > 1:
            self.has_sets = True

    def reducer_override(self, item: Any) -> Any:
        """Called for all but plain data."""
        self.note(item)
        self.has_sets |= isinstance(item, _SETS) and len(item) > 1
        return NotImplemented


class _Ordered(_Python):
    """Writes sets in the order of their content, and all else as it is written anyway."""

    def __init__(self, file: BinaryIO, note: Callable[[Any], None]) -> None:
        super().__init__(file, protocol=PROTOCOL)
        self.note = note

    def reducer_override(self, item: Any) -> Any:
        """Called for everything."""
        kind = type(item)
        if kind in _Python.dispatch:
            return NotImplemented
        self.note(item)
        if isinstance(item, _SETS) and kind.__reduce__ in _REDUCED:
            parts: Any = item.__reduce_ex__(PROTOCOL)
            made, (items,), *state = parts
            return made, (ordered(items),), *state
        return NotImplemented

    def save_set(self, items: set[Any]) -> None:
        self.write(pickle.EMPTY_SET)
        self.memoize(items)  # before what it holds, which may lead to it again
        self.write(pickle.MARK)
        for item in ordered(items):
            self.save(item)
        self.write(pickle.ADDITEMS)

    def save_frozenset(self, items: frozenset[Any]) -> None:
        self.write(pickle.MARK)
        for item in ordered(items):
            self.save(item)
        if id(items) in self.memo:  # what it holds has led to it, and written it
            self.write(pickle.POP_MARK + self.get(self.memo[id(items)][0]))
        else:
            self.write(pickle.FROZENSET)
            self.memoize(items)

    dispatch: ClassVar = {**_Python.dispatch, set: save_set, frozenset: save_frozenset}


def ordered(items: Iterable[Any]) -> list[Any]:
    """What a set holds, in an order that is the same in every process."""
    found = list(items)
    if set(map(type, found)) in _COMPARABLE:
        return sorted(found)
    return sorted(found, key=lambda item: _Content(_by_name, ()).digest(item))


class _Content(State):
    """The digest of what a set holds, in which a set of objects within it counts by its size: they may lead in circles,
    and what a circle comes to depends on where one enters it."""

    def _parts(self, value: Any) -> list[Any] | None:
        if not isinstance(value, _SETS):
            return super()._parts(value)
        try:
            return [digest(value)]
        except (Unfingerprintable, RecursionError):
            return [len(value)]


def _by_name(code: Any) -> tuple[str, bool]:
    """A function, a class or a module counts by its name: so it stands in the pickle."""
    return f"{getattr(code, '__module__', '')}.{getattr(code, '__qualname__', code.__name__)}", True
