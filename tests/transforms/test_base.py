"""The base classes: names mapped, checks, splits, rows; and the import path of the first releases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from PIL import Image

from runway import registry
from runway.config.reads import Reads
from runway.data_module.data_transforms import (
    BaseTransform,
    HFDatasetTransform,
    RowWiseTransform,
    register_transform_functor,
)
from runway.errors import DataError
from runway.transforms import arrow_tables, rows_to_dataset


class Upper(RowWiseTransform):
    """Upper-cases the text; rows without any are left out."""

    def _call(self, row_n: int, row: Any) -> Any:
        return {"text": row["text"].upper(), "row": row_n} if row["text"] else None


class Double(BaseTransform):
    """Doubles ``number``."""

    def _check_input(self, data: Any) -> bool:
        return isinstance(data, dict)

    def _call(self, data: dict) -> dict:
        return {"number": data["number"] * 2}


class Passes(BaseTransform):
    """Gives what it is given."""

    def _call(self, data: Any) -> Any:
        return data


class Shout(HFDatasetTransform):
    """Adds a column ``loud``."""

    def _call(self, data: Any) -> Any:
        return self.map_splits(data, lambda rows: rows.add_column("loud", [text.upper() for text in rows["text"]]))


def node(cls: type, **settings: Any) -> Any:
    made = cls(name="process:X")
    made.setup(**settings)
    return made


def test_the_old_import_path_is_the_same() -> None:
    import runway

    assert runway.HFDatasetTransform is HFDatasetTransform
    assert runway.BaseTransform is BaseTransform
    assert register_transform_functor is registry.register_transform_functor


def test_names_are_mapped_on_the_way_in_and_out() -> None:
    mapped = node(Double, input_mapping={"n": "number"}, output_mapping={"number": "twice"})
    assert mapped({"n": 4}) == {"twice": 8}
    with pytest.raises(DataError, match="'n', which the data does not have"):
        mapped({"m": 4})
    with pytest.raises(DataError, match="_check_input"):
        node(Double)([1])
    data = DatasetDict(train=Dataset.from_dict({"text": ["a"]}))
    passed = node(Passes, input_mapping={"text": "source"}, output_mapping={"source": "target"})(data)
    assert passed["train"].column_names == ["target"]
    assert data["train"].column_names == ["text"]


def test_rows() -> None:
    rows = [{"text": "a"}, {"text": ""}, {"text": "b"}]
    expected = [{"text": "A", "row": 0}, {"text": "B", "row": 2}]
    assert node(Upper)(rows) == expected
    assert node(Upper)(Dataset.from_list(rows)).to_list() == expected
    assert node(Upper)(DatasetDict(train=Dataset.from_list(rows)))["train"].to_list() == expected


class Rows(RowWiseTransform):
    """Whatever the function makes of a row."""

    def setup(self, function: Callable[[int, Any], Any], **kwargs: Any) -> None:
        super().setup(**kwargs)
        self._call = function


TYPED = Features(
    text=Value("string"), label=ClassLabel(names=["no", "yes"]), number=Value("int32"), mask=List(Value("int8"))
)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Five rows with narrow types, of which two make a batch."""
    monkeypatch.setattr(rows_to_dataset, "ROWS_AT_A_TIME", 2)
    columns = {"text": list("abcde"), "label": [0, 1, 1, 0, -1], "number": [1, 2, 3, 4, None], "mask": [[1]] * 5}
    return Dataset.from_dict(columns, features=TYPED)


def test_columns_that_a_row_transform_leaves_alone_keep_their_features(typed: Dataset) -> None:
    same = node(Rows, function=lambda row_n, row: row)(typed)
    assert same.features == TYPED
    assert same.to_list() == typed.to_list()
    more = node(Rows, function=lambda row_n, row: {"row_n": row_n, **row} if row_n else None)(DatasetDict(a=typed))["a"]
    assert more.features == Features(row_n=Value("int64"), **TYPED)
    assert more["row_n"][:] == [1, 2, 3, 4]
    nulls = node(Rows, function=lambda row_n, row: dict.fromkeys(row))(typed)
    assert nulls.features == TYPED
    image = Dataset.from_dict({"image": [Image.new("RGB", (2, 3))] * 3}, features=Features(image=datasets.Image()))
    copied = node(Rows, function=lambda row_n, row: {**row, "again": row["image"]})(image)
    assert copied.features == Features(image=datasets.Image(), again=datasets.Image())
    assert copied[2]["again"].size == (2, 3)


@pytest.mark.parametrize(
    ("column", "value", "feature"),
    [
        ("label", lambda n: ["no", "yes"][n % 2], Value("string")),
        ("label", lambda n: n, Value("int64")),  # there are two classes, not five
        ("number", lambda n: n + 0.5, Value("float64")),
        ("number", lambda n: float(n), Value("float64")),
        ("number", lambda n: str(n), Value("string")),
        ("number", lambda n: n * 10**9, Value("int64")),  # too large for int32 in the last row
        ("mask", lambda n: [n * 100], List(Value("int64"))),
        ("mask", lambda n: [] if n < 4 else None, List(Value("int8"))),
        ("text", lambda n: n % 2 == 0, Value("bool")),
        ("new", lambda n: None if n < 3 else n, Value("int64")),
        ("new", lambda n: n if n < 3 else n + 0.5, Value("float64")),
        ("new", lambda n: n + 0.5 if n < 3 else n, Value("float64")),
        ("new", lambda n: [] if n < 3 else [None, "a"], List(Value("string"))),
        ("new", lambda n: None, Value("null")),
    ],
)
def test_a_column_of_other_values_gets_the_type_that_holds_all(
    typed: Dataset, column: str, value: Callable[[int], Any], feature: Any
) -> None:
    made = node(Rows, function=lambda row_n, row: {**row, column: value(row_n)})(typed)
    assert made[column][:] == [value(n) for n in range(5)]
    assert made.features == Features({**TYPED, column: feature})


def test_columns_and_fields_may_come_late(typed: Dataset) -> None:
    late = node(Rows, function=lambda row_n, row: {"a": row_n} if row_n < 3 else {"b": {"x": 1, **{"y": [row_n]}}})
    assert late(typed).to_list() == [
        *({"a": n, "b": None} for n in range(3)),
        *({"a": None, "b": {"x": 1, "y": [n]}} for n in (3, 4)),
    ]
    grows = node(Rows, function=lambda row_n, row: {"a": {"x": row_n} if row_n < 3 else {"x": 0.5, "y": "z"}})
    rows = grows(typed)
    assert rows.features == Features(a={"x": Value("float64"), "y": Value("string")})
    assert rows["a"][:] == [*({"x": n, "y": None} for n in range(3)), *[{"x": 0.5, "y": "z"}] * 2]


def test_no_rows_leave_the_columns(typed: Dataset) -> None:
    nothing = node(Rows, function=lambda row_n, row: None, input_mapping={"text": "t"}, output_mapping={"label": "y"})
    for data in (typed, typed.select([])):
        empty = nothing(data)
        assert len(empty) == 0
        assert empty.features == Features(t=TYPED["text"], y=TYPED["label"], number=TYPED["number"], mask=TYPED["mask"])


def test_mapped_names_keep_their_features(typed: Dataset) -> None:
    mapped = node(
        Rows,
        function=lambda row_n, row: {"target": row["target"], "new": 1},
        input_mapping={"label": "target"},
        output_mapping={"target": "y", "new": "n"},
    )
    assert mapped(typed).features == Features(y=TYPED["label"], n=Value("int64"))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda row_n, row: {"a": row_n if row_n < 3 else "many"}, "'a'"),
        (lambda row_n, row: {"a": row_n if row_n < 2 else "many"}, "a has incompatible types"),
        (lambda row_n, row: row_n, "a row must be a dict, but is a int instead"),
    ],
)
def test_rows_that_do_not_go_together(typed: Dataset, function: Callable, expected: str) -> None:
    with pytest.raises(DataError, match=expected) as caught:
        node(Rows, function=function)(typed)
    assert "process:X" in str(caught.value)


def test_rows_are_not_in_memory_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_tables.TableWriter.__init__, "__defaults__", (10_000,))
    rows = Dataset.from_dict({"n": range(5000)})
    made = node(Rows, function=lambda row_n, row: {**row, "text": "x" * 10 if row_n > 3500 else None})(rows)
    assert made["n"][:] == list(range(5000))
    assert made["text"][3500:3502] == [None, "x" * 10]
    assert made.cache_files


def test_dataset_transforms_take_and_give_plain_dicts(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"train": Dataset.from_dict({"text": ["a"]}), "test": Dataset.from_dict({"text": ["b"]})}
    shouted = node(Shout, splits_to_process=["train", "valid"], rename_col_dict={"loud": "LOUD"})(data)
    assert isinstance(shouted, DatasetDict)
    assert shouted["train"].to_list() == [{"text": "a", "LOUD": "A"}]
    assert shouted["test"].column_names == ["text"]
    assert capsys.readouterr().err.count("no split 'valid'") == 1
    with pytest.raises(DataError, match="needs a Dataset"):
        node(Shout)([1, 2])


def test_paths_and_tracking(tmp_path: Path) -> None:
    made = Double(project=tmp_path)
    (tmp_path / "a.txt").write_text("")
    assert made.track_file("a.txt") == tmp_path / "a.txt"
    assert made.track_glob("*.txt") == [tmp_path / "a.txt"]
    assert made._reads.files == {("file", str(tmp_path / "a.txt")), ("glob", str(tmp_path / "*.txt"))}


def test_notes_are_plain_and_the_last_of_a_name_stays() -> None:
    node = BaseTransform(name="process:X")
    node.note("dropped", {"empty": 1})
    node.note("dropped", {"empty": 2, "pairs": (1, 2)})
    assert node._reads.notes == {"dropped": {"empty": 2, "pairs": [1, 2]}}
    with pytest.raises(TypeError, match=r"`value` of note\('rows'\) must be plain data"):
        node.note("rows", {1, 2})


def test_notes_of_an_uncached_node_go_with_the_node_that_runs_it() -> None:
    mine, above = Reads(notes={"rows": 2}), Reads(notes={"rows": 1, "dropped": 3})
    mine.merge(above)
    assert mine.notes == {"rows": 2, "dropped": 3}
