"""Cleaning, filtering and splitting of sentence pairs: what goes, what is said, what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from runway.errors import ConfigError, DataError

Make = Callable[..., Any]


def pairs(*rows: tuple[str | None, str | None]) -> Dataset:
    return Dataset.from_dict({"source": [row[0] for row in rows], "target": [row[1] for row in rows]})


def test_cleaning(make: Make) -> None:
    node = make(
        "CleanPairs",
        replacements=[
            {"pattern": "`", "replacement": "'"},
            {"pattern": r"\[([^\]]*)\]", "replacement": r"\1"},
            {"pattern": r"\(\d+:\d+\)", "side": "source"},
        ],
    )
    cleaned = node(pairs(("(51:4) Tu\u0308r\u00a0 zu ", "don`t [even] (51:4)\t go"), ("gut", "good"), (None, "x")))
    assert cleaned["source"][:] == ["Tür zu", "gut", ""]
    assert cleaned["target"][:] == ["don't even (51:4) go", "good", "x"]
    assert node._runway_reads.notes["changed texts"] == {
        "NFC": 1,
        "replacing `": 1,
        r"replacing \[([^\]]*)\]": 1,
        r"replacing \(\d+:\d+\)": 1,
        "white space": 2,
    }


def test_cleaning_leaves_other_columns_and_splits(make: Make) -> None:
    rows = pairs((" a ", "b")).add_column("book", [3])
    data = make("CleanPairs", splits_to_process=["train"], lowercase=True)(DatasetDict(train=rows, test=rows))
    assert data["train"][0] == {"source": "a", "target": "b", "book": 3}
    assert data["test"][0]["source"] == " a "


def test_settings_of_cleaning_that_cannot_be(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"`unicode_form` must be one of NFC"):
        make("CleanPairs", unicode_form="nfc")
    with pytest.raises(ConfigError, match=r"a replacement must have a pattern"):
        make("CleanPairs", replacements=["x"])
    with pytest.raises(ConfigError, match=r"pattern, replacement and side"):
        make("CleanPairs", replacements=[{"pattern": "x", "side": "de"}])
    for key, rule in (("replacement", {"pattern": "x", "replacement": None}), ("pattern", {"pattern": 3})):
        with pytest.raises(ConfigError, match=rf"`{key}` must be text"):
            make("CleanPairs", replacements=[rule])
    with pytest.raises(ConfigError, match=r"'\(\?=x\)' or its replacement is not right(.|\n)*RE2"):
        make("CleanPairs", replacements=[{"pattern": "(?=x)"}])(pairs(("x", "y")))


ROWS = [
    ("eins zwei", "one two"),
    ("", "empty"),
    ("leer", " "),
    (None, "null"),
    ("a b c d e f", "too long"),
    ("x", "y y y y y"),
    ("ja", "yes of course"),
    ("gleich", "gleich"),
    ("eins zwei", "one two"),
    ("eins zwei", "one, two"),
]


def test_filtering_counts_each_reason(make: Make, capsys: pytest.CaptureFixture) -> None:
    node = make("FilterPairs", max_length=5, max_ratio=2, ratio_slack=2, drop_identical=True)
    data = node(DatasetDict(train=pairs(*ROWS), test=pairs(*ROWS[:1])))
    assert data["train"]["target"][:] == ["one two", "yes of course", "one, two"]
    assert node._runway_reads.notes["filtered"] == {
        "train": {
            "rows": 10,
            "kept": 3,
            "dropped": {
                "with an empty source": 2,
                "with an empty target": 1,
                "longer than 5 words": 1,
                "with a length ratio above 2": 1,
                "with identical sides": 1,
                "duplicates of source, target": 1,
            },
        },
        "test": {"rows": 1, "kept": 1, "dropped": {}},
    }
    assert "train 10 → 3 rows; dropped: 2 with an empty source; 1 with an empty target" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"drop_duplicates": "source"}, 5),
        ({"drop_duplicates": None}, 7),
        ({"min_length": 2}, 3),
        ({"unit": "characters", "max_length": 9}, 4),
        ({"drop_empty": False, "drop_duplicates": None}, 10),
    ],
)
def test_limits(make: Make, settings: dict, kept: int) -> None:
    assert len(make("FilterPairs", **settings)(pairs(*ROWS))) == kept


@pytest.mark.parametrize("not_in_splits", [["test"], "test", "others"])
def test_what_is_tested_is_not_learnt(make: Make, not_in_splits: Any) -> None:
    data = DatasetDict(train=pairs(("a", "1"), ("b", "2"), ("c", "3")), test=pairs(("a", "9"), ("d", "3")))
    node = make("FilterPairs", splits_to_process=["train"], not_in_splits=not_in_splits)
    filtered = node(data)
    assert filtered["train"]["source"][:] == ["b"]
    assert len(filtered["test"]) == 2
    assert node._runway_reads.notes["filtered"]["train"]["dropped"] == {
        "whose source is in test too": 1,
        "whose target is in test too": 1,
    }


def test_a_split_that_is_all_dropped(make: Make) -> None:
    with pytest.raises(DataError, match=r"no pair of the split 'train' is left: {'longer than 1 words': 1}"):
        make("FilterPairs", max_length=1)(DatasetDict(train=pairs(("a b", "c d"))))


def test_no_pair_is_on_both_sides_of_a_random_split(make: Make) -> None:
    rows = pairs(*((f"source {number}", f"target {number % 50}") for number in range(100))).to_dict()
    data = Dataset.from_dict({side: texts * 3 for side, texts in rows.items()})
    divided = make("SplitHFDatasetToTrainTestValidation", test_size=30, valid_size=30, valid_split="valid")(data)
    filtered = make("FilterPairs", splits_to_process=["train"], not_in_splits="others")(divided)
    assert [len(filtered[split]) for split in ("test", "valid")] == [30, 30]
    for side in ("source", "target"):
        held_out = {*filtered["test"][side], *filtered["valid"][side]}
        assert not held_out & set(filtered["train"][side])


def test_settings_of_filtering_that_cannot_be(make: Make) -> None:
    for settings in (
        {"unit": "tokens"},
        {"drop_duplicates": "all"},
        {"max_ratio": 0.5},
        {"not_in_splits": "others"},
    ):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            make("FilterPairs", **settings)


def books() -> Dataset:
    return Dataset.from_dict({"source": list("abcdefgh"), "book": [1, 1, 2, 2, 2, 3, 4, 4]})


def test_splitting_by_chosen_groups(make: Make) -> None:
    rules = {"test": {"values": [2]}, "valid": {"values": [3, 4]}}
    data = make("SplitHFDatasetByRule", group_column="book", splits=rules)(DatasetDict(train=books()))
    assert {name: rows["source"][:] for name, rows in data.items()} == {
        "train": ["a", "b"],
        "test": ["c", "d", "e"],
        "valid": ["f", "g", "h"],
    }


def test_splitting_by_ranges(make: Make) -> None:
    data = make("SplitHFDatasetByRule", splits={"test": {"rows": [-2, None]}, "valid": {"rows": [0, 1]}})(books())
    assert {name: "".join(rows["source"]) for name, rows in data.items()} == {
        "train": "bcdef",
        "test": "gh",
        "valid": "a",
    }


def test_splits_that_cannot_be(make: Make) -> None:
    def split(splits: dict, **settings: Any) -> Any:
        return make("SplitHFDatasetByRule", splits=splits, **settings)(DatasetDict(train=books()))

    with pytest.raises(DataError, match=r"no row has book 9(.|\n)*1, 2, 3, 4"):
        split({"test": {"values": [9]}}, group_column="book")
    with pytest.raises(ConfigError, match=r"'test' and 'valid' have rows in common"):
        split({"test": {"rows": [0, 3]}, "valid": {"rows": [2, 4]}})
    with pytest.raises(DataError, match=r"'train' would be empty"):
        split({"test": {"rows": [0, None]}})
    with pytest.raises(ConfigError, match=r"`group_column` does not say"):
        split({"test": {"values": [1]}})
    for rows in ([700, "x"], [True, 3], [0.5, 3]):
        with pytest.raises(ConfigError, match=r"`rows` must be \[start, stop\](.|\n)*whole numbers"):
            split({"test": {"rows": rows}})
    with pytest.raises(ConfigError, match=r"a rule must be"):
        split({"test": 0.1})
    with pytest.raises(ConfigError, match=r"`splits` must name the splits beside 'train'"):
        split({"train": {"rows": [0, 1]}})


@pytest.mark.parametrize(
    "settings",
    [
        {"splits": {"test": {"values": [8]}, "valid": {"values": [17, 39]}}, "group_column": "book"},
        {"splits": {"test": {"rows": [800, 900]}, "valid": {"rows": [900, None]}}},
        {"splits": {"test": {"values": [1, 2, 3, 4]}, "valid": {"values": [9]}}, "group_column": "book"},
    ],
)
def test_a_split_by_rule_has_rows_in_a_dry_run(make: Make, settings: dict, capsys: pytest.CaptureFixture) -> None:
    node = make("SplitHFDatasetByRule", use_dummy_data=True, **settings)
    data = node(DatasetDict(train=books()))
    assert set(data) == {"train", "test", "valid"}
    assert sorted(row for part in data.values() for row in part["source"]) == list("abcdefgh"), "no row is there twice"
    assert all(len(part) for part in data.values())
    assert "no row of the dummy data is for 'valid'; it takes" in capsys.readouterr().err
    assert node._runway_reads.flags == {"use_dummy_data": True}
    with pytest.raises(DataError):
        make("SplitHFDatasetByRule", **settings)(DatasetDict(train=books()))


@pytest.mark.parametrize(
    "settings", [{"test_size": 1000, "valid_size": 500}, {"test_size": 0.01}, {"test_size": 5, "group_column": "one"}]
)
def test_a_random_split_has_rows_in_a_dry_run(make: Make, settings: dict, capsys: pytest.CaptureFixture) -> None:
    rows = Dataset.from_dict({"source": list(range(40)), "one": [1] * 40})
    data = make("SplitHFDatasetToTrainTestValidation", use_dummy_data=True, **settings)(rows)
    assert {len(data[name]) for name in data if name != "train"} == {4}
    assert "a run with dummy data takes a tenth" in capsys.readouterr().err
    with pytest.raises(DataError):
        make("SplitHFDatasetToTrainTestValidation", **settings)(rows)
    with pytest.raises(DataError, match="no column 'film'"):
        make("SplitHFDatasetToTrainTestValidation", use_dummy_data=True, group_column="film")(rows)


CHINESE = [
    ("He studied Chinese at the university in Beijing yesterday.", "他昨天在北京的大学里学习中文。"),
    ("Let us go for a walk in the park tonight.", "我们今天晚上一起去公园散步吧。"),
    ("I like tea.", "我喜欢喝茶。"),
    ("Yes.", "他昨天在北京的大学里学习中文。我们今天晚上一起去公园散步吧。我喜欢喝茶。"),
]


@pytest.mark.parametrize("languages", [{}, {"source_lang": "en", "target_lang": "zh_CN"}])
@pytest.mark.parametrize("swapped", [False, True])
def test_lengths_where_words_are_not_written(make: Make, capsys: Any, languages: dict, swapped: bool) -> None:
    rows = [row[::-1] for row in CHINESE] if swapped else CHINESE
    side, other = ("source", "target") if swapped else ("target", "source")
    if swapped and languages:
        languages = {"source_lang": "zh_CN", "target_lang": "en"}
    kept = make("FilterPairs", max_ratio=3, max_length=100, **languages)(pairs(*rows))
    assert len(kept) == 3  # all but the last, which is no translation
    told = capsys.readouterr().err
    assert f"lengths of the {side} are in characters, as it is written without spaces between words" in told
    assert f"lengths of the {other}" not in told
    node = make("FilterPairs", max_length=10, **languages)
    assert len(node(pairs(*rows))) == 1
    assert f"longer than 10 words ({side}: characters)" in node._runway_reads.notes["filtered"]["rows"]["dropped"]


def test_both_sides_without_spaces(make: Make) -> None:
    rows = pairs(
        ("我喜欢喝茶。", "お茶が好きです。"),
        ("我喜欢喝茶。", "昨日東京の大学で日本語を勉強しましたが今日は公園に行きます。"),
    )
    node = make("FilterPairs", max_ratio=2, source_lang="zh", target_lang="ja")
    assert len(node(rows)) == 1
    assert len(make("FilterPairs", max_length=7)(rows)) == 0


def test_a_language_with_spaces_counts_words_whatever_its_script(make: Make) -> None:
    korean = pairs(("나는 차를 좋아한다", "I like tea"), ("나는 어제 학교에 갔다", "I went to school yesterday"))
    assert len(make("FilterPairs", max_length=4)(korean)) == 1
    pinyin = pairs(("wo xihuan he cha", "I like tea"))
    assert len(make("FilterPairs", max_length=4, source_lang="zh-Latn", target_lang="en")(pinyin)) == 1


def test_a_filter_that_drops_more_than_half_warns(make: Make, capsys: Any) -> None:
    make("FilterPairs", max_length=1)(pairs(("a", "b"), ("c", "d e"), ("f", "g")))
    assert "warning" not in capsys.readouterr().err
    make("FilterPairs", max_length=1)(pairs(("a", "b"), ("c", "d e"), ("f", "g h")))
    assert "warning: process:FilterPairs: 3 → 1 rows" in capsys.readouterr().err.replace(
        "FilterPairs 3", "FilterPairs: 3"
    )
