"""The TensorBoard logger of a run: metrics, and as text its config, tags, samples and how it ended."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger

from runway.masking import hide
from runway.ranks import rank

MOST_ROWS, MOST_TEXT = 100, 500
"""Of a table of samples; characters of a value."""


class RunTensorBoard(TensorBoardLogger):
    """Lightning's logger, which also takes tables.

    Args:
        config: the run's, without secrets; none, and it is not logged.
        tags: the run's.
        **settings: TensorBoardLogger's.
    """

    def __init__(self, *, config: Mapping[str, Any] | None = None, tags: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(**settings)
        self._runway_texts = {"config": _code(json.dumps(config, indent=2, default=str))} if config else {}
        if tags:
            self._runway_texts["tags"] = ", ".join(tags)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers; before the first of them what the run is."""
        if self._runway_texts and rank() == 0:
            texts, self._runway_texts = self._runway_texts, {}
            for name, text in texts.items():
                self.experiment.add_text(name, text)
        super().log_metrics(metrics, step)

    def log_table(self, key: str, dataframe: Any, step: int | None = None) -> None:
        """Log the first rows of a table as text.

        Args:
            key: its name.
            dataframe: a pandas DataFrame.
            step: where the training stood.
        """
        if rank() != 0:
            return
        rows = [dataframe.columns, ["---"] * len(dataframe.columns), *dataframe.head(MOST_ROWS).itertuples(index=False)]
        text = "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)
        told = f"\n\nThe first {MOST_ROWS} of {len(dataframe):,} rows." if len(dataframe) > MOST_ROWS else ""
        self.experiment.add_text(key, text + told, step)
        self.experiment.flush()

    def end(self, error: BaseException | None) -> None:
        """Say that the run has failed, where it has."""
        if error is not None and rank() == 0:
            self.experiment.add_text("status", _code(f"failed: {type(error).__name__}: {hide(str(error))}"))
            self.experiment.close()


def _code(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _cell(value: Any) -> str:
    text = " ".join(str(value).split())
    short = text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"
    return html.escape(short, quote=False).replace("|", "&#124;")
