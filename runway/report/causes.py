"""What may differ between two runs, one thing a Cause, and all of them found so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from runway.config.overrides import format_path
from runway.config.reads import ABSENT
from runway.masking import MASK

Place = tuple[str | int, ...]

CODE, SETTING, SEED, FILE, DATA, FLAG = "code", "setting", "seed", "file", "data", "flag"
RANKS, RESUMED, PACKAGE = "ranks", "resumed", "package"
PYTHON, PLATFORM, THREADS, COMMIT = "python", "platform", "threads", "commit"
_ORDER = (CODE, SETTING, SEED, FILE, DATA, FLAG, RANKS, RESUMED, PACKAGE, PYTHON, PLATFORM, THREADS, COMMIT)
SEED_PLACE: Place = ("meta", "seed")


@dataclass
class Cause:
    """One thing that differs.

    Attributes:
        kind: ``code``, ``setting``, ``seed``, ``file``, ``data`` (a node whose reason is not recorded), ``flag``,
            ``ranks``, ``resumed``, ``package``, ``python``, ``platform``, ``threads``, ``commit``.
        name: of the function or class, the path of the setting, the file, the package.
        before: in the first run; ABSENT where it has no such thing, None where only a digest is known.
        after: in the second.
        also: other settings that differ in the same way, as a config derives one from another.
        nodes: the data nodes whose output it may change, each with another key for it.
        training: whether the training has another key for it.
        test: whether the test is another one, whatever the training is.
        evaluation: whether the metrics are computed in another way.
        counts: whether it is in a key: else nodes, training and test are those whose code uses it.
    """

    kind: str
    name: str
    before: Any = None
    after: Any = None
    also: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    training: bool = False
    test: bool = False
    evaluation: bool = False
    counts: bool = True

    @property
    def reaches(self) -> list[str]:
        """What it changes, in words."""
        words = [*self.nodes, *(["the training"] if self.training else [])]
        if not self.training:  # which changes all that comes after it
            words += [word for word, has in (("the test", self.test), ("the evaluation", self.evaluation)) if has]
        return words

    def plain(self) -> dict[str, Any]:
        """For JSON: a side that is absent is left out."""
        sides = {"before": self.before, "after": self.after}
        found = {name: value for name, value in vars(self).items() if name not in ("before", "after", "counts")}
        return {**found, **{k: v for k, v in sides.items() if v is not ABSENT}, "in_keys": self.counts}


@dataclass(frozen=True)
class Blame:
    """The differences between two runs.

    Attributes:
        runs: their names.
        causes: what differs and is in a key, or in a setting.
        beside: what differs and is in no key.
        unknown: what the records do not tell, a sentence each.
    """

    runs: tuple[str, str]
    causes: list[Cause]
    beside: list[Cause]
    unknown: list[str]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        found = [cause.plain() for cause in (*self.causes, *self.beside)]
        return {"runs": list(self.runs), "differences": found, "unknown": self.unknown}


class Found:
    """The causes so far, each once."""

    def __init__(self) -> None:
        self._causes: dict[tuple[str, str], Cause] = {}

    def add(self, kind: str, name: str, before: Any = None, after: Any = None) -> Cause:
        """The cause of this kind and name; the first to tell its sides is believed."""
        return self._causes.setdefault((kind, name), Cause(kind, name, before, after))

    def setting(self, place: Place, before: Any, after: Any) -> Cause:
        """A setting; the seed has a kind of its own."""
        return self.add(SEED if place == SEED_PLACE else SETTING, format_path(place), _shown(before), _shown(after))

    def causes(self) -> list[Cause]:
        """All, by kind."""
        return sorted(self._causes.values(), key=lambda one: (_ORDER.index(one.kind), one.name))


def _shown(value: Any) -> Any:
    """A value as a config shows it: what a key holds of a secret is no news to anybody."""
    return MASK if isinstance(value, str) and value.startswith(MASK) else value
