"""Tables that are written batch by batch."""

from __future__ import annotations

import pytest

from runway.errors import DataError
from runway.transforms.arrow_tables import TableWriter


def test_large_tables_are_spilled_to_a_memory_mapped_file() -> None:
    import pyarrow as pa

    writer = TableWriter("test", in_memory_bytes=1000)
    for start in range(0, 1000, 100):
        writer.add(pa.table({"n": range(start, start + 100)}))
    dataset = writer.finish()
    assert dataset["n"][:] == list(range(1000))
    assert dataset.cache_files
    with pytest.raises(DataError, match="same columns"):
        writer.add(pa.table({"m": range(1000)}))
