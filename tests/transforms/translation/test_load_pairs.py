"""Sentence pairs from every source, and what is said about bad ones."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from runway.errors import ConfigError, DataError
from tests.verses import verses_file

Make = Callable[..., Any]
VERSES = verses_file()
GERMAN = ["Ein Hund rennt.", "Zwei Katzen schlafen.", "Es regnet."]
ENGLISH = ["A dog runs.", "Two cats sleep.", "It rains."]


@pytest.fixture
def load(make: Make) -> Callable[..., DatasetDict]:
    def load_pairs(use_dummy_data: bool = False, **settings: Any) -> DatasetDict:
        settings = {"source_lang": "de", "target_lang": "en", **settings}
        return make("LoadParallelText", use_dummy_data=use_dummy_data, **settings)(None)

    return load_pairs


def write(path: Path, lines: Sequence[str], encoding: str = "utf-8") -> None:
    data = "".join(f"{line}\n" for line in lines).encode(encoding)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_pairs(folder: Path, *parts: str, ending: str = ".gz") -> None:
    for part in parts:
        write(folder / f"{part}.de{ending}", GERMAN)
        write(folder / f"{part}.en{ending}", ENGLISH)


def assert_is_the_pairs(pairs: Dataset) -> None:
    assert pairs["source"][:] == GERMAN
    assert pairs["target"][:] == ENGLISH


@pytest.mark.parametrize("ending", [".gz", ""])
def test_two_files_for_each_split(tmp_path: Path, load: Callable, ending: str) -> None:
    write_pairs(tmp_path / "data", "train", "val", "test_2016", "test_2017", ending=ending)
    data = load(data_path="data", splits={"train": "train", "valid": "val", "test": "test_2016"})
    assert list(data) == ["train", "valid", "test"]
    for pairs in data.values():
        assert_is_the_pairs(pairs)
    assert data["train"]["origin"][:] == [f"train.de{ending}:{line}" for line in (1, 2, 3)]
    assert set(load(data_path="data")) == {"train", "val", "test_2016", "test_2017"}


def test_two_files_by_name_and_the_other_way_round(tmp_path: Path, load: Callable) -> None:
    write_pairs(tmp_path, "a")
    assert_is_the_pairs(load(data_path={"train": ["a.de.gz", "a.en.gz"]})["train"])
    assert_is_the_pairs(load(data_path=["a.de.gz", "a.en.gz"])["train"])
    turned = load(source_lang="en", target_lang="de", data_path=".")["a"]
    assert (turned["source"][:], turned["target"][:]) == (ENGLISH, GERMAN)


def test_lines_end_with_line_feeds_alone(tmp_path: Path, load: Callable) -> None:
    write(tmp_path / "a.de", ["eins\u2028zwei\x85drei", "vier\r"])
    write(tmp_path / "a.en", ["\ufeffone two three", "four"])
    pairs = load(data_path=".")["a"]
    assert pairs["source"][:] == ["eins\u2028zwei\x85drei", "vier"]
    assert pairs["target"][:] == ["one two three", "four"]


def test_the_first_pair_is_told(tmp_path: Path, load: Callable, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "pairs.tsv", ["german\tenglish", "Ein Hund rennt.\tA dog runs."])
    load(data_path="pairs.tsv")
    assert "train 2 pairs; the first: 'german' → 'english'" in capsys.readouterr().err


def test_a_language_that_the_folder_does_not_hold(tmp_path: Path, load: Callable) -> None:
    write_pairs(tmp_path / "data", "train")
    with pytest.raises(DataError, match=r"no file in 'fr', only one in 'en': train\.en\.gz"):
        load(data_path="data", source_lang="fr")
    with pytest.raises(ConfigError, match="the same language, 'en'"):
        load(data_path="data", source_lang="en")


def test_unequal_numbers_of_lines(tmp_path: Path, load: Callable) -> None:
    write(tmp_path / "train.de", GERMAN)
    write(tmp_path / "train.en", ENGLISH[:2])
    with pytest.raises(DataError, match=r"train.de has 3 lines, but train.en has 2") as caught:
        load(data_path=".")
    assert "train.de, line 3" in str(caught.value)
    assert "Es regnet." in str(caught.value)


def test_a_file_that_is_not_utf8(tmp_path: Path, load: Callable) -> None:
    write(tmp_path / "train.de", [*GERMAN, "Tür"], encoding="latin-1")
    write(tmp_path / "train.en", [*ENGLISH, "door"])
    with pytest.raises(DataError, match=r"not valid utf-8: byte 0xfc at offset \d+, line 4") as caught:
        load(data_path=".")
    assert "train.de" in str(caught.value)
    write(tmp_path / "train.en", [*ENGLISH, "door"], encoding="latin-1")
    assert load(data_path=".", encoding="latin-1")["train"]["source"][3] == "Tür"


def test_a_file_that_is_missing_or_cut_short(tmp_path: Path, load: Callable) -> None:
    write_pairs(tmp_path / "data", "train")
    (tmp_path / "data/train.en.gz").unlink()
    with pytest.raises(DataError, match=r"no file 'train.en'.*") as caught:
        load(data_path="data")
    assert "train.de.gz" in str(caught.value)
    with pytest.raises(DataError, match=r"no file or folder 'dat'(.|\n)*did you mean 'data'"):
        load(data_path="dat")
    with pytest.raises(DataError, match=r"no file 'tset.de'"):
        load(data_path="data", splits={"test": "tset"})
    whole = gzip.compress("\n".join(f"Satz {n}" for n in range(999)).encode())
    (tmp_path / "data/train.en.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"'train.en.gz' cannot be read"):
        load(data_path="data")


def test_an_empty_side(tmp_path: Path, load: Callable) -> None:
    write(tmp_path / "train.de", GERMAN)
    write(tmp_path / "train.en", ["", " ", ""])
    with pytest.raises(DataError, match=r"the target side \(en\) of the split 'train' is empty"):
        load(data_path=".")
    (tmp_path / "train.en").write_bytes(b"")
    with pytest.raises(DataError, match=r"'train.en' is empty"):
        load(data_path=".")
    write(tmp_path / "train.en", ["A dog runs.", "", "It rains."])
    assert load(data_path=".")["train"]["target"][1] == "", "one empty line is for FilterPairs"


def test_a_table(load: Callable) -> None:
    by_name = load(data_path=str(VERSES), columns=["de", "en"], keep_columns=["book"])["train"]
    assert len(by_name) == 400
    assert set(by_name.column_names) == {"source", "target", "origin", "book"}
    assert by_name["origin"][0] == "verses.tsv:2"
    by_number = load(data_path=str(VERSES), columns=[1, 0])["train"]
    assert len(by_number) == 401
    assert by_number["source"][1:] == by_name["target"][:]
    assert len(load(use_dummy_data=True, data_path=str(VERSES), dummy_rows=7)["train"]) == 7


def test_a_table_with_bad_rows(tmp_path: Path, make: Make, load: Callable) -> None:
    write(
        tmp_path / "fra.txt", ["Go.\tVa !\tCC-BY 2.0", 'Say "hi.\tDis « salut ».\tCC-BY 2.0', "Run!", "Wait.\tAttends."]
    )
    with pytest.raises(DataError, match=r"line 3 of 'fra.txt' has 1 columns, but 2 are needed: 'Run!'") as caught:
        load(data_path="fra.txt")
    assert "fra.txt, line 3" in str(caught.value)
    node = make("LoadParallelText", source_lang="en", target_lang="fr", data_path="fra.txt", on_bad_row="drop")
    pairs = node(None)["train"]
    assert pairs["source"][:] == ["Go.", 'Say "hi.', "Wait."], "a quote is a character like any other"
    assert pairs["origin"][2] == "fra.txt:4"
    assert node._runway_reads.notes == {"rows with too few columns in fra.txt": 1, "pairs": {"train": 3}}
    with pytest.raises(DataError, match=r"no column 'english' in the first line"):
        load(data_path="fra.txt", columns=["english", "french"])


TABLE = [f"{german}\t{english}" for german, english in zip(GERMAN, ENGLISH, strict=True)]


@pytest.mark.parametrize("name", ["J.TSV", "j.Txt.GZ", "j.tsv.gz"])
def test_a_table_by_its_name_in_any_case(tmp_path: Path, load: Callable, name: str) -> None:
    data = "\n".join([*TABLE, '"Hallo\tHello', 'Nein"\tNo']).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.lower().endswith(".gz") else data)
    pairs = load(data_path=name)["train"]
    assert pairs["source"][:] == [*GERMAN, '"Hallo', 'Nein"']
    assert pairs["origin"][3] == f"{name}:4"


def test_a_folder_of_tables(tmp_path: Path, load: Callable) -> None:
    write(tmp_path / "data/train-1.tsv", ["de\ten", *TABLE, '"Hallo\tHello'])
    write(tmp_path / "data/train-2.tsv", ["en\tde", 'No\tNein"'])
    write(tmp_path / "data/dev.TSV", ["de\ten", *TABLE])
    data = load(data_path="data", columns=["de", "en"])
    assert data["train"]["source"][:] == [*GERMAN, '"Hallo', 'Nein"'], "a quote is a character like any other"
    assert data["train"]["origin"][3:] == ["train-1.tsv:5", "train-2.tsv:2"]
    assert_is_the_pairs(data["validation"])
    chosen = load(data_path="data", columns=["de", "en"], splits={"train": "train[:2]", "valid": "validation"})
    assert {split: len(pairs) for split, pairs in chosen.items()} == {"train": 2, "valid": 3}
    few = load(True, data_path="data", columns=["de", "en"], dummy_rows=5)
    assert few["train"]["source"][:] == [*GERMAN, '"Hallo', 'Nein"']
    write(tmp_path / "data/test.tsv", ["de\ten", "Ja"])
    with pytest.raises(DataError, match=r"line 2 of 'test.tsv' has 1 columns"):
        load(data_path="data", columns=["de", "en"])


def test_with_options_of_csv_a_table_is_read_by_its_rules(tmp_path: Path, load: Callable) -> None:
    write(tmp_path / "a.tsv", ["de\ten", '"Ein\tHund"\tA dog'])
    pairs = load(data_path="a.tsv", load_kwargs={"quotechar": '"'})["train"]
    assert pairs[0] == {"source": "Ein\tHund", "target": "A dog", "origin": "a.tsv:1"}


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.parquet", "x.tsv", "x.pairs"])
def test_a_file_for_each_split(tmp_path: Path, load: Callable, name: str) -> None:
    rows = Dataset.from_dict({"de": GERMAN, "en": ENGLISH})
    if name.endswith((".tsv", ".pairs")):
        write(tmp_path / name, TABLE)
    else:
        {"jsonl": rows.to_json, "csv": rows.to_csv, "parquet": rows.to_parquet}[name.split(".")[1]](tmp_path / name)
    data = load(data_path={"test": name})
    assert_is_the_pairs(data["test"])
    assert data["test"]["origin"][2] == f"{name}:3"


def test_the_place_of_a_row_in_a_folder_of_files(tmp_path: Path, load: Callable) -> None:
    for number in range(3):
        rows = Dataset.from_dict({"de": [GERMAN[number], "."], "en": [ENGLISH[number], "."]})
        (tmp_path / "fold").mkdir(exist_ok=True)
        rows.to_json(tmp_path / f"fold/train-{number}.jsonl")
    pairs = load(data_path="fold")["train"]
    assert pairs["source"][::2] == GERMAN
    assert pairs["origin"][:] == [f"train-{number}.jsonl:{line}" for number in range(3) for line in (1, 2)]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "bible.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE verse (lang TEXT, book INTEGER, number INTEGER, text TEXT)")
    for language, texts in (("de", GERMAN), ("en", ENGLISH)):
        rows = [(language, 1 + number // 2, number, text) for number, text in enumerate(texts)]
        connection.executemany("INSERT INTO verse VALUES (?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return path


QUERY = """
    SELECT s.text AS source, t.text AS target, s.book AS book FROM verse s JOIN verse t USING (number)
    WHERE s.lang = :from AND t.lang = :into ORDER BY number
"""


def test_a_database(database: Path, load: Callable) -> None:
    settings = {"data_path": "bible.db", "query_parameters": {"from": "de", "into": "en"}}
    pairs = load(query=QUERY, **settings)["train"]
    assert_is_the_pairs(pairs)
    assert pairs["book"][:] == [1, 1, 2]
    assert pairs["origin"][2] == "bible.db:3"
    with pytest.raises(ConfigError, match=r"`query` does not say"):
        load(**settings)
    with pytest.raises(ConfigError, match=r"no such table: verses(.|\n)*verse"):
        load(query="SELECT * FROM verses", **settings)
    with pytest.raises(DataError, match=r"gives no column 'target'"):
        load(query="SELECT text AS source FROM verse", data_path="bible.db")


@pytest.mark.parametrize("query", ["", ";", "  ", "\n;;", "-- all verses", "/* all */ ;"])
def test_a_query_that_asks_for_nothing(database: Path, load: Callable, query: str) -> None:
    with pytest.raises(ConfigError, match=r"`query` does not say|the query gives nothing"):
        load(data_path="bible.db", query=query)


def test_a_query_that_names_what_is_taken(database: Path, load: Callable) -> None:
    with pytest.raises(ConfigError, match=r"a column 'origin'(.|\n)*another name: SELECT origin AS"):
        load(data_path="bible.db", query="SELECT text AS source, text AS target, number AS origin FROM verse")


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM verse", "ATTACH DATABASE 'other.db' AS other", "PRAGMA user_version = 3", "CREATE TABLE x (y)"],
)
def test_a_query_only_reads(database: Path, load: Callable, statement: str) -> None:
    before = database.read_bytes()
    with pytest.raises(ConfigError, match=r"only a SELECT is allowed"):
        load(data_path="bible.db", query=statement)
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == ["bible.db"]


def test_a_database_that_is_none_or_not_utf8(tmp_path: Path, database: Path, load: Callable) -> None:
    (tmp_path / "text.db").write_text("not a database")
    with pytest.raises(DataError, match=r"'text.db' is not an SQLite database"):
        load(data_path="text.db", query="SELECT 1")
    connection = sqlite3.connect(database)
    connection.execute("INSERT INTO verse VALUES ('de', 3, 9, CAST(X'54fc72' AS TEXT))")
    connection.commit()
    connection.close()
    with pytest.raises(DataError, match=r"text that is not UTF-8"):
        load(data_path="bible.db", query="SELECT text AS source, text AS target FROM verse")


def test_a_hf_dataset_with_translations(tmp_path: Path, load: Callable) -> None:
    rows = [{"translation": {"de": german, "en": english}} for german, english in zip(GERMAN, ENGLISH, strict=True)]
    DatasetDict(train=Dataset.from_list(rows), test=Dataset.from_list(rows[:1])).save_to_disk(tmp_path / "saved")
    data = load(data_path="saved", splits={"train": "train[1:]", "valid": "train[:1]", "test": "test"})
    assert {split: len(pairs) for split, pairs in data.items()} == {"train": 2, "valid": 1, "test": 1}
    assert data["train"][0] == {"source": GERMAN[1], "target": ENGLISH[1], "origin": "saved/train:1"}
    with pytest.raises(DataError, match=r"the data has no 'ro'(.|\n)*de(.|\n)*en"):
        load(source_lang="ro", data_path="saved")


def test_a_hf_dataset_with_a_column_for_each_language(tmp_path: Path, load: Callable) -> None:
    Dataset.from_dict({"de": GERMAN, "en": [*ENGLISH[:2], None], "id": [1, 2, 3]}).to_parquet(
        tmp_path / "train.parquet"
    )
    pairs = load(data_path="train.parquet", keep_columns={"number": "id"})["train"]
    assert pairs["target"][:] == [*ENGLISH[:2], ""]
    assert pairs["number"][:] == [1, 2, 3]
    with pytest.raises(DataError, match=r"the target must be text, but is int64"):
        load(data_path="train.parquet", columns=["de", "id"])


def test_settings_that_cannot_be(load: Callable) -> None:
    with pytest.raises(ConfigError, match=r"one of `data_path` and `dataset_name`"):
        load()
    with pytest.raises(ConfigError, match=r"`columns` must name"):
        load(data_path="a.tsv", columns=[0])
    with pytest.raises(ConfigError, match=r"`on_bad_row` must be"):
        load(data_path="a.tsv", on_bad_row="skip")


@pytest.mark.parametrize(
    ("data_path", "settings", "message"),
    [
        ("a.tsv", {"splits": {"train": "train[:2]"}}, r"`splits` does not apply to a table(.|\n)*dataset.split"),
        ({"train": "a.tsv"}, {"splits": ["train"]}, r"`splits` does not apply to a table"),
        (["p.de", "p.en"], {"splits": ["train"]}, r"`splits` does not apply to two files"),
        (["p.de", "p.en"], {"columns": [0, 1]}, r"`columns` does not apply to two files(.|\n)*lines have no columns"),
        ({"train": ["p.de", "p.en"]}, {"keep_columns": ["book"]}, r"`keep_columns` does not apply to two files"),
        ("pairs", {"columns": ["de", "en"]}, r"`columns` does not apply to a folder of pairs"),
        ("pairs", {"query": "SELECT 1"}, r"`query` does not apply to a folder of pairs"),
        (["p.de", "p.en"], {"query": "SELECT 1"}, r"`query` does not apply to two files"),
        ("a.tsv", {"query_parameters": {"a": 1}}, r"`query_parameters` does not apply to a table"),
        ("bible.db", {"query": QUERY, "columns": [0, 1]}, r"`columns` does not apply to a database(.|\n)*AS source"),
        ("bible.db", {"query": QUERY, "splits": ["train"]}, r"`splits` does not apply to a database"),
        ({"train": "bible.db"}, {}, r"the database 'bible.db' cannot be one split(.|\n)*`query`"),
    ],
)
def test_a_setting_that_means_nothing_there(
    tmp_path: Path, database: Path, load: Callable, data_path: Any, settings: dict, message: str
) -> None:
    write(tmp_path / "a.tsv", TABLE)
    write_pairs(tmp_path, "p", ending="")
    write_pairs(tmp_path / "pairs", "train", ending="")
    with pytest.raises(ConfigError, match=message):
        load(data_path=data_path, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": [0, -1]}, r"`columns` must name(.|\n)*numbers from 0"),
        ({"columns": [None, 1]}, r"`columns` must name"),
        ({"columns": [True, 1]}, r"`columns` must name"),
        ({"keep_columns": {"book": -3}}, r"`keep_columns` cannot keep -3 as 'book'"),
        ({"keep_columns": ["origin"]}, r"`keep_columns` cannot keep 'origin' as 'origin'"),
        ({"keep_columns": {"source": 3}}, r"`keep_columns` cannot keep 3 as 'source'"),
        ({"data_path": {"train": None}}, r"the split 'train' of `data_path` must be a file(.|\n)*is None"),
        ({"data_path": {"train": ["a.de", None]}}, r"the split 'train' of `data_path` must be a file"),
        ({"data_path": [1, 2]}, r"the split 'train' of `data_path` must be a file"),
    ],
)
def test_values_that_cannot_be(load: Callable, settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(**{"data_path": "a.tsv", **settings})
