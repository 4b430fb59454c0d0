"""The demo's configs and runway's jsonnet templates: what they say, and that what belongs together stays together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runway.config import Config, diff, load_config
from runway.config.apart import ENGINES
from runway.config.jsonnet import TEMPLATES

if TYPE_CHECKING:
    from tests.config.conftest import Files

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = ROOT / "configs/imdb_classification/exp_config.jsonnet"
FULL = EXPERIMENT.with_name("full_config.jsonnet")
CONFIGS = sorted((ROOT / "configs").rglob("*.jsonnet"))

# Seed 003's train command, word for word.
SEED_OPTS = [
    "meta.seed=615926",
    "meta.EXPERIMENT_FOLDER=experiments/imdb",
    "executor.init_kwargs.use_data_node=output:MakeImdbDataloaders",
    "train.batch_size=32",
    "train.optimizer_config.scheduler_params.num_warmup_steps=0",
    "train.trainer_paras.num_sanity_val_steps=0",
    "train.trainer_paras.accelerator=gpu",
    "train.trainer_paras.devices=1",
]


def node(config: Config, name: str) -> Config:
    return config.data_pipeline.transforms[name].setup_kwargs


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_both_engines_agree_on_every_config(path: Path) -> None:
    first, second = (load_config(path, engine=engine) for engine in ENGINES)
    assert first == second
    assert first.loaded_from.warnings == ()


def test_the_demo_has_the_keys_of_the_walkthrough() -> None:
    config = load_config(EXPERIMENT)
    assert {"experiment_name", "test_suffix", "meta", "data_pipeline", "tokenizer_config", "model_config"} <= set(
        config
    )
    assert {"executor", "train", "test", "eval"} <= set(config)
    assert config.executor == {
        "ExecutorClass": "TextClassificationExecutor",
        "init_kwargs": {"use_data_node": "output:MakeImdbDataloaders"},
    }
    assert {"input:LoadImdbDataset", "process:TokenizeImdbDataset", "output:InspectImdbDataloaders"} <= set(
        config.data_pipeline.transforms
    )
    split = config.data_pipeline.transforms["process:SplitValidationFromTrain"]
    assert split.input_node == "process:TokenizeImdbDataset"
    assert split.transform_name == "SplitHFDataset"
    assert {"src_split", "tgt_split", "split_size", "split_kwargs"} == set(split.setup_kwargs)
    inspect = config.data_pipeline.transforms["output:InspectImdbDataloaders"]
    assert (inspect.transform_name, inspect.cache, inspect.regenerate) == ("InsertBreakpoint", False, True)


def test_the_walkthroughs_train_command_fits() -> None:
    config = load_config(EXPERIMENT, SEED_OPTS)
    assert config.meta.EXPERIMENT_FOLDER == "experiments/imdb"
    assert config.train.optimizer_config.scheduler_params.num_warmup_steps == 0
    assert config.train.trainer_paras.accelerator == config.test.trainer_paras.accelerator == "gpu"
    assert config.loaded_from.warnings == ()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_input_node_is_there_whatever_the_source(path: Path) -> None:
    for source in ("embedded", "hub"):
        config = load_config(path, [f"dataset.source={source}"] if "imdb" in str(path) else [])
        for pipeline in pipelines_of(config):
            for name, settings in pipeline.transforms.items():
                inputs = settings.get("input_node") or []
                for given in [inputs] if isinstance(inputs, str) else inputs:
                    assert given in pipeline.transforms, f"{name} takes {given}"


def test_values_that_belong_together_follow_one_override() -> None:
    config = load_config(EXPERIMENT, ["dataset.max_length=64", "dataset.valid_rows=100", "train.batch_size=8"])
    assert config.tokenizer_config.tokenize_kwargs.max_length == 64
    assert node(config, "process:TokenizeImdbDataset").tokenizer_config == config.tokenizer_config
    assert node(config, "process:SelectReviews").num_rows == {"train": 3100, "test": 1000}
    assert node(config, "process:SplitValidationFromTrain").split_size == 100
    assert config.test.batch_size == 16


def test_a_model_and_its_tokenizer_change_by_one_override() -> None:
    name = "model_config.from_pretrained_kwargs.pretrained_model_name_or_path"
    config = load_config(FULL, [f"{name}=roberta-base"])
    assert config.tokenizer_config.version_name == "roberta-base"
    assert "sha256" not in config.tokenizer_config


@pytest.mark.parametrize("path", [EXPERIMENT, FULL])
def test_the_hubs_reviews_are_one_override_away(path: Path) -> None:
    config = load_config(path, ["dataset.source=hub"])
    assert node(config, "input:LoadImdbDataset").dataset_name == "imdb"
    assert config.data_pipeline.transforms["process:SelectReviews"].input_node == "input:LoadImdbDataset"
    assert config.loaded_from.warnings == ()


def test_the_full_config_takes_all_reviews() -> None:
    config = load_config(FULL)
    assert "train" not in node(config, "process:SelectReviews").num_rows
    assert node(config, "process:SelectReviews").step == 1
    assert config.train.trainer_paras.max_epochs == 3
    changed = {path.split(".")[0] for path, _, _ in diff(load_config(EXPERIMENT), config)}
    assert changed <= {
        "experiment_name",
        "dataset",
        "data_pipeline",
        "tokenizer_config",
        "model_config",
        "train",
        "test",
    }


def pipelines_of(config: Config) -> list[Config]:
    """The data pipeline, and those of ``eval``, which has other settings, too."""
    settings = config.get("eval", {}).items()
    return [config.data_pipeline, *(value for key, value in settings if key.endswith("pipeline_config"))]


def assert_settings_fit(config: Config) -> None:
    """Every ready-made transform of the config takes the settings that its node gives."""
    import inspect

    from runway.registry import READY_MADE, transforms

    transforms.names()
    known = transforms.levels[READY_MADE]
    nodes = [node for pipeline in pipelines_of(config) for node in pipeline.transforms.values()]
    fitting = [
        inspect.signature(known[node.transform_name].setup).bind(None, **node.setup_kwargs)
        for node in nodes
        if node.transform_name in known
    ]
    assert len(fitting) > len(nodes) / 2


@pytest.mark.parametrize("path", [EXPERIMENT, FULL])
def test_ready_made_settings_fit_the_signatures(path: Path) -> None:
    assert_settings_fit(load_config(path))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_templates_make_a_config(files: Files, engine: str) -> None:
    text = """
    local text_classification = import 'runway/text_classification.libsonnet';
    local evaluation = import 'runway/classification_eval.libsonnet';
    {
      meta: (import 'runway/meta.libsonnet') { seed: 1 },
      tokenizer_config: text_classification.tokenizer('bert-base-uncased', max_length=256),
      data_pipeline: text_classification.pipeline(
        load={ dataset_path: 'data/reviews.csv' }, tokenizer_config=$.tokenizer_config, valid_size=500, test_size=1000,
      ),
      eval: {
        valid_eval_pipeline_config: evaluation.validation(),
        test_eval_pipeline_config: evaluation.test(metrics=['accuracy', 'confusion_matrix'], upload=true),
      },
    }
    """
    config = files.load(text, "tokenizer_config.tokenize_kwargs.max_length=32", engine=engine)
    nodes = config.data_pipeline.transforms
    assert node(config, "process:TokenizeDataset").tokenizer_config.tokenize_kwargs.max_length == 32
    assert nodes["process:TokenizeDataset"].input_node == "process:SplitDataset"
    assert node(config, "process:TokenizeDataset").rename_col_dict["text_input_ids"] == "input_ids"
    test = config.eval.test_eval_pipeline_config.transforms
    assert test["process:ComputeMetrics"].setup_kwargs.metrics == ["accuracy", "confusion_matrix"]
    assert "output:UploadEvalRecorderToWandb" in test
    assert "output:ComputeMetrics" in config.eval.valid_eval_pipeline_config.transforms
    assert_settings_fit(config)


def test_a_pipeline_of_splits_that_are_there_has_no_split_node(files: Files) -> None:
    text = """
    local t = import 'runway/text_classification.libsonnet';
    { data_pipeline: t.pipeline(load={ dataset_name: 'x' }, tokenizer_config=t.tokenizer('y'), text=['a', 'b']) }
    """
    config = files.load(text)
    assert "process:SplitDataset" not in config.data_pipeline.transforms
    assert config.data_pipeline.transforms["process:TokenizeDataset"].input_node == "input:LoadDataset"
    assert node(config, "process:TokenizeDataset").rename_col_dict == {}


def test_every_template_is_documented() -> None:
    for path in TEMPLATES.rglob("*sonnet"):
        assert path.read_text(encoding="utf-8").startswith("// "), path
