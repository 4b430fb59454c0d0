"""DisplayEvalResults: stats and samples on the screen."""

from __future__ import annotations

import re

import pytest

from runway import EvalRecorder
from runway.transforms.evaluation.display import DisplayEvalResults


@pytest.fixture
def recorder(tmp_path):
    made = EvalRecorder("validation-step3", tmp_path / "recorders")
    made.log_sample_dict_batch({"text": ["a b c d", "e", "f g", "h", "i"], "loss": [0.5, 1.5, 0.75, None, 1.0]})
    return made


def make(**setup_kwargs):
    transform = DisplayEvalResults(name="output:Display")
    transform.setup(**setup_kwargs)
    return transform


def test_display(recorder, capsys):
    recorder.log_stats_dict({"accuracy": 0.75, "confusion_matrix": [[2, 1], [0, 1]]})
    transform = make(columns=["text", "loss"], num_rows=2, title="My results")
    assert transform(recorder) is recorder
    shown = capsys.readouterr().out
    for text in ("My results", "accuracy", "0.7500", "[[2, 1], [0, 1]]", "2 of 5 samples", "a b c d", "0.5000"):
        assert text in shown
    assert "f g" not in shown
    make(columns=["txet", "loss"])(recorder)
    assert "columns names 'txet', which the recorder does not have (did you mean 'text'?)" in capsys.readouterr().err
    make(sort_by="lost")(recorder)
    assert "sort_by names 'lost'" in capsys.readouterr().err
    make()(EvalRecorder("empty"))
    assert "Evaluation of empty: there are no stats" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "title", "rows"),
    [
        ({"num_rows": 2}, "2 of 5 samples, highest loss first", [1, 4]),
        ({"num_rows": 2, "lowest_first": True}, "2 of 5 samples, lowest loss first", [0, 2]),
        ({"num_rows": 3, "spread": True}, "3 of 5 samples, from the highest loss to the lowest", [1, 2, 0]),
        ({"num_rows": 9, "spread": True, "lowest_first": True}, "from the lowest loss to the highest", [0, 2, 4, 1]),
        ({"num_rows": 1, "spread": True}, "1 of 5 samples", [1]),
    ],
)
def test_which_samples(recorder, capsys, settings, title, rows):
    make(columns=["loss"], sort_by="loss", **settings)(recorder)
    shown = capsys.readouterr().out
    assert title in shown
    assert [int(row) for row in re.findall(r"│ +(\d+) │", shown.split(title)[1])] == rows
