"""What touches the disk: the file for what outgrows memory, the digest of rows."""

from __future__ import annotations

import datetime
import decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from runway.disk import ArrowDigest, SpillFile

if TYPE_CHECKING:
    from pathlib import Path

DAY = datetime.date(2020, 1, 2)
COLUMNS = {
    "bool": pa.array([True, None, False, True]),
    "text": pa.array(["é", None, "", "ab"]),
    "large text": pa.array(["é", None, "", "ab"], pa.large_string()),
    "lists": pa.array([[1, 2], None, [], [None]]),
    "fixed lists": pa.array([[1, 2], None, [3, 4], [5, None]], pa.list_(pa.int64(), 2)),
    "large lists": pa.array([["a"], None, [], [None]], pa.large_list(pa.string())),
    "structs": pa.array([{"a": 1, "b": ["x"]}, None, {"a": None, "b": []}, {"a": 2, "b": None}]),
    "times": pa.array([datetime.datetime(2020, 1, 2), None, datetime.datetime(1999, 1, 1), None]),
    "days": pa.array([DAY, None, DAY, DAY]),
    "decimals": pa.array([decimal.Decimal("1.5"), None, decimal.Decimal("2.5"), None]),
    "codes": pa.array(["a", "b", None, "a"]).dictionary_encode(),
    "maps": pa.array([[("a", 1)], None, [], [("b", 2)]], pa.map_(pa.string(), pa.int64())),
    "nothing": pa.nulls(4),
}


def digest_of(*arrays: pa.Array) -> bytes:
    digest = ArrowDigest()
    for array in arrays:
        digest.add("column", array)
    return digest.digest()


@pytest.mark.parametrize("name", COLUMNS)
def test_a_digest_is_the_same_however_the_rows_are_cut(name: str) -> None:
    array = COLUMNS[name]
    whole = digest_of(array)
    assert digest_of(array.slice(0, 1), array.slice(1, 2), array.slice(3)) == whole
    assert digest_of(pa.chunked_array([array.slice(0, 3), array.slice(3)])) == whole
    assert digest_of(array.slice(0, 3)) != whole


def test_a_digest_sees_types_and_what_moved_between_rows() -> None:
    digests = {name: digest_of(array) for name, array in COLUMNS.items()}
    digests |= {str(values): digest_of(pa.array(values)) for values in (["ab", "c"], ["a", "bc"], [["a"], ["b"]])}
    digests |= {str(values): digest_of(pa.array(values)) for values in ([["a", "b"], []], [0, 1], [0.0, 1.0])}
    assert len(set(digests.values())) == len(digests)


@pytest.mark.parametrize("named", [True, False])
def test_a_spill_file_gives_back_each_stretch(named: bool, tmp_path: Path) -> None:
    file = SpillFile(tmp_path / "rows" if named else None)
    stretches = [b"x" * 5, b"", b"y" * 70_000]
    starts = [file.append(stretch) for stretch in stretches]
    for start, stretch in zip(starts, stretches, strict=True):
        assert file.read(start, len(stretch)).to_pybytes() == stretch
    with pytest.raises(OSError, match="shorter than what was written"):
        file.read(starts[-1], 70_001)
    assert [path.name for path in tmp_path.iterdir()] == (["rows"] if named else [])
