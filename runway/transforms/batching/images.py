"""Makes torch DataLoaders of datasets of pictures: decoded, resized and normalised when a batch is made."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, must_be
from runway.registry import register_transform_functor
from runway.transforms.batching.collate import PadBatch
from runway.transforms.batching.dataloaders import MakeDataloaders, make_dataloader

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from torch.utils.data import DataLoader

MODES = {1: "L", 3: "RGB"}


@register_transform_functor
class MakeImageDataloaders(MakeDataloaders):
    """Gives ``{train_dataloaders: [...], val_dataloaders: [...], test_dataloaders: [...]}`` of pictures.

    A batch holds ``pixel_values [B, C, H, W]``, ``labels [B]`` and ``index [B]`` (each row's place in its split).
    Pictures are decoded in the batch, so the cache keeps them as they are. The node cannot be cached: set
    ``cache: false``.
    """

    def setup(
        self,
        image_column: str = "image",
        size: int | Sequence[int] | None = None,
        channels: int = 3,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        image_processor: str | None = None,
        flip: bool = False,
        **kwargs: Any,
    ) -> None:
        """Say how pictures become numbers.

        Args:
            image_column: the column of pictures.
            size: what they are resized to, one number or ``[height, width]``; None takes the processor's, else they
                stay, and must all be of one size.
            channels: 3 (colours) or 1 (grey).
            mean: taken from pixels between 0 and 1, once or for each channel; None takes the processor's, else 0.5.
            std: what they are divided by then; None takes the processor's, else 0.5.
            image_processor: a pretrained model's folder or name, whose ``preprocessor_config.json`` says size, mean
                and std.
            flip: whether half of the training pictures are mirrored, each time anew.
            **kwargs: the settings of MakeDataloaders.
        """
        super().setup(length_bucketed=False, **kwargs)
        must_be(channels in MODES, "channels", "1 or 3", channels, where=self.where)
        self.image_column, self.channels, self.flip = image_column, channels, flip
        told = self._processor(image_processor) if image_processor else {}
        self.size = _pair(size if size is not None else told.get("size"), self.where)
        self.mean = _each(mean if mean is not None else told.get("image_mean", 0.5), channels, "mean", self.where)
        self.std = _each(std if std is not None else told.get("image_std", 0.5), channels, "std", self.where)
        must_be(all(self.std), "std", "other than 0", std, where=self.where)

    def _processor(self, name: str) -> Mapping[str, Any]:
        """What a model's ``preprocessor_config.json`` says; nothing of it is run."""
        from transformers.image_processing_base import ImageProcessingMixin

        local = self.resolve_path(name)
        place = str(self.track_folder(local)) if local.is_dir() else name
        try:
            return ImageProcessingMixin.get_image_processor_dict(place)[0]
        except (OSError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            message = f"there is no image processor {name!r}: {reason}"
            raise ConfigError(message, where=f"{self.where}, image_processor", hint="say size, mean and std") from error

    def _call(self, data: Dataset | DatasetDict) -> dict[str, list[DataLoader]]:
        return super()._call(data)

    def _padding(self, dataset: Dataset) -> dict[str, Any]:
        return {}

    def _loader(self, dataset: Dataset, split: str, settings: Mapping[str, Any]) -> DataLoader:
        wanted = [self.image_column, *([self.label_column] if self.label_column is not None else [])]
        self.need_columns(dataset, wanted, split=split, setting="image_column, label_column")
        if type(dataset.features[self.image_column]).__name__ != "Image":
            raise DataError(
                f"the column {self.image_column!r} must hold pictures, but holds {dataset.features[self.image_column]}",
                where=f"{self.where}, split {split!r}",
                hint="load a folder of pictures, or cast the column: cast_column('image', datasets.Image())",
            )
        collate = PictureBatch(
            self.image_column,
            self.label_column,
            MODES[self.channels],
            self.size,
            self.mean,
            self.std,
            flip=self.flip and bool(settings.get("shuffle")),
            where=f"{self.where}, split {split!r}",
        )
        known = {name: value for name, value in settings.items() if name != "max_tokens_per_batch"}
        columns = [*wanted, *(self.use_columns or ())]
        return make_dataloader(
            dataset, **{"columns": columns, "length_bucketed": False, "collate_fn": collate, **known}
        )


class PictureBatch:
    """Collates a batch of rows: ``pixel_values [B, C, H, W]``, and other columns as PadBatch does.

    Args:
        image_column: the column of pictures, each ``{bytes, path}``.
        label_column: goes under ``labels``.
        mode: what PIL is to make of each: ``RGB`` or ``L``.
        size: ``(height, width)``; None: as they are.
        mean: of each channel.
        std: of each channel.
        flip: whether each is mirrored with a chance of one half, by torch's generator.
        where: whose pictures they are, for errors.
    """

    def __init__(
        self,
        image_column: str,
        label_column: str | None,
        mode: str,
        size: tuple[int, int] | None,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        flip: bool = False,
        where: str = "",
    ) -> None:
        self.image_column, self.mode, self.size, self.flip, self.where = image_column, mode, size, flip, where
        self.mean, self.std = list(mean), list(std)
        self.rest = PadBatch(label_column=label_column, pad_to_multiple_of=None)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch, with tensors.

        Raises:
            DataError: a picture cannot be read, or they are of different sizes.
        """
        import numpy as np
        import torch

        rows = batch["index"]
        pictures = [self._pixels(value, int(row)) for value, row in zip(batch[self.image_column], rows, strict=True)]
        shapes = {picture.shape for picture in pictures}
        if len(shapes) > 1:
            message = f"the pictures have different sizes: {', '.join(sorted(f'{s[0]} x {s[1]}' for s in shapes))}"
            raise DataError(message, where=self.where, hint="say `size` in setup_kwargs")
        pixels = torch.from_numpy(np.stack(pictures)).float().div_(255).permute(0, 3, 1, 2)  # [B, C, H, W]
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        pixels = (pixels - mean) / std
        if self.flip:
            mirrored = torch.rand(len(pixels)) < 0.5
            pixels[mirrored] = pixels[mirrored].flip(-1)
        rest = self.rest({name: value for name, value in batch.items() if name != self.image_column})
        return {"pixel_values": pixels.contiguous(), **rest}

    def _pixels(self, value: Any, row: int) -> Any:
        """One picture as an array ``[H, W, C]`` of bytes."""
        import numpy as np
        from PIL import Image, UnidentifiedImageError

        try:
            picture: Any = Image.open(io.BytesIO(value["bytes"]) if value["bytes"] is not None else value["path"])
            picture = picture.convert(self.mode)
        except (OSError, TypeError, UnidentifiedImageError) as error:
            raise DataError(f"the picture of row {row} cannot be read: {error}", where=self.where) from error
        if self.size is not None and picture.size != self.size[::-1]:
            picture = picture.resize(self.size[::-1], Image.Resampling.BILINEAR)
        array = np.asarray(picture)
        return array[..., None] if array.ndim == 2 else array


def _pair(size: Any, where: str) -> tuple[int, int] | None:
    if isinstance(size, Mapping):  # of a processor
        size = [size["height"], size["width"]] if "height" in size else size.get("shortest_edge")
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size)
    fits = len(pair) == 2 and all(isinstance(side, int) and side > 0 for side in pair)
    must_be(fits, "size", "a whole number, or [height, width]", size, where=where)
    return pair[0], pair[1]


def _each(value: Any, channels: int, setting: str, where: str) -> list[float]:
    values = [float(value)] * channels if isinstance(value, int | float) else [float(one) for one in value]
    if len(values) != channels and channels == 1:  # a processor for colours, over grey pictures
        values = [sum(values) / len(values)]
    must_be(len(values) == channels, setting, f"one number, or {channels}", value, where=where)
    return values
