"""The registries, as mappings from names to classes, and what enters classes into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from runway import registry
from runway.registry import register_executor

__all__ = [
    "DataTransform_Registry",
    "Executor_Registry",
    "RegistryView",
    "register_executor",
    "register_func_to_registry",
    "register_to",
]


class RegistryView(Mapping[str, type]):
    """One of runway's registries, looked into by name."""

    def __init__(self, of: registry.Registry) -> None:
        self.registry = of

    def __getitem__(self, name: str) -> type:
        return self.registry.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.registry.names())

    def __len__(self) -> int:
        return len(self.registry.names())

    def __contains__(self, name: object) -> bool:
        return name in self.registry.names()


Executor_Registry = RegistryView(registry.executors)
DataTransform_Registry = RegistryView(registry.transforms)


def register_func_to_registry(func: Any, to: RegistryView) -> None:
    """Enter a class (of transforms, a function too) under its name."""
    if isinstance(func, type):
        to.registry.register(func)
    else:
        registry.transform(func)


def register_to(to: RegistryView) -> Callable[[Any], Any]:
    """Decorator: enter a class into a registry under its name."""

    def register(func: Any) -> Any:
        register_func_to_registry(func, to)
        return func

    return register
