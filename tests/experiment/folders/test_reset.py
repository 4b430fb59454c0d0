"""``--reset``: earlier versions go only once the new training has a checkpoint, whatever happens before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from runway.experiment import ExperimentFolder, Interrupted
from runway.experiment.folders.in_use import training_in
from runway.experiment.folders.reset import Reset, recover
from runway.experiment.folders.runs import find_runs
from runway.registry import register_executor
from tests.experiment.tiny import TinyRegression, names, tiny


@register_executor
class FailsAt(TinyRegression):
    """Fails, or is stopped, where its config says; notes what stands in the experiments' folder at that moment."""

    def _init_model(self, model_config: Any) -> None:
        super()._init_model(model_config)
        self.fails_at, self.number = model_config.get("fails_at"), model_config.get("signal")

    def _fail(self, place: str) -> None:
        if place != self.fails_at:
            return
        if self.number:
            os.kill(os.getpid(), self.number)
        else:
            raise RuntimeError(f"no coffee at {place}")

    def on_train_start(self) -> None:
        """Before the first step."""
        self._fail("start")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """In the sanity check, where a stop is heard before the first step."""
        super().validation_step(batch, batch_idx)
        if self.trainer.sanity_checking:
            self._fail("sanity")

    def on_step(self, batch_idx: int) -> None:
        """At the second step."""
        if batch_idx == 1:
            self._fail("step")

    def on_validation_end(self) -> None:
        """Behind the checkpoint that is written before a validation."""
        if not self.trainer.sanity_checking:
            self._fail("validation")


def _reset(path: Path, fails_at: str, number: int = 0, **flags: Any) -> None:
    model = f"model_config={{'fails_at': '{fails_at}', 'signal': {int(number)}}}"
    tiny(path, "executor.ExecutorClass=FailsAt", model, reset=True, assume_yes=True, **flags).train()


def _content(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def _two_versions(path: Path) -> Path:
    runs = tiny(path).train().path.parent.parent
    tiny(path, tags=["small"]).train()
    return runs


BOTH = ["tiny_V0", "tiny_V1_tag:small"]


def test_a_start_that_fails_before_its_first_step_gives_all_back(tmp_path: Path) -> None:
    runs = _two_versions(tmp_path)
    before = _content(runs)
    with pytest.raises(RuntimeError, match="no coffee at start"):
        _reset(tmp_path, "start")
    assert names(runs) == BOTH
    assert _content(runs) == before


def test_a_stop_before_the_first_step_gives_all_back(tmp_path: Path) -> None:
    runs = _two_versions(tmp_path)
    before = _content(runs)
    with pytest.raises(Interrupted):
        _reset(tmp_path, "sanity", signal.SIGINT)
    assert names(runs) == BOTH
    assert _content(runs) == before


@pytest.mark.parametrize("number", [0, signal.SIGKILL])
def test_after_the_first_checkpoint_they_are_gone(tmp_path: Path, number: int) -> None:
    runs = _two_versions(tmp_path)
    if number:
        assert _killed(tmp_path, "validation", "tags=['new']") == -number
        recover(tiny(tmp_path).folder)
    else:
        with pytest.raises(RuntimeError, match="no coffee at validation"):
            _reset(tmp_path, "validation", tags=["new"])
    assert _visible(runs) == ["tiny_V0_tag:new"]


def test_one_that_fails_between_its_first_step_and_its_first_checkpoint_is_kept_beside_them(tmp_path: Path) -> None:
    runs = _two_versions(tmp_path)
    before = _content(runs)
    with pytest.raises(RuntimeError, match="no coffee at step"):
        _reset(tmp_path, "step", tags=["new"])
    assert names(runs) == [*BOTH, "tiny_V2_tag:new"]
    assert {path: content for path, content in _content(runs).items() if "_V2" not in path} == before


def _killed(path: Path, fails_at: str, flags: str = "") -> int:
    """The exit code of a process that kills itself in a training with ``--reset``."""
    code = (
        "from pathlib import Path\n"
        "from tests.experiment.folders import test_reset\n"
        f"test_reset._reset(Path({str(path)!r}), {fails_at!r}, {int(signal.SIGKILL)}, {flags})\n"
    )
    repository = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    return subprocess.run([sys.executable, "-c", code], cwd=repository, env=environment, check=False).returncode


def _visible(folder: Path) -> list[str]:
    return [name for name in names(folder) if not name.startswith(("__", "."))]


def test_what_a_killed_start_left_aside_comes_back_at_the_next(tmp_path: Path) -> None:
    runs = _two_versions(tmp_path)
    before = _content(runs)
    assert _killed(tmp_path, "start") == -signal.SIGKILL
    assert not set(BOTH[1:]) & set(names(runs))
    assert [run.path.name for run in find_runs(runs)] == ["tiny_V0"]  # the start that was killed
    tiny(tmp_path, "exp_version=1").test()
    assert [name for name in names(runs) if not name.startswith("__")] == BOTH
    assert {path: text for path, text in _content(runs).items() if "/test/" not in path} == before
    assert tiny(tmp_path).train().path.parent.name == "tiny_V2"


def _made(root: Path, *versions: int) -> ExperimentFolder:
    for version in versions:
        models = root / f"tiny_V{version}" / "train" / "saved_models"
        models.mkdir(parents=True)
        (models / "last.ckpt").write_text(str(version))
    return ExperimentFolder(root, "tiny")


def _begun(folder: ExperimentFolder) -> Reset:
    reset = Reset(folder)
    reset.confirm(assume_yes=True)
    reset.begin()
    return reset


def test_the_versions_of_a_training_that_is_alive_are_left_alone(tmp_path: Path) -> None:
    folder = _made(tmp_path, 0, 1)
    reset = _begun(folder)
    claimed = folder.claim()
    reset.record_claimed(claimed)
    recover(folder)
    assert claimed.path.name == "tiny_V0"
    assert [run.path.name for run in folder.versions()] == ["tiny_V0"]
    folder.remove([claimed])
    reset.undo()
    assert names(tmp_path) == ["tiny_V0", "tiny_V1"]


def test_a_version_whose_number_is_taken_stays_aside_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _made(tmp_path, 0, 1)
    reset = _begun(folder)
    place = reset.aside
    assert place is not None
    _made(tmp_path, 0)  # another training's, with a checkpoint
    reset.undo()
    assert (place / "tiny_V0/train/saved_models/last.ckpt").read_text() == "0"
    assert [run.path.name for run in folder.versions()] == ["tiny_V0", "tiny_V1"]
    capsys.readouterr()
    recover(folder)
    told = capsys.readouterr().err
    assert "tiny_V0, moved aside by --reset" in told
    assert str(place) in told
    folder.remove([folder.get(0)])
    recover(folder)
    assert names(tmp_path) == ["tiny_V0", "tiny_V1"]


def test_one_that_trains_stays_and_one_that_is_gone_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _made(tmp_path, 0, 1, 2)
    reset = Reset(folder)
    reset.confirm(assume_yes=True)
    folder.remove([folder.get(1), folder.get(2)])  # another reset was faster, and has begun a V2
    _made(tmp_path, 2)
    with training_in(folder.get(0).path):
        reset.begin()
        told = capsys.readouterr().err
        assert "tiny_V0 stays" in told
        assert told.count("is gone") == 2
        with ExitStack() as held:
            new = folder.claim(held=held)
            reset.record_claimed(new)
            reset.finish()
    assert _visible(tmp_path) == ["tiny_V0", "tiny_V2", "tiny_V3"]


def test_what_stands_aside_outlives_a_version_that_has_taken_the_number_since(tmp_path: Path) -> None:
    folder = _made(tmp_path, 0)
    reset = _begun(folder)
    claimed = folder.claim()
    reset.record_claimed(claimed)
    reset._lock.close()  # killed
    folder.remove([claimed])
    _made(tmp_path, 0)  # another training's
    recover(folder)
    assert reset.aside is not None
    assert (reset.aside / "tiny_V0/train/saved_models/last.ckpt").is_file()


def test_a_deletion_that_was_cut_short_is_ended(tmp_path: Path) -> None:
    folder = _made(tmp_path, 0)
    (tmp_path / "tiny_V0").rename(tmp_path / ".tiny.deleted-0123abcd")
    recover(folder)
    assert names(tmp_path) == []
