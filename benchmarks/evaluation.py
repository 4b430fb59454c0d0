"""ComputeMetrics against scikit-learn and sacreBLEU over a million rows: ``python -m benchmarks.evaluation [ROWS]``.

Both are given the same recorder; the peer's time is that of taking the columns as numpy arrays and of its own function.
A run without intervals is a validation's; with them, a test's. The floor is numpy's comparison of two columns.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import metrics as peer

from runway import EvalRecorder
from runway.transforms.evaluation.recorders import ComputeMetrics


def timed(work: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """The least seconds of some calls, and what the last one gave."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        found = work()
        took.append(time.perf_counter() - began)
    return min(took), found


def made(rows: int) -> EvalRecorder:
    """A recorder of predictions of all kinds."""
    random = np.random.default_rng(0)
    recorder = EvalRecorder("evaluation")
    label = random.integers(0, 2, rows)
    number = random.normal(size=rows)
    names = np.array(["no", "yes"], dtype=object)
    guessed = np.where(random.random(rows) < 0.8, label, 1 - label)
    recorder.log_sample_dict_batch(
        {
            "label": label,
            "predicted": guessed,
            "name": names[label].tolist(),
            "predicted_name": names[guessed].tolist(),
            "number": number,
            "guess": number + random.normal(size=rows) / 2,
            "loss": random.random(rows),
        }
    )
    return recorder


def cases() -> list[tuple[str, Any, str, str | None, Callable[..., Any]]]:
    """(what, metric, columns of predictions and references, the peer's function of true and predicted)."""
    macro = {"name": "f1", "kwargs": {"average": "macro"}}
    return [
        ("accuracy", "accuracy", "predicted", "label", peer.accuracy_score),
        ("f1", "f1", "predicted", "label", peer.f1_score),
        ("precision", "precision", "predicted", "label", peer.precision_score),
        ("recall", "recall", "predicted", "label", peer.recall_score),
        ("f1, macro", macro, "predicted", "label", lambda true, guess: peer.f1_score(true, guess, average="macro")),
        ("confusion matrix", "confusion_matrix", "predicted", "label", peer.confusion_matrix),
        ("accuracy of text", "accuracy", "predicted_name", "name", peer.accuracy_score),
        ("exact match", "exact_match", "predicted_name", "name", lambda true, guess: np.mean(true == guess)),
        ("mae", "mae", "guess", "number", peer.mean_absolute_error),
        ("mse", "mse", "guess", "number", peer.mean_squared_error),
        ("r squared", "r_squared", "guess", "number", peer.r2_score),
        ("perplexity", "perplexity", "loss", None, lambda _, loss: (np.exp(loss.mean()), np.exp(loss).mean())),
    ]


def run(rows: int) -> None:
    """Print a table."""
    recorder = made(rows)
    print(f"{rows:,} rows; seconds, the least of three")
    print(f"{'metric':18} {'ours':>8} {'peer':>8} {'ratio':>6} {'with interval':>14}")
    for what, metric, predictions, references, function in cases():

        def scored(intervals: bool) -> Any:
            node = ComputeMetrics(name="metrics", project=Path())
            node.setup(metrics=[metric], pred_field=predictions, ref_field=references, intervals=intervals)  # noqa: B023
            return node(recorder.fork()).get_stats_logs()

        def by_peer() -> Any:
            guess = recorder.get_sample_logs_column(predictions, "numpy")  # noqa: B023
            true = None if references is None else recorder.get_sample_logs_column(references, "numpy")  # noqa: B023
            return function(true, guess)  # noqa: B023

        theirs, wanted = timed(by_peer)
        ours, stats = timed(lambda: scored(False))
        sure, _ = timed(lambda: scored(True), 1)
        first = next(iter(stats.values()))
        np.testing.assert_allclose(first, wanted if references else wanted[0], rtol=1e-9)
        print(f"{what:18} {ours:8.3f} {theirs:8.3f} {ours / theirs:6.2f} {sure:14.3f}")
    _texts(min(rows, 20_000))


def _texts(rows: int) -> None:
    from sacrebleu.metrics import BLEU, CHRF

    random = np.random.default_rng(0)
    words = [f"word{number}" for number in range(500)]
    references = [" ".join(random.choice(words, 12)) for _ in range(rows)]
    hypotheses = [" ".join(text.split()[1:]) for text in references]
    recorder = EvalRecorder("texts")
    recorder.log_sample_dict_batch({"hypothesis": hypotheses, "reference": references})
    print(f"{rows:,} pairs of texts")
    for metric, scorer in (("sacrebleu", BLEU(force=True)), ("chrf", CHRF())):

        def scored(intervals: bool) -> Any:
            node = ComputeMetrics(name="metrics", project=Path())
            node.setup(metrics=[metric], pred_field="hypothesis", ref_field="reference", intervals=intervals)  # noqa: B023
            return node(recorder.fork()).get_stats_logs()

        theirs, _ = timed(lambda: scorer.corpus_score(hypotheses, [references]).score, 1)  # noqa: B023
        ours, _ = timed(lambda: scored(False), 1)
        sure, _ = timed(lambda: scored(True), 1)
        print(f"{metric:18} {ours:8.3f} {theirs:8.3f} {ours / theirs:6.2f} {sure:14.3f}")


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
