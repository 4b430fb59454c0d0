"""Every shipped metric gives the sums that it is computed from, and takes columns in any form."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import runway

_random = np.random.default_rng(0)
_TRUE = _random.integers(0, 3, 200)
_GUESS = np.where(_random.random(200) < 0.7, _TRUE, _random.integers(0, 3, 200))
_NUMBERS = _random.normal(5, 1, 200)
_NEAR = _NUMBERS + _random.normal(0, 0.5, 200)
_RIGHT = np.array(["the cat sat on the mat", "a b c d e f", "x y z", "hello my dear friend"], dtype=object)
_SAID = np.array(["the cat sat on a mat", "a b c d e f", "x z y", "hello my friend"], dtype=object)
_TEXTS = _random.integers(0, 4, 200)
TEXTS = _SAID[_TEXTS].tolist(), _RIGHT[_TEXTS].tolist()
BINARY = _GUESS // 2, _TRUE // 2
LOSSES = np.abs(_NEAR) / 3

CASES = [
    ("accuracy", _GUESS, _TRUE, {}),
    ("accuracy", _GUESS, _TRUE, {"sample_weight": LOSSES}),
    ("f1", *BINARY, {}),
    ("precision", _GUESS, _TRUE, {"average": "macro"}),
    ("recall", _GUESS, _TRUE, {"average": "weighted"}),
    ("f1", _GUESS, _TRUE, {"average": "micro", "labels": [0, 2]}),
    ("mae", _NEAR, _NUMBERS, {}),
    ("mse", np.stack([_NEAR, _NEAR], 1), np.stack([_NUMBERS, _TRUE], 1), {}),
    ("r_squared", np.stack([_NEAR, _NEAR], 1), np.stack([_NUMBERS, _NUMBERS * 2], 1), {"sample_weight": LOSSES}),
    ("perplexity", LOSSES, None, {"num_tokens": _TRUE}),
    ("exact_match", *TEXTS, {}),
    ("exact_match", *TEXTS, {"ignore_case": True}),
    ("bleu", *TEXTS, {"smooth": True}),
    ("sacrebleu", *TEXTS, {}),
    ("sacrebleu", *TEXTS, {"smooth_method": "floor", "smooth_value": 0.1}),
    ("chrf", *TEXTS, {"word_order": 2, "beta": 3}),
    ("chrf", *TEXTS, {"eps_smoothing": True}),
    ("rouge", *TEXTS, {"rouge_types": ["rouge1", "rougeL"]}),
]


@pytest.mark.parametrize(("name", "predictions", "references", "settings"), CASES)
def test_the_sums_give_the_score_and_its_interval(name, predictions, references, settings):
    metric = runway.load_metric(name)
    scores = metric.compute(predictions=predictions, references=references, **settings)
    summed = metric.summed(predictions=predictions, references=references, **settings)
    assert summed
    for key, one in summed.items():
        assert one.reached() == pytest.approx(scores[key], abs=1e-9)
        interval = one.interval()
        assert interval is not None
        assert interval.low < scores[key] < interval.high
        assert one.of_rows(np.arange(200)).reached() == pytest.approx(scores[key], abs=1e-9)


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", None])
def test_counted_pairs_give_what_scikit_learn_gives_of_all_rows(average):
    import sklearn.metrics

    weights = LOSSES
    labels = (_GUESS * 5_000_000, _TRUE * 5_000_000), (np.array(list("abc"))[_GUESS], np.array(list("abc"))[_TRUE])
    for guess, true in ((_GUESS - 1, _TRUE - 1), *labels):
        wanted = sklearn.metrics.f1_score(true, guess, average=average, sample_weight=weights)
        metric = runway.load_metric("f1")
        found = metric.compute(
            predictions=guess.astype(object), references=true.tolist(), average=average, sample_weight=weights
        )
        np.testing.assert_allclose(found["f1"], wanted, rtol=1e-12)
        matrix = runway.load_metric("confusion_matrix").compute(predictions=guess.tolist(), references=true.tolist())
        assert matrix["confusion_matrix"].tolist() == sklearn.metrics.confusion_matrix(true, guess).tolist()
        assert matrix["labels"] == sorted(set(true.tolist()))


def test_columns_in_any_form_give_the_same():
    import torch

    accuracy = runway.load_metric("accuracy")
    wanted = accuracy.compute(predictions=_GUESS.tolist(), references=_TRUE.tolist())
    for form in (np.asarray, torch.tensor, pa.array, lambda values: pa.chunked_array([values[:50], values[50:]])):
        assert accuracy.compute(predictions=form(_GUESS), references=form(_TRUE)) == wanted
    accuracy.add_batch(predictions=_GUESS.tolist(), references=_TRUE.tolist())  # evaluate's own way
    assert accuracy.compute() == wanted


def test_intervals_of_a_metric() -> None:
    f1 = runway.load_metric("f1")
    columns = {"predictions": BINARY[0], "references": BINARY[1]}
    found = f1.intervals(**columns)["f1"]
    assert found["low"] < f1.compute(**columns)["f1"] < found["high"]
    assert found["n"] == 200
    assert found == f1.summed(**columns)["f1"].interval()._asdict()
    assert f1.intervals(predictions=[], references=[]) == {}  # undefined
    assert f1.intervals(**columns, sample_weight=LOSSES) == {}  # no function of sums


@pytest.mark.parametrize(
    ("name", "predictions", "references", "told"),
    [
        ("accuracy", [0, 1], [0], "there are 2 predictions and 1 references"),
        ("accuracy", [0.5, 1.0], [0, 1], "must be labels, whole numbers or text, but one is 0.5"),
        ("accuracy", ["a", "b"], [0, 1], "both be text or both be numbers"),
        ("accuracy", [0, None], [0, 1], "1 of 2 predictions are missing"),
        ("accuracy", [[0, 1]], [[0, 1]], "config_name='multilabel'"),
        ("f1", [0, 1], None, "takes references"),
        ("mae", ["a"], ["b"], "must be numbers, but are text"),
        ("exact_match", [1], [1], "must be texts, but are numbers"),
        ("sacrebleu", ["a", 3], ["a", "b"], "must be texts, but sample 1 has 3"),
        ("mse", [[1.0], [1.0, 2.0]], [[1.0], [1.0, 2.0]], "not all of one length"),
    ],
)
def test_what_a_metric_does_not_take(name, predictions, references, told):
    with pytest.raises(ValueError, match=told):
        runway.load_metric(name).compute(predictions=predictions, references=references)
