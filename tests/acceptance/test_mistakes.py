"""What people get wrong in a training or a test: a block that names the thing, its place and the mend."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.conftest import CONFIG, WarmProject, reviews

if TYPE_CHECKING:
    from tests.conftest import Result

T = "data_pipeline.transforms"
NODE = "output:MakeImdbDataloaders"
MODEL = "model_config.from_pretrained_kwargs"
METRICS = "ComputeMetrics.setup_kwargs.metrics"
SPLITS = f"{T}.process:TokenizeImdbDataset.input_node=input:LoadImdbDataset"

# {case: (overrides, what the block must say)}
TRAINING: dict[str, tuple[list[str], list[str]]] = {
    "Trainer argument": (["train.trainer_paras.max_epoch=3"], ["train.trainer_paras.max_epoch", "'max_epochs'"]),
    "key in a section of runway's": (["train.bacth_size=3"], ["train.bacth_size=3", "did you mean 'batch_size'?"]),
    "data node": (
        ["executor.init_kwargs.use_data_node=output:MakeImdbDataloader"],
        ["no node 'output:MakeImdbDataloader'", "executor.init_kwargs.use_data_node", f"did you mean '{NODE}'"],
    ),
    "executor": (
        ["executor.ExecutorClass=TextClasificationExecutor"],
        ["'TextClasificationExecutor'", "where: executor.ExecutorClass", "did you mean 'TextClassificationExecutor'"],
    ),
    "executor's setting": (
        ["executor.init_kwargs.label_smothing=0.1"],
        ["no setting 'label_smothing'", "executor.init_kwargs", "did you mean 'label_smoothing'?"],
    ),
    "optimiser": (
        ["train.optimizer_config.optimizer_name=AdamX"],
        ["optimiser 'AdamX'", "train.optimizer_config.optimizer_name", "did you mean 'Adam'"],
    ),
    "optimiser's argument": (
        ["train.optimizer_config.optimizer_params.weight_dekay=1"],
        ["'weight_dekay'", "train.optimizer_config.optimizer_params", "did you mean 'weight_decay'?"],
    ),
    "scheduler": (
        ["train.optimizer_config.scheduler=linaer"],
        ["scheduler 'linaer'", "train.optimizer_config.scheduler", "did you mean 'linear'?"],
    ),
    "scheduler's argument": (
        ["train.optimizer_config.scheduler_params.warmup_ration=0.1"],
        ["'warmup_ration'", "train.optimizer_config.scheduler_params", "did you mean 'warmup_ratio'?"],
    ),
    "metric": (
        [f"eval.valid_eval_pipeline_config.transforms.output:{METRICS}=[acuracy]"],
        ["metric 'acuracy'", "eval.valid_eval_pipeline_config, node 'output:ComputeMetrics'", "'accuracy'?"],
    ),
    "logger": (["meta.logger_enable=[cvs]"], ["logger 'cvs'", "meta.logger_enable", "did you mean 'csv'?"]),
    "hub model without a network": (
        [f"{MODEL}.pretrained_model_name_or_path=distilbert-base-uncased"],
        ["model 'distilbert-base-uncased'", f"{MODEL}.pretrained_model_name_or_path", "save_pretrained"],
    ),
    "hub tokenizer without a network": (
        ["tokenizer_config.version_name=distilbert-base-uncased"],
        ["tokenizer 'distilbert-base-uncased'", "tokenizer_config", "process:TokenizeImdbDataset", "HF_HUB_OFFLINE"],
    ),
    "hub dataset without a network": (
        [f"{T}.input:LoadImdbDataset.setup_kwargs={{dataset_name: imdb}}"],
        ["dataset 'imdb'", "node 'input:LoadImdbDataset'", "HF_HUB_OFFLINE", "dataset_path"],
    ),
    "model that is not what was pinned": (
        [f"model_config.sha256={'0' * 64}"],
        ["models/tiny is not the file that was pinned", "0" * 64, "actual sha256", "where: model_config.sha256"],
    ),
    "data that are not what was pinned": (
        [f"{T}.input:LoadImdbDataset.setup_kwargs.sha256={'f' * 64}"],
        ["reviews.csv is not the file that was pinned", "f" * 64, "actual sha256", "node 'input:LoadImdbDataset'"],
    ),
    "empty split for training": (
        [SPLITS, f"{T}.input:LoadImdbDataset.setup_kwargs.splits={{train: 'train[:0]', test: 'train[:9]'}}"],
        ["split 'train' is empty", f"node '{NODE}'", "filtered out"],
    ),
    "empty split for validation": (
        [SPLITS, f"{T}.input:LoadImdbDataset.setup_kwargs.splits={{train: 'train[:9]', valid: 'train[:0]'}}"],
        ["split 'valid' is empty", f"node '{NODE}'", "filtered out"],
    ),
    "file without rows": (
        [f"{T}.input:LoadImdbDataset.setup_kwargs.dataset_path=none.csv"],
        ["split 'train' is empty", "node 'process:SplitValidationFromTrain'"],
    ),
    "label outside of num_labels": (
        [f"{T}.input:LoadImdbDataset.setup_kwargs.dataset_path=three.csv"],
        ["label 2 is none of the model's 2 labels", f"split of '{NODE}'", "num_labels: 3"],
    ),
    "label that is missing": (
        [f"{T}.input:LoadImdbDataset.setup_kwargs.dataset_path=hidden.csv"],
        ["label -1 is none of the model's 2 labels", f"split of '{NODE}'", "without a label"],
    ),
    "fewer labels than the saved model's": (
        [f"{MODEL}.num_labels=3"],
        ["other sizes than `model_config` asks for", MODEL, "ignore_mismatched_sizes"],
    ),
    "data node before the tokens": (
        ["executor.init_kwargs.use_data_node=process:SplitValidationFromTrain"],
        ["no 'input_ids'", "split of 'process:SplitValidationFromTrain'", "HFDatasetTokenizeTransform"],
    ),
    "name that leaves its folder": (["experiment_name=../x"], ["'../x'", "where: experiment_name", "one folder"]),
    "empty name": (["experiment_name="], ["is empty", "where: experiment_name", "one folder"]),
}


def is_friendly(result: Result, *said: str) -> None:
    """Hold a failed command against what is asked of all of them."""
    assert result.returncode == 2, result.output
    assert "Traceback" not in result.output, result.output
    block = result.stderr[result.stderr.rindex("rror: ") :]
    assert "where: " in block, block
    assert "hint:  " in block, block
    for text in said:
        assert text in block, block


@pytest.fixture(scope="module")
def mistaken(imdb: WarmProject) -> WarmProject:
    """The project, with data as people have them."""
    imdb.write("none.csv", "text,label\n")
    imdb.write("three.csv", reviews() + "a fine film,2\n" * 20)
    imdb.write("hidden.csv", reviews() + "a fine film,-1\n" * 20)
    return imdb


@pytest.mark.parametrize("case", TRAINING)
def test_a_training_that_cannot_start(mistaken: WarmProject, case: str) -> None:
    overrides, said = TRAINING[case]
    name = [] if "experiment_name" in overrides[0] else ["experiment_name=mistaken"]
    is_friendly(mistaken.runway("train", CONFIG, *name, *overrides, check=False), *said)
    # Whatever failed, it did so before the first step: there is no version of it.
    assert not list((mistaken.path / "experiments").glob("mistaken*"))
    assert not list(mistaken.path.parent.glob("x_V*"))
    assert not list((mistaken.path / "experiments").glob("_V*"))


def test_a_gpu_that_is_not_there(imdb: WarmProject) -> None:
    gpu = ["train.trainer_paras.accelerator=gpu", "train.trainer_paras.devices=1"]
    result = imdb.runway(
        "train", CONFIG, "experiment_name=mistaken", *gpu, check=False, env={"CUDA_VISIBLE_DEVICES": ""}
    )
    is_friendly(result, "no accelerator 'gpu'", "train.trainer_paras.accelerator", "=auto")


def test_a_metric_to_watch_that_nobody_logs(imdb: WarmProject) -> None:
    place = "train.model_checkpoint_callback_paras.monitor"
    result = imdb.runway("train", CONFIG, "experiment_name=watching", f"{place}=acuracy", check=False)
    is_friendly(result, "metric 'acuracy' is not logged", place, "did you mean 'accuracy'?")
    # It is found out after the first epoch, which is not lost.
    resumed = imdb.runway("train", CONFIG, "--resume", "experiment_name=watching", "train.trainer_paras.max_epochs=2")
    assert "epoch 2/2" in resumed.stderr
    assert "epoch 1/2" not in resumed.stderr


def test_a_metric_to_stop_by_that_nobody_logs(imdb: WarmProject) -> None:
    place = "train.early_stopping_callback_paras"
    result = imdb.runway(
        "train", CONFIG, "experiment_name=stopping", f"{place}={{monitor: acuracy, mode: max}}", check=False
    )
    is_friendly(result, "metric 'acuracy' is not logged", f"{place}.monitor", "did you mean 'accuracy'?")
    assert (imdb.run_folder(name="stopping") / "train/saved_models/last.ckpt").is_file()


# {case: (command and overrides, what the block must say)}; the experiment is trained and tested once
TESTING: dict[str, tuple[list[str], list[str]]] = {
    "checkpoint": (
        ["test", "test.checkpoint_name=lats.ckpt"],
        ["no checkpoint 'lats.ckpt'", "test.checkpoint_name", "did you mean 'last.ckpt'?", "epoch=0-step=6.ckpt"],
    ),
    "test without any training": (
        ["test", "experiment_name=untrained"],
        ["'untrained' has no version with checkpoints", "train it first"],
    ),
    "evaluation without any test": (
        ["eval", "experiment_name=untrained"],
        ["'untrained' has no version with a test 'default_test'", "test it first"],
    ),
    "version of a test": (["test", "exp_version=9"], ["no version 9", "there are: trained_V0"]),
    "version of an evaluation": (["eval", "exp_version=9"], ["no version 9", "there are: trained_V0"]),
    "evaluation of another test": (["eval", "test_suffix=other", "exp_version=0"], ["'other'", "default_test"]),
    "data node": (["test", "executor.init_kwargs.use_data_node=output:None"], ["no node 'output:None'"]),
    "metric": (
        ["test", f"eval.test_eval_pipeline_config.transforms.process:{METRICS}=[acuracy]"],
        ["metric 'acuracy'", "node 'process:ComputeMetrics'", "did you mean 'accuracy'?"],
    ),
    "another model": (
        ["test", "model_config={from_config_kwargs: {model_type: bert, hidden_size: 8, num_attention_heads: 2}}"],
        ["do not fit the model", "test.checkpoint_name", "model_config"],
    ),
    "suffix that leaves its folder": (["test", "test_suffix=../../x"], ["'../../x'", "where: test_suffix"]),
    "flag for training": (["test", "--reset"], ["--reset is for training", "leave it out"]),
    "flags that contradict": (["train", "--reset", "--resume"], ["--reset and --resume contradict", "leave one out"]),
    "reset without a terminal": (["train", "--reset"], ["would delete trained_V0", "no terminal", "--yes"]),
}


@pytest.mark.parametrize("case", TESTING)
def test_a_test_that_cannot_be(imdb: WarmProject, trained: str, case: str) -> None:
    (command, *overrides), said = TESTING[case]
    flags = [word for word in overrides if word.startswith("--")]
    settings = [word for word in overrides if word not in flags]
    result = imdb.runway(command, CONFIG, *flags, "--opts", f"experiment_name={trained}", *settings, check=False)
    is_friendly(result, *said)
    # Nothing that was there is lost, and no version came of it.
    versions = sorted(path.name for path in (imdb.path / "experiments").glob("*trained*"))
    assert versions == ["trained_V0"]
    assert (imdb.run_folder(name=trained) / "test/default_test/metrics.json").is_file()
    assert (imdb.run_folder(name=trained) / "train/saved_models/last.ckpt").is_file()


def test_an_untrained_version_is_not_tested(imdb: WarmProject, trained: str) -> None:
    """The version exists, as one that was killed does, but its model was never trained."""
    copied = imdb.run_folder(name="killed")
    shutil.copytree(imdb.run_folder(name=trained), copied)
    shutil.rmtree(copied / "train/saved_models")
    shutil.rmtree(copied / "test")
    for overrides in ([], ["exp_version=0"], ["exp_version=0", "test.checkpoint_name=last.ckpt"]):
        result = imdb.runway("test", CONFIG, "experiment_name=killed", *overrides, check=False)
        is_friendly(result, "killed", "checkpoint")
        assert not (copied / "test").exists()


def test_a_damaged_checkpoint(imdb: WarmProject, trained: str) -> None:
    copied = imdb.run_folder(name="damaged")
    shutil.copytree(imdb.run_folder(name=trained), copied)
    last = copied / "train/saved_models/last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    result = imdb.runway("test", CONFIG, "experiment_name=damaged", "test.checkpoint_name=last")
    told = " ".join(result.stderr.split())
    assert "last.ckpt cannot be read" in told
    assert "is taken instead" in told
    for checkpoint in last.parent.glob("*.ckpt"):
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    is_friendly(imdb.runway("test", CONFIG, "experiment_name=damaged", check=False), "cannot be read", "damaged")


def test_a_bug_in_a_step_is_shown_as_the_users_own(imdb: WarmProject) -> None:
    result = imdb.runway("train", CONFIG, "experiment_name=bug", "executor.ExecutorClass=RaisesInAStep", check=False)
    assert result.returncode == 1
    told = result.stderr[result.stderr.index("Traceback") :]
    assert told.index("in training_step") < told.index("in divide") < told.index("ZeroDivisionError: division by zero")
    assert "return divide(batch_idx, 0)" in told
    assert told.count('File "') == 2  # neither runway's frames nor Lightning's twenty
    assert "The run failed: ZeroDivisionError" in told
    debugged = imdb.runway(
        "train", CONFIG, "experiment_name=bug", "executor.ExecutorClass=RaisesInAStep", "--debug", check=False
    )
    assert debugged.stderr.count('File "') > 10
    assert not imdb.run_folder(name="bug").exists()


def test_a_loss_that_is_no_number(imdb: WarmProject) -> None:
    result = imdb.runway("train", CONFIG, "experiment_name=lost", "executor.ExecutorClass=LosesItself", check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.output
    for said in ("the training loss is nan", "epoch 0, batch 2", "gradient_clip_val"):
        assert said in result.stderr
    record = json.loads((imdb.run_folder(name="lost") / "train/provenance.json").read_text())
    assert record["status"] == "failed"
    assert "nan" in record["error"]


@pytest.mark.parametrize("mode", ["trian", "tset", ""])
def test_a_misspelt_mode_is_an_error(imdb: WarmProject, mode: str) -> None:
    result = imdb.run("--config", CONFIG, "--mode", mode, check=False)
    assert result.returncode == 2
    assert "mode" in result.stderr
    assert "Traceback" not in result.stderr


def test_nothing_in_a_config_is_executed(imdb: WarmProject) -> None:
    evil = '__import__("os").system("touch pwned")'
    overrides = [f"a.b={evil}", f"meta.WANDB.project={evil}", f"executor.init_kwargs.id2label=[{evil!r}, 'b']"]
    imdb.runway("run", CONFIG, "experiment_name=evil", "--opts", *overrides)
    saved = json.loads((imdb.run_folder(name="evil") / "train/config.json").read_text())
    assert saved["a"]["b"] == evil
    # Names are text, whatever Python would make of them.
    imdb.runway("train", CONFIG, "experiment_name=list")
    assert imdb.run_folder(name="list").is_dir()
    for setting in (
        "train.optimizer_config.optimizer_params.lr",
        "train.trainer_paras.max_epochs",
        f"{MODEL}.num_labels",
    ):
        result = imdb.runway("train", CONFIG, "experiment_name=evil2", f"{setting}={evil}", check=False)
        assert result.returncode != 0
    assert not list(imdb.path.rglob("pwned"))
    assert not list(imdb.path.glob("**/<class*"))
