"""What the best value of a metric is, by its name: known, or not, but never the wrong one."""

from __future__ import annotations

import pytest

from runway.metrics import SHIPPED, load_metric
from runway.metrics._direction import direction


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["accuracy", "val_accuracy", "val/accuracy", "accuracy/dataloader_idx_1", "macro_f1", "Accuracy"], "max"),
        (["precision", "recall", "bleu", "sacrebleu", "chrf", "exact_match", "val_exact_match"], "max"),
        (["rouge1", "rouge2", "rougeL", "val_rougeLsum", "answer_accuracy"], "max"),
        (["val_loss", "loss", "valLoss", "val_loss_epoch", "loss/dataloader_idx_0", "hinge_losses"], "min"),
        (["perplexity", "mean_perplexity", "mean_error", "wer", "test_wer"], "min"),
        (["kappa", "power", "epoch", "sacrebleu_bp", "confusion_matrix", "accuracy_std", "glossary_size"], None),
        (["error_free_accuracy", "neg_mean_squared_error", "loss_reduction", "flower_count"], None),
    ],
)
def test_the_direction_is_known_by_name_or_not_at_all(names: list[str], expected: str | None) -> None:
    assert {name: direction(name) for name in names} == dict.fromkeys(names, expected)


def test_each_shipped_metric_says_it_of_its_own_score() -> None:
    """What a metric computes for perfect predictions is its best."""
    texts = ["a b c d e", "f g h i j"]
    for name in SHIPPED:
        metric = load_metric(name)
        assert (direction("rouge1" if name == "rouge" else name) == "max") is bool(metric.higher_is_better)
        if metric.higher_is_better and name not in ("accuracy", "f1", "precision", "recall", "r_squared"):
            right = metric.compute(predictions=texts, references=texts)
            wrong = metric.compute(predictions=texts, references=["x y", "z"])
            key = "score" if "score" in right else "rouge1" if name == "rouge" else name
            assert right[key] > wrong[key]
