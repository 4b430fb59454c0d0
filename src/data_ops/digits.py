"""The data of the images demo: handwritten digits that come with scikit-learn."""

from __future__ import annotations

from typing import Any

from runway import transform


@transform
def load_digits() -> Any:
    """Give 1,797 pictures of 8 x 8 grey pixels with the digit that each shows."""
    from datasets import ClassLabel, Dataset, Features, Image
    from PIL import Image as Pictures
    from sklearn import datasets

    bunch = datasets.load_digits()
    pictures = [Pictures.fromarray((pixels * 255 / 16).astype("uint8")) for pixels in bunch.images]
    features = Features({"image": Image(), "label": ClassLabel(names=[str(digit) for digit in range(10)])})
    return {"train": Dataset.from_dict({"image": pictures, "label": bunch.target.tolist()}, features=features)}
