"""Digests: the same for equal content in every process, different for different content."""

from __future__ import annotations

import datetime
import enum
import re
import subprocess
import sys
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset, concatenate_datasets

from runway.config.config import Config
from runway.pipeline.keys.fingerprint import Unfingerprintable, combine, digest

Point = namedtuple("Point", "x y")
Other = namedtuple("Other", "x y")


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass
class Slots:
    x: int


@dataclass
class Same:
    x: int


class Own:
    def __init__(self, x: int) -> None:
        self.x = x

    def __fingerprint__(self) -> Any:
        return {"x": self.x}


# Every value here is another one than every other. Many of these pairs are one key in other tools.
DISTINCT = [
    None, ..., True, False, 0, 1, -1, 2**70, 0.0, -0.0, 1.0, float("inf"), 1j, "", "1", "a", "ab", b"", b"1",
    bytearray(b"1"), [], (), {}, set(), frozenset(), [1], (1,), {1}, frozenset({1}), [[1]], [1, 2], [2, 1], [[1], 2],
    [[1, 2]], ["ab"], ["a", "b"], ["a", ["b"]], {"a": 1}, {"a": "1"}, {"a": None}, {"b": 1}, {1: "a"}, {"1": "a"},
    {"a": {}}, {"a": []}, {"a": 1, "b": 2}, {"a": 2, "b": 1}, [("a", 1)], Path("a"), Path("/a"), Point(1, 2),
    Other(1, 2), Point(2, 1), Colour.RED, Colour.BLUE, Slots(1), Same(1), Slots(2), Own(1), Own(2), range(3),
    range(4), slice(3), re.compile("a"), re.compile("a", re.IGNORECASE), Decimal("1"), Decimal("1.0"),
    datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1), datetime.timedelta(1),
    datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), np.zeros(4, np.int32), np.zeros(4, np.int64),
    np.zeros(2, np.int64), np.zeros((2, 2), np.int64), np.zeros((4, 1), np.int64), np.zeros(4, np.uint32),
    np.zeros(4, np.float32), np.zeros(4, ">i4"), np.zeros(0), np.zeros((0, 2)), np.zeros((2, 0)),
    np.array([[1, 2], [3, 4]]), np.array([[1, 3], [2, 4]]), np.array(0), np.int64(0), np.int32(0), np.float32(0),
    np.bool_(False), np.array(["a"]), np.array(["a"], dtype=object), np.array([None, 1], dtype=object),
    np.array(["2020"], "M8[Y]"), np.zeros(2, [("a", "i4"), ("b", "i4")]), np.zeros(2, [("a", "i4"), ("c", "i4")]),
    np.ma.masked_array([0, 0], [True, False]), np.ma.masked_array([0, 0], [False, True]), np.dtype("i4"),
    torch.zeros(4), torch.ones(4), torch.zeros(2, 2), torch.zeros(4, dtype=torch.bfloat16),
    torch.zeros(4, dtype=torch.float16), torch.zeros(4, dtype=torch.bool), torch.zeros(0), torch.tensor(0),
    torch.tensor([1 + 1j]).conj(), torch.tensor([1 + 1j]), torch.float32, torch.device("cpu"),
    [torch.zeros(1), torch.ones(1)], [torch.ones(1), torch.zeros(1)], pd.DataFrame({"a": [1, 2]}),
    pd.DataFrame({"a": [2, 1]}), pd.DataFrame({"b": [1, 2]}), pd.DataFrame({"a": [1.0, 2.0]}),
    pd.DataFrame({"a": [1, 2]}, index=[1, 2]), pd.DataFrame({"a": ["x"]}), pd.DataFrame({"a": pd.Categorical(["x"])}),
    pd.Series([1, 2]), pd.Series([1, 2], index=["a", "b"]), Dataset.from_dict({"a": [1]}),
    Dataset.from_dict({"a": [2]}), Dataset.from_dict({"b": [1]}), Dataset.from_dict({"a": [1.0]}),
    Dataset.from_dict({"a": []}), Dataset.from_dict({"a": [1]}).with_format("numpy"),
]  # fmt: skip


def test_different_values_have_different_digests() -> None:
    digests: dict[str, Any] = {}
    for value in DISTINCT:
        found = digest(value)
        assert found not in digests, f"{value!r} and {digests[found]!r} have one digest"
        digests[found] = value


def test_equal_values_have_equal_digests() -> None:
    text = "".join(["a", "b"])
    rows = Dataset.from_dict({"a": [1, 2, 3]})
    pairs = [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, Config({"a": 1})),
        ({"a": 1}, OrderedDict(a=1)),
        ({"x", "y", "z"}, {"z", "y", "x"}),
        ([text, text], [text, "ab"]),  # one object twice, or two that are equal
        (np.array([[1, 2], [3, 4]]).T, np.array([[1, 3], [2, 4]])),  # another memory layout
        (np.arange(10)[::2], np.array([0, 2, 4, 6, 8])),
        (torch.arange(10)[::2], torch.tensor([0, 2, 4, 6, 8])),
        (torch.zeros(2, requires_grad=True), torch.zeros(2)),
        (rows.select([0, 2]), Dataset.from_dict({"a": [1, 3]})),
        (float("nan"), float("nan")),
        (Own(1), Own(1)),
    ]
    for one, other in pairs:
        assert digest(one) == digest(other), (one, other)


def test_an_unknown_value_is_an_error_that_names_its_place() -> None:
    for value in (object(), lambda: 1, iter([]), torch.nn.Linear(1, 1), Dataset):
        with pytest.raises(Unfingerprintable) as caught:
            digest({"a": [1, {"b": value}]}, "setup_kwargs")
        assert caught.value.message.startswith("setup_kwargs['a'][1]['b']: no stable fingerprint for a ")
        assert "__fingerprint__" in str(caught.value.hint)


def test_digests_are_the_same_in_every_process() -> None:
    program = """
import sys
sys.path[:0] = {paths!r}
from tests.pipeline.keys.test_fingerprint import DISTINCT
from runway.pipeline.keys.fingerprint import combine, digest
print(combine(*map(digest, [*DISTINCT, {{"z", "y", "x", 1}}])))
"""
    code = program.format(paths=[str(Path(__file__).parents[3])])
    here = combine(*map(digest, [*DISTINCT, {"z", "y", "x", 1}]))
    found = set()
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        )
        found.add(done.stdout.strip())
    assert found == {here}


def test_parts_do_not_run_together() -> None:
    assert len({combine("ab", "c"), combine("a", "bc"), combine("abc"), combine("abc", ""), combine("", "abc")}) == 5


def test_a_dataset_is_its_rows_however_they_are_stored() -> None:
    rows = {"text": [f"row {number}" for number in range(2500)], "lists": [[number] for number in range(2500)]}
    whole = Dataset.from_dict(rows)
    backwards = Dataset.from_dict({name: values[::-1] for name, values in rows.items()})
    parts = [whole.select(range(0, 700)), whole.select(range(700, 2500))]
    assert digest(backwards.select(range(2499, -1, -1))) == digest(concatenate_datasets(parts)) == digest(whole)
    assert digest(backwards) != digest(whole)
