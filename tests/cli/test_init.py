"""`runway init` and `runway new`: what they write is whole, and what is there is left alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runway.cli import main
from runway.cli.init import COMMON, TEMPLATES, make_project, templates
from runway.cli.new import EXPERIMENTS, make
from runway.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
Python = Callable[..., str]


@pytest.fixture
def python(monkeypatch: pytest.MonkeyPatch) -> Python:
    """Runs Python in a project: its modules are called as those of others here."""

    def run(folder: Path, *arguments: str) -> str:
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    return run


@pytest.mark.parametrize("template", [path.name for path in TEMPLATES.iterdir() if path.name != COMMON])
def test_a_project_has_all_parts_and_a_config_that_is_right(template: str, tmp_path: Path, python: Python) -> None:
    folder = tmp_path / "my-project"
    made = {file.relative_to(folder).as_posix() for file in make_project(folder, template)}
    assert made >= {
        "README.md",
        "AGENTS.md",
        ".gitignore",
        "pyproject.toml",
        "configs/exp_config.jsonnet",
        "scripts/run.sh",
    }
    assert any(name.startswith("tests/test_") for name in made)
    for file in (path for path in folder.rglob("*") if path.is_file()):
        assert "__NAME__" not in file.read_text()
    code = "from runway.testing import check_config; print(sorted(check_config('configs/exp_config.jsonnet')))"
    assert "output:" in python(folder, "-c", code)


def test_the_blank_project_passes_its_own_tests_with_all_that_new_adds(tmp_path: Path, python: Python) -> None:
    """One process for all of it: an experiment that trains, a transform, an executor, further experiments."""
    folder = tmp_path / "blank"
    make_project(folder, "blank")
    make(folder, "transform", "CleanTexts")
    make(folder, "executor", "my-net")
    for kind in EXPERIMENTS:
        make(folder, "experiment", f"my {kind}", kind)
    with (folder / "tests" / "test_my_text_experiment.py").open("a") as file:
        file.write(STABLE)
    assert "passed" in python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")


STABLE = """

def test_keys_are_stable() -> None:
    from runway.testing import assert_stable

    assert_stable(CONFIG)
"""


def test_what_is_there_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["init", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="there is no template 'blnak'") as caught:
        make_project(tmp_path / "new", "blnak")
    assert caught.value.hint == "did you mean 'blank'?"
    assert set(templates()) >= {"blank", "text_classification", "translation", "multi_task"}
    assert main(["init", str(tmp_path / "new")]) == 0
    assert "runway run configs/exp_config.jsonnet" in capsys.readouterr().out
    make(tmp_path / "new", "transform", "tidy")
    with pytest.raises(ConfigError, match=r"src/data_ops/tidy\.py is there already"):
        make(tmp_path / "new", "transform", "Tidy")
    with pytest.raises(ConfigError, match="is no name for a module"):
        make(tmp_path / "new", "executor", "4x")
    with pytest.raises(ConfigError, match="there is no kind of experiment 'sound'"):
        make(tmp_path / "new", "experiment", "x", "sound")
