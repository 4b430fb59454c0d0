"""The pictures of __name__."""

from __future__ import annotations

from typing import Any

from runway import transform


@transform
def __name___pictures(count: int = 40) -> Any:
    """Draw bright pictures and dark ones; put your own loading here.

    Args:
        count: how many.
    """
    import numpy as np
    from datasets import ClassLabel, Dataset, Features, Image
    from PIL import Image as Pictures

    labels = [number % 2 for number in range(count)]
    pixels = [np.random.randint(0, 120, (16, 16, 3)) + 120 * label for label in labels]
    pictures = [Pictures.fromarray(picture.astype("uint8")) for picture in pixels]
    features = Features({"image": Image(), "label": ClassLabel(names=["dark", "bright"])})
    return {"train": Dataset.from_dict({"image": pictures, "label": labels}, features=features)}
