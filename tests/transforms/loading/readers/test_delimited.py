"""Csv and tsv: every line is a row, or it is said."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runway.errors import DataError
from runway.transforms.loading.readers.quotes import QuoteWatch

Make = Callable[..., Any]


def test_quotes_in_tsv_are_text_unless_asked(make: Make, tmp_path: Path) -> None:
    lines = ['ham\t"win a prize', "ham\tok", 'spam\tfree" now', 'ham\t"all"']
    (tmp_path / "a.tsv").write_text("label\ttext\n" + "\n".join(lines) + "\n")
    loaded = make("LoadHFDataset", dataset_path="a.tsv")()["train"]
    assert [f"{row['label']}\t{row['text']}" for row in loaded] == lines
    (tmp_path / "b.tsv").write_text('label\ttext\nham\t"two\nlines"\n')
    loaded = make("LoadHFDataset", dataset_path="b.tsv", load_kwargs={"quotechar": '"'})()["train"]
    assert loaded["text"][:] == ["two\nlines"]
    with pytest.raises(DataError, match="Expected 2 columns, got 1") as caught:
        make("LoadHFDataset", dataset_path="b.tsv")()
    assert "quotechar" in str(caught.value)


def test_quotes_that_tsv_keeps_are_told(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.tsv").write_text('text\tlabel\nplain\t1\n"said ""yes"""\t2\n')
    assert make("LoadHFDataset", dataset_path="a.tsv")()["train"]["text"][1] == '"said ""yes"""'
    said = capsys.readouterr().err
    assert "row 2: the column 'text' has a cell in quotes" in said
    make("LoadHFDataset", dataset_path="a.tsv", load_kwargs={"quotechar": ""})()
    loaded = make("LoadHFDataset", dataset_path="a.tsv", load_kwargs={"quotechar": '"'})()["train"]
    assert loaded["text"][1] == 'said "yes"'
    assert "quotes" not in capsys.readouterr().err


def test_a_stray_quote_in_csv_is_told(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["ham,one", 'ham,"win a prize', "ham,ok", 'spam,free" now', "ham,last"]
    (tmp_path / "a.csv").write_text("label,text\n" + "\n".join(rows) + "\n")
    assert len(make("LoadHFDataset", dataset_path="a.csv")()["train"]) == 3
    said = capsys.readouterr().err
    assert "warning" in said
    assert f"file {tmp_path / 'a.csv'}, line 3: a field that a quote opens goes on to line 5" in said
    assert "1 such fields took in 2 lines" in said
    node = make("LoadHFDataset", dataset_path="a.csv", load_kwargs={"quotechar": ""})
    assert len(node()["train"]) == 5
    (tmp_path / "b.csv").write_text('label,text\nham,"The Shining" is good\n')
    assert make("LoadHFDataset", dataset_path="b.csv")()["train"]["text"][:] == ["The Shining is good"]
    assert "line 2: a quoted field is followed by more text" in capsys.readouterr().err


def test_a_quote_that_never_closes_is_an_error(make: Make, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('label,text\nham,one\nham,"win a prize\nham,ok\n')
    with pytest.raises(DataError, match="a quote in line 3 that is never closed"):
        make("LoadHFDataset", dataset_path="a.csv")()


def test_a_field_of_lines_that_look_like_rows_is_told(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ['a,"wide', *(f"row {n},{n}" for n in range(20)), 'b,tall"', "c,last"]
    (tmp_path / "a.csv").write_text("name,text\n" + "\n".join(rows) + "\n")
    assert len(make("LoadHFDataset", dataset_path="a.csv")()["train"]) == 2
    assert "row 1: the column 'text' holds 22 lines that look like rows" in capsys.readouterr().err


def test_good_quotes_are_passed_without_a_word(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(3)
    rows = [["".join(rng.choices('ab ",\n', k=rng.randrange(9))) + "x" for _ in range(3)] for _ in range(3000)]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c"], *rows])
    loaded = make("LoadHFDataset", dataset_path="a.csv")()["train"]
    assert [list(row.values()) for row in loaded.to_list()] == rows
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a,b\n1,"x"\n', []),
        ('a,b\n1,"x ""y"" z"\n"""q""",2\n', []),
        ('a,b\n1,""\n"",2\n', []),
        ('a,b\n1,5" pipe\n2,6"\n', []),
        ('a,b\n1,"x" y\n', [(2, 0, True)]),
        ('a,b\n1,"x\n2,y\n3,z" w\n"a" b,4\n', [(2, 2, True), (5, 0, True)]),
        ('a,b\n1,5" pipe\n2,"x\ny\n', [(3, 2, False)]),
        ('a,b\n1,"x ""\n', [(2, 1, False)]),
        ('"a","b"\n"1","x"""\n"2","y"', []),
    ],
)
def test_the_watch_sees_the_same_in_pieces_of_any_size(text: str, expected: list, size: int) -> None:
    watch = QuoteWatch(",", '"')
    for start in range(0, len(text), size):
        watch.see(text[start : start + size].encode())
    watch.see(b"")
    assert [(stray.line, stray.lines, stray.ended) for stray in watch.found] == expected


def test_a_field_of_many_megabytes(make: Make, tmp_path: Path) -> None:
    rows = ["short,1", "x" * 9_000_000 + ",2", "after,3"]
    (tmp_path / "a.csv").write_text("text,label\n" + "first,0\n" * 600_000 + "\n".join(rows) + "\n")
    for dummy in (False, True):
        loaded = make("LoadHFDataset", dataset_path="a.csv", use_dummy_data=dummy)()["train"]
        assert len(loaded) == (100 if dummy else 600_003)
    loaded = make("LoadHFDataset", dataset_path="a.csv")()["train"]
    assert loaded["label"][-3:] == [1, 2, 3]
    assert len(loaded["text"][-2]) == 9_000_000


def test_a_type_that_changes_late_is_the_same_in_a_dummy_run(make: Make, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,m\n" + "1,\n" * 60_000 + "x,1.5\n")
    whole, dummy = (make("LoadHFDataset", dataset_path="a.csv", use_dummy_data=d)()["train"] for d in (False, True))
    assert whole.features == dummy.features
    assert (whole.features["n"].dtype, whole.features["m"].dtype) == ("string", "float64")
    assert dummy.to_list() == whole.select(range(100)).to_list()


def test_a_header_alone_gives_no_rows(make: Make, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,m\n")
    assert make("LoadHFDataset", dataset_path="a.csv")()["train"].column_names == ["n", "m"]


def test_line_ends_in_quoted_fields_at_the_ends_of_blocks(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from runway.transforms.loading.readers import delimited

    (tmp_path / "a.csv").write_bytes(b"a,b\r\n" + b'1,",\r\n"\r\n2,"x\ry"\r\n' * 3)
    for size in range(30, 60):  # pyarrow 26 drops a line feed that begins a block, also between quotes
        monkeypatch.setattr(delimited, "_BLOCK", size)
        assert make("LoadHFDataset", dataset_path="a.csv")()["train"]["b"][:] == [",\r\n", "x\ry"] * 3
    assert "carriage" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_lone_carriage_returns_are_told(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_bytes(b"text\none\ntwo\rtwo\nthree\n")
    assert len(make("LoadHFDataset", dataset_path=name)()["train"]) == 4
    assert "line 3: 1 carriage returns stand alone" in capsys.readouterr().err
    (tmp_path / name).write_bytes(b"text\rone\rtwo\r")
    assert make("LoadHFDataset", dataset_path=name)()["train"]["text"][:] == ["one", "two"]
    assert "carriage" not in capsys.readouterr().err
    delimiter = b"," if name == "a.csv" else b"\t"
    (tmp_path / name).write_bytes(b"a\tb\n1\tx\ry\n".replace(b"\t", delimiter))
    with pytest.raises(DataError, match="Expected 2 columns") as caught:
        make("LoadHFDataset", dataset_path=name)()
    assert "a lone carriage return ends a line too, and there is one in line 2" in str(caught.value)
