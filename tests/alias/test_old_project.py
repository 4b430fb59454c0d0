"""A project in the original's style, unchanged through the alias, and after `runway migrate`: the same results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Project

OLD_PROJECT = Path(__file__).parent / "old_project"


def metrics(project: Project, run: str) -> dict[str, Any]:
    """What a test has found."""
    found: dict[str, Any] = json.loads(project.read(f"experiments/{run}/test/default_test/metrics.json"))
    return found


@pytest.fixture
def old_project(project: Project) -> Project:
    """A copy of the old project."""
    shutil.copytree(OLD_PROJECT, project.path, dirs_exist_ok=True)
    return project


def test_an_old_project_gives_the_same_through_the_alias_and_after_its_migration(old_project: Project) -> None:
    classification = ("--config", "configs/classification.jsonnet")
    told = old_project.python("src/main.py", *classification, "--mode", "train", "--opts", "meta.seed=3").output
    assert "validation 2: " in told
    old_project.run("test", "configs/classification.jsonnet", "meta.seed=3")
    told = old_project.run("run", "configs/generation.jsonnet").output
    assert "['test starts'] 0 None test True" in told
    assert "'data_ops.unused_ops' cannot be imported" in told
    assert "no name in its code" not in told
    before = {run: metrics(old_project, run) for run in ("reviews_V0", "answers_V0")}
    assert before["reviews_V0"]["accuracy"] > 0.9
    assert before["answers_V0"]["pred_corpus_bleu_score"] > 20

    dry = old_project.run("migrate", ".").output
    assert "-from runway_for_ml.utils.global_variables import register_executor" in dry
    assert "nothing is written" in dry
    assert "BaseExecutor stays with the alias package" in dry
    assert "cuda: 0" in old_project.read("configs/base.libsonnet")
    old_project.run("migrate", ".", "--write")
    assert "cuda: 0" not in old_project.read("configs/base.libsonnet")
    for config, seed in (("classification", ["meta.seed=3"]), ("generation", [])):
        old_project.run("run", f"configs/{config}.jsonnet", *seed)
    assert {run: metrics(old_project, run.replace("V0", "V1")) for run in before} == before
    shutil.rmtree(old_project.path / "experiments/reviews_V1")

    # an old run folder: the recorder as json, and what the test computed gone
    test = old_project.path / "experiments/reviews_V0/test/default_test"
    shutil.rmtree(test / "test-evaluation")
    merged = json.loads((test / "merged-test-evaluation/eval_recorder-sample_log.json").read_text())
    columns = {"index": list(range(12)), **{name: merged[name] for name in ("pred", "label", "score")}}
    old = "experiments/reviews_V0/test/default_test/test-evaluation/eval_recorder-"
    old_project.write(f"{old}sample_log.json", json.dumps(columns))
    old_project.write(f"{old}stats_log.json", "{}")
    old_project.write(f"{old}meta_config.json", json.dumps({"name": "test-evaluation", "base_dir": "x"}))
    (test / "metrics.json").unlink()
    old_project.run("eval", "configs/classification.jsonnet")
    assert metrics(old_project, "reviews_V0") == pytest.approx(before["reviews_V0"])
