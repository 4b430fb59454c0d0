"""Metrics as sums over rows give what the metrics' own libraries give, and none is guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runway.recorder import EvalRecorder
from runway.report.metric_sums import bleu_of, chrf_of, summed_metrics, text_sums
from runway.report.samples import Samples


def samples(folder: Path, **columns: Any) -> Samples:
    recorder = EvalRecorder("test-evaluation", folder)
    recorder.log_sample_dict_batch(columns)
    recorder.save_to_disk()
    return Samples(folder / "test-evaluation")


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_the_definition_that_a_run_has_used_is_found(tmp_path: Path, average: str) -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 4, 300), rng.integers(0, 4, 300)
    rows = samples(tmp_path, predicted_class_id=predicted, ground_truth_class_id=true)
    value = float(f1_score(true, predicted, average=average))
    found = summed_metrics({"f1": value, "precision": 0.987654, "accuracy": float((true == predicted).mean())}, rows)
    assert set(found) == {"f1", "accuracy"}  # no precision is this one
    assert found["f1"].kind == average
    interval = found["f1"].interval()
    assert interval is not None
    assert interval.low < value < interval.high


def test_losses_over_tokens_and_over_rows(tmp_path: Path) -> None:
    losses, tokens = np.array([1.0, 2.0, 4.0]), np.array([1, 1, 8])
    rows = samples(tmp_path, loss=losses, target_tokens=tokens)
    mean = float(losses @ tokens / tokens.sum())
    found = summed_metrics({"test_loss": mean, "test_perplexity": float(np.exp(mean))}, rows)
    assert {name: one.kind for name, one in found.items()} == {
        "test_loss": "over tokens",
        "test_perplexity": "over tokens",
    }
    assert summed_metrics({"loss": float(losses.mean())}, rows)["loss"].kind == "over rows"


def test_bleu_and_chrf_are_sacrebleus() -> None:
    from sacrebleu.metrics import BLEU, CHRF

    texts = ["the cat sat on the mat", "a dog", "", "all of it is wrong here", "what", "it is right as it is"]
    said = ["the cat sat on a mat", "a cat", "nothing", "", "x y z", "it is right as it is"]
    for which in ([0, 1, 2, 3, 4, 5], [1], [0, 5], [4], [3]):
        hypotheses, references = [said[at] for at in which], [texts[at] for at in which]
        for metric, function in ((BLEU(force=True), bleu_of), (CHRF(), chrf_of)):
            sums = text_sums(metric, hypotheses, references)
            wanted = metric.corpus_score(hypotheses, [references]).score
            assert float(function(sums.total())) == pytest.approx(wanted, abs=1e-9)
