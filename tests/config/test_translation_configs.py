"""The translation demos' configs: one template, what derives from what, another pair in three lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runway.config import Config, load_config
from runway.errors import ConfigError
from tests.config.test_demo_configs import assert_settings_fit, node

if TYPE_CHECKING:
    from tests.config.conftest import Files

FOLDER = Path(__file__).resolve().parents[2] / "configs/translation"
CONFIGS = sorted(FOLDER.glob("*.jsonnet"))
LOAD, ENCODE, TOKENIZE = "input:LoadPairs", "process:EncodePairs", "process:TrainTokenizer"


def load(name: str, *overrides: str) -> Config:
    return load_config(FOLDER / f"{name}.jsonnet", list(overrides))


def test_the_demos_are_there() -> None:
    names = {path.stem for path in CONFIGS}
    assert {"bible_de_en", "multi30k_de_en", "tatoeba_en_fr", "wmt16_ro_en"} <= names


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_settings_fit_the_signatures(path: Path) -> None:
    config = load_config(path)
    assert_settings_fit(config)
    assert config.executor.ExecutorClass == "Seq2SeqExecutor"
    assert config.executor.init_kwargs.use_data_node in config.data_pipeline.transforms
    assert config.eval.to_dict()["slices"] == [{"length": "source"}]
    assert "test_eval_pipeline_config" in config.eval


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_overrides_reach_what_derives(path: Path) -> None:
    config = load_config(path, ["dataset.max_tokens=40", "dataset.rows={train: 100}", "dataset.source_lang=fr"])
    assert config.loaded_from.warnings == ()
    transforms = config.data_pipeline.transforms
    assert transforms[ENCODE].setup_kwargs.max_length == 40
    assert node(config, "process:SelectPairs").num_rows == {"train": 100}
    assert node(config, LOAD).source_lang == "fr"
    assert "fr" in config.experiment_name
    scratch = config.model_config.get("from_config_kwargs")
    assert not scratch or scratch.max_position_embeddings == 40


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dataset.max_token=64", "dataset has no max_token, only clean"),
        ("dataset.rows=5", "dataset.rows must be an object"),
        ("dataset.split=5", "dataset.split must be null"),
    ],
)
def test_mistakes_in_the_dataset(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load("bible_de_en", override)


def test_the_model_of_seed_000() -> None:
    sizes = load("multi30k_de_en").model_config.from_config_kwargs
    assert (sizes.d_model, sizes.encoder_layers, sizes.decoder_layers) == (256, 3, 3)
    assert (sizes.encoder_attention_heads, sizes.encoder_ffn_dim, sizes.dropout) == (8, 512, 0.1)


def test_multi30k_from_the_hub_or_from_a_folder_by_one_override() -> None:
    hub = node(load("multi30k_de_en"), LOAD)
    assert (hub.dataset_name, hub.data_path) == ("bentrevett/multi30k", None)
    folder = node(load("multi30k_de_en", "data_path=data/multi30k"), LOAD)
    assert folder.data_path == "data/multi30k"
    assert folder.splits == {"train": "train", "valid": "val", "test": "test_2016_flickr"}
    assert "dataset_name" not in folder


def test_books_are_on_one_side() -> None:
    splits = node(load("bible_de_en"), "process:SplitPairs").splits
    assert not set(splits.test["values"]) & set(splits.valid["values"])
    parameters = node(load("bible_de_en", "dataset.source_lang=ro"), LOAD).query_parameters
    assert parameters == {"source": "u", "target": "4"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_what_a_split_holds_out_is_not_learnt(path: Path) -> None:
    config = load_config(path)
    filtering = node(config, "process:FilterPairs")
    assert filtering.splits_to_process == ["train"]
    assert filtering.get("not_in_splits") == ("others" if config.dataset.split else None), "given splits stay whole"
    own = load_config(path, ["dataset.filter.not_in_splits=[]"])
    assert node(own, "process:FilterPairs").not_in_splits == []


def test_the_languages_reach_the_filter_and_the_scores() -> None:
    filtering = node(load("multi30k_de_en", "dataset.target_lang=zh"), "process:FilterPairs")
    assert (filtering.source_lang, filtering.target_lang) == ("de", "zh")


@pytest.mark.parametrize("name", ["multi30k_de_en", "wmt16_ro_en"])
def test_a_dict_of_files_names_its_own_splits(name: str) -> None:
    config = load(name, "data_path={train: 'a.tsv', valid: 'b.tsv', test: 'c.tsv'}")
    assert "splits" not in node(config, LOAD)
    assert node(load(name, "data_path=folder"), LOAD).splits.valid


def test_tatoeba_as_seed_001_has_it() -> None:
    config = load("tatoeba_en_fr", "tokenizer.vocab_size=4000", "data_path=elsewhere/fra.txt")
    trained = node(config, TOKENIZE)
    assert (trained.library, trained.algorithm, trained.vocab_size) == ("sentencepiece", "unigram", 4000)
    assert node(config, LOAD).data_path == "elsewhere/fra.txt"
    assert node(config, "process:SplitPairs").group_column == "source"


def test_wmt16_as_seed_002_has_it() -> None:
    config = load("wmt16_ro_en")
    assert (node(config, LOAD).dataset_name, node(config, LOAD).subset) == ("wmt16", "ro-en")
    assert config.data_pipeline.transforms[ENCODE].input_node == "process:SelectPairs", "there is no tokenizer to train"
    assert TOKENIZE not in config.data_pipeline.transforms
    assert "tokenizer_node" not in config.executor.init_kwargs
    assert node(config, ENCODE).max_length == 50
    assert node(config, ENCODE).source_prefix == "translate English to Romanian: "
    assert config.model_config.from_pretrained_kwargs.pretrained_model_name_or_path == "t5-small"
    scratch = load("wmt16_ro_en", "from_scratch=true")
    assert set(scratch.model_config) == {"from_config_kwargs"}
    assert node(scratch, ENCODE).tokenizer_config.version_name == "t5-small"
    assert node(scratch, ENCODE).source_prefix == ""


def test_another_pair_is_three_lines(files: Files) -> None:
    text = f"""
    (import '{FOLDER / "bible_de_en.jsonnet"}') + {{
      experiment_name: 'ro_fr', dataset+: {{ source_lang: 'ro', target_lang: 'fr' }},
    }}
    """
    config = files.load(text, f"meta.import_paths=['{FOLDER.parent}']")
    loaded: Any = node(config, LOAD)
    assert loaded.query_parameters == {"source": "u", "target": "l"}
    assert (loaded.source_lang, loaded.target_lang) == ("ro", "fr")


def test_the_distilled_student_with_and_without_its_teacher() -> None:
    config = load("distilled", "dataset.rows={train: 100}")
    transforms = config.data_pipeline.transforms
    assert transforms["process:Translate"].input_node == ["input:Teacher", "process:SelectPairs"]
    assert transforms[ENCODE].input_node == ["process:Translate", TOKENIZE]
    assert node(config, "input:Teacher").run == load("bible_de_en").experiment_name
    best = load("distilled", "teacher.best_by=val_loss", "dataset.source_lang=fr")
    assert node(best, "input:Teacher") == {"run": "transformer-bible_fr_en", "best_by": "val_loss"}
    plain = load("distilled", "teacher.run=null", "dataset.rows={train: 100}")
    assert "process:Translate" not in plain.data_pipeline.transforms
    assert plain.data_pipeline.transforms[ENCODE].input_node == ["process:SelectPairs", TOKENIZE]
    assert plain.experiment_name != config.experiment_name
