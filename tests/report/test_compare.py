"""Comparisons name what differs and nothing else, and pair rows only where they are the same rows."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runway.errors import ConfigError
from runway.report.compare import compare
from runway.report.compare_page import changed_rows, comparison_page, print_comparison
from tests.report.made import made_run

CODE = {"code": {"ops.clean": "1", "exe.Model": "9"}, "members": {"exe.Model": {"training_step": "a", "setup": "b"}}}


def test_only_what_differs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = {"code": {**CODE["code"], "ops.clean": "2"}, "members": {"exe.Model": {"training_step": "z", "setup": "b"}}}
    first = made_run(tmp_path, "made_V0", training={"training": CODE, "seed": 1})
    second = made_run(
        tmp_path,
        "made_V1",
        seed=5,
        config={"train": {"batch_size": 64, "lr": 0.2}},
        training={"training": other, "seed": 2, "data": {"input:Load": "aa", "process:Tokenize": "cc"}},
    )
    found = compare([first, second])
    assert found.settings == [("train.lr", [0.1, 0.2])]
    assert [name for name, _ in found.code] == ["exe.Model.training_step", "ops.clean"]
    assert found.data == [("process:Tokenize", ["bb", "cc"])]
    assert [name for name, _ in found.facts] == ["seed"]
    (against,) = found.against
    predicted = [one.array("predicted_class_id") for one in found.samples if one is not None]
    true = found.samples[0].array("ground_truth_class_id")  # type: ignore[union-attr]
    assert against.fixed == np.flatnonzero((predicted[0] != true) & (predicted[1] == true)).tolist()
    assert against.broken == np.flatnonzero((predicted[0] == true) & (predicted[1] != true)).tolist()
    told = against.metrics["accuracy"].told()
    assert told.startswith("tied: ")
    assert "McNemar, Holm over 2" in told
    assert "shows a difference of" in told
    assert against.metrics["odd"].told().endswith("interval not known")
    columns, rows = changed_rows(found, 1, 3)
    assert columns == ["change", "row", "made_V0 says", "made_V1 says", "true", "text"]
    assert [row[0] for row in rows] == ["right to wrong"] * 3 + ["wrong to right"] * 3
    print_comparison(found)
    assert "train.lr" in capsys.readouterr().out
    if importlib.util.find_spec("bokeh") and importlib.util.find_spec("itables"):
        assert "train.lr" in comparison_page(found).html()


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"rows": 150}, "one has 200 rows and the other 150"),
        ({"text": [f"other {row}" for row in range(200)]}, "'text' is not the same in 200 rows"),
        ({"text": None, "ground_truth_class_label": None}, ""),
    ],
)
def test_rows_that_are_not_the_same_do_not_pair(tmp_path: Path, columns: dict[str, Any], why: str) -> None:
    paths = [made_run(tmp_path, "made_V0"), made_run(tmp_path, "made_V1", **columns)]
    (against,) = compare(paths).against
    assert why in against.unpaired
    assert bool(against.unpaired) is bool(why)


def test_rows_pair_by_their_index_whatever_their_order(tmp_path: Path) -> None:
    order = np.random.default_rng(3).permutation(200)
    first = made_run(tmp_path, "made_V0", index=np.arange(200))
    twin = compare([first, made_run(tmp_path, "made_V1", index=np.arange(200))]).samples[1]
    assert twin is not None
    shuffled = {name: [twin.recorder[name][at] for at in order] for name in twin.recorder.column_names}
    (against,) = compare([first, made_run(tmp_path, "made_V2", **shuffled)]).against
    assert (against.unpaired, against.fixed, against.broken) == ("", [], [])
    assert against.metrics["accuracy"].told() == "the same on every row"
    shuffled["index"] = [*range(1, 200), 1]
    (against,) = compare([first, made_run(tmp_path, "made_V3", **shuffled)]).against
    assert against.unpaired == "'index' names a row twice"


def test_several_runs_are_held_against_the_first(tmp_path: Path) -> None:
    paths = [made_run(tmp_path, f"made_V{number}", seed=number) for number in range(3)]
    assert [one.run.name for one in compare(paths).against] == ["made_V1", "made_V2"]
    with pytest.raises(ConfigError, match="two runs or more"):
        compare(paths[:1])
