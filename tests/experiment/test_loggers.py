"""A logger never costs a run: not when its server is silent, not when it fails, not when two log at once."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger

from runway.experiment import loggers
from runway.experiment.folders.in_use import hold_if_free
from tests.experiment.tiny import tiny

META = {"EXPERIMENT_FOLDER": "runs", "default_cache_dir": "cache"}
WANDB = {"meta": {**META, "logger_enable": ["wandb"], "WANDB": {"CACHE_DIR": "wandb_cache"}}}


@pytest.fixture
def silent_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that takes connections and never answers; wandb is told to use it."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(20)
    taken: list[Any] = []

    def accept() -> None:
        while True:
            try:
                taken.append(listening.accept())
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    monkeypatch.setenv("WANDB_BASE_URL", address)
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    yield address
    listening.close()


def test_a_silent_server_is_told_and_the_run_is_offline(
    tmp_path: Path, silent_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loggers, "ANSWER_SECONDS", 0.2)
    run = tiny(tmp_path, sections=WANDB).train()
    assert run.checkpoint is not None
    told = capsys.readouterr().err
    assert f"wandb: {silent_server} does not answer, so this run is logged offline" in told
    assert json.loads((tmp_path / "runs/tiny_V0/wandb.json").read_text())["mode"] == "offline"
    assert list((tmp_path / "wandb_cache/wandb").glob("offline-run-*"))


def test_a_server_that_lets_no_run_begin(
    tmp_path: Path, silent_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr(loggers, "BEGIN_SECONDS", 1.0)
    run = tiny(tmp_path, sections=WANDB).train()
    assert run.checkpoint is not None
    assert "logged offline" in capsys.readouterr().err
    assert json.loads((tmp_path / "runs/tiny_V0/wandb.json").read_text())["mode"] == "offline"
    assert list((tmp_path / "wandb_cache/wandb").glob("offline-run-*"))


def test_a_version_that_another_process_logs_gets_a_second_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(tmp_path, sections=WANDB).train()
    known = json.loads((tmp_path / "runs/tiny_V0/wandb.json").read_text())
    with hold_if_free(tmp_path / "runs/tiny_V0" / loggers.WANDB_LOCK) as is_held:
        assert is_held
        tiny(tmp_path, sections=WANDB).test()
    assert "this is a run of its own" in capsys.readouterr().err
    assert json.loads((tmp_path / "runs/tiny_V0/wandb.json").read_text()) == known
    ids = {folder.name.rpartition("-")[2] for folder in (tmp_path / "wandb_cache/wandb").glob("offline-run-*")}
    assert known["id"] in ids
    assert len(ids) == 2


def test_a_logger_that_fails_stops_and_the_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def full(*args: Any, **kwargs: Any) -> None:
        calls.append(args)
        raise OSError("no space left")

    monkeypatch.setattr(CSVLogger, "log_metrics", full)
    run = tiny(tmp_path).train()
    assert run.checkpoint is not None
    assert len(calls) == 1
    said = "warning: the logger 'csv' has failed and logs no more: OSError: no space left"
    assert capsys.readouterr().err.count(said) == 1
    assert json.loads((run.path / "metrics_history.json").read_text())
