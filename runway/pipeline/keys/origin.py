"""Where code comes from: the user's own and runway's transforms count by their source, installed packages by name."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path

STDLIB = Path(os.__file__).resolve().parent

_local_names: dict[str, bool] = {}


def is_local(module_name: str) -> bool:
    """Whether a module's code counts: the user's own, or one of runway's ready-made transforms and metrics."""
    top = module_name.partition(".")[0]
    if top == "runway":
        return module_name.startswith(("runway.transforms.", "runway.metrics."))
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
    if not top or top in sys.stdlib_module_names:
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
    return any(_is_own_file(Path(place)) for place in places if place)


def _is_own_file(path: Path) -> bool:
    if {"site-packages", "dist-packages"} & set(path.parts):
        return False
    return STDLIB not in path.resolve().parents


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
