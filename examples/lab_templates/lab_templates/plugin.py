"""What our lab adds to runway; imported when a name is asked for that nobody else has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runway import transform
from runway.pipeline.runners.serial import SerialRunner
from runway.registry import register_format, register_logger, register_runner


@transform
def lab_reviews(rows: int = 2) -> list[str]:
    """Make some reviews.

    Args:
        rows: how many.
    """
    return [f"A Fine Film, No. {number}" for number in range(rows)]


@transform
def lab_tidy(data: list[str], upper: bool = False) -> Vocabulary:
    """Tidy texts up as we all do.

    Args:
        data: the texts.
        upper: in capitals.
    """
    return Vocabulary(text.upper() if upper else text.lower() for text in data)


class Vocabulary(set):
    """A set of texts, which the format below keeps as a file to be read by eye."""


def _save(value: Vocabulary, folder: Path) -> None:
    (folder / "words.txt").write_text("\n".join(sorted(value)), encoding="utf-8")


def _load(folder: Path) -> Vocabulary:
    return Vocabulary((folder / "words.txt").read_text(encoding="utf-8").splitlines())


register_format("lab_vocabulary", accepts=lambda value: type(value) is Vocabulary, save=_save, load=_load)


@register_runner("lab_serial")
class LabRunner(SerialRunner):
    """One node after the other, as `serial`; a place for a cluster of our own."""


@register_logger("lab_csv")
def lab_logger(logged: Any) -> Any:
    """A CSVLogger in a folder of another name."""
    from lightning.pytorch.loggers import CSVLogger

    return CSVLogger(save_dir=logged.logs, name="", version="lab")
