"""The precision that suits an accelerator."""

from __future__ import annotations

import torch

from runway import EvalRecorder
from runway.executors.text_classification import TextClassificationExecutor
from tests.executors.tiny import (
    build,
    tiny_config,
    trainer,
)


def test_best_precision_is_one_that_lightning_knows(tmp_path):
    from runway.executors.precision import best_precision

    assert best_precision("cpu") in ("bf16-mixed", "32-true")
    assert best_precision("tpu") == "32-true"
    run = trainer(tmp_path, precision="bf16-mixed", limit_train_batches=2)
    executor = build(TextClassificationExecutor, tiny_config(tmp_path))
    run.fit(executor)
    assert executor.model.classifier.weight.dtype == torch.float32
    assert isinstance(executor.valid_eval_recorder, EvalRecorder)
