"""Rows in another order: dealt out in shares, and the same as if all were in memory."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from runway.recorder.table import SampleTable


def columns(rows: int) -> dict[str, list]:
    draw = random.Random(0)
    return {
        "number": [draw.random() for _ in range(rows)],
        "text": [draw.choice([None, "", "word " * draw.randrange(40)]) for _ in range(rows)],
        "list": [[n] * (n % 3) for n in range(rows)],
        "nothing": [None] * rows,
    }


@pytest.mark.parametrize("share", [1, 100, 5000, 1 << 30])
@pytest.mark.parametrize("limit", [0, 1 << 30], ids=["spilled", "in memory"])
def test_rows_in_any_order(share: int, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SampleTable, "SHARE_BYTES", share)
    monkeypatch.setattr(SampleTable, "MEMORY_LIMIT", limit)
    given, table = columns(3000 if share > 1 else 60), SampleTable()
    table.write(given)
    draw = random.Random(1)
    rows = table.rows
    for wanted in ([], [rows - 1], draw.sample(range(rows), rows), draw.choices(range(rows), k=2 * rows)):
        taken = table.take(wanted)
        assert taken.rows == len(wanted)
        for name, values in given.items():
            assert taken.column(name).values(taken.rows) == [values[row] for row in wanted]
            assert taken.column(name).type() == (table.column(name).type() if wanted else pa.null())
