"""Where code comes from: the user's own and runway's transforms count by their source, installed packages by name."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from runway.project_modules import is_own_file

_local_names: dict[str, bool] = {}
_COUNTED = ("runway.transforms.", "runway.experiment.transforms.", "runway.metrics.", "runway_for_ml.data_module.")
_COUNTED_OF_A_TRAINING = (*_COUNTED, "runway.executors.", "runway_for_ml.executors.")
_counted: list[tuple[str, ...]] = [_COUNTED]


@contextmanager
def executors_count() -> Iterator[None]:
    """While the code of an executor is looked into, runway's own executors count by their source, too.

    Of a transform they do not: what it may take from them (a Translator) is loaded with torch, for which no plan waits.
    """
    _counted.append(_COUNTED_OF_A_TRAINING)
    try:
        yield
    finally:
        _counted.pop()


def is_local(module_name: str) -> bool:
    """Whether a module's code counts: the user's own, or one of runway's ready-made transforms and metrics."""
    top = module_name.partition(".")[0]
    if top in ("runway", "runway_for_ml"):
        return module_name.startswith(_counted[-1])
    if top not in _local_names:
        _local_names[top] = _is_local_top(top)
    return _local_names[top]


def without_path(name: str) -> str:
    """``runway.transforms.base.X.y`` as ``runway.X.y``: moving a module of runway's must not re-run anybody's data.

    Args:
        name: the full name of something, its module imported.
    """
    if not name.startswith("runway."):
        return name
    parts = name.split(".")
    depth = next((depth for depth in range(len(parts), 1, -1) if ".".join(parts[:depth]) in sys.modules), 1)
    return ".".join(["runway", *parts[depth:]])


def _is_local_top(top: str) -> bool:
    if top in ("", "builtins"):
        return False
    if top == "__main__":
        return True
    module = sys.modules.get(top)
    places: list[str] = []
    if module is not None:
        file = getattr(module, "__file__", None)
        places = [file] if file else list(getattr(module, "__path__", ()))
    else:
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            spec = None
        if spec is not None:
            places = [spec.origin] if spec.has_location and spec.origin else list(spec.submodule_search_locations or ())
    return any(is_own_file(place) for place in places if place)


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions of packages by import name, as far as they are known."""
    import importlib.metadata

    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            owners = importlib.metadata.packages_distributions().get(name)
            found[name] = importlib.metadata.version(owners[0]) if owners else "unknown"
    return found
