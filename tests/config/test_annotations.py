"""Values against annotations: what fits, what does not, and what is not certain."""

from __future__ import annotations

import collections.abc
import typing
from pathlib import Path
from typing import Any

import pytest

from runway.config.annotations import Misfit, annotation_text, misfit, read_annotation, require, with_default
from runway.errors import ConfigError


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("int", 3),
        ("int", 3.0),
        ("float", 3),
        ("float | None", None),
        ("Optional[int]", None),
        ("Union[int, list[str]]", ["a"]),
        ("Sequence[str] | Mapping[str, int]", {"a": 1}),
        ("list[str]", ("a", "b")),
        ("tuple[int, str]", [1, "a"]),
        ("Iterable[str]", {"a": 1}),
        ("Sequence[Sequence[int]]", [["only one level is looked at"]]),
        ("Sequence[Any]", [1, "a"]),
        ("str", Path("a")),  # nothing that a config could hold
        ("Any", 1),
        ("Path", 1),
        ("Literal['a|b', 'c'] | None", "a|b"),
        ("Literal['a', 2] | int", 3),
        ("PositiveInt | None", 1),
        ("NonNegativeFloat", 0.0),
        ("not an annotation", 1),
        ("mine.Mapping", 1),
        ("Names", 1),
        ("", 1),
    ],
)
def test_what_fits(annotation: str, value: Any) -> None:
    takes = read_annotation(annotation)
    assert takes is None or misfit(value, takes) is None


@pytest.mark.parametrize(
    ("annotation", "value", "wrong"),
    [
        ("int | None", "abc", Misfit((), "a whole number or null", "abc")),
        ("None | int", "abc", Misfit((), "a whole number or null", "abc")),
        ("int", 3.5, Misfit((), "a whole number", 3.5)),
        ("int", True, Misfit((), "a whole number", True)),
        ("int | float", False, Misfit((), "a number", False)),
        ("bool", 1, Misfit((), "true or false", 1)),
        ("float", None, Misfit((), "a number", None)),
        ("str", 5, Misfit((), "text", 5)),
        ("Sequence[str] | None", "abc", Misfit((), "a list of texts or null", "abc")),
        ("list[str]", ["a", 3], Misfit((1,), "text", 3)),
        ("tuple[int, ...]", [1, "a"], Misfit((1,), "a whole number", "a")),
        ("str | Mapping[str, str | int]", {"a": 1, "b": None}, Misfit(("b",), "text or a whole number", None)),
        (
            "str | list[int] | dict[str, int] | None",
            1.5,
            Misfit((), "text, a list of whole numbers, a section or null", 1.5),
        ),
        ("int", 1e20, Misfit((), "a whole number", 1e20)),  # jsonnet prints it as an integer, but it is none
        ("PositiveInt | None", 0, Misfit((), "a whole number from 1 or null", 0)),
        ("list[NonNegativeInt]", [1, -1], Misfit((1,), "a whole number from 0", -1)),
        ("Literal['a', 'b'] | None", "c", Misfit((), "'a', 'b' or null", "c")),
        ("Literal[1, 2]", True, Misfit((), "1 or 2", True)),
        # as Lightning writes them
        ("Optional[Union[int, float]]", "x", Misfit((), "a number or null", "x")),
        ("Union[int, bool]", "x", Misfit((), "a whole number or true or false", "x")),
    ],
)
def test_what_does_not_fit(annotation: str, value: Any, wrong: Misfit) -> None:
    takes = read_annotation(annotation)
    assert takes is not None
    assert misfit(value, takes) == wrong


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (None, "None"),
        (int | None, "int | None"),
        (typing.Optional[int], "int | None"),  # noqa: UP045
        (typing.Union[int, list[str]], "int | list[str]"),  # noqa: UP007
        (typing.Sequence, "Sequence"),
        (collections.abc.Mapping[str, int], "Mapping[str, int]"),
        (dict, "dict"),
        (typing.Literal["a", "b"], "Literal['a', 'b']"),
    ],
)
def test_types_are_read_as_their_text(annotation: Any, text: str) -> None:
    assert read_annotation(annotation_text(annotation)) == read_annotation(text) is not None


@pytest.mark.parametrize("annotation", [Any, Path, object, typing.Callable[[int], str], 3])
def test_other_types_take_anything(annotation: Any) -> None:
    assert read_annotation(annotation_text(annotation)) is None


@pytest.mark.parametrize(("default", "value"), [(None, None), ("auto", "fast"), (1, 2)])
def test_the_defaults_kind_fits(default: Any, value: Any) -> None:
    takes = with_default("int", default)
    assert takes is not None
    assert misfit(value, takes) is None
    assert misfit([], takes) is not None


def test_one_value_is_held_against_an_annotation() -> None:
    require(1, "PositiveInt", "num_beams", "executor")
    with pytest.raises(ConfigError, match="`num_beams` must be a whole number from 1, but is true instead") as raised:
        require(True, "PositiveInt", "num_beams", "executor")
    assert raised.value.where == "executor"
