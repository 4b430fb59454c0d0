"""The differences between two runs: each once, with what it changes; read from records, those of older runs as well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runway.errors import ExperimentError
from runway.experiment.folders.read_run import read_run
from runway.report.blame import Blame, blame
from runway.report.blame_table import print_blame
from tests.report.made import made_run

LOAD, TOKENIZE = "input:Load", "process:Tokenize"
KEY = {"code": {"exe.Model": "1"}, "settings": {}, "contents": {}, "versions": {}, "packages": ["sklearn"]}


def node(key: str, content: str | None = None, **facts: Any) -> dict[str, Any]:
    """A node's lineage; with the content of its input, where it has one."""
    inputs = [] if content is None else [[LOAD, content]]
    found = {"key": key, "transform": "T", "code": {"ops.T": "1"}, "arguments": {}, "inputs": inputs, "list": False}
    return {**found, "versions": {}, "reads": None, "packages": [], **facts}


def blamed(folder: Path, *sides: dict[str, Any]) -> Blame:
    """What is found between two runs, each made of ``lineage``, ``training``, ``config``, ``evaluation`` and facts."""
    for number, side in enumerate(sides):
        facts = {"training": {**KEY, **side.get("training", {})}, **side.get("facts", {})}
        run = made_run(folder, f"made_V{number}", rows=4, config=side.get("config"), training=facts)
        for stage in ("train", "test/default"):
            (run / stage / "lineage.json").write_text(json.dumps(side.get("lineage", {})), "utf-8")
        settings = {**json.loads((run / "train/config.json").read_text("utf-8")), **side.get("test_config", {})}
        (run / "test/default/config.json").write_text(json.dumps(settings), "utf-8")
        (run / "test/default/evaluation.json").write_text(json.dumps(side.get("evaluation", {})), "utf-8")
    return blame(*(read_run(folder / f"made_V{number}") for number in (0, 1)))


def test_what_a_node_has_read_reaches_those_below_it_as_far_as_their_keys_differ(tmp_path: Path) -> None:
    reads = [{"set": {}, "states": {"file reviews.csv": digest, "flag use_dummy_data": "0"}} for digest in "ab"]
    first = {LOAD: node("1", reads=reads[0]), TOKENIZE: node("2", "c1"), "output:Other": node("3", "c1")}
    second = {LOAD: node("9", reads=reads[1]), TOKENIZE: node("8", "c2"), "output:Other": node("3", "c1")}
    contents = [{"contents": {"executor.init_kwargs.use_data_node": [TOKENIZE, digest]}} for digest in "xy"]
    found = blamed(
        tmp_path,
        {"lineage": first, "training": contents[0]},
        {"lineage": second, "training": contents[1]},
    )
    assert [(one.kind, one.name, one.reaches) for one in found.causes] == [
        ("file", "reviews.csv", [LOAD, TOKENIZE, "the training"])
    ]


def test_what_a_training_has_read_while_it_ran_counts(tmp_path: Path) -> None:
    states = [{"file own.txt": digest, "code: ops.loss": digest} for digest in "ab"]
    reads = [{"set": {}, "states": one, "nodes": {LOAD: one["file own.txt"]}} for one in states]
    found = blamed(tmp_path, *({"lineage": {LOAD: node("1")}, "training": {"reads": one}} for one in reads))
    told = [("code", "ops.loss"), ("file", "own.txt"), ("data", LOAD)]
    assert [(one.kind, one.name) for one in found.causes] == told
    assert all(one.training for one in found.causes)


def test_derived_settings_are_told_once_and_what_nothing_counts_changes_nothing(tmp_path: Path) -> None:
    def config(length: int, shown: bool) -> dict[str, Any]:
        transforms = {TOKENIZE: {"transform_name": "T", "setup_kwargs": {"max_length": length}}}
        meta = {"progress": shown}
        return {"dataset": {"max_length": length}, "data_pipeline": {"transforms": transforms}, "meta": meta}

    sides = [
        {
            "config": config(length, length > 10),
            "lineage": {TOKENIZE: node(key, arguments={"max_length": length})},
            "facts": {"overrides": [f"dataset.max_length={length}"]},
        }
        for key, length in (("1", 8), ("2", 16))
    ]
    found = blamed(tmp_path, *sides)
    path = f"data_pipeline.transforms.{TOKENIZE}.setup_kwargs.max_length"
    assert [(one.name, one.before, one.after, one.also, one.reaches) for one in found.causes] == [
        ("dataset.max_length", 8, 16, [path], [TOKENIZE]),
        ("meta.progress", False, True, [], []),
    ]


def test_the_test_and_its_evaluation_have_their_own(tmp_path: Path) -> None:
    pipeline = {"transforms": {"output:Score": {"setup_kwargs": {"at": 1}}}}
    other = {"transforms": {"output:Score": {"setup_kwargs": {"at": 2}}}}
    score = {"output:Score": node("", code={"ops.score": "1"})}, {"output:Score": node("", code={"ops.score": "2"})}
    found = blamed(
        tmp_path,
        {"test_config": {"test": {"batch_size": 1}}, "evaluation": {"pipeline": pipeline, "nodes": score[0]}},
        {"test_config": {"test": {"batch_size": 2}}, "evaluation": {"pipeline": other, "nodes": score[1]}},
    )
    assert [(one.name, one.reaches) for one in found.causes] == [
        ("ops.score", ["the evaluation"]),
        ("eval.test_eval_pipeline_config.transforms.output:Score.setup_kwargs.at", ["the evaluation"]),
        ("test.batch_size", ["the test"]),
    ]


def test_what_is_in_no_key_stands_apart_with_what_uses_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lineage = {LOAD: node("1", packages=["numpy"])}
    sides = [
        {"lineage": lineage, "facts": {"packages": {"scikit-learn": version, "numpy": version}, "git": {"commit": at}}}
        for version, at in (("1", "aa"), ("2", "bb"))
    ]
    found = blamed(tmp_path, *sides)
    assert found.causes == []
    assert [(one.kind, one.name, one.reaches) for one in found.beside] == [
        ("package", "numpy", [LOAD]),
        ("package", "scikit-learn", ["the training"]),
        ("commit", "commit", []),
    ]
    assert found.plain()["differences"][0]["in_keys"] is False
    print_blame(found)
    said = capsys.readouterr()
    assert "differs from made_V0 in nothing" in said.err
    assert "scikit-learn" in said.out


def test_records_of_older_runs_and_damaged_ones_say_so(tmp_path: Path) -> None:
    old = [made_run(tmp_path, "old_V0"), made_run(tmp_path, "old_V1", training={"data": {LOAD: "z"}})]
    found = blame(*map(read_run, old))
    assert [(one.kind, one.name, one.nodes) for one in found.causes] == [("data", LOAD, [LOAD])]
    assert found.unknown[0].startswith("old_V0 has kept the keys of its data, not what they are made of")
    with pytest.raises(ExperimentError, match="the record of made_V0 or made_V1 is damaged"):
        blamed(tmp_path, {"lineage": {LOAD: node("1")}}, {"lineage": {LOAD: {"key": "2"}}})
