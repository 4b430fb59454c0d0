"""Json and jsonl: all rows tell the columns, texts stay texts, and no digit is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runway.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

Make = Callable[..., Any]


@pytest.fixture(params=["a.jsonl", "a.json", "a.jsonl.gz"])
def load(request: pytest.FixtureRequest, make: Make, tmp_path: Path) -> Callable[..., Dataset]:
    """Writes rows as lines or as a list, and loads them, whole and as dummy data with the same schema."""

    def write_and_load(rows: list[dict], **settings: Any) -> Dataset:
        text = json.dumps(rows) if request.param == "a.json" else "".join(json.dumps(row) + "\n" for row in rows)
        path = tmp_path / request.param
        if path.suffix == ".gz":
            import gzip

            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text)
        whole = make("LoadHFDataset", dataset_path=path.name, **settings)()["train"]
        dummy = make("LoadHFDataset", dataset_path=path.name, use_dummy_data=True, **settings)()["train"]
        assert dummy.features == whole.features
        assert dummy.to_list() == whole.select(range(min(100, len(whole)))).to_list()
        return whole

    return write_and_load


LATE = 70_000  # rows, after which the type of a column changes


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        ({"a": 1}, {"a": 2, "b": "x"}, {"a": 1, "b": None}),
        ({"a": None}, {"a": "x"}, {"a": None}),
        ({"a": None}, {"a": "2020-01-01"}, {"a": None}),
        ({"a": 1}, {"a": 1.5}, {"a": 1.0}),
        ({"a": []}, {"a": ["x"]}, {"a": []}),
        ({"a": [1]}, {"a": [1.5, None]}, {"a": [1.0]}),
        ({"a": {"b": 1}}, {"a": {"c": "x"}}, {"a": {"b": 1, "c": None}}),
        ({"a": [{"b": "2020-01-01"}]}, {"a": [{"c": 1}]}, {"a": [{"b": "2020-01-01", "c": None}]}),
        ({"a": 1}, {"a": 12345678901234567890}, {"a": "1"}),
        ({"a": [1]}, {"a": [2**70, 3]}, {"a": ["1"]}),
    ],
)
def test_a_late_row_widens_the_schema(load: Callable[..., Dataset], first: dict, last: dict, told: dict) -> None:
    rows = load([first] * LATE + [last])
    assert rows[0] == told
    kept = json.loads(json.dumps(last), parse_int=str) if "12345678901234567890" in str(last) else last
    kept = {"a": [str(2**70), "3"]} if last == {"a": [2**70, 3]} else kept
    assert {name: value for name, value in rows[LATE].items() if name in last} == {
        **kept,
        **({"a": {"b": None, "c": "x"}} if last == {"a": {"c": "x"}} else {}),
        **({"a": [{"b": None, "c": 1}]} if last == {"a": [{"c": 1}]} else {}),
    }


def test_texts_like_dates_stay_texts(load: Callable[..., Dataset]) -> None:
    rows = [
        {"t": "2020-01-01T00:00:00Z", "s": {"u": "2020-01-01"}, "l": ["2020-01-01 10:00"], "n": 1},
        {"t": "2021-01-01", "s": {"u": "2020-01-01T00:00:00+02:00"}, "l": [], "n": 2},
    ]
    assert load(rows).to_list() == rows


def test_two_long_ids_stay_two(load: Callable[..., Dataset], capsys: pytest.CaptureFixture[str]) -> None:
    ids = [2**64 + 1, 2**64 + 2, 3]
    loaded = load([{"id": n, "x": 1e300} for n in ids])
    assert loaded["id"][:] == [str(n) for n in ids]
    assert loaded["x"][:] == [1e300] * 3
    assert "whole numbers of the column 'id' become text" in capsys.readouterr().err


def test_fractions_beside_long_integers_are_an_error(load: Callable[..., Dataset]) -> None:
    with pytest.raises(DataError, match="different types in the column 'x'"):
        load([{"x": 2**60 + 1}, {"x": 1.5}])
    assert load([{"x": 2**60 + 1}, {"x": 1.5}], column_types={"x": "string"})["x"][:] == [str(2**60 + 1), "1.5"]


def test_values_of_two_kinds_name_the_line(load: Callable[..., Dataset]) -> None:
    rows = [{"answer": 5}, {"answer": "five"}]
    with pytest.raises(DataError, match=r"(line 2|item 1): the column 'answer' is text here \('five'\), but a number"):
        load(rows)
    loaded = load([*rows, {"answer": True}, {"answer": [1]}], column_types={"answer": "string"})
    assert loaded["answer"][:] == ["5", "five", "true", "[1]"]


def test_numbers_as_they_are_written(make: Make, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"v": 1.10, "n": 2, "d": "7"}\n{"v": 1.9, "n": null, "d": "8"}\n')
    types = {"v": "string", "n": "float32", "d": "int64"}
    loaded = make("LoadHFDataset", dataset_path="a.jsonl", column_types=types)()["train"]
    assert loaded.to_list() == [{"v": "1.10", "n": 2.0, "d": 7}, {"v": "1.9", "n": None, "d": 8}]


def test_an_object_of_many_megabytes(load: Callable[..., Dataset]) -> None:
    loaded = load([{"text": "a"}] * 300 + [{"text": "x" * 9_000_000, "late": 1}, {"text": "b"}])
    assert [len(text) for text in loaded["text"][-2:]] == [9_000_000, 1]
    assert loaded["late"][-2:] == [1, None]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", '{"a": 1, "a": 2}\n', "line 1: the key 'a' is there twice"),
        ("a.json", '[{"a": 1, "a": 2}]', "the key 'a' is there twice"),
        ("a.jsonl", '{"a": 1}\n' * 50_000 + "[1]\n", "line 50001 is not an object"),
        ("a.jsonl", '{"a": 1}\n' * 50_000 + '{"a": x}\n', "line 50001: Expecting value at column 7"),
        ("a.jsonl", '{"a": "\\ud800"}\n', "half a surrogate pair in the column 'a'"),
        ("a.json", "[]", "is empty"),
        ("a.json", '{"data": 3}', "is no list"),
        ("a.json", '{"data": {"a": [1, 2], "b": [1]}}', "no lists of one length"),
    ],
)
def test_broken_files(make: Make, tmp_path: Path, name: str, content: str, expected: str) -> None:
    (tmp_path / name).write_text(content)
    options = {"field": "data"} if "data" in content else {}
    with pytest.raises(DataError) as caught:
        make("LoadHFDataset", dataset_path=name, load_kwargs=options)()
    assert expected in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_objects_over_several_lines(make: Make, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('\n{\n "a": 1\n}\n{"a": NaN}{"a": 2.5}\n\n')
    assert str(make("LoadHFDataset", dataset_path="a.jsonl")()["train"]["a"][:]) == "[1.0, nan, 2.5]"


def test_columns_keep_the_order_of_the_file(make: Make, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"n": 1, "day": "2020-01-01", "m": 2, "text": "x"}\n' * 3)
    assert make("LoadHFDataset", dataset_path="a.jsonl")()["train"].column_names == ["n", "day", "m", "text"]
