"""What went wrong in trainings and tests of the original, done here through the real command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import CONFIG, WarmProject, logged

LOAD = "data_pipeline.transforms.input:LoadImdbDataset"
LORA = ["train.use_lora=True", "train.lora_config={r: 2, lora_alpha: 4, target_modules: [query, value]}"]
EVERYTHING = [
    *LORA,
    "meta.logger_enable=[csv, wandb, tensorboard, metrics_history]",
    "train.model_checkpoint_callback_paras.save_weights_only=True",
    "train.early_stopping_callback_paras={monitor: accuracy, mode: max, patience: 1, min_delta: 1}",
    "train.optimizer_config.scheduler=cosine",
    "train.trainer_paras.max_epochs=9",
    f"{LOAD}.setup_kwargs.dummy_rows=40",
]
NAMED = ["--experiment_name", "everything", "--use_dummy_data", "--log_prediction_tables"]
# As on a machine where nobody has logged in to wandb, and the environment says nothing about it.
WITHOUT_KEY = {"WANDB_MODE": None, "WANDB_API_KEY": None, "NETRC": "nowhere/netrc"}


def read(path: Path) -> dict:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def everything(imdb: WarmProject) -> Path:
    """The folder of a run with LoRA, four loggers, early stopping, a cosine schedule, dummy data, tags, tables."""
    options = ["--opts", *EVERYTHING]
    trained = imdb.runway(
        *["--config", CONFIG, "--mode", "train", *NAMED, "--tags", "small", "fast", *options], env=WITHOUT_KEY
    )
    assert "early stopping after epoch 2" in trained.stderr
    assert "warning" not in trained.stderr.lower()
    imdb.runway("--config", CONFIG, "--mode", "test", *NAMED, *options, env=WITHOUT_KEY)
    return imdb.path / "experiments/everything_V0_tag:small+fast"


class TestOneRunWithEverything:
    def test_lora_trains_a_small_part(self, everything: Path) -> None:
        log = (everything / "train/run.log").read_text()
        assert "10,676 parameters, 322 of them trained" in log
        assert read(everything / "test/default_test/metrics.json").keys() >= {"accuracy", "test_loss"}

    def test_dummy_data_are_a_few_rows(self, imdb: WarmProject, everything: Path) -> None:
        assert read(everything / "train/provenance.json")["use_dummy_data"] is True
        assert len(logged(everything, "lr")) == 6  # 22 of 40 rows are left to train on, twice in batches of eight
        # They are no part of what is cached for all rows.
        assert "step 6/6" in imdb.runway("train", CONFIG, "experiment_name=all_rows").stderr

    def test_every_logger_has_written(self, imdb: WarmProject, everything: Path) -> None:
        assert (everything / "train/logs/csv/metrics.csv").is_file()
        assert list((everything / "train/logs/tensorboard").glob("events.out.tfevents.*"))
        assert read(everything / "train/metrics_history.json")
        known = read(everything / "wandb.json")
        assert known["mode"] == "offline"
        offline = list((imdb.path / "cache/wandb/wandb").glob(f"offline-run-*-{known['id']}"))
        assert len(offline) == 2  # training and test, which `wandb sync` joins: they have one id
        assert list(imdb.path.glob("cache/wandb/wandb/offline-run-*/files/media/table/test/predictions*.json"))

    def test_one_recorder_for_each_validation(self, everything: Path) -> None:
        assert sorted(path.name for path in (everything / "train/recorders").iterdir()) == [
            "validation-step3",
            "validation-step6",
        ]

    def test_weights_only_are_small(self, imdb: WarmProject, everything: Path, trained: str) -> None:
        whole = imdb.run_folder(name=trained) / "train/saved_models/last.ckpt"
        assert (everything / "train/saved_models/last.ckpt").stat().st_size < whole.stat().st_size / 2
        resumed = imdb.runway("train", CONFIG, "--resume", "experiment_name=everything", check=False)
        assert resumed.returncode == 2
        assert "holds weights only" in resumed.stderr


class TestPlainRun:
    def test_the_last_batch_may_have_one_row(self, imdb: WarmProject, trained: str) -> None:
        from runway.recorder import EvalRecorder

        folder = imdb.run_folder(name=trained)
        recorder = EvalRecorder.load_from_disk("test-evaluation", folder / "test/default_test")
        assert len(recorder) == 9  # in batches of four
        assert {"ground_truth_class_id", "ground_truth_class_label"} <= set(recorder.column_names)
        assert len(EvalRecorder.load_from_disk("validation-step6", folder / "train/recorders")) == 9

    def test_a_metric_of_the_evaluation_chooses_the_checkpoint(self, imdb: WarmProject, trained: str) -> None:
        folder = imdb.run_folder(name=trained)
        index = read(folder / "train/saved_models/checkpoints.json")
        stats = read(folder / "train/recorders/validation-step6/eval_recorder-stats_log.json")
        assert index["monitor"] == "accuracy"
        assert index["best_model_score"] == pytest.approx(stats["accuracy"])
        assert read(folder / "test/default_test/provenance.json")["checkpoint"].endswith(index["best_model_path"])

    def test_the_run_folder_says_how_it_came_about(self, imdb: WarmProject, trained: str) -> None:
        record = read(imdb.run_folder(name=trained) / "train/provenance.json")
        assert record["status"] == "finished"
        assert record["overrides"][-1] == "train.trainer_paras.max_epochs=2"
        assert record["data"]["output:MakeImdbDataloaders"]
        assert record["seed"] == 7

    def test_a_second_training_finds_the_data_in_the_cache(self, imdb: WarmProject, trained: str) -> None:
        again = imdb.runway("train", CONFIG, f"experiment_name={trained}-again")
        assert "LoadImdbDataset" not in again.stderr
        assert "TokenizeImdbDataset" not in again.stderr
        one = read(imdb.run_folder(name=trained) / "train/provenance.json")["data"]
        assert read(imdb.run_folder(name=f"{trained}-again") / "train/provenance.json")["data"] == one


def test_versions_from_failed_starts_to_a_reset(imdb: WarmProject) -> None:
    name = "experiment_name=versions"
    failed = imdb.runway("train", CONFIG, name, "train.optimizer_config.optimizer_name=Nothing", check=False)
    assert failed.returncode == 2
    assert "unknown optimiser 'Nothing'" in failed.stderr
    assert "versions_V0" not in failed.stderr  # it was told before a version was made
    for version in (0, 1):
        assert f"versions_V{version}" in imdb.runway("train", CONFIG, name).stderr

    flags = ["--EXPERIMENT_FOLDER", "experiments", "--test_batch_size", "2", "--test_evaluation_name", "small"]
    newest = imdb.runway("--experiment_name", "versions", *flags, "--config", CONFIG, "--mode", "test")
    assert "of versions_V1" in newest.stderr
    config = read(imdb.run_folder(1, "versions") / "test/small/config.json")
    assert config["test"]["batch_size"] == 2
    older = imdb.runway("test", CONFIG, name, "exp_version=0", "test.checkpoint_name=last.ckpt")
    assert "testing last.ckpt of versions_V0" in older.stderr

    told = imdb.runway("train", CONFIG, name, "exp_version=0")
    assert "training makes a new version" in told.stderr
    reset = imdb.runway("train", CONFIG, name, "--reset", "--yes")
    assert "deleted versions_V0, versions_V1, versions_V2" in reset.stderr
    assert [path.name for path in sorted(imdb.path.glob("experiments/versions*"))] == ["versions_V0"]
    assert not (imdb.run_folder(name="versions") / "test").exists()


def test_a_reset_that_fails_early_deletes_nothing(imdb: WarmProject, trained: str) -> None:
    result = imdb.runway(
        *["train", CONFIG, "--reset", "--yes", f"experiment_name={trained}", "executor.ExecutorClass=Nothing"],
        check=False,
    )
    assert result.returncode == 2
    assert (imdb.run_folder(name=trained) / "train/saved_models/last.ckpt").is_file()


def test_a_module_that_does_not_import(imdb: WarmProject) -> None:
    """Only what trains needs the executors, and only a config that needs a broken one fails: with its error."""
    broken = imdb.write("src/executors/broken.py", "from transformers import NoSuchModel\n")
    try:
        needs = ["experiment_name=broken", "executor.ExecutorClass=Broken"]
        result = imdb.runway("train", CONFIG, *needs, check=False)
        assert result.returncode == 2
        assert "from transformers import NoSuchModel" in result.stderr
        assert "ImportError" in result.stderr
        assert "KeyError" not in result.stderr
        imdb.run("prepare", CONFIG)
    finally:
        broken.unlink()
    assert not imdb.run_folder(name="broken").exists()


def test_options_may_stand_anywhere(imdb: WarmProject) -> None:
    planned = imdb.run(
        "--opts", "train.batch_size=2", "~train.scheduler_x=1", "--config", CONFIG, "--mode", "plan", check=False
    )
    assert planned.returncode == 2
    planned = imdb.run("--opts", "train.batch_size=2", "--config", CONFIG, "--mode", "plan")
    assert "output:MakeImdbDataloaders" in planned.stdout
    assert len(planned.output.splitlines()) < 30  # the config is not printed at each start
