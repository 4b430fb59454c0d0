"""Pictures: from a folder to batches, to a model, to the recorder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
from PIL import Image as Pictures

from runway.errors import ConfigError, DataError
from runway.report.samples import PICTURE, _shown
from runway.testing import run_config
from runway.transforms.batching.images import MakeImageDataloaders
from runway.transforms.loading.hf_dataset import LoadHFDataset
from tests.transforms.conftest import node

CONFIG = """local ic = import 'runway/image_classification.libsonnet';
ic.experiment(name='tiny', dataset='photos', size=8, channels=1, valid_size=2, test_size=4, batch_size=2) {
  model_config: {
    from_config_kwargs: {
      model_type: 'vit', image_size: 8, patch_size: 4, num_channels: 1, hidden_size: 8, num_hidden_layers: 1,
      num_attention_heads: 1, intermediate_size: 8,
    },
  },
}
"""


def picture(value: int, size: tuple[int, int] = (8, 8)) -> Any:
    return Pictures.fromarray(np.full((size[1], size[0]), value, dtype=np.uint8))


def rows(pictures: list[Any], labels: list[int]) -> DatasetDict:
    features = Features({"image": Image(), "label": ClassLabel(names=["dark", "bright"])})
    return DatasetDict({"train": Dataset.from_dict({"image": pictures, "label": labels}, features=features)})


def first_batch(data: Any, **settings: Any) -> dict[str, Any]:
    (loader,) = node(MakeImageDataloaders, **settings)(data)["train_dataloaders"]
    return next(iter(loader))


def test_pixels_are_resized_and_normalised() -> None:
    data = rows([picture(0), picture(255, (4, 6))], [0, 1])
    batch = first_batch(data, size=[2, 3], channels=3, mean=[0.0, 0.5, 0.5], std=[1.0, 0.5, 0.25])
    assert tuple(batch["pixel_values"].shape) == (2, 3, 2, 3)
    by_label = {int(label): pixels for label, pixels in zip(batch["labels"], batch["pixel_values"], strict=True)}
    assert [by_label[0][channel, 0, 0].item() for channel in range(3)] == [0.0, -1.0, -2.0]
    assert [by_label[1][channel, 0, 0].item() for channel in range(3)] == [1.0, 1.0, 2.0]
    assert sorted(batch["index"].tolist()) == [0, 1]


def test_a_processor_says_size_and_mean(tmp_path: Path) -> None:
    text = '{"size": {"height": 4, "width": 4}, "image_mean": [0.0, 0.0, 0.0], "image_std": [1.0, 1.0, 1.0]}'
    (tmp_path / "preprocessor_config.json").write_text(text)
    batch = first_batch(rows([picture(255)], [1]), channels=1, image_processor=str(tmp_path))
    assert (tuple(batch["pixel_values"].shape), batch["pixel_values"].max().item()) == ((1, 1, 4, 4), 1.0)
    with pytest.raises(ConfigError, match="there is no image processor"):
        node(MakeImageDataloaders, image_processor=str(tmp_path / "other"))


def test_half_of_the_training_pictures_are_mirrored() -> None:
    left = picture(0)
    left.putpixel((0, 0), 255)
    pixels = first_batch(rows([left] * 32, [0] * 32), channels=1, flip=True)["pixel_values"]
    assert 4 < int((pixels[:, 0, 0, 7] > 0).sum()) < 28
    assert bool(((pixels[:, 0, 0, 0] > 0) ^ (pixels[:, 0, 0, 7] > 0)).all())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 2}, "`channels` must be 1 or 3"),
        ({"size": [8]}, "`size` must be a whole number"),
        ({"mean": [0.5, 0.5], "channels": 3}, "`mean` must be one number, or 3"),
        ({"std": 0.0}, "`std` must be other than 0"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        node(MakeImageDataloaders, **settings)


def test_pictures_that_cannot_be_a_batch() -> None:
    with pytest.raises(DataError, match="different sizes: 6 x 4, 8 x 8") as caught:
        first_batch(rows([picture(0), picture(0, (4, 6))], [0, 1]))
    assert caught.value.hint == "say `size` in setup_kwargs"
    broken = rows([picture(0)], [0])["train"].cast_column("image", Image(decode=False))
    broken = broken.map(lambda row: {"image": {"bytes": b"no picture", "path": None}}).cast_column("image", Image())
    with pytest.raises(DataError, match="the picture of row 0 cannot be read"):
        first_batch(DatasetDict({"train": broken}))
    with pytest.raises(DataError, match="must hold pictures"):
        first_batch(DatasetDict({"train": Dataset.from_dict({"image": [1], "label": [0]})}))


def test_from_a_folder_to_a_report(tmp_path: Path) -> None:
    """``dataset='photos'``: a folder for each class; predictions with their pictures in the recorder and the report."""
    from runway.recorder import EvalRecorder

    (tmp_path / "src").mkdir()
    for name, value in (("dark", 10), ("bright", 240)):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(6):
            picture(value + number).save(folder / f"{number}.png")
    loaded = node(LoadHFDataset, dataset_path=str(tmp_path / "photos"))(None)["train"]
    assert (loaded.features["label"].names, len(loaded)) == (["bright", "dark"], 12)
    (tmp_path / "exp.jsonnet").write_text(CONFIG)
    run = run_config(tmp_path / "exp.jsonnet", tmp_path, batches=0)
    assert 0 <= run.metrics["accuracy"] <= 1
    recorder = EvalRecorder.load_from_disk("test-evaluation", run.path / "test" / "default_test", "eval_recorder")
    pictures = recorder.get_sample_logs_column("image")
    labels = recorder.get_sample_logs_column("ground_truth_class_label")
    assert [image.size for image in pictures] == [(8, 8)] * 4
    assert all(
        (image.getpixel((0, 0)) > 100) == (label == "bright") for image, label in zip(pictures, labels, strict=True)
    )
    assert _shown(pictures[0]).startswith(PICTURE)
