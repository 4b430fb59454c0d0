"""Two tests at once: each has a folder of its own, and one after another the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runway.experiment.folders.in_use import folder_of_test, hold_if_free
from runway.experiment.folders.run_folder import RunFolder
from tests.experiment.tiny import names, tiny

if TYPE_CHECKING:
    import pytest


def test_one_after_another_have_the_same_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, 0)
    for _ in range(2):
        with folder_of_test(run, "first") as folder:
            assert folder == tmp_path / "test/first"
    assert names(tmp_path / "test") == []  # no lock is left


def test_at_once_each_has_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder(tmp_path, 0)
    with folder_of_test(run, "first") as one, folder_of_test(run, "first") as two, folder_of_test(run, "b") as other:
        assert [folder.name for folder in (one, two, other)] == ["first", "first-2", "b"]
    assert "as 'first': this test is 'first-2'" in capsys.readouterr().err


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    code = (
        "import os, pathlib, sys; from runway.experiment.folders.in_use import hold_if_free\n"
        "with hold_if_free(pathlib.Path(sys.argv[1])) as held: assert held; os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(lock)], check=False).returncode == -9
    with hold_if_free(lock) as is_held:
        assert is_held


def test_a_test_beside_another_writes_its_own_results(tmp_path: Path) -> None:
    tiny(tmp_path).train()
    first = tiny(tmp_path).test()
    with folder_of_test(RunFolder(tmp_path / "runs/tiny_V0", 0), "first"):
        second = tiny(tmp_path).test()
    assert (first.path.name, second.path.name) == ("first", "first-2")
    assert second.metrics == first.metrics
    assert json.loads((second.path / "metrics.json").read_text()) == second.metrics
    assert tiny(tmp_path).test().path == first.path
