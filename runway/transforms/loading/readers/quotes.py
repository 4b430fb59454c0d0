"""Watches a csv file go by: what stands where it may not be has swallowed text or lines, or breaks lines in two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_AT_A_TIME = 1 << 18  # bytes: what numpy makes of them stays in the processor's cache


@dataclass(frozen=True)
class StrayQuote:
    """A quoted field that does not end where a field ends.

    Args:
        line: where it begins, from 1.
        lines: how many line ends it took in.
        ended: whether it ends at all before the file does.
    """

    line: int
    lines: int
    ended: bool = True


class QuoteWatch:
    """Finds quoted fields whose closing quote is followed by text, and the one that the file's end leaves open; and
    lone carriage returns, which Arrow takes for line ends, among line feeds.

    A quote opens a field only at its beginning; elsewhere it is text, as Arrow's parser has it. Quotes in a quoted
    field are doubled. Well-formed pieces go through numpy, in a fraction of the time that parsing takes.

    Args:
        delimiter: between fields, one ASCII character.
        quote: one ASCII character; or empty where quotes are text.
    """

    def __init__(self, delimiter: str, quote: str) -> None:
        import numpy as np

        self._quote = quote.encode()
        self._around = {ord(delimiter), 10, 13}
        # Where the character before an opening quote, or after a closing one, says that it is in its place. A quote
        # beside it is the other half of a doubled one, which opens what the first half has closed.
        self._in_place = np.zeros(256, dtype=bool)
        self._in_place[[*self._around, *self._quote]] = True
        self._carried = b""  # quotes at the end of a piece: what they are, the next one says
        self._before = 10
        self._inside = False
        self._opened = 1  # the line of the quote that opened the field that is open
        self._line = 1  # of the piece's first character
        self.found: list[StrayQuote] = []
        self.lone_returns = 0  # outside of quoted fields
        self.first_return = 0  # its line
        self.any_quotes = False

    @property
    def broken_lines(self) -> int:
        """How many lone carriage returns there are in a file whose lines end otherwise."""
        return self.lone_returns if self._line > 2 else 0

    def see(self, piece: bytes) -> None:
        """The next piece of the file; an empty one is its end."""
        for start in range(0, len(piece), _AT_A_TIME):
            self._see(piece[start : start + _AT_A_TIME])
        if not piece:
            self._see(b"\n")  # closes a quote at the very end
            if self._inside:
                self.found.append(StrayQuote(self._opened, self._line - 1 - self._opened, ended=False))

    def _see(self, piece: bytes) -> None:
        import numpy as np

        body = self._carried + piece if self._carried else piece
        inside, quotes = self._inside, None
        if self._quote and self._quote in body:
            self.any_quotes = True
            whole, body = body, body.rstrip(self._quote)
            self._carried = whole[len(body) :]
            if not body:
                return
            characters = np.frombuffer(body, dtype=np.uint8)
            quotes = np.flatnonzero(characters == self._quote[0])
            opening, closing = (quotes[1::2], quotes[::2]) if self._inside else (quotes[::2], quotes[1::2])
            before = characters[opening - 1]
            if len(opening) and opening[0] == 0:
                before[0] = self._before
            if self._in_place[before].all() and self._in_place[characters[closing + 1]].all():
                self._pass_well_formed(body, quotes)
            else:
                self._walk(body)
        if b"\r" in body:
            self._count_returns(body, quotes, inside)
        self._line += body.count(b"\n")
        self._before = body[-1]

    def _count_returns(self, body: bytes, quotes: np.ndarray | None, inside: bool) -> None:
        import numpy as np

        characters = np.frombuffer(body, dtype=np.uint8)
        returns = np.flatnonzero(characters[:-1] == 13)  # one at the end is at the beginning of a line end, mostly
        lone = returns[characters[returns + 1] != 10]
        if len(lone):
            before = np.searchsorted(quotes, lone) if quotes is not None else np.zeros(len(lone), dtype=np.int64)
            lone = lone[before % 2 == (1 if inside else 0)]
        if len(lone) and not self.lone_returns:
            self.first_return = self._line + body[: lone[0]].count(b"\n")
        self.lone_returns += len(lone)

    def _pass_well_formed(self, body: bytes, quotes: np.ndarray) -> None:
        self._inside ^= len(quotes) % 2 == 1
        last = len(quotes) - 1
        while last >= 1 and quotes[last] == quotes[last - 1] + 1:  # doubled: the field was opened before it
            last -= 2
        if self._inside and last >= 0:
            self._opened = self._line + body[: quotes[last]].count(b"\n")

    def _walk(self, body: bytes) -> None:
        """A piece with a quote out of place, quote by quote."""
        position = counted = 0
        line = self._line  # of the character `counted`
        while (at := body.find(self._quote, position)) >= 0:
            position = at + 1
            if not self._inside:
                if (body[at - 1] if at else self._before) in self._around:
                    line, counted = line + body.count(b"\n", counted, at), at
                    self._inside, self._opened = True, line
            elif body[at + 1] == self._quote[0]:
                position = at + 2
            else:
                self._inside = False
                if body[at + 1] not in self._around:
                    line, counted = line + body.count(b"\n", counted, at), at
                    self.found.append(StrayQuote(self._opened, line - self._opened))
