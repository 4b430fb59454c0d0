"""A loss that is no number stops the training, and its step is named."""

from __future__ import annotations

import math

import pytest

from runway.executors.callbacks.stop_on_nan import NonFiniteLossError, StopOnNaN
from tests.executors.tiny import build, tiny_config, trainer
from tests.executors.walkthrough import WalkthroughExecutor


class ExplodingExecutor(WalkthroughExecutor):
    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * (math.nan if batch_idx == 2 else 1)


def test_a_loss_that_is_no_number_stops_the_training(tmp_path):
    executor = build(ExplodingExecutor, tiny_config(tmp_path))
    with pytest.raises(NonFiniteLossError, match="nan") as error:
        trainer(tmp_path).fit(executor)
    assert error.value.step == 2
    assert "lr" in error.value.hint
    assert "batch 2" in error.value.where

    config = tiny_config(tmp_path)
    config.train.stop_on_nan = False
    run = trainer(tmp_path, limit_val_batches=0)
    run.fit(build(ExplodingExecutor, config))
    assert run.global_step == 4


@pytest.mark.parametrize("every", [2, 3, 50])
def test_a_bad_loss_that_is_fetched_later_still_names_its_step(tmp_path, every):
    """As on a GPU, where the verdict is not waited for."""
    executor = build(ExplodingExecutor, tiny_config(tmp_path))
    with pytest.raises(NonFiniteLossError) as error:
        trainer(tmp_path, callbacks=[StopOnNaN(every_n_steps=every)], limit_val_batches=0).fit(executor)
    assert error.value.step == 2
