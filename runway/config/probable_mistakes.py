"""What is probably not meant in a config that is valid: each is said in a warning, and nothing is stopped."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.config.check import is_known, is_slip, users_keys
from runway.config.overrides import Override, format_path
from runway.config.reads import ABSENT, lookup
from runway.config.rendering import differences
from runway.config.schema import CONFIG
from runway.errors import did_you_mean
from runway.log import shown
from runway.user_code import code_of
from runway.walk import is_cache

if TYPE_CHECKING:
    from runway.config.config import Config

Evaluate = Callable[[Sequence[Override]], Any]
"""Gives the config with these overrides, or ABSENT where it does not evaluate with them."""


def warnings_of_overrides(
    overrides: Sequence[Override], files: Sequence[Path], evaluate: Evaluate
) -> list[tuple[Override, str]]:
    """Each override that changed nothing but itself, and was probably meant to change more, with a sentence on it.

    Args:
        overrides: all of them.
        files: the config's, and those that it imports, in which a ``local`` may stand.
        evaluate: the config with other overrides.
    """
    overrides = [override for override in overrides if not override.removes]
    base = evaluate([]) if overrides else ABSENT
    warnings = []
    for override in overrides if base is not ABSENT else ():
        path = format_path(override.path)
        is_new = lookup(base, override.path) is ABSENT
        found = (_find_local(name, files, least_uses=0 if is_new else 2) for name in reversed(override.path))
        local = next(filter(None, found), None)
        near = _near_sibling(override, base) if is_new else None
        if near and (local is None or local[0] != override.path[-1]):
            warnings.append((override, f"the override {override.text!r} made the new key `{path}`: {near}"))
        elif local and _changes_only_itself(override, base, evaluate([override])):
            name, place = local
            sentence = (
                f"the override {override.text!r} changed nothing but `{path}` itself: `local {name}` at {place} is out "
                f"of reach of --opts; make it a field, and derive from it through `$.{name}`"
            )
            warnings.append((override, sentence))
    return warnings


def warnings_of_keys(
    config: Mapping[str, Any], overrides: Sequence[Override], file: Path, evaluate: Evaluate
) -> list[str]:
    """One sentence for each top-level key that is all but another's name, where only the other is derived from.

    Args:
        config: the config with all overrides.
        overrides: those.
        file: the config's.
        evaluate: the config with other overrides.
    """

    def is_derived_from(key: str) -> bool:
        other = evaluate([*overrides, Override(key, (key,), "another value")])
        return key in CONFIG or other is ABSENT or {**other, key: config[key]} != config

    warnings = []
    set_whole = {override.path for override in overrides}
    for key in (key for key in config if key not in CONFIG and (key,) not in set_whole):
        like = [other for other in dict.fromkeys((*CONFIG, *config)) if is_slip(key, other) or _is_plural(key, other)]
        meant = [other for other in like if is_derived_from(other)] if like and not is_derived_from(key) else []
        if meant:
            warnings.append(
                f"nothing in the config derives from the key `{key}` of {shown(file)}: did you mean {meant[0]!r}? "
                "(if your code reads it, give it another name)"
            )
    return warnings


def warnings_of_users_keys(config: Config, project: Path, files: Sequence[Path]) -> list[str]:
    """One sentence for each key of the user's own, in a section of runway's, that nothing seems to read.

    Read is what the project's code names, by an attribute or in quotes, or what the config derives from.

    Args:
        config: the config.
        project: its folder, whose Python files are looked into, if there is such a key.
        files: the config's, and those that it imports.
    """
    keys = list(users_keys(config))
    if not keys:
        return []
    code = "\n".join(_text(file) for file in _python_files(project))
    configs = "\n".join(map(_text, files))
    warnings = []
    for path in keys:
        name = re.escape(str(path[-1]))
        by_code = re.search(rf"""\.{name}\b|(['"]){name}\1|\b{name}\s*=(?!=)""", code)
        if not by_code and not re.search(rf"\.{name}\b(?!\s*[+:])", configs):
            place = next((inner for inner in INNER if is_known((*path[:-1], *inner, path[-1]))), None)
            meant = f" (did you mean {format_path((*path[:-1], *place, path[-1]))}?)" if place else ""
            warnings.append(f"nothing in the project's code reads `{format_path(path)}` of the config{meant}")
    return warnings


INNER = (("trainer_paras",), ("optimizer_config",), ("model_checkpoint_callback_paras",))
"""Sections below one of runway's, whose keys are often set one level too high."""


def _python_files(project: Path) -> Iterator[Path]:
    """The project's own code: below its ``src``, else all that is no cache, no environment and no run."""
    code = code_of(project)
    source = code / "src" if (code / "src").is_dir() else code
    for folder, inner, names in os.walk(source):
        here = Path(folder)
        inner[:] = [name for name in inner if name[0] not in "._" and not is_cache(here / name)]
        inner[:] = [name for name in inner if name not in ("experiments", "site-packages", "node_modules")]
        yield from (here / name for name in names if name.endswith(".py"))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # moved away in the meantime
        return ""


def _is_plural(key: str, other: str) -> bool:
    return key == f"{other}s" or other == f"{key}s"


def _changes_only_itself(override: Override, base: Any, alone: Any) -> bool:
    if alone is ABSENT:  # it needs the others
        return False
    made = next(
        (override.path[:end] for end in range(1, len(override.path)) if lookup(base, override.path[:end]) is ABSENT),
        override.path,
    )
    changed = [path for path, _, _ in differences(base, alone)]
    return bool(changed) and all(path[: len(made)] == made for path in changed)


def _near_sibling(override: Override, base: Any) -> str | None:
    section, name = lookup(base, override.path[:-1]), override.path[-1]
    if not isinstance(section, dict) or is_known(override.path):
        return None
    advice = did_you_mean(str(name), section, listing=0)
    return advice if advice.startswith("did you mean") else None


def _find_local(name: str | int, files: Sequence[Path], least_uses: int) -> tuple[str, str] | None:
    """The name and the place of a ``local NAME = ...`` that its file uses so often; not of imports and aliases."""
    word = rf"{re.escape(str(name))}\b"
    binding = re.compile(rf"[^/#'\"]*\blocal\b[^;(]*?\b{word}\s*=(?!=)(?!\s*import\b)(?!\s*[\w$.]+\.{word}\s*[,;])")
    use = re.compile(rf"(?<![\w.$'\"]){word}(?!\s*(\+?:|=))")
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            if binding.match(line) and len(use.findall(text)) >= least_uses:
                return str(name), f"{shown(file)}:{number}"
    return None
