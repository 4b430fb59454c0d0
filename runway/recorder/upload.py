"""A recorder's stats and samples to Weights & Biases."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runway.log import warning

if TYPE_CHECKING:
    from runway.recorder.table import SampleTable


def active_run() -> Any:
    """The wandb run of this process, or None; wandb is not imported for it."""
    return getattr(sys.modules.get("wandb"), "run", None)


def upload(run: Any, table: SampleTable, stats: dict, *, columns: Sequence[str], tab: str, max_rows: int) -> None:
    """Log to ``run``: each stat as ``tab/name``, the columns as a table ``tab/table``.

    Args:
        run: a wandb run.
        table: the samples.
        stats: what to log of the stats; a matrix or list becomes its text.
        columns: the columns to show; none, and there is no table.
        tab: the section of the run's page.
        max_rows: how many rows are uploaded at most.
    """
    import wandb

    logged: dict[str, Any] = {
        f"{tab}/{name}": value if isinstance(value, int | float | str) else str(value) for name, value in stats.items()
    }
    if columns:
        rows = min(table.rows, max_rows)
        if rows < table.rows:
            warning(f"wandb gets the first {rows} of {table.rows} rows")
        cells = [[_cell(table.column(name).value(row)) for name in columns] for row in range(rows)]
        logged[f"{tab}/table"] = wandb.Table(columns=list(columns), data=cells, allow_mixed_types=True)
    if logged:
        run.log(logged)


def _cell(value: Any) -> Any:
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(value, pillow.Image):
        import wandb

        return wandb.Image(value)
    return value if value is None or isinstance(value, int | float | str) else str(value)
