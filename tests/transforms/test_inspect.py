"""Looking at data: the breakpoint with and without a terminal, and summaries of every kind of value."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from runway.transforms.inspect import describe, describe_lines

REPOSITORY = Path(__file__).parents[2]
SCRIPT = """
from runway.transforms.inspect import InsertBreakpoint
print("passed on:", InsertBreakpoint(name="n")({"a": 1}) == {"a": 1})
"""


@pytest.fixture
def data() -> DatasetDict:
    """One split of two rows."""
    features = Features({"text": Value("string"), "label": ClassLabel(num_classes=2), "ids": List(Value("int32"))})
    return DatasetDict(
        train=Dataset.from_dict({"text": ["x" * 500, "b"], "label": [0, 1], "ids": [[1], [2, 3]]}, features)
    )


def test_without_a_terminal_it_shows_and_goes_on(
    make: Callable[..., Any], data: DatasetDict, capsys: pytest.CaptureFixture[str]
) -> None:
    node = make("InsertBreakpoint")
    assert node.INTERACTIVE
    assert node(data) is data
    assert capsys.readouterr().out == f"Data under inspection: {data}\n"


def test_at_a_terminal_it_stops_with_the_data_in_scope() -> None:
    mine, its = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "dumb"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)
    os.write(mine, b"data['a'] + 41\nc\n")
    said = b""
    while chunk := _read(mine):
        said += chunk
    assert process.wait(timeout=60) == 0
    text = said.decode()
    assert "Data under inspection: {'a': 1}" in text
    assert "(Pdb)" in text
    assert "\r\n42" in text.replace("(Pdb) ", "")
    assert "passed on: True" in text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1024)
    except OSError:  # the other side is closed
        return b""


def test_summary_of_a_dataset_dict(data: DatasetDict) -> None:
    summary = describe(data)
    train = summary["parts"]["train"]
    assert summary["type"] == "DatasetDict"
    assert train["rows"] == 2
    assert train["columns"] == {"text": "string", "label": "ClassLabel(2)", "ids": "list of int32"}
    assert train["bytes"] > 500
    assert train["sample"][0]["label"] == 0
    lines = describe_lines(data, num_rows=2)
    assert "train: Dataset, 2 rows" in lines[1]
    assert "label (ClassLabel(2))" in lines[2]
    assert len(lines) == 5
    assert max(map(len, lines)) < 200, "long text is cut"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "NoneType"),
        ("some text", "some text"),
        ([{"a": 1}, {"a": 2}], "list, 2 rows"),
        ([], "list, 0 rows"),
        ([np.zeros(2)], "0: ndarray"),
        (np.zeros((3, 4), dtype=np.float32), "ndarray, shape [3, 4], float32, 48 B"),
        (np.float64(3), "float64, shape [], float64, 8 B"),
        ({"a": {"b": [1, 2]}}, "b: list, 2 rows"),
        (object, "type"),
    ],
)
def test_summaries_of_other_values(value: Any, expected: str) -> None:
    assert any(expected in line for line in describe_lines(value))


def test_summary_of_a_frame() -> None:
    import pandas as pd

    assert describe(pd.DataFrame({"a": [1, 2]}))["columns"] == {"a": "int64"}


def test_inspect_data(make: Callable[..., Any], data: DatasetDict, capsys: pytest.CaptureFixture[str]) -> None:
    assert make("InspectData", num_rows=2)(data) is data
    said = capsys.readouterr().err
    assert "train: Dataset, 2 rows" in said
    assert "[1] text='b', label=1" in said
