"""The commands of the walkthrough as they are written there, on a CPU, and what their `--opts` may hold."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.acceptance.conftest import CONFIG, WarmProject, logged

PREPARE = """\
python src/main.py \\
    --config "configs/imdb_classification/exp_config.jsonnet" \\
    --mode 'prepare_data' \\
    --opts \\
    "meta.EXPERIMENT_FOLDER"="experiments/imdb"
"""

# The last line ends in a backslash, as it does there.
TRAIN = """\
EXPERIMENT_NAME="distilbert-imdb_classification"
python src/main.py \\
    --config "configs/imdb_classification/exp_config.jsonnet" \\
    --experiment_name $EXPERIMENT_NAME \\
    --mode 'train' \\
    --opts \\
    meta.seed=615926 \\
    meta.EXPERIMENT_FOLDER="experiments/imdb" \\
    executor.init_kwargs.use_data_node="output:MakeImdbDataloaders" \\
    train.batch_size=32 \\
    train.optimizer_config.scheduler_params.num_warmup_steps=0 \\
    train.trainer_paras.num_sanity_val_steps=0 \\
    train.trainer_paras.accelerator="cpu" \\
    train.trainer_paras.devices=1 \\

"""


@pytest.fixture(scope="module")
def walked(imdb: WarmProject) -> WarmProject:
    """The project after the two commands, in processes that start cold."""
    shutil.rmtree(imdb.path / "cache", ignore_errors=True)  # of other tests
    prepared = imdb.shell(PREPARE)
    assert "Data under inspection: DatasetDict" in prepared.stdout  # and no terminal, so it goes on
    assert "num_rows: 42" in prepared.stdout
    trained = imdb.shell(TRAIN)
    assert "run: experiments/imdb/distilbert-imdb_classification_V0" in trained.stderr
    assert "warning" not in trained.stderr.lower()
    return imdb


def test_the_options_of_the_walkthrough_take_effect(walked: WarmProject) -> None:
    run = walked.run_folder(root="experiments/imdb")
    config = json.loads((run / "train/config.json").read_text())
    assert config["meta"]["seed"] == 615926
    assert config["executor"]["init_kwargs"] == {"use_data_node": "output:MakeImdbDataloaders"}
    assert config["train"]["trainer_paras"]["num_sanity_val_steps"] == 0
    assert config["train"]["trainer_paras"]["devices"] == 1
    # 42 rows in batches of 32, a rate of 1e-6 times the batch size, no warm-up, linear to zero after two steps
    assert logged(run, "lr") == pytest.approx([3.2e-5, 1.6e-5])
    assert (run / "train/saved_models/last.ckpt").is_file()


def test_the_rest_of_the_walk_in_both_forms(walked: WarmProject) -> None:
    place = ["--opts", "meta.EXPERIMENT_FOLDER=experiments/imdb"]
    tested = walked.runway("--config", CONFIG, "--mode", "test", *place)
    assert "accuracy" in tested.stdout
    folder = walked.run_folder(root="experiments/imdb") / "test/default_test"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics.keys() >= {"accuracy", "f1", "test_loss"}
    assert "results: experiments/imdb/" in tested.stderr

    (folder / "metrics.json").unlink()
    evaluated = walked.runway("eval", CONFIG, *place)
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert tested.stdout == evaluated.stdout
    # One line once, after a test and an evaluation in one folder.
    log = (folder / "run.log").read_text().splitlines()
    assert sum("testing " in line for line in log) == 1


def test_values_as_the_shell_gives_them(imdb: WarmProject) -> None:
    """Unquoted quotes are gone when a command gets its arguments."""
    overrides = r"""
        meta.logger_enable=["csv"] 'meta.WANDB.tags=["a", "b"]' flag=True other=False nothing=None null=null
        formula=a=b=c url=http://x/?q=1 number=1e-4 quoted='"7"' deep.new.key=1 train.lora_config.r=4
        executor.init_kwargs.label_smoothing=0.1 train.trainer_paras.gradient_clip_val=1.0
        train.optimizer_config.optimizer_params.betas=[0.9,0.98] empty= ~train.optimizer_config.scheduler_params \\
    """.replace("\n", " ")
    shown = imdb.shell(f"runway config {CONFIG} {overrides}")
    config = json.loads(shown.stdout)
    assert config["meta"]["logger_enable"] == ["csv"]
    assert config["meta"]["WANDB"]["tags"] == ["a", "b"]
    assert (config["flag"], config["other"], config["nothing"], config["null"]) == (True, False, None, None)
    assert (config["formula"], config["url"], config["number"]) == ("a=b=c", "http://x/?q=1", 1e-4)
    assert (config["quoted"], config["empty"], config["deep"]) == ("7", "", {"new": {"key": 1}})
    assert config["train"]["lora_config"] == {"r": 4}
    assert config["train"]["optimizer_config"]["optimizer_params"]["betas"] == [0.9, 0.98]
    assert "scheduler_params" not in config["train"]["optimizer_config"]
    assert "warning" not in shown.stderr  # keys that sections of runway's have, and one's own, are no slips


def test_new_keys_reach_what_takes_them(imdb: WarmProject) -> None:
    imdb.runway(
        *["--config", CONFIG, "--mode", "train", "--experiment_name", "keys", "--opts", "meta.logger_enable=[csv]"],
        *["executor.init_kwargs.label_smoothing=0.9", "train.optimizer_config.optimizer_params.eps=0.5"],
        *["train.trainer_paras.max_steps=2", "my_own.key=a=b", "train.batch_size=64"],
    )
    run = imdb.run_folder(name="keys")
    config = json.loads((run / "train/config.json").read_text())
    assert config["my_own"] == {"key": "a=b"}
    assert json.loads((run / "train/metrics_history.json").read_text())
    checkpoint = json.loads(imdb.python("-c", READ_CHECKPOINT, run / "train/saved_models/last.ckpt").stdout)
    assert checkpoint["eps"] == 0.5
    assert checkpoint["initial_lr"] == pytest.approx(6.4e-5)  # 1e-6 * $.train.batch_size
    assert checkpoint["steps"] == 1  # 42 rows are one batch of 64


READ_CHECKPOINT = """
import json, sys, torch
content = torch.load(sys.argv[1], weights_only=True)
group = content["optimizer_states"][0]["param_groups"][0]
print(json.dumps({"eps": group["eps"], "initial_lr": group["initial_lr"], "steps": content["global_step"]}))
"""


def test_late_binding(imdb: WarmProject) -> None:
    shown = json.loads(imdb.run("config", CONFIG, "train.batch_size=64").stdout)
    assert shown["train"]["optimizer_config"]["optimizer_params"]["lr"] == pytest.approx(6.4e-5)
    executor = "executor.ExecutorClass=KeepsItsRates"
    name, warmup = "experiment_name=late", "train.optimizer_config.scheduler_params.num_warmup_steps=0"
    told = imdb.runway("train", CONFIG, name, executor, "--opts", "train.batch_size=64", warmup)
    assert "rate 6.4e-05 rows 42" in told.stdout
    assert logged(imdb.run_folder(name="late"), "lr") == pytest.approx([6.4e-5])
