"""Functions as transforms: ``@transform def clean(data, lowercase: bool = True): ...`` is a node like a class."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from runway.transforms.base import BaseTransform

OWN_SETTINGS = ("input_mapping", "output_mapping")


class FunctionTransform(BaseTransform):
    """The transform of one function; ``registry.transform`` makes a subclass for each.

    The output of ``input_node`` goes to the first parameter that ``inputs`` does not name, the outputs of ``inputs`` to
    those of their names, ``setup_kwargs`` to the others. A first parameter ``self`` is the transform, with what every
    transform has (``self.track_file``, ``self.global_config``).
    """

    _runway_function: ClassVar[Callable]

    def setup(self, **settings: Any) -> None:
        """Take the settings: the function's own, and ``input_mapping`` and ``output_mapping``."""
        own = argument_names(type(self)._runway_function)
        super().setup(**{name: settings.pop(name) for name in OWN_SETTINGS if name in settings and name not in own})
        self.settings = settings

    def __call__(self, data: Any = None, /, **inputs: Any) -> Any:
        """Call the function: as every transform is, with what the main argument is given as its data."""
        function = type(self)._runway_function
        main = main_argument(function, inputs)
        takes_data = data is not None or main in required_names(function)
        if main is not None and main not in self.settings and takes_data:
            self._runway_main: str | None = main
            value = data
        elif inputs:
            self._runway_main = "data" if "data" in inputs else next(iter(inputs))
            value = inputs.pop(self._runway_main)
        else:
            self._runway_main, value = None, None
        return super().__call__(value, **inputs)

    def _call(self, data: Any = None, /, **inputs: Any) -> Any:
        arguments = {**self.settings, **inputs}
        if self._runway_main is not None:
            arguments[self._runway_main] = data
        function = type(self)._runway_function
        return function(self, **arguments) if takes_self(function) else function(**arguments)


def takes_self(function: Any) -> bool:
    """Whether its first parameter is the transform."""
    return function.__code__.co_varnames[: function.__code__.co_argcount][:1] == ("self",)


def argument_names(function: Any) -> tuple[str, ...]:
    """The names of its arguments, without ``self``."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names[1:] if takes_self(function) else names


def main_argument(function: Any, named: Iterable[str]) -> str | None:
    """The argument that ``input_node`` is for: the first that ``inputs`` does not name."""
    named = set(named)
    return next((name for name in argument_names(function) if name not in named), None)


def required_names(function: Any) -> list[str]:
    """Those without a default."""
    code = function.__code__
    positional = code.co_varnames[: code.co_argcount]
    with_default = {*positional[len(positional) - len(function.__defaults__ or ()) :], *(function.__kwdefaults__ or {})}
    return [name for name in argument_names(function) if name not in with_default]
