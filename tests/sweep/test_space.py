"""What a sweep goes over: values from the config and the command line, points, and what is refused."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from runway.config.overrides import parse_override
from runway.errors import ConfigError
from runway.sweep.space import Choice, Range, Space, overrides_of, read_space


def space(section: dict[str, Any] | None = None, *grid: str, seeds: Any = None) -> Space:
    return read_space(section or {}, grid, seeds)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("a.b=64,128", (64, 128)),
        ("a.b=1e-3,3e-4", (1e-3, 3e-4)),
        ("a.b=64", (64,)),
        ("a.b=[1, 2]", (1, 2)),
        ("a.b=[[1,2],[3]]", ([1, 2], [3])),
        ("a.b=csv,tensorboard", ("csv", "tensorboard")),
        ("a.b='one, two'", ("one, two",)),
        ("a.b=None,relu", (None, "relu")),
        ("a.b=True", (True,)),
        ("a.b=[{x: 1}, {y: 2}]", ({"x": 1}, {"y": 2})),
    ],
)
def test_values_of_the_command_line(words: str, values: tuple) -> None:
    assert space(None, words).parameters == (Choice("a.b", values),)


def test_the_command_stands_in_for_the_config() -> None:
    found = space({"a.b": [1], "c": [2, 3]}, "a.'b'=5,6")
    assert found.grid() == [{"a.b": a, "c": c} for a, c in itertools.product((5, 6), (2, 3))]


def test_a_grid_has_each_point_once_and_a_range_its_steps() -> None:
    assert space({"a": [1, 2, 1.0]}).grid() == [{"a": 1.0}, {"a": 2}]
    assert space({"a": {"low": 0, "high": 0.5, "step": 0.25}}).grid() == [{"a": 0.0}, {"a": 0.25}, {"a": 0.5}]
    with pytest.raises(ConfigError, match="a grid needs the values of a"):
        space({"a": {"low": 0.1, "high": 0.5}}).grid()


def test_overrides_say_what_the_values_are() -> None:
    point = {"a.input:Load.x": [1, "zwei", None], "b": {"c": True}, "d": 1e-05, "e": "1e-5", "f": "tab\t='\""}
    assert [parse_override(text).value for text in overrides_of(point)] == list(point.values())


def test_drawn_points_are_the_same_each_time_and_each_is_there_once() -> None:
    section = {"a": [1, 2, 3], "lr": {"low": 1e-5, "high": 1e-2, "log": True}, "n": {"low": 2, "high": 5}}
    first = list(itertools.islice(space(section).drawn(0), 20))
    assert first == list(itertools.islice(space(section).drawn(0), 20))
    assert first != list(itertools.islice(space(section).drawn(1), 20))
    assert all(1e-5 <= point["lr"] <= 1e-2 and point["n"] in (2, 3, 4, 5) for point in first)
    assert sum(point["lr"] < 1e-4 for point in first) > 2  # by powers of ten
    few = list(space({"a": [1, 2], "n": {"low": 1, "high": 2}}).drawn(0))
    assert sorted(map(str, few)) == sorted(str({"a": a, "n": n}) for a in (1, 2) for n in (1, 2))


def test_seeds_are_apart_from_what_is_compared() -> None:
    assert space({"a": [1], "meta.seed": [1, 2]}).seeds == (1, 2)
    assert space({"a": [1]}, seeds=[3, 3, 4]).seeds == (3, 4)
    assert space({"meta.seed": {"low": 1, "high": 3}}).seeds == (1, 2, 3)
    with pytest.raises(ConfigError, match="given twice"):
        space({"meta.seed": [1]}, seeds=[1])
    with pytest.raises(ConfigError, match="whole number"):
        space({"meta.seed": ["one"]})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"a": []}, "a list of values"),
        ({"a": 3}, "must be a list of values or a range"),
        ({"a": {"low": 1}}, "a range has low, high"),
        ({"a": {"low": 1, "high": 2, "stepp": 1}}, "a range has low, high"),
        ({"a": {"low": 2, "high": 1}}, "`high` must be 2 or more"),
        ({"a": {"low": 0, "high": 1, "log": True}}, "above 0"),
        ({"a": {"low": 0, "high": 1, "step": 0}}, "`step` must be above 0"),
        ({"a": {"low": "x", "high": 1}}, "`low` must be a number"),
        ({"a": [1], "a.b": [2]}, "lies inside of another one"),
        ({"a..b": [1]}, "cannot be read"),
    ],
)
def test_what_is_no_space_is_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        space(section)


def test_a_grid_without_values_says_how_they_are_written() -> None:
    with pytest.raises(ConfigError, match=r"--grid a\.b says no values") as caught:
        read_space({}, ["a.b"], None)
    assert caught.value.hint == "--grid a.b=VALUE,VALUE"


def test_a_range_is_whole_where_its_ends_are() -> None:
    assert (Range("a", 1, 4).is_whole, Range("a", 1, 4).size) == (True, 4)
    assert (Range("a", 1, 4.5).is_whole, Range("a", 1, 4.5).size) == (False, None)
