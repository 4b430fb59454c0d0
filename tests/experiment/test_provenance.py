"""What a run keeps of its circumstances; removing versions; loggers."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runway.errors import ConfigError, ExperimentError
from runway.experiment.loggers import check_loggers, wandb_mode
from runway.experiment.provenance import describe_git
from tests.experiment.tiny import names, tiny

if TYPE_CHECKING:
    from tests.conftest import Project


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_a_run_keeps_what_made_it(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("x = 1\n")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", "code.py")
    _git(tmp_path, "commit", "-qm", "first")
    (tmp_path / "code.py").write_text("x = 2\n")
    train = tiny(tmp_path, "meta.seed=11").train().path
    record = json.loads((train / "provenance.json").read_text())
    assert record["status"] == "finished"
    assert record["started"] <= record["ended"]
    assert record["overrides"] == ["meta.seed=11"]
    assert record["seed"] == 11
    assert record["command"] == sys.argv
    assert record["packages"]["torch"].split("+")[0]
    assert list(record["data"]) == ["output:Rows"]
    assert len(record["git"]["commit"]) == 40
    assert record["git"]["changed"]
    assert "+x = 2" in (train / record["git"]["diff"]).read_text()
    assert record["best_checkpoint"] == "epoch=1-step=20.ckpt"


def test_the_data_key_follows_the_data(tmp_path: Path) -> None:
    keys = []
    for override in ("train.batch_size=3", "data_pipeline.transforms.output:Rows.setup_kwargs.valid=true"):
        train = tiny(tmp_path, override).train().path
        keys.append(json.loads((train / "provenance.json").read_text())["data"]["output:Rows"])
    again = tiny(tmp_path).train().path
    assert json.loads((again / "provenance.json").read_text())["data"]["output:Rows"] == keys[0] != keys[1]


def test_outside_of_a_repository_there_is_no_git(tmp_path: Path) -> None:
    assert describe_git(tmp_path / "not there") == (None, "")


# --reset


def test_reset_removes_the_experiments_versions_and_no_others(tmp_path: Path) -> None:
    tiny(tmp_path).train()
    tiny(tmp_path, experiment_name="other").train()
    tiny(tmp_path, reset=True, assume_yes=True, tags=["new"]).train()
    assert names(tmp_path / "runs") == ["other_V0", "tiny_V0_tag:new"]


def test_reset_without_a_terminal_needs_a_yes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny(tmp_path, reset=True).train()  # nothing to delete, so nothing to ask
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    with pytest.raises(ExperimentError, match="would delete tiny_V0") as caught:
        tiny(tmp_path, reset=True).train()
    assert "--yes" in str(caught.value.hint)
    assert names(tmp_path / "runs") == ["tiny_V0"]


def test_reset_deletes_nothing_where_the_new_start_fails(tmp_path: Path) -> None:
    tiny(tmp_path).train()
    with pytest.raises(ConfigError):
        tiny(tmp_path, "executor.ExecutorClass=Nobody", reset=True, assume_yes=True).train()
    assert names(tmp_path / "runs") == ["tiny_V0"]


# loggers


def test_csv_tensorboard_and_history_are_written_and_each_once(tmp_path: Path) -> None:
    train = tiny(tmp_path, "meta.logger_enable=[csv, tensorboard, metrics_history, csv]").train().path
    assert names(train / "logs") == ["csv", "tensorboard"]
    with (train / "logs/csv/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if row["train_loss"]]) == 20
    history = json.loads((train / "metrics_history.json").read_text())
    assert {"step", "epoch", "metrics"} == set(history[0])
    assert [entry["metrics"]["val_loss"] for entry in history if "val_loss" in entry["metrics"]]
    assert any(name.startswith("events.out") for name in names(train / "logs/tensorboard"))


def test_lines_are_logged_once_however_many_stages_there_were(tmp_path: Path) -> None:
    experiment = tiny(tmp_path)
    experiment.train()
    tested = experiment.test()
    experiment.eval()
    lines = (tested.path / "run.log").read_text().splitlines()
    assert sum("testing " in line for line in lines) == 1


def test_an_unknown_logger_is_an_error_with_near_names() -> None:
    with pytest.raises(ConfigError, match="unknown logger 'tensorbord'") as caught:
        check_loggers(["csv", "tensorbord"])
    assert "'tensorboard'" in str(caught.value.hint)
    assert check_loggers("csv") == ["csv"]
    assert check_loggers(None) == []


def test_wandb_is_offline_without_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    assert wandb_mode() == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody answers there
    assert wandb_mode() == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mode() == "disabled"


def test_wandb_keeps_one_run_for_all_stages(tmp_path: Path) -> None:
    sections = {
        "meta": {
            "EXPERIMENT_FOLDER": "runs",
            "default_cache_dir": "cache",
            "logger_enable": ["wandb"],
            "WANDB": {"CACHE_DIR": "wandb_cache", "entity": "", "project": "demo", "tags": ["a"]},
        }
    }
    tiny(tmp_path, sections=sections).train()
    known = json.loads((tmp_path / "runs/tiny_V0/wandb.json").read_text())
    tiny(tmp_path, sections=sections, log_prediction_tables=True).test()
    tiny(tmp_path, sections=sections).eval()
    assert json.loads((tmp_path / "runs/tiny_V0/wandb.json").read_text()) == known
    assert (known["project"], known["mode"]) == ("demo", "offline")
    runs = [name for name in names(tmp_path / "wandb_cache/wandb") if name.startswith("offline-run-")]
    assert runs
    assert {name.split("-")[3] for name in runs} == {known["id"]}
    tables = list((tmp_path / "wandb_cache").rglob("predictions*.table.json"))
    assert len(json.loads(tables[0].read_text())["data"]) == 20


def test_the_import_is_light(project: Project) -> None:
    heavy = "{'torch', 'lightning', 'numpy', 'pandas', 'wandb', 'pyarrow', 'datasets'}"
    project.python(
        "-c", f"import runway.experiment as e, sys; e.RunwayExperiment; assert not {heavy} & set(sys.modules)"
    )
