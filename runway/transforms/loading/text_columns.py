"""What type the texts of a csv column have, told by all of them together."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from runway.log import info
from runway.transforms.loading.column_types import missing_as_null, shown

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_NUMBER = r"^-?(?:(?:0|[1-9][0-9]*)?\.[0-9]+|0|[1-9][0-9]*|[0-9](?:\.[0-9]+)?[eE][+-]?[0-9]+|inf)$"
_LIKE_A_NUMBER = r"^[+-]?(?:0[xX][0-9a-fA-F]+|[0-9][0-9_]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+)$"
_NUMBERS = (None, "int64", "float64")
_BOOLS = ({"true", "false"}, {"True", "False"}, {"TRUE", "FALSE"})
_PROBE = 32  # values that are tried before all: for each that does not fit, Arrow writes an error
_LATE = 1000  # rows of numbers, after which a text is worth a line in the log


class TextColumn:
    """What type the texts of one csv column have: a number only where the text can be had back from the number.

    - int64: whole numbers as Python writes them, up to 64 bits. ``0012``, ``+49``, ``1_000``, ``0x1f`` or 20 digits
      make the column text.
    - float64: decimal numbers, each in its shortest form (``0.5``, ``1.0``, ``1e-05``), or all with the same number of
      decimals (``0.50``, ``1.25``). Versions such as ``1.9`` and ``1.10`` are text, and so are fractions beside whole
      numbers of more than 53 bits. Decimals beyond float64's 17 digits are rounded.
    - bool: ``true`` and ``false`` in one spelling.
    - null: empty in all rows. Among numbers or bools ``NULLS`` are missing values, among texts they are texts.
    - text: all else; dates too.

    Args:
        name: of the column.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows = 0
        self._kind: str | None = None  # of the rows so far: int64, bool, float64, text, or odd: like numbers, but not
        self._spelled = False  # whether a missing value is written as a word
        self._words: set[str] = set()  # of bools
        self._largest = 0  # of the whole numbers
        self._decimals: set[int] = set()
        self._zero: str | None = None  # a number that ends in a zero after others
        self._odd: str | None = None
        self._late: str | None = None

    def see(self, texts: pa.ChunkedArray) -> None:
        """Take in the next rows."""
        import pyarrow.compute as pc

        if self._kind != "text" and len(texts):
            kind = self._kind_of(texts)
            if kind == "text" and self._kind not in (None, "bool") and self.rows > _LATE:
                values = missing_as_null(texts).drop_null()
                numbers = pc.match_substring_regex(values, _LIKE_A_NUMBER)
                self._late = shown(values.filter(pc.invert(numbers))[0].as_py())
            self._kind = _joined(self._kind, kind)
        self.rows += len(texts)

    def _kind_of(self, texts: pa.ChunkedArray) -> str | None:
        import pyarrow as pa

        if self._kind in (None, "int64") and not texts.null_count and self._whole(texts):
            return "int64"
        if self._kind == "float64":
            with suppress(pa.ArrowInvalid):  # some are missing, or no numbers
                return self._fraction(texts)
        values = missing_as_null(texts).drop_null()
        self._spelled = self._spelled or _any_word(texts, values)
        if not len(values):
            return None
        if self._kind in _NUMBERS:
            with suppress(pa.ArrowInvalid):  # not all are numbers
                return "int64" if self._kind != "float64" and self._whole(values) else self._fraction(values)
        return "bool" if self._kind in (None, "bool") and self._bool(values) else self._like_numbers(values)

    def _bool(self, values: pa.ChunkedArray) -> bool:
        import pyarrow.compute as pc

        if not any(values[0].as_py() in words for words in _BOOLS):
            return False
        self._words.update(pc.unique(values).to_pylist())
        return any(self._words <= words for words in _BOOLS)

    def _whole(self, values: pa.ChunkedArray) -> bool:
        """Whether all are whole numbers, as Python writes them."""
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            values.slice(0, _PROBE).cast(pa.int64())
            numbers = values.cast(pa.int64())
        except pa.ArrowInvalid:
            return False
        spelling = Spelling(values)
        if spelling.leading_zero.any() or spelling.letter.any():  # 0012, 0x1f
            return False
        ends = pc.min_max(numbers).as_py()
        self._largest = max(self._largest, abs(ends["min"]), abs(ends["max"]))
        return True

    def _fraction(self, values: pa.ChunkedArray) -> str:
        """float64, or odd. ArrowInvalid where one is no number at all."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values.slice(0, _PROBE).cast(pa.float64())
        numbers = values.cast(pa.float64())
        if pc.any(pc.is_nan(numbers)).as_py():
            raise pa.ArrowInvalid("missing values")
        spelling = Spelling(values)
        plain = spelling.plain
        if plain.any():
            self._see_decimals(values, spelling.decimals, plain & spelling.trailing_zero)
            if plain.all():
                return "float64"
            values = values.filter(pa.array(~plain))
        too_large = pc.and_(pc.is_inf(values.cast(pa.float64())), pc.invert(pc.match_substring(values, "inf")))
        strange = values.filter(pc.or_(too_large, pc.invert(pc.match_substring_regex(values, _NUMBER))))
        if len(strange):
            return self._like_numbers(strange)
        whole = values.filter(pc.match_substring_regex(values, "^-?[0-9]+$"))
        beyond = whole.filter(pc.greater_equal(pc.abs(whole.cast(pa.float64())), 2.0**53))
        if len(beyond):
            self._odd = self._odd or beyond[0].as_py()
            return "odd"
        mantissa = pc.replace_substring_regex(values, "[eE].*", "")
        points = pc.find_substring(mantissa, ".")
        decimals = pc.subtract(pc.subtract(pc.binary_length(mantissa), points), 1)
        zero = pc.match_substring_regex(mantissa, r"\.[0-9]+0$").to_numpy()
        self._see_decimals(values, decimals.filter(pc.greater_equal(points, 0)).to_numpy(), zero)
        return "float64"

    def _see_decimals(self, values: pa.ChunkedArray, decimals: np.ndarray, zero: np.ndarray) -> None:
        """How many digits stand after the point, and where the last of several is a zero."""
        if len(decimals):
            self._decimals.update((int(decimals.min()), int(decimals.max())))
        if self._zero is None and zero.any():
            self._zero = values[int(zero.argmax())].as_py()

    def _like_numbers(self, values: pa.ChunkedArray) -> str:
        import pyarrow.compute as pc

        if not pc.all(pc.match_substring_regex(values, _LIKE_A_NUMBER)).as_py():
            return "text"
        strange = values.filter(pc.invert(pc.match_substring_regex(values, r"^-?(?:0|[1-9][0-9]{0,17})$|^-?[0-9]*\.")))
        self._odd = self._odd or (strange if len(strange) else values)[0].as_py()
        return "odd"

    def decide(self) -> pa.DataType:
        """The type, once all rows were seen."""
        import pyarrow as pa

        if self._kind is None:
            return pa.string() if self._spelled else pa.null()
        if self._kind == "float64":
            if self._zero is not None and len(self._decimals) > 1:
                self._kind, self._odd = "odd", self._zero
            elif self._largest >= 2**53:
                self._kind, self._odd = "odd", str(self._largest)
        return {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}.get(self._kind, pa.string())

    def tell(self, where: str) -> None:
        """Say in the log why a column stays text that looks like one of numbers."""
        self.decide()
        mend = f"column_types: {{{self.name}: 'int64'}} or 'float64' makes it a number"
        if self._kind == "odd":
            info(
                f"{where}: the column {self.name!r} stays text: {self._odd} could not be had back from a number "
                f"({self.rows} rows look like numbers); {mend}"
            )
        elif self._late is not None:
            info(f"{where}: the column {self.name!r} is text: after numbers comes {self._late}; mend it, and {mend}")


class Spelling:
    """How numbers are written, told from the bytes of all of them together: far faster than a look at each.

    ``letter``, ``leading_zero`` (``0012``) and ``trailing_zero`` (``1.10``, not ``1.0``) say which of the values have
    one, ``plain`` which are fractions such as ``0.25``, and ``decimals`` how many digits after the point the
    plain ones have. bool, ``[values]``; int64, ``[plain values]``.

    Args:
        values: texts, not null, that can be read as numbers.
    """

    def __init__(self, values: pa.ChunkedArray) -> None:
        import numpy as np

        texts = values.combine_chunks()
        _, ends, data = texts.buffers()
        offsets = np.frombuffer(ends, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
        characters = np.frombuffer(data, dtype=np.uint8)
        here = characters[offsets[0] : offsets[-1]]

        def those_with(positions: np.ndarray) -> np.ndarray:
            found = np.zeros(len(texts), dtype=bool)
            found[np.searchsorted(offsets, positions, side="right") - 1] = True
            return found

        points = offsets[0] + np.flatnonzero(here == ord("."))
        point = np.ones(len(texts), dtype=bool) if len(points) == len(texts) else those_with(points)
        self.letter = those_with(offsets[0] + np.flatnonzero(here > ord("9")))
        first, last = offsets[:-1], offsets[1:] - 1
        first = first + (characters[first] == ord("-"))
        second = characters[np.minimum(first + 1, last)]
        is_digit = (second >= ord("0")) & (second <= ord("9"))
        self.leading_zero = (characters[first] == ord("0")) & (first < last) & is_digit
        self.trailing_zero = point & (characters[last] == ord("0")) & (characters[last - 1] != ord("."))
        self.plain = point & ~self.letter & ~self.leading_zero & (characters[last] != ord("."))
        self.decimals = (last[point] - points)[self.plain[point]]


def _joined(first: str | None, second: str | None) -> str | None:
    if first is None or second is None or first == second:
        return first or second
    kinds = {first, second}
    if kinds == {"int64", "float64"}:
        return "float64"
    return "odd" if kinds <= {"int64", "float64", "odd"} else "text"


def _any_word(texts: pa.ChunkedArray, values: pa.ChunkedArray) -> bool:
    """Whether a missing value is written as a word, not as nothing."""
    import pyarrow.compute as pc

    return len(values) < len(texts) and pc.sum(pc.equal(texts, "")).as_py() < len(texts) - len(values)


def types_of(columns: Iterable[TextColumn], where: str) -> dict[str, pa.DataType]:
    """The type of each column, and lines in the log for those that stay text although they look like numbers."""
    found = {}
    for column in columns:
        found[column.name] = column.decide()
        column.tell(where)
    return found
