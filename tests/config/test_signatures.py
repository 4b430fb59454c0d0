"""What a class takes from a config, along the classes that its method passes arguments on to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runway.config.signatures import accepted_settings, describe_settings, wrong_values

if TYPE_CHECKING:
    from runway.config.annotations import PositiveInt


class Base:
    """The last in the chain.

    Args:
        source: where from.
        size: how much.
    """

    def __init__(self, source: str, size: PositiveInt | None = None) -> None:
        self.given = (source, size)


class PassesOn(Base):
    """It has some of its own.

    Args:
        *args: to the base.
        smoothing: of the labels.
        **kwargs: to the base.
    """

    def __init__(self, *args: Any, smoothing: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.smoothing = smoothing


class SaysNothing(PassesOn):
    pass


class Further(SaysNothing):
    def __init__(self, *args: Any, size: int = 3, **kwargs: Any) -> None:
        super().__init__(*args, size=size, **kwargs)


class Keeps:
    def setup(self, a: int, **kwargs: Any) -> None:
        self.kwargs = kwargs


def test_what_is_passed_on_is_followed() -> None:
    accepted = accepted_settings(Further, "__init__")
    assert accepted.names == ("size", "smoothing", "source")
    assert accepted.required == ("source",)
    assert not accepted.takes_any
    assert list(wrong_values({"size": "x", "smoothing": "y", "source": 3}, accepted)) == [
        "`size` must be a whole number, but is 'x' instead",
        "`smoothing` must be a number, but is 'y' instead",
        "`source` must be text, but is 3 instead",
    ]


def test_the_settings_of_all_of_them_are_described() -> None:
    settings = {setting.name: setting for setting in describe_settings(SaysNothing, "__init__")}
    assert list(settings) == ["smoothing", "source", "size"]
    assert settings["smoothing"][1:] == ("float", "0.0", "of the labels.")
    assert settings["source"][1:] == ("str", "(required)", "where from.")
    assert settings["size"][1:] == ("PositiveInt | None", "None", "how much.")


def test_a_method_that_keeps_what_it_is_given_takes_any() -> None:
    assert accepted_settings(Keeps).takes_any
    assert accepted_settings(Keeps).names == accepted_settings(Keeps).required == ("a",)
    assert accepted_settings(Base).takes_any  # it has no `setup`
