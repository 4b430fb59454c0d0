"""The base classes: names mapped, checks, splits, rows; and the import path of the first releases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from runway import registry
from runway.config.reads import Reads
from runway.data_module.data_transforms import (
    BaseTransform,
    HFDatasetTransform,
    RowWiseTransform,
    register_transform_functor,
)
from runway.errors import ConfigError, DataError
from runway.registry import transforms
from tests.transforms.conftest import node


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


class Plain(HFDatasetTransform):
    """Gives the dataset that it is given."""

    def _call(self, data: Any) -> Any:
        return data


class Shout(HFDatasetTransform):
    """Adds a column ``loud``."""

    def _call(self, data: Any) -> Any:
        return self.map_splits(data, lambda rows: rows.add_column("loud", [text.upper() for text in rows["text"]]))


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


def test_dataset_transforms_take_and_give_plain_dicts(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"train": Dataset.from_dict({"text": ["a"]}), "test": Dataset.from_dict({"text": ["b"]})}
    shouted = node(Shout, splits_to_process=["train", "valid"], rename_col_dict={"loud": "LOUD"})(data)
    assert isinstance(shouted, DatasetDict)
    assert shouted["train"].to_list() == [{"text": "a", "LOUD": "A"}]
    assert shouted["test"].column_names == ["text"]
    assert capsys.readouterr().err.count("no split 'valid'") == 1
    with pytest.raises(DataError, match="needs a Dataset"):
        node(Shout)([1, 2])


MISSING = Dataset.from_dict({"text": ["a"], "lable": [1]})


@pytest.mark.parametrize("setting", ["rename_col_dict", "input_mapping", "output_mapping"])
def test_a_renamed_column_that_is_not_there_is_told_with_its_split(setting: str) -> None:
    data = DatasetDict(train=MISSING.rename_column("lable", "label"), test=MISSING)
    with pytest.raises(DataError) as caught:
        node(Plain, **{setting: {"label": "labels"}})(data)
    assert f"{setting} names 'label', which the split 'test' does not have" in str(caught.value)
    assert "did you mean 'lable'" in str(caught.value)
    assert list(node(Plain, splits_to_process=["train"], **{setting: {"label": "labels"}})(data)["train"].features) == [
        "text",
        "labels",
    ]


@pytest.mark.parametrize("setting", ["rename_col_dict", "input_mapping", "output_mapping"])
def test_no_name_is_given_twice(setting: str) -> None:
    with pytest.raises(DataError, match=f"{setting} calls 'lable' 'text', but the data has a 'text' already"):
        node(Plain, **{setting: {"lable": "text"}})(MISSING)
    with pytest.raises(ConfigError, match=f"`{setting}` must be names to different names"):
        node(Plain, **{setting: {"lable": "x", "text": "x"}})
    swapped = node(Plain, **{setting: {"lable": "text", "text": "lable"}})(MISSING)
    assert swapped.to_list() == [{"text": 1, "lable": "a"}]


def test_a_dict_keeps_all_its_values_when_keys_are_mapped() -> None:
    with pytest.raises(DataError, match="has a 'number' already"):
        node(Double, input_mapping={"n": "number"})({"n": 1, "number": 2})


@pytest.mark.parametrize(
    ("transform", "settings", "setting"),
    [
        ("SelectRows", {"balance_column": "label"}, "balance_column"),
        ("SelectRows", {"balance_column": "label", "num_rows": 1}, "balance_column"),
        ("FilterRows", {"conditions": {"label": 1}}, "conditions"),
        ("FilterRows", {"drop_empty": ["label"]}, "drop_empty"),
        ("FilterRows", {"drop_duplicates": ["label"]}, "drop_duplicates"),
        ("SelectColumns", {"columns": ["label"]}, "columns"),
        ("EncodeLabels", {}, "label_column"),
        ("datasets.splits:SplitHFDataset", {"group_column": "label"}, "group_column"),
        ("datasets.splits:SplitHFDataset", {"split_kwargs": {"stratify_by_column": "label"}}, "stratify_by_column"),
        ("SplitHFDatasetToTrainTestValidation", {"group_column": "label"}, "group_column"),
        ("SplitHFDatasetByRule", {"group_column": "label", "splits": {"x": {"values": [1]}}}, "group_column"),
        ("TrainTokenizer", {"columns": ["label"]}, "columns"),
        ("MakeDataloaders", {}, "label_column"),
        ("MakeDataloaders", {"use_columns": ["label"]}, "use_columns"),
    ],
)
def test_every_transform_tells_a_column_that_is_not_there(
    transform: str, settings: dict, setting: str, tmp_path: Path
) -> None:
    named = transforms.get(f"runway.transforms.{transform}" if ":" in transform else transform)
    made = named(name="process:X", project=tmp_path)
    made.setup(**settings)
    with pytest.raises(DataError) as caught:
        made(DatasetDict(train=Dataset.from_dict({"text": ["a"] * 9, "lable": [1] * 9, "input_ids": [[1]] * 9})))
    message = str(caught.value)
    for part in ("the split 'train' has no column 'label'", "did you mean 'lable'", f"node 'process:X', {setting}"):
        assert part in message


@pytest.mark.parametrize(
    ("transform", "settings"),
    [
        ("SelectRows", {"num_rows": -1}),
        ("SelectRows", {"num_rows": {"train": -1}}),
        ("SelectRows", {"start": -5}),
        ("SelectRows", {"step": 0}),
        ("LoadHFDataset", {"dataset_path": "a.csv", "dummy_rows": -1}),
        ("LoadHFDataset", {"dataset_path": "a.csv", "dummy_rows": 0}),
        ("FilterPairs", {"max_length": -1}),
        ("EncodePairs", {"max_length": -1}),
        ("HFDatasetTokenizeTransform", {"tokenizer_config": {"version_name": "x"}, "batch_size": -1}),
        ("InspectData", {"num_rows": -1}),
        ("DisplayEvalResults", {"num_rows": -1}),
        ("SaveWorstSamples", {"num_rows": -1}),
        ("TrainTokenizer", {"max_texts": -1}),
        ("MakeDataloaders", {"pad_to_multiple_of": -1}),
    ],
)
def test_a_count_below_nothing_is_no_way_to_say_all(transform: str, settings: dict) -> None:
    with pytest.raises(ConfigError, match="must be a whole number from"):
        node(transforms.get(transform), **settings)


def test_paths_and_tracking(tmp_path: Path) -> None:
    made = Double(project=tmp_path)
    (tmp_path / "a.txt").write_text("")
    assert made.track_file("a.txt") == tmp_path / "a.txt"
    assert made.track_glob("*.txt") == [tmp_path / "a.txt"]
    assert made._runway_reads.files == {("file", str(tmp_path / "a.txt")), ("glob", str(tmp_path / "*.txt"))}


def test_notes_are_plain_and_the_last_of_a_name_stays() -> None:
    node = BaseTransform(name="process:X")
    node.note("dropped", {"empty": 1})
    node.note("dropped", {"empty": 2, "pairs": (1, 2)})
    assert node._runway_reads.notes == {"dropped": {"empty": 2, "pairs": [1, 2]}}
    with pytest.raises(TypeError, match=r"`value` of note\('rows'\) must be plain data"):
        node.note("rows", {1, 2})


def test_notes_of_an_uncached_node_go_with_the_node_that_runs_it() -> None:
    mine, above = Reads(notes={"rows": 2}), Reads(notes={"rows": 1, "dropped": 3})
    mine.merge(above)
    assert mine.notes == {"rows": 2, "dropped": 3}


@pytest.mark.parametrize(
    ("split", "place"), [("train", "row 1 of 'train'"), (None, "row 1")], ids=["of a split", "of a list"]
)
def test_a_column_that_a_row_lacks_is_told_with_its_row(split: str | None, place: str) -> None:
    class Reads(RowWiseTransform):
        def _call(self, row_n: int, row: Any) -> Any:
            return row if row_n == 0 else {"text": row["txet"]}

    rows = [{"text": "a"}, {"text": "b"}]
    with pytest.raises(DataError, match=f"{place} has no column 'txet'; it has 'text'") as caught:
        node(Reads)(rows if split is None else {split: rows})
    assert caught.value.hint == "did you mean 'text'?"
    assert 'row["txet"]' in caught.value.traceback, "the user's line"


def test_any_other_error_in_a_row_says_which_row() -> None:
    class Divides(RowWiseTransform):
        def _call(self, row_n: int, row: Any) -> Any:
            return {"part": 1 / row["number"]}

    with pytest.raises(ZeroDivisionError) as caught:
        node(Divides)([{"number": 1}, {"number": 0}])
    assert caught.value.__notes__ == ["(row 1, with the columns number)"]


@pytest.mark.parametrize("base", [BaseTransform, RowWiseTransform, HFDatasetTransform])
def test_no_private_name_of_a_base_class_is_one_that_a_user_may_choose(base: type) -> None:
    hooks = {"_call", "_preprocess", "_check_input", "_check_output"}
    private = {name for name in (*dir(base), *vars(node(base))) if name[0] == "_" and name[:2] != "__"}
    assert {name for name in private - hooks if not name.startswith("_runway_")} == set()
