"""Tokenising text columns, and finding the tokenizer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from runway.errors import AssetError, ConfigError, DataError
from runway.transforms.loading.tokenizer import load_tokenizer

Make = Callable[..., Any]
RENAME = {"text_input_ids": "input_ids", "text_attention_mask": "attention_mask"}


@pytest.fixture
def data() -> DatasetDict:
    """Labelled splits and one that is not to be tokenised."""
    rows = {"text": ["a good film .", "bad"], "label": [1, 0]}
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    dataset = Dataset.from_dict(rows, features=features)
    return DatasetDict(train=dataset, test=dataset.select([1, 0]), unsupervised=dataset)


def test_as_in_the_imdb_walkthrough(
    make: Make, data: DatasetDict, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = make(
        "HFDatasetTokenizeTransform",
        tokenizer_config={"version_name": str(tokenizer_folder), "tokenize_kwargs": {"return_token_type_ids": False}},
        tokenize_fields_list=["text"],
        splits_to_process=["train", "valid", "test"],
        rename_col_dict=RENAME,
    )
    tokens = node(data)
    assert tokens["train"].column_names == ["text", "label", "input_ids", "attention_mask"]
    assert tokens["unsupervised"].column_names == ["text", "label"]
    assert tokens["train"]["input_ids"][:] == [[2, 4, 5, 7, 12, 3], [2, 6, 3]]
    assert tokens["test"]["input_ids"][:] == [[2, 6, 3], [2, 4, 5, 7, 12, 3]]
    assert tokens["train"]["attention_mask"][1] == [1, 1, 1]
    assert tokens["train"].features["label"].names == ["neg", "pos"]
    assert tokens["train"].features["input_ids"] == List(Value("int32"))
    assert tokens["train"].features["attention_mask"] == List(Value("int8"))
    assert "no split 'valid'" in capsys.readouterr().err
    assert node._runway_reads.files == {("file", str(tokenizer_folder))}


def test_the_same_as_map_gives(make: Make, data: DatasetDict, tokenizer_folder: Path) -> None:
    settings = {"truncation": True, "max_length": 4, "padding": "max_length", "return_tensors": "pt"}
    node = make(
        "HFDatasetTokenizeTransform",
        tokenizer_config={"version_name": str(tokenizer_folder), "tokenize_kwargs": settings},
        batch_size=1,
    )
    tokenizer = load_tokenizer({"version_name": str(tokenizer_folder)})
    tokens = node(data)["train"]
    expected = tokenizer(data["train"]["text"][:], truncation=True, max_length=4, padding="max_length")
    for name, values in expected.items():
        assert tokens[f"text_{name}"][:] == values


def test_several_columns_and_pairs(make: Make, tokenizer_folder: Path) -> None:
    data = Dataset.from_dict({"premise": ["good film"], "claim": ["bad"]})
    config = {"version_name": str(tokenizer_folder), "class_name": "PreTrainedTokenizerFast"}
    fields = ["premise", "claim", ["premise", "claim"]]
    row = make("HFDatasetTokenizeTransform", tokenizer_config=config, tokenize_fields_list=fields)(data)[0]
    assert row["premise_input_ids"] == [2, 5, 7, 3]
    assert row["claim_input_ids"] == [2, 6, 3]
    assert row["premise_claim_input_ids"] == [2, 5, 7, 3, 6, 3]


def test_the_config_of_the_experiment_and_a_second_pass(make: Make, data: DatasetDict, tokenizer_folder: Path) -> None:
    config = {"tokenizer_config": {"version_name": str(tokenizer_folder)}}
    node = make("HFDatasetTokenizeTransform", global_config=config)
    once = node(data)
    assert node(DatasetDict(once))["train"].column_names == once["train"].column_names


def test_an_empty_split_has_the_columns(make: Make, data: DatasetDict, tokenizer_folder: Path) -> None:
    node = make("HFDatasetTokenizeTransform", tokenizer_config={"version_name": str(tokenizer_folder)})
    tokens = node(DatasetDict(train=data["train"], test=data["train"].select([])))
    assert tokens["test"].column_names == tokens["train"].column_names
    assert len(tokens["test"]) == 0
    assert tokens["test"].features == tokens["train"].features
    two = make(
        "HFDatasetTokenizeTransform",
        tokenizer_config={"version_name": str(tokenizer_folder)},
        tokenize_fields_list=["text", ["text", "label"]],
    )
    words = DatasetDict({split: rows.cast_column("label", Value("string")) for split, rows in data.items()})
    assert "text_label_input_ids" in two(DatasetDict(test=words["train"].select([])))["test"].column_names


def test_a_path_relative_to_the_project(make: Make, data: DatasetDict, tokenizer_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tokenizer_folder, tmp_path / "models" / "words")
    node = make("HFDatasetTokenizeTransform", tokenizer_config={"version_name": "models/words"})
    assert node(data)["train"]["text_input_ids"][1] == [2, 6, 3]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"tokenize_fields_list": ["txt"]}, "did you mean 'text'"),
        ({"tokenize_fields_list": ["label"]}, "must hold text"),
        (
            {
                "tokenizer_config": {
                    "tokenize_kwargs": {"return_overflowing_tokens": True, "max_length": 3, "truncation": True}
                }
            },
            "return_overflowing_tokens",
        ),
    ],
)
def test_mistakes_in_the_data(
    make: Make, data: DatasetDict, tokenizer_folder: Path, settings: dict, expected: str
) -> None:
    config = {"version_name": str(tokenizer_folder), **settings.pop("tokenizer_config", {})}
    with pytest.raises(DataError) as caught:
        make("HFDatasetTokenizeTransform", tokenizer_config=config, **settings)(data)
    assert expected in str(caught.value)


def test_a_row_without_text_is_named(make: Make, tokenizer_folder: Path) -> None:
    node = make("HFDatasetTokenizeTransform", tokenizer_config={"version_name": str(tokenizer_folder)}, batch_size=2)
    with pytest.raises(DataError, match="no text in row 3") as caught:
        node(Dataset.from_dict({"text": ["a", "a", "a", None]}))
    assert "drop_empty" in str(caught.value)


def test_tokens_that_are_added(make: Make, data: DatasetDict, tokenizer_folder: Path) -> None:
    config = {"version_name": str(tokenizer_folder), "additional_tokens": ["<b>", "<e>"]}
    tokenizer = load_tokenizer(config)
    size = len(load_tokenizer({"version_name": str(tokenizer_folder)}))
    assert (len(tokenizer), tokenizer.convert_tokens_to_ids("<e>")) == (size + 2, size + 1)
    node = make("HFDatasetTokenizeTransform", tokenizer_config=config)
    marked = Dataset.from_dict({"text": ["a <b> bad"]})
    assert node(DatasetDict(train=marked))["train"]["text_input_ids"][0] == [2, 4, size, 6, 3]


def test_arguments_of_from_pretrained_under_either_name(tokenizer_folder: Path) -> None:
    config: dict[str, Any] = {"version_name": str(tokenizer_folder), "from_pretrained_kwargs": {"padding_side": "left"}}
    assert load_tokenizer(config).padding_side == "left"
    config["init_kwargs"] = {"truncation_side": "left", "padding_side": "left"}
    assert load_tokenizer(config).truncation_side == "left"
    config["init_kwargs"]["padding_side"] = "right"
    with pytest.raises(ConfigError, match="different values to padding_side"):
        load_tokenizer(config)


def test_a_key_that_nothing_reads_is_told(tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_tokenizer({"version_name": str(tokenizer_folder), "additional_token": ["<b>"]})
    told = "tokenizer_config.additional_token is not used (did you mean 'additional_tokens'?)"
    assert told in capsys.readouterr().err


def test_mistakes_in_the_config(make: Make, tokenizer_folder: Path) -> None:
    with pytest.raises(ConfigError, match="tokenizer_config"):
        make("HFDatasetTokenizeTransform")
    with pytest.raises(ConfigError, match="version_name"):
        load_tokenizer({})
    with pytest.raises(ConfigError, match="`additional_tokens` must be a list of texts"):
        load_tokenizer({"version_name": str(tokenizer_folder), "additional_tokens": "<b>"})
    with pytest.raises(ConfigError, match="did you mean 'AutoTokenizer'"):
        load_tokenizer({"version_name": str(tokenizer_folder), "class_name": "AutoTokeniser"})
    with pytest.raises(AssetError, match="not reachable"):
        load_tokenizer({"version_name": "no-such/tokenizer"})
    with pytest.raises(AssetError, match="no tokenizer at"):
        load_tokenizer({"version_name": "./nowhere"})


def test_pairs_with_labels_of_any_name(tokenizer_folder: Path, tmp_path: Path) -> None:
    """The template's pipeline: two texts in one row of tokens, told apart by token types; labels as classes."""
    from runway import DataPipeline, load_config

    (tmp_path / "pairs.jsonl").write_text(
        "".join(f'{{"a": "good", "b": "bad film", "relation": "{name}"}}\n' for name in ("yes", "no") * 4)
    )
    (tmp_path / "exp.jsonnet").write_text(
        "local tc = import 'runway/text_classification.libsonnet';\n"
        f"tc.experiment(dataset='pairs.jsonl', model='{tokenizer_folder}', text=['a', 'b'], pair=true, "
        "label='relation')"
    )
    config = load_config(tmp_path / "exp.jsonnet")
    pipeline = DataPipeline(config.data_pipeline, global_config=config, project=tmp_path, cache_dir=tmp_path / "cache")
    rows = pipeline.get_data(["process:TokenizeDataset"], explode=True)["train"]
    assert rows.features["label"].names == ["no", "yes"]
    assert (len(rows[0]["input_ids"]), rows[0]["token_type_ids"]) == (6, [0, 0, 0, 1, 1, 1])
    (loader,) = pipeline.get_data(["output:MakeDataloaders"], explode=True)["train_dataloaders"]
    batch = next(iter(loader))
    assert {"input_ids", "attention_mask", "token_type_ids", "labels"} <= batch.keys()
