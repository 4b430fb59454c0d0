"""What type the texts of a csv column have together, and what the log says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from runway.transforms.loading.column_types import cast
from runway.transforms.loading.text_columns import TextColumn

Make = Callable[..., Any]


def seen(values: list[str], rows_at_a_time: int) -> TextColumn:
    column = TextColumn("c")
    for start in range(0, len(values), rows_at_a_time):
        column.see(pa.chunked_array([pa.array(values[start : start + rows_at_a_time])]))
    return column


@pytest.mark.parametrize("rows_at_a_time", [1, 2, 100])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2", "", "NA"], [1, -2, None, None]),
        ([" 1", "2 "], [1, 2]),
        (["0012", "13"], str),
        (["-012"], str),
        (["+49", "1"], str),
        (["1_000", "2"], str),
        (["0x1f"], str),
        (["9223372036854775807"], [9223372036854775807]),
        (["9223372036854775808", "1"], str),
        (["12345678901234567890", "12345678901234567891"], str),
        (["9007199254740993", "1.5"], str),
        (["0.50", "1.25"], [0.5, 1.25]),
        (["3", "2.50"], [3.0, 2.5]),
        (["1.0", "0.25", "1e-05"], [1.0, 0.25, 1e-05]),
        (["1.000000e-03", "2.500000e+00"], [0.001, 2.5]),
        ([".5", "1.5"], [0.5, 1.5]),
        (["0.5", "nan", "inf"], [0.5, None, float("inf")]),
        (["1.9", "1.10"], str),
        (["1.", "2."], str),
        (["12e4", "7e10"], str),
        (["1e400", "1.5"], str),
        (["True", "False", ""], [True, False, None]),
        (["true", "False"], str),
        (["1", "true"], str),
        (["1", "2", "x"], str),
        (["2020-01-01", "2020-01-02"], str),
        (["NA", "NA"], str),
        (["", "NA"], str),
        (["", ""], [None, None]),
    ],
)
def test_a_column_is_numbers_only_where_its_text_can_be_had_back(
    values: list[str], expected: Any, rows_at_a_time: int
) -> None:
    kind = seen(values, rows_at_a_time).decide()
    found = cast(pa.chunked_array([pa.array(values)]), kind).to_pylist()
    assert found == (values if expected is str else expected)


def test_the_log_says_why_a_column_stays_text(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("text,id,n\n" + "a,0012,1\nb,0013,2\n" + "c,0014,3\n" * 2000 + "d,0015,four\n")
    loaded = make("LoadHFDataset", dataset_path="a.csv")()["train"]
    assert loaded[0] == {"text": "a", "id": "0012", "n": "1"}
    said = capsys.readouterr().err
    assert said.count("column 'id' stays text: 0012 could not be had back") == 1
    assert "column_types: {id: 'int64'}" in said
    assert "column 'text'" not in said
    make("LoadHFDataset", dataset_path="a.csv", column_types={"id": "int64"})()
    assert "'id'" not in capsys.readouterr().err


def test_a_text_after_many_numbers_is_told(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{n},some words to fill the blocks of the reader with\n" for n in range(200_000)]
    (tmp_path / "a.csv").write_text("n,text\n" + "".join(lines) + "four,x\n")
    loaded = make("LoadHFDataset", dataset_path="a.csv")()["train"]
    assert loaded["n"][:2] == ["0", "1"]
    assert loaded["n"][-1] == "four"
    assert "column 'n' is text: after numbers comes 'four'" in capsys.readouterr().err
