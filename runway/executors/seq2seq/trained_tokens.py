"""Counts the target tokens that a training learns from: before it, where the rows tell, and batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from runway.errors import DataError
from runway.executors.seq2seq.token_loss import IGNORE_INDEX
from runway.log import info, warning
from runway.transforms.arrow_tables import column, lengths

if TYPE_CHECKING:
    import lightning

HINT = f"a label of {IGNORE_INDEX} is not trained on: look at what makes them (an empty target, a collator, a mask)"
PATIENCE = 100  # batches from the start without any token, of a loader whose rows cannot be counted before


def trained_tokens_of_rows(loader: Any) -> np.ndarray | None:
    """How many labels of each row are trained on, ``[rows]``; None where the loader's dataset is no HF Dataset."""
    dataset = getattr(loader, "dataset", None)
    rows = getattr(dataset, "rows", dataset)
    feature = (getattr(rows, "features", None) or {}).get("labels")
    if type(feature).__name__ not in ("List", "LargeList"):
        return None
    labels = column(rows, "labels")
    counts = lengths(labels)
    flat = np.concatenate([np.zeros(0, np.int64), *(chunk.flatten().to_numpy(False) for chunk in labels.chunks)])
    ends = np.cumsum(counts)
    masked = np.concatenate([[0], np.cumsum(flat == IGNORE_INDEX)])
    return counts - (masked[ends] - masked[ends - counts])


def tell_trained_tokens(loader: Any, where: str) -> None:
    """Say before the first step how much there is to learn from.

    Raises:
        DataError: nothing.
    """
    tokens = trained_tokens_of_rows(loader)
    if tokens is None or not len(tokens):
        return
    total, empty = int(tokens.sum()), int((tokens == 0).sum())
    if not total:
        message = f"there is no token to train on: all labels of all {len(tokens)} rows are {IGNORE_INDEX}, or empty"
        raise DataError(message, where=where, hint=HINT)
    info(f"trained on: {total} target tokens in {len(tokens)} rows")
    if empty:
        first = int(np.flatnonzero(tokens == 0)[0])
        warning(f"{where}: {empty} of {len(tokens)} rows have no token to train on, the first is row {first}; {HINT}")


class SkippedBatches:
    """The batches of an epoch that had no token to train on.

    Args:
        where: which data they are of, for what is told.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.count = self.batches = self.tokens = 0
        self.trained_before = False
        """Whether an earlier epoch had a token."""

    def add(self, tokens: int, labels: int, batch_idx: int) -> None:
        """Count a batch of this rank; tell of the first that is skipped.

        Raises:
            DataError: there has been no token in so many batches since the start that there is hardly one.
        """
        self.batches += 1
        self.tokens += tokens
        if tokens:
            return
        self.count += 1
        if self.count == 1:
            message = f"{self.where}: batch {batch_idx} has no token to train on (0 of {labels} labels), and is skipped"
            warning(f"{message}; {HINT}")
        if self.count == self.batches == PATIENCE and not self.trained_before:
            raise self._nothing(f"the first {PATIENCE} batches")

    def end_epoch(self, trainer: lightning.Trainer) -> None:
        """Tell how many batches the epoch has skipped, on all ranks, and start anew.

        Raises:
            DataError: all.
        """
        counts = torch.tensor([self.count, self.batches, self.tokens], device=trainer.strategy.root_device)
        skipped, batches, tokens = trainer.strategy.reduce(counts, reduce_op="sum").tolist()
        if batches and not tokens and not self.trained_before:
            raise self._nothing(f"all {batches} batches of the epoch")
        if skipped and trainer.is_global_zero:
            epoch = f"epoch {trainer.current_epoch}"
            warning(f"{self.where}: {skipped} of {batches} batches of {epoch} had no token to train on: skipped")
        self.trained_before |= bool(tokens)
        self.count = self.batches = self.tokens = 0

    def _nothing(self, which: str) -> DataError:
        message = f"there is no token to train on: {which} have 0 trained tokens, every label is {IGNORE_INDEX}"
        return DataError(message, where=self.where, hint=HINT)
