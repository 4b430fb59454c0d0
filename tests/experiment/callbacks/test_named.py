"""Callbacks that a config names."""

from __future__ import annotations

import lightning
import pytest
from lightning.pytorch.callbacks import LearningRateMonitor

from runway.errors import ConfigError
from runway.experiment.callbacks.named import named_callbacks


class Mine(lightning.Callback):
    """A user's own."""

    def __init__(self, size: int = 1) -> None:
        self.size = size


def made(*callbacks: object) -> list[lightning.Callback]:
    return named_callbacks({"train": {"callbacks": list(callbacks)}})


def test_callbacks_by_name_and_by_place() -> None:
    first, second, third = made("LearningRateMonitor", f"{__name__}:Mine", {"name": f"{__name__}:Mine", "size": 3})
    assert (type(first), second.size, third.size) == (LearningRateMonitor, 1, 3)  # type: ignore[attr-defined]
    assert named_callbacks({}) == named_callbacks({"train": None}) == []


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        ("LearningRateMonitr", "Lightning has no callback 'LearningRateMonitr'"),
        ("ModelCheckpoint", "runway builds ModelCheckpoint itself"),
        (f"{__name__}:Nothing", "has no class 'Nothing'"),
        (f"{__name__}:ConfigError", "is no Callback"),
        ({"name": f"{__name__}:Mine", "sice": 3}, "Mine has no argument 'sice'"),
        ({"size": 3}, "the callback has no `name`"),
    ],
)
def test_what_is_no_callback_is_told(callback: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        made(callback)
    assert caught.value.where == "train.callbacks[0]"
