"""What the bytes of a file are: compressed, in which encoding, or no text at all."""

from __future__ import annotations

import bz2
import codecs
import gzip
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from runway.errors import DataError

Make = Callable[..., Any]

CONTENT = {
    "a.csv": "text,label\nkäse,1\n",
    "a.tsv": "text\tlabel\nkäse\t1\n",
    "a.jsonl": '{"text": "käse", "label": 1}\n',
    "a.json": '[{"text": "käse", "label": 1}]',
    "a.txt": "käse\n",
}
MARKED = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
}


def packed(kind: str, data: bytes) -> bytes:
    if kind in ("gzip", "bz2"):
        return gzip.compress(data) if kind == "gzip" else bz2.compress(data)
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, kind) as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize("written", MARKED)
@pytest.mark.parametrize("said", ["utf-8", "utf-16", "latin-1", "the same"])
def test_a_byte_order_mark_is_no_text_and_says_the_encoding(
    make: Make, tmp_path: Path, name: str, written: str, said: str
) -> None:
    (tmp_path / name).write_bytes(MARKED[written] + CONTENT[name].encode(written))
    encoding = written if said == "the same" else said
    loaded = make("LoadHFDataset", dataset_path=name, encoding=encoding)()["train"]
    assert loaded.column_names[0] == "text"
    assert loaded["text"][:] == ["käse"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le", "utf-16"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
def test_other_encodings_across_many_pieces(make: Make, tmp_path: Path, name: str, encoding: str) -> None:
    header, _, row = CONTENT[name].partition("\n") if name == "a.csv" else ("", "", CONTENT[name])
    text = f"{header}\n" * bool(header) + row * 100_000
    (tmp_path / name).write_bytes(text.encode(encoding))
    loaded = make("LoadHFDataset", dataset_path=name, encoding=encoding)()["train"]
    assert len(loaded) == 100_000
    assert set(loaded["text"]) == {"käse"}


def test_a_broken_encoding_names_the_byte(make: Make, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text\nab\n".encode("utf-16-le") + b"\x00\xd8x")
    with pytest.raises(DataError, match="is not valid utf-16-le"):
        make("LoadHFDataset", dataset_path="a.csv", encoding="utf-16-le")()


@pytest.mark.parametrize("kind", ["gzip", "bz2", "zstd", "lz4"])
@pytest.mark.parametrize("name", [*CONTENT, "a.csv.gz", "a.jsonl.zst"])
def test_the_content_says_whether_it_is_compressed(make: Make, tmp_path: Path, name: str, kind: str) -> None:
    text = CONTENT[name.removesuffix(".gz").removesuffix(".zst")].encode()
    for data in (packed(kind, text), text):
        (tmp_path / name).write_bytes(data)
        assert make("LoadHFDataset", dataset_path=name)()["train"]["text"][:] == ["käse"]


@pytest.mark.parametrize("kind", ["gzip", "bz2", "zstd", "lz4"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "txt"])
def test_a_download_that_broke_off(make: Make, tmp_path: Path, kind: str, ending: str) -> None:
    lines = [f'{{"text": "{n * 7919 % 100_003}"}}' for n in range(40_000)]
    text = "[" + ",\n".join(lines) + "]" if ending == "json" else "\n".join(lines)
    whole = packed(kind, text.encode())
    (tmp_path / f"a.{ending}").write_bytes(whole[: len(whole) // 2])
    options = {"quotechar": "", "delimiter": "|"} if ending in ("csv", "tsv") else {}
    node = make("LoadHFDataset", dataset_path=f"a.{ending}", load_kwargs=options)
    with pytest.raises(DataError, match="damaged or cut short") as caught:
        node()
    assert f"a.{ending}" in str(caught.value)


def test_what_is_no_text_is_named(make: Make, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "zip.csv", "w") as archive:
        archive.writestr("a.csv", "text\na\n")
    with sqlite3.connect(tmp_path / "db.csv") as database:
        database.execute("create table a (b)")
    (tmp_path / "png.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (tmp_path / "junk.jsonl").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "wide.csv").write_bytes("text\na\n".encode("utf-16-le"))
    for name, expected in {
        "zip.csv": "a zip archive",
        "db.csv": "SQLite",
        "png.txt": "an image",
        "junk.jsonl": "byte 0 of it is zero",
        "wide.csv": "utf-16-le",
    }.items():
        with pytest.raises(DataError) as caught:
            make("LoadHFDataset", dataset_path=name)()
        assert expected in str(caught.value), name


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.json", "a.jsonl", "a.txt", "a.parquet", "a.arrow", "a.csv.gz"])
@pytest.mark.parametrize("dummy", [False, True])
def test_files_without_a_byte(make: Make, tmp_path: Path, name: str, dummy: bool) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        make("LoadHFDataset", dataset_path=name, use_dummy_data=dummy)()


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.parquet", "a.arrow", "a.csv.gz"])
def test_junk_is_a_data_error(make: Make, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(range(255, 0, -1)) * 50)
    with pytest.raises(DataError) as caught:
        make("LoadHFDataset", dataset_path=name)()
    assert str(tmp_path / name) in str(caught.value)
