"""The space of a sweep: which values each config path takes, and the points that are made of them."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from runway.config.literals import parse_value
from runway.config.overrides import Path, format_path, parse_override
from runway.errors import ConfigError, must_be

SEED: Path = ("meta", "seed")
MOST_POINTS = 100_000
_FIELDS = ("low", "high", "log", "step")

Point = dict[str, Any]
"""{config path as an override's key: value}."""


class Choice(NamedTuple):
    """A parameter that takes one of some values, of any kind."""

    path: str
    values: tuple[Any, ...]

    @property
    def size(self) -> int | None:
        """How many values there are; None: as many as one likes."""
        return len(self.values)

    def listed(self) -> tuple[Any, ...]:
        """All values, for a grid."""
        return self.values

    def draw(self, generator: random.Random) -> Any:
        """One of the values."""
        return generator.choice(self.values)

    def ends(self) -> tuple[Any, ...]:
        """The values to check before anything runs."""
        return self.values


class Range(NamedTuple):
    """A parameter that takes a number from ``low`` to ``high``, both included: a whole one where both are whole.

    Attributes:
        path: the config path.
        low: the least.
        high: the greatest.
        log: drawn so that each power of ten is as likely as another.
        step: only ``low``, ``low + step``, … are taken.
    """

    path: str
    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 1))

    @property
    def size(self) -> int | None:
        """How many values there are; None: as many as one likes."""
        if self.step is not None:
            return math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return int(self.high - self.low) + 1 if self.is_whole else None

    def listed(self) -> tuple[Any, ...]:
        """All values, for a grid.

        Raises:
            ConfigError: there is no step.
        """
        if self.step is None:
            message = f"a grid needs the values of {self.path}, but has a range without `step`"
            hint = "add `step`, list the values, or take --random N or --tpe N"
            raise ConfigError(message, where=f"sweep.parameters.{self.path}", hint=hint)
        return tuple(self._rounded(self.low + number * self.step) for number in range(self.size or 0))

    def draw(self, generator: random.Random) -> Any:
        """A number of the range."""
        if self.step is not None:
            return self._rounded(self.low + generator.randrange(self.size or 1) * self.step)
        if self.log:
            low, high = (self.low - 0.5, self.high + 0.5) if self.is_whole else (self.low, self.high)
            drawn = math.exp(generator.uniform(math.log(low), math.log(high)))
            return min(max(round(drawn), int(self.low)), int(self.high)) if self.is_whole else float(f"{drawn:.6g}")
        if self.is_whole:
            return generator.randint(int(self.low), int(self.high))
        return float(f"{generator.uniform(self.low, self.high):.6g}")

    def ends(self) -> tuple[Any, ...]:
        """The values to check before anything runs."""
        return (self.low, self.high)

    def _rounded(self, value: float) -> Any:
        return int(value) if self.is_whole else float(f"{value:.12g}")


Parameter = Choice | Range


class Space(NamedTuple):
    """What a sweep goes over.

    Attributes:
        parameters: all but the seed.
        seeds: the values of ``meta.seed`` that each point is trained with; empty: the config's own.
    """

    parameters: tuple[Parameter, ...]
    seeds: tuple[int, ...] = ()

    @property
    def size(self) -> int | None:
        """How many points there are; None where that is as many as one likes."""
        counts = [parameter.size for parameter in self.parameters]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    def grid(self) -> list[Point]:
        """Every combination, the last parameter turning fastest.

        Raises:
            ConfigError: there are too many, or a range without a step.
        """
        listed = [parameter.listed() for parameter in self.parameters]
        count = math.prod(len(values) for values in listed)
        must_be(count <= MOST_POINTS, "the grid", f"of {MOST_POINTS:,} points at most", count, where="sweep.parameters")
        names = [parameter.path for parameter in self.parameters]
        return distinct(dict(zip(names, values, strict=True)) for values in itertools.product(*listed))

    def drawn(self, seed: int) -> Iterator[Point]:
        """Points drawn at random, each once, the same ones each time; ends where the space has no more.

        A parameter's draws depend on nothing but itself: where another one gets a value more, they stay.
        """
        seen: set[str] = set()
        most = None if self.size is None else self.count_distinct()
        for number in itertools.count():
            if most is not None and len(seen) >= most:
                return
            point = {
                parameter.path: parameter.draw(random.Random(f"{seed} {number} {parameter.path}"))  # noqa: S311 (points, no keys)
                for parameter in self.parameters
            }
            if canonical(point) not in seen:
                seen.add(canonical(point))
                yield point

    def count_distinct(self) -> int:
        """How many points there are without duplicates, as far as anybody may draw them."""
        if (self.size or 0) > MOST_POINTS:
            return MOST_POINTS
        lists = [
            range(int(one.low), int(one.high) + 1) if isinstance(one, Range) and one.step is None else one.listed()
            for one in self.parameters
        ]
        return math.prod(len({canonical({"": value}) for value in values}) for values in lists)


def canonical(point: Mapping[str, Any]) -> str:
    """Text that two points share where they are the same: 1 and 1.0 are, as in jsonnet."""
    plain = {key: _number_as_jsonnet(value) for key, value in point.items()}
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def _number_as_jsonnet(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _number_as_jsonnet(item) for key, item in value.items()}
    return [_number_as_jsonnet(item) for item in value] if isinstance(value, list | tuple) else value


def distinct(points: Iterator[Point]) -> list[Point]:
    """The points, each once, in their order."""
    return list({canonical(point): point for point in points}.values())


def overrides_of(point: Mapping[str, Any]) -> list[str]:
    """A point as overrides."""
    return [f"{path}={json.dumps(value, ensure_ascii=False)}" for path, value in point.items()]


def read_space(section: Mapping[str, Any], grid: Sequence[str], seeds: Any) -> Space:
    """The space that a config's ``sweep.parameters`` and the words after ``--grid`` describe.

    Args:
        section: ``sweep.parameters``: {path: a list of values, or a range}.
        grid: ``path=value,value`` or ``path={low: …, high: …}``; they stand in for the config's of the same path.
        seeds: how many, or which.

    Raises:
        ConfigError: a parameter cannot be read, or two are of one place.
    """
    named = {format_path(_path_of(key)): value for key, value in section.items()}
    for text in grid:
        path, value = _read_grid(text)
        named[path] = value
    parameters = {path: _read_parameter(path, value) for path, value in named.items()}
    _check_apart(list(parameters))
    own_seeds = parameters.pop(format_path(SEED), None)
    if own_seeds is not None and seeds is not None:
        message = "the seeds are given twice, by `seeds` and by `meta.seed`"
        raise ConfigError(message, where="sweep", hint="leave one of them out")
    if isinstance(own_seeds, Range) and own_seeds.step is None:
        own_seeds = own_seeds._replace(step=1)
    chosen = tuple(own_seeds.listed()) if own_seeds is not None else tuple(seeds or ())
    for seed in chosen:
        fits = isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0
        must_be(fits, "meta.seed", "a whole number from 0", seed, where="sweep")
    return Space(tuple(parameters.values()), tuple(dict.fromkeys(chosen)))


def _path_of(key: str) -> Path:
    return parse_override(f"{key}=0").path


def _read_grid(text: str) -> tuple[str, Any]:
    """The path and the values of ``path=values``; several values are written with commas, or as a list."""
    if "=" not in text:
        hint = f"--grid {text}=VALUE,VALUE"
        raise ConfigError(f"--grid {text} says no values", where="sweep.parameters", hint=hint)
    override = parse_override(text)
    raw = text
    for at, letter in enumerate(text):  # a quoted name may hold a `=`
        if letter == "=":
            try:
                parse_override(text[: at + 1])
            except ConfigError:
                continue
            raw = text[at + 1 :].strip()
            break
    value = override.value
    if isinstance(value, str) and raw != "" and not (raw[0] in "'\"" and value != raw):
        listed = parse_value(f"[{raw}]")
        value = listed if isinstance(listed, list) else [value]
    return format_path(override.path), value if isinstance(value, list | dict) else [value]


def _read_parameter(path: str, value: Any) -> Parameter:
    where = f"sweep.parameters.{path}"
    if isinstance(value, list):
        must_be(bool(value), path, "a list of values", "empty", where=where)
        return Choice(path, tuple(value))
    if not isinstance(value, Mapping):
        message = f"`{path}` must be a list of values or a range {{low, high}}, but is {value!r} instead"
        raise ConfigError(message, where=where, hint=f"[{value!r}] is a list of one value")
    unknown = [key for key in value if key not in _FIELDS]
    if unknown or not {"low", "high"} <= value.keys():
        message = f"a range has {', '.join(_FIELDS)}, the first two always, but `{path}` has {', '.join(value)}"
        raise ConfigError(message, where=where, hint="to try whole sections, list them: [{...}, {...}]")
    low, high, step, log = value["low"], value["high"], value.get("step"), bool(value.get("log"))
    for name, number in (("low", low), ("high", high), *([("step", step)] if step is not None else [])):
        must_be(isinstance(number, int | float) and not isinstance(number, bool), name, "a number", number, where=where)
    must_be(low <= high, "high", f"{low} or more", high, where=where)
    must_be(not log or low > 0, "low", "above 0 where `log` is true", low, where=where)
    must_be(step is None or step > 0, "step", "above 0", step, where=where)
    must_be(step is None or not log, "step", "left out where `log` is true", step, where=where)
    return Range(path, low, high, log, step)


def _check_apart(paths: Sequence[str]) -> None:
    """Two parameters of which one lies inside the other would write over each other."""
    for one, other in itertools.permutations(paths, 2):
        inner, outer = _path_of(one), _path_of(other)
        if len(inner) > len(outer) and inner[: len(outer)] == outer:
            message = f"the parameter {one!r} lies inside of another one, {other!r}"
            raise ConfigError(message, where="sweep.parameters", hint="sweep over one of them")
