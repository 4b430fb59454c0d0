"""How much there is to learn from is told before the first step; nothing at all is an error."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from datasets import Dataset
from torch.utils.data import DataLoader

from runway.errors import DataError
from runway.executors.seq2seq.trained_tokens import (
    PATIENCE,
    SkippedBatches,
    tell_trained_tokens,
    trained_tokens_of_rows,
)
from tests.executors.tiny import trainer
from tests.executors.tiny_translation import PairRows, collate, make, pairs

LABELS = [[4, 5, 2], [-100, -100, 2], [], [-100], [7]]


def loader(labels, chosen=None):
    rows = Dataset.from_dict({"labels": labels})
    return SimpleNamespace(dataset=rows if chosen is None else rows.select(chosen))


def test_the_tokens_of_each_row():
    assert trained_tokens_of_rows(loader(LABELS)).tolist() == [3, 1, 0, 0, 1]
    assert trained_tokens_of_rows(loader(LABELS, [4, 1, 3])).tolist() == [1, 1, 0]
    assert trained_tokens_of_rows(loader([[1]], [])) is None or not len(trained_tokens_of_rows(loader([[1]], [])))
    for other in (SimpleNamespace(dataset=[1, 2]), SimpleNamespace(), loader([0, 1])):
        assert trained_tokens_of_rows(other) is None


def test_what_is_told(capsys):
    tell_trained_tokens(loader(LABELS), "the train split")
    told = capsys.readouterr().err
    assert "trained on: 5 target tokens in 5 rows" in told
    assert "warning: the train split: 2 of 5 rows have no token to train on, the first is row 2" in told
    with pytest.raises(DataError, match="no token to train on: all labels of all 2 rows are -100, or empty"):
        tell_trained_tokens(loader([[-100, -100], []]), "the train split")


def masked(chosen):
    batch = collate(chosen)
    batch["labels"][:] = -100
    return batch


def test_all_labels_masked_of_rows_that_cannot_be_counted_before(tmp_path, capsys):
    executor = make(tmp_path)
    executor.train_dataloaders = DataLoader(PairRows(pairs(8)), batch_size=2, collate_fn=masked)
    before = {name: value.clone() for name, value in executor.state_dict().items()}
    with pytest.raises(DataError, match="all 4 batches of the epoch have 0 trained tokens"):
        trainer(tmp_path, limit_val_batches=0).fit(executor)
    assert "batch 0 has no token to train on" in capsys.readouterr().err
    assert all(value.equal(before[name]) for name, value in executor.state_dict().items())


def test_a_long_epoch_is_not_waited_for():
    skipped = SkippedBatches("the train split")
    for number in range(PATIENCE - 1):
        skipped.add(0, 12, number)
    with pytest.raises(DataError, match=f"the first {PATIENCE} batches have 0 trained tokens"):
        skipped.add(0, 12, PATIENCE - 1)
    skipped = SkippedBatches("the train split")
    skipped.trained_before = True
    for number in range(PATIENCE):
        skipped.add(0, 12, number)


def test_a_validation_without_tokens_has_no_loss(tmp_path, capsys):
    executor = make(tmp_path)
    executor.valid_dataloaders = DataLoader(PairRows(pairs(4)), batch_size=2, collate_fn=masked)
    run = trainer(tmp_path, limit_train_batches=1)
    run.fit(executor)
    assert run.callback_metrics["val_loss"].isnan()
    assert "val: there is no target token" in capsys.readouterr().err
