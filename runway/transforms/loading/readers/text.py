"""Reads text files: each line is a row."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from runway.transforms.loading.readers.source import DataFile

_LINES_AT_A_TIME = 100_000


def read_text(file: DataFile) -> Iterator[pa.Table]:
    """The lines of a file, ended by line feeds alone, as the column ``text``."""
    import pyarrow as pa

    schema = pa.schema([("text", pa.string())])
    with file.open_text() as source, io.TextIOWrapper(io.BufferedReader(source), "utf-8", newline="\n") as opened:
        lines = itertools.islice((line.rstrip("\r\n") for line in opened), file.limit)
        part = list(itertools.islice(lines, _LINES_AT_A_TIME))
        if not part and file.limit != 0:
            raise file.broken("is empty")
        yield pa.table({"text": part}, schema)
        while part := list(itertools.islice(lines, _LINES_AT_A_TIME)):
            yield pa.table({"text": part}, schema)
