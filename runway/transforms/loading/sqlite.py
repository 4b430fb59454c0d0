"""Reads an SQLite database by a query; it is opened for reading, and nothing but a SELECT is let through."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

MAGIC = b"SQLite format 3\0"
_BATCH = 50_000
_ALLOWED = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)


def is_sqlite(path: Path) -> bool:
    """Whether a file is an SQLite database, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def query_sqlite(
    path: Path, query: str | None, parameters: Mapping[str, Any], limit: int | None = None, *, where: str
) -> dict[str, pa.Array]:
    """The columns that a query gives.

    Args:
        path: the database.
        query: one SELECT.
        parameters: values for its ``:name`` places.
        limit: stop after so many rows.
        where: whose work it is, for errors: a node, a setting.

    Raises:
        ConfigError: there is no query, or it is not a SELECT that fits the database.
        DataError: the file is not an SQLite database, is damaged, or holds text that is not UTF-8.
    """
    import pyarrow as pa

    if not query or not query.strip(" \t\r\n;"):
        raise ConfigError(
            f"{path.name!r} is a database, and `query` does not say what to take from it",
            where=f"{where}, setup_kwargs",
            hint="write query: 'SELECT … AS source, … AS target FROM …'",
        )
    if not is_sqlite(path):
        raise DataError(f"{path.name!r} is not an SQLite database", where=f"{where}, file {path}")
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    tables: list[str] = []
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY)
        cursor = connection.execute(query, dict(parameters))
        if cursor.description is None:  # a comment alone
            raise ConfigError(
                f"the query gives nothing: {query.strip()!r}",
                where=f"{where}, query",
                hint="write query: 'SELECT … AS source, … AS target FROM …'",
            )
        names = [name for name, *_ in cursor.description]
        rows: list[tuple] = []
        while limit is None or len(rows) < limit:
            batch = cursor.fetchmany(_BATCH if limit is None else min(_BATCH, limit - len(rows)))
            if not batch:
                break
            rows += batch
    except sqlite3.Error as error:
        text = str(error)
        if "decode to UTF-8" in text:
            raise DataError(
                f"{path.name!r} holds text that is not UTF-8: {text}", where=f"{where}, file {path}"
            ) from error
        if "malformed" in text or "disk image" in text or "encrypted" in text:
            raise DataError(f"{path.name!r} is damaged: {text}", where=f"{where}, file {path}") from error
        raise ConfigError(
            f"the query cannot be run: {text}",
            where=f"{where}, query",
            hint=f"one SELECT is allowed; the tables of {path.name!r} are {', '.join(tables[:20])}"
            if text != "not authorized"
            else "only a SELECT is allowed",
        ) from error
    finally:
        connection.close()
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"the query gives the column {twice[0]!r} twice", where=f"{where}, query")
    values = zip(*rows, strict=True) if rows else ([] for _ in names)
    try:
        return {name: pa.array(list(column)) for name, column in zip(names, values, strict=True)}
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"a column holds values of different types: {error}", where=f"{where}, query") from error
