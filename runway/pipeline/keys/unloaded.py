"""The code behind a name of a module that is not loaded, or must not count by what was loaded: by its text alone.

Importing a module to see whether a node must run would run it where the node never does: a condition may guard it
because it fails here. Names are resolved in the texts, through their imports.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path

from runway.pipeline.keys.loaded import source_of_module
from runway.pipeline.keys.names import Reference, resolve
from runway.pipeline.keys.origin import is_local
from runway.pipeline.keys.source import SourceFile

_parsed: dict[str, tuple[bytes, SourceFile]] = {}


def texts_behind(
    module_name: str, chain: tuple[str, ...], on_package: Callable[[str], None] = lambda name: None
) -> dict[str, str]:
    """{``text of module.name``: digest} of a definition and of all that its text reaches.

    Args:
        module_name: where it stands; all of it, where ``chain`` is empty.
        chain: the name, and names below it.
        on_package: told each installed module that is mentioned.
    """
    found: dict[str, str] = {}
    waiting = [(module_name, Reference(chain))]
    seen = set(waiting)
    while waiting:
        home, reference = waiting.pop()
        for name, top in _definitions(home, reference, on_package):
            place = f"text of {name}.{top}"
            source = _source(name)
            if place in found or source is None:
                continue
            facts = source.facts(top)
            found[place] = facts.digest
            new = {(name, inner) for inner in facts.references} - seen
            seen |= new
            waiting += sorted(new, key=str)
    return found


def _definitions(home: str, reference: Reference, on_package: Callable[[str], None]) -> set[tuple[str, str]]:
    """The (module, top-level name) that a reference in a module leads to, through imports; several, if undecided."""
    found: set[tuple[str, str]] = set()
    waiting = [(resolve(reference, _package(home)) if reference.module is not None else home, reference.chain)]
    seen = set(waiting)
    while waiting:
        module, chain = waiting.pop()
        if not is_local(module):
            on_package(module)
            continue
        source = _source(module)
        if source is None:
            continue
        if not chain:
            found.add((module, "*"))
            continue
        name, rest = chain[0], chain[1:]
        imports = source.imports(name)
        targets = [(resolve(target, _package(module)), target.chain + rest) for target in imports]
        if _is_module(f"{module}.{name}"):
            targets.append((f"{module}.{name}", rest))
        if name in source and not imports:
            found.add((module, name))
        elif hasattr(builtins, name) and name not in source:
            continue
        new = [target for target in targets if target not in seen]
        seen.update(new)
        waiting += new
    return found


def _package(module_name: str) -> str:
    file = file_of(module_name)
    return module_name if file is not None and file.name == "__init__.py" else module_name.rpartition(".")[0]


def _is_module(module_name: str) -> bool:
    return file_of(module_name) is not None


def file_of(module_name: str) -> Path | None:
    """The file of a module; nothing is imported for it."""
    loaded = getattr(sys.modules.get(module_name), "__file__", None)
    if loaded:
        return Path(loaded)
    folders: list[str] | None = None
    parts = module_name.split(".")
    for depth in range(1, len(parts) + 1):
        try:
            spec = PathFinder.find_spec(".".join(parts[:depth]), folders)
        except (ImportError, ValueError):
            return None
        except KeyError:  # a folder without __init__.py in another one looks for that among what is loaded
            places = (Path(above, parts[depth - 1]) for above in folders or ())
            folders = [str(place) for place in places if place.is_dir()]
            continue
        if spec is None:
            return None
        if depth == len(parts):
            return Path(spec.origin) if spec.has_location and spec.origin and spec.origin.endswith(".py") else None
        folders = list(spec.submodule_search_locations or ())
    return None


def _source(module_name: str) -> SourceFile | None:
    module = sys.modules.get(module_name)
    if module is not None:
        return source_of_module(module)
    file = file_of(module_name)
    if file is None:
        return None
    try:
        text = file.read_bytes()
        if str(file) not in _parsed or _parsed[str(file)][0] != text:
            _parsed[str(file)] = text, SourceFile(file, text)
    except (OSError, SyntaxError, ValueError):
        return None
    return _parsed[str(file)][1]
