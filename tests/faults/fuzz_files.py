"""The fuzz driver of files and recorder calls: ``python -m tests.faults.fuzz_files CASES [SEED]``.

Hypothesis draws, half and half, calls of a recorder with values of every kind, and changed copies of the files that
runway loads (``hostile.KINDS``): bytes flipped, cut, put in, taken from other files, values of JSON replaced. Each ends
in an error of runway's or succeeds, within LONGEST seconds, runs nothing and writes nothing outside its folder.
"""

from __future__ import annotations

import collections
import contextlib
import datetime
import decimal
import enum
import io
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from runway import EvalRecorder
from runway.errors import RunwayError
from tests.faults.hostile import KINDS, Arena, replacements, values_for

LONGEST = 10.0
FORMATS = ("parquet", "json", "csv", "pkl")
FOR_FLIPS = [kind for kind in KINDS if not kind.startswith(("export", "model"))]
"""Most flips of weights make another model of the same form: those kinds get fewer of them."""


class Slow(BaseException):
    """A case took longer than LONGEST; no ``except Exception`` hides it."""


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Raise Slow in what takes too long."""

    def stop(*_: Any) -> None:
        raise Slow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# --- calls of a recorder


class Colour(enum.Enum):
    """An enum."""

    RED = "red"


class Odd:
    """An object of the user's."""

    def __repr__(self) -> str:
        return "Odd()"


def _circle() -> list:
    made: list = [1]
    made.append(made)
    return made


def _deep() -> list:
    made: list = []
    for _ in range(300):
        made = [made]
    return made


TEXTS = st.one_of(st.text(max_size=8), st.sampled_from(["", "\ud800", "\0", "a/b", "../x", "$dict", "é" * 300, "a\nb"]))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    TEXTS,
    st.binary(max_size=8),
    st.sampled_from([Colour.RED, datetime.date(2020, 1, 2), decimal.Decimal("1.5"), 1j, Path("a/b"), range(3)]),
    st.builds(np.float32, st.floats(width=32)),
    st.builds(np.int8, st.integers(-128, 127)),
    st.builds(Odd),
    st.builds(lambda: torch.tensor(1.5, dtype=torch.bfloat16)),
    st.builds(lambda: PIL.Image.new("L", (1, 1))),
    st.builds(np.datetime64, st.sampled_from(["2020-01-01", "NaT"])),
)
VALUES = st.one_of(
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.tuples(inner, inner),
            st.dictionaries(st.one_of(TEXTS, st.integers(), st.none(), st.floats()), inner, max_size=3),
            st.frozensets(st.integers(), max_size=3),
        ),
        max_leaves=6,
    ),
    st.builds(_circle),
    st.builds(_deep),
    st.builds(object),
)
COLUMNS = st.one_of(
    st.lists(SCALARS, max_size=4),
    st.lists(VALUES, max_size=3),
    st.builds(np.zeros, st.tuples(st.integers(0, 3), st.integers(0, 2))),
    st.builds(lambda n, kind: torch.zeros(n, dtype=kind), st.integers(0, 3), st.sampled_from([torch.int8, torch.half])),
    st.builds(lambda values: pa.array(values), st.lists(st.integers(0, 9), max_size=3)),
    st.builds(lambda: np.array([object(), 1], dtype=object)),
    st.builds(lambda: np.array(["a", "b"])),
    st.builds(lambda: torch.zeros(2, 2).to_sparse()),
    st.builds(lambda: (value for value in [1, 2])),
    VALUES,
)
NAMES = st.one_of(st.sampled_from(["a", "b", "c"]), TEXTS, st.integers(), st.none(), st.tuples(st.integers()))
SHORT = st.one_of(st.sampled_from(["rec", "rec/x", "../rec", "/rec", "", "a\0b", "x" * 300, ".", "..", "a b"]), TEXTS)
NUMBERS = st.one_of(st.integers(-3, 5), st.integers(), VALUES)
VIEWS = ["dict", "list", "pandas", "arrow", "csv", "dataset", "x", 3]
CALLS = st.one_of(
    st.tuples(st.just("log_sample_dict"), st.one_of(st.dictionaries(NAMES, VALUES, max_size=3), VALUES)),
    st.tuples(st.just("log_sample_dict_batch"), st.one_of(st.dictionaries(NAMES, COLUMNS, max_size=3), VALUES)),
    st.tuples(st.just("log_stats_dict"), st.one_of(st.dictionaries(NAMES, VALUES, max_size=3), VALUES)),
    st.tuples(st.just("set_sample_logs_column"), NAMES, COLUMNS),
    st.tuples(st.just("set_sample_logs_data"), st.one_of(st.dictionaries(NAMES, COLUMNS, max_size=2), VALUES)),
    st.tuples(st.just("get_sample_logs"), st.sampled_from(VIEWS)),
    st.tuples(st.just("get_sample_logs_column"), NAMES, st.sampled_from(["list", "numpy", "arrow", "x"])),
    st.tuples(st.just("get_stats_logs"), st.sampled_from(VIEWS)),
    st.tuples(st.just("reset_for_new_pass")),
    st.tuples(st.just("select_rows"), st.one_of(st.lists(NUMBERS, max_size=4), VALUES)),
    st.tuples(st.just("sort_by"), NAMES),
    st.tuples(st.just("rename"), SHORT),
    st.tuples(st.just("save_to_disk"), SHORT, st.sampled_from([*FORMATS, "x", 3, None])),
    st.tuples(st.just("save_to_disk"), st.just("eval_recorder"), st.sampled_from(FORMATS)),
)


def run_calls(calls: list[tuple], folder: Path) -> None:
    """Make the calls, then save, load and compare: what was saved comes back as it was."""
    recorder = EvalRecorder("rec", folder)
    for name, *arguments in calls:
        try:
            made = getattr(recorder, name)(*arguments)
        except RunwayError:
            continue
        if isinstance(made, EvalRecorder):
            recorder = made
    recorder.rename("rec", folder)
    for file_format in FORMATS:
        recorder.save_to_disk(file_format=file_format)
        again = EvalRecorder.load_from_disk("rec", folder, file_format=file_format)
        if repr(again.get_sample_logs()) != repr(recorder.get_sample_logs()) and not _has_images(recorder):
            raise AssertionError(f"{file_format} gave {again.get_sample_logs()!r} for {recorder.get_sample_logs()!r}")


def _has_images(recorder: EvalRecorder) -> bool:
    return "PIL." in repr(recorder.get_sample_logs())


# --- changed files


@st.composite
def changes(draw: st.DrawFn, arena: Arena) -> tuple[str, str, bytes]:
    """A kind, one of its files, and what stands in its place."""
    kind = draw(st.sampled_from(draw(st.sampled_from([FOR_FLIPS] * 9 + [list(KINDS)]))))
    name = draw(st.sampled_from(sorted(arena.whole[kind])))
    content = bytearray(arena.whole[kind][name])
    way = draw(st.sampled_from(["flip", "flip", "cut", "insert", "other", "json", "json", "whole"]))
    if way == "json":
        with contextlib.suppress(ValueError):
            found = _edited(draw, json.loads(bytes(content)), arena)
            return kind, name, json.dumps(found).encode()
    if way == "whole":
        return kind, name, draw(st.sampled_from(sorted(replacements(arena.canary, bytes(content)).values())))
    if way == "other":
        files = draw(st.sampled_from(sorted(arena.whole)))
        return kind, name, arena.whole[files][draw(st.sampled_from(sorted(arena.whole[files])))]
    for _ in range(draw(st.integers(1, 4)) if content else 0):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        if way == "cut":
            del content[place : place + draw(st.integers(1, 40))]
        elif way == "insert":
            content[place:place] = draw(st.binary(min_size=1, max_size=12))
        elif content:
            content[place] = draw(st.integers(0, 255))
    return kind, name, bytes(content)


def _edited(draw: st.DrawFn, value: Any, arena: Arena) -> Any:
    """A JSON value with something in it replaced, removed or added."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: _edited(draw, value[key], arena)}
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], _edited(draw, value[place], arena), *value[place + 1 :]]
    json_values = st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
        max_leaves=5,
    )
    return draw(st.one_of(st.sampled_from(values_for(arena.canary)), json_values))


# --- many of them


class Fuzz:
    """Runs cases and keeps what went wrong.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.arena = Arena(folder / "arena")
        self.calls_in = folder / "calls"
        self.cases: collections.Counter[str] = collections.Counter()
        self.longest = 0.0

    def calls(self, cases: int, seed: int | None = None) -> None:
        """So many sequences of recorder calls.

        Raises:
            BaseException: what one raised, with the calls made small.
        """

        def case(calls: list[tuple]) -> None:
            with self._counted("calls"):
                self.calls_in.mkdir()
                try:
                    run_calls(calls, self.calls_in / "base")
                    there = {path.name for path in self.calls_in.iterdir()}
                    assert there <= {"base"}, f"it wrote {there}"
                finally:
                    shutil.rmtree(self.calls_in)

        run_cases(case, st.lists(CALLS, min_size=1, max_size=6), cases, seed)

    def files(self, cases: int, seed: int | None = None) -> None:
        """So many changed files; it raises as ``calls``."""

        def case(change: tuple[str, str, bytes]) -> None:
            with self._counted(change[0].partition(":")[0]):
                found = self.arena.load(*change)
                assert not found, f"{change[0]}, {change[1]}: {found}"

        run_cases(case, changes(self.arena), cases, seed)

    @contextlib.contextmanager
    def _counted(self, what: str) -> Iterator[None]:
        self.cases[what] += 1
        started = time.monotonic()
        with contextlib.redirect_stdout(io.StringIO()), in_time():
            yield
        self.longest = max(self.longest, time.monotonic() - started)


def run_cases(case: Any, drawn: st.SearchStrategy, cases: int, seed: int | None) -> None:
    """So many cases of what is drawn; with a seed others than without."""
    chosen = settings(
        max_examples=cases,
        database=None,
        deadline=None,
        derandomize=seed is None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    test = chosen(given(drawn)(case))
    (test if seed is None else seeded(seed)(test))()


def main(cases: int, seed: int) -> None:
    """Run them and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        fuzz = Fuzz(Path(folder))
        started = time.monotonic()
        fuzz.calls(cases // 2, seed)
        fuzz.files(cases - cases // 2, seed)
        told = ", ".join(f"{what} {count}" for what, count in sorted(fuzz.cases.items()))
        print(f"{sum(fuzz.cases.values())} cases in {time.monotonic() - started:.0f} s, none wrong: {told}")
        print(f"the longest took {fuzz.longest:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
