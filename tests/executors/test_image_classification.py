"""The demo on handwritten digits, and what a batch must hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from runway.errors import DataError
from runway.executors.image_classification import ImageClassificationExecutor
from runway.testing import run_config

DIGITS = Path(__file__).resolve().parents[2] / "configs" / "images" / "digits.jsonnet"
RESNET = {
    "model_type": "resnet",
    "num_channels": 1,
    "embedding_size": 4,
    "hidden_sizes": [4],
    "depths": [1],
    "layer_type": "basic",
}


def test_a_batch_without_pictures_is_told() -> None:
    model_config = {"from_config_kwargs": RESNET, "num_labels": 2}
    executor = ImageClassificationExecutor(None, model_config, mode="train")
    with pytest.raises(DataError, match="the batches have no 'pixel_values'") as caught:
        executor.on_before_batch_transfer({"input_ids": []}, 0)
    assert "MakeImageDataloaders" in str(caught.value.hint)


@pytest.mark.slow
def test_the_demo_reads_digits(tmp_path: Path) -> None:
    run = run_config(DIGITS, tmp_path, batches=0, epochs=6, dummy_data=False)
    assert run.metrics["accuracy"] >= 0.95
