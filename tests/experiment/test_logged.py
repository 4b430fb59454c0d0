"""What loggers have written, read back with what reads it: nothing of it is a secret, and a failed run says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.experiment.tiny import TinyRegression, tiny
from tests.experiment.wandb_file import plain, records

SECRET = "SECRETONE"
META = {
    "EXPERIMENT_FOLDER": "runs",
    "default_cache_dir": "cache",
    "logger_enable": ["wandb", "tensorboard"],
    "WANDB": {"CACHE_DIR": "wandb_cache", "log_model": True, "tags": ["mine"]},
}


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["runway", "run", "tiny.jsonnet", f"model_config.hf_token={SECRET}"])


def offline_runs(project: Path) -> Iterator[list[Any]]:
    for folder in sorted((project / "wandb_cache/wandb").glob("offline-run-*"), key=lambda one: one.stat().st_mtime):
        (file,) = folder.glob("*.wandb")
        yield list(records(file))


def texts(folder: Path) -> tuple[EventAccumulator, dict[str, str]]:
    events = EventAccumulator(str(folder / "logs/tensorboard")).Reload()
    return events, {
        tag.removesuffix("/text_summary"): events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
        for tag in events.Tags()["tensors"]
    }


def test_what_a_training_and_its_test_have_logged(tmp_path: Path) -> None:
    sections = {"meta": META, "model_config": {"width": 8, "hf_token": SECRET}}
    tiny(tmp_path, sections=sections, tags=["first"]).train()
    tiny(tmp_path, sections=sections, log_prediction_tables=True).test()

    training, test = offline_runs(tmp_path)
    begun, tested = (next(one.run for one in run if one.HasField("run")) for run in (training, test))
    assert (begun.run_id, begun.project) == (tested.run_id, "runway")  # one run at the server
    assert list(begun.tags) == ["mine", "first"]
    config = plain(begun.config.update)
    assert config["model_config"] == {"width": 8, "hf_token": "***"}
    logged = [plain(one.history.item) for one in training if one.HasField("history")]
    assert sum("train_loss" in row for row in logged) == 20
    artifacts = [one.artifact for one in training if one.HasField("artifact")]
    assert {one.type for one in artifacts} == {"model"}  # the best and the last checkpoint: log_model asks for them
    last = {name: value for one in test if one.HasField("history") for name, value in plain(one.history.item).items()}
    assert last["test/mean_error"] > 0
    assert last["test/predictions/nrows"] == 20
    assert [one.exit.exit_code for run in (training, test) for one in run if one.HasField("exit")] == [0, 0]

    events, told = texts(tmp_path / "runs/tiny_V0_tag:first/train")
    assert len(events.Scalars("train_loss")) == 20
    assert told["tags"] == "first"
    assert '"width": 8' in told["config"]
    assert "status" not in told
    events, told = texts(tmp_path / "runs/tiny_V0_tag:first/test/first")
    assert events.Scalars("test/mean_error")
    assert told["test/predictions"].count("\n") == 21

    kept = [file for file in tmp_path.rglob("*") if file.is_file() and file.name != "tiny.jsonnet"]
    assert any(file.suffix == ".ckpt" for file in kept)
    assert [file for file in kept if SECRET.encode() in file.read_bytes()] == []


def test_a_failed_run_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, batch_idx: int) -> None:
        if self.global_step == 3:
            raise ValueError("no more")

    monkeypatch.setattr(TinyRegression, "on_step", fail)
    with pytest.raises(ValueError, match="no more"):
        tiny(tmp_path, sections={"meta": META}).train()
    (run,) = offline_runs(tmp_path)
    assert [one.exit.exit_code for one in run if one.HasField("exit")] == [1]
    assert "failed: ValueError: no more" in texts(tmp_path / "runs/tiny_V0/train")[1]["status"]
    assert json.loads((tmp_path / "runs/tiny_V0/train/provenance.json").read_text())["status"] == "failed"
