"""Hold a config against the schema: unknown keys, wrong kinds of values, arguments that Lightning lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.config.annotations import misfit, read_annotation
from runway.config.lightning_arguments import arguments_of
from runway.config.overrides import format_path, parse_overrides
from runway.config.per_task import is_per_task, tasks_of
from runway.config.reads import ConfigPath, lookup
from runway.config.schema import (
    CONFIG,
    MAY_BE_NULL,
    PIPELINE,
    USERS_TOO,
    Keywords,
    Names,
    PerTask,
    Required,
    WithTasks,
    schema_of,
)
from runway.errors import ConfigError, did_you_mean
from runway.log import shown

if TYPE_CHECKING:
    from runway.config.config import Config

UNKNOWN = "unknown key "


def check_config(config: Config, path: Path | str | None = None) -> list[ConfigError]:
    """All that is wrong in the sections that runway owns, in the config's order.

    Args:
        config: the resolved config.
        path: its file, for the messages.
    """
    loaded_from = getattr(config, "loaded_from", None)
    given = parse_overrides(loaded_from.overrides if loaded_from is not None else ())[0]
    overrides = {override.path: override.text for override in given}
    file = shown(path) if path is not None else None
    errors = []
    schema = schema_of(tasks_of(config))
    for key_path, message, hint in (*_check_top(config), *_check_section(config, schema, (), open_ended=True)):
        text = next((overrides[at] for at in _upwards(key_path) if at in overrides), None)
        if text is None and message.startswith(UNKNOWN):  # a section that an override made by naming a key in it
            text = next((override.text for override in given if override.path[: len(key_path)] == key_path), None)
        where = f"the override {text!r}" if text else _joined(file, key_path)
        errors.append(ConfigError(message, where=where, hint=hint))
    return errors


def check_pipeline(pipeline: Any, where: str) -> list[ConfigError]:
    """All that is wrong in the form of one pipeline, for one that does not come out of ``load_config``.

    Args:
        pipeline: its section.
        where: its dotted name, for the messages.
    """
    found = _check_value(pipeline, PIPELINE, (where,))
    return [ConfigError(message, where=".".join(map(str, at[:-1])) or where, hint=hint) for at, message, hint in found]


def check_value(value: Any, path: ConfigPath) -> ConfigError | None:
    """What is wrong with ``value`` at ``path`` by itself; None where nothing is, or the schema says nothing of it."""
    expected: Any = CONFIG
    for part in path:
        if isinstance(expected, Required):
            expected = expected.of
        if isinstance(expected, Names):
            expected = expected.of
        elif isinstance(expected, dict) and part in expected:
            expected = expected[part]
        else:
            return None
        if isinstance(expected, WithTasks):
            expected = expected.of
    if isinstance(expected, PerTask) and isinstance(value, dict):  # the tasks are not known here
        return None
    found = next(_check_value(value, expected, path), None)
    return None if found is None else ConfigError(found[1], hint=found[2])


def is_known(path: ConfigPath) -> bool:
    """Whether ``path`` is a key that a section of runway's may hold."""
    expected: Any = CONFIG
    for part in path:
        if isinstance(expected, Keywords):
            return part in arguments_of(expected.class_name, expected.module)
        if isinstance(expected, Required):
            expected = expected.of
        if not isinstance(expected, dict) or part not in expected:
            return False
        expected = expected[part]
        if isinstance(expected, WithTasks):
            expected = expected.of
    return True


Finding = tuple[ConfigPath, str, "str | None"]


def _upwards(path: ConfigPath) -> list[ConfigPath]:
    return [path[:length] for length in range(len(path), 0, -1)]


def _joined(file: str | None, path: ConfigPath) -> str:
    inside = format_path(path[:-1])
    return ": ".join(part for part in (file, inside) if part) or "the config"


def _check_top(config: Config) -> Iterator[Finding]:
    """A top-level key that is all but the name of a section of runway's: ``trian``, ``data_pipline``."""
    for key, value in config.items():
        if key in CONFIG:
            continue
        for known, expected in CONFIG.items():
            same_kind = isinstance(value, str if expected == "str" else dict)
            if same_kind and is_slip(key, known):
                yield (key,), f"{UNKNOWN}`{key}`", f"did you mean {known!r}? (if it is your own, give it another name)"


def users_keys(config: Config) -> Iterator[ConfigPath]:
    """The keys that are none of runway's, in sections that are for users' own settings too."""
    schema = schema_of(tasks_of(config))
    for path in USERS_TOO:
        section, known = lookup(config, path), lookup(schema, path)
        if isinstance(section, dict):
            yield from ((*path, key) for key in section if key not in known)


MISPLACED = {("train", "optimizer_config", "lr"): "optimizer_params.lr"}
"""What is always meant for a section further in, and would quietly do nothing."""


def is_close(name: str, known: str) -> bool:
    """Whether ``name`` was meant to be ``known``, and is no name of the user's own choice.

    A slip of the finger, a few of them in as many words (``trainer_parameters``, ``sheduler``), or its beginning
    (``checkpoint`` for ``checkpoint_name``). A name with further words was chosen: ``retriever_batch_size``.
    """
    if is_slip(name, known):
        return True
    words, known_words = name.lower().split("_"), known.lower().split("_")
    if len(words) < len(known_words):
        return len(name) > 3 and known_words[: len(words)] == words
    return len(words) == len(known_words) and _likeness(name, known) >= 0.8


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` was meant to be; None where it is a name of the user's own choice."""
    near = [one for one in known if is_close(name, one)]
    return max(near, key=lambda one: _likeness(name, one)) if near else None


def _likeness(name: str, known: str) -> float:
    return SequenceMatcher(None, name.lower(), known.lower()).ratio()


def is_slip(name: str, known: str) -> bool:
    """Whether ``name`` is ``known`` with one slip of the finger, and not a name that was chosen.

    Two letters swapped, one dropped, doubled or wrong. Names end on purpose in a digit, an underscore or an s
    (``train2``, ``evals``) and in another letter (``side_a``), begin with another letter on purpose (``brain``), and
    four letters are too few to tell a slip from a word (``text``, ``test``).
    """
    if name == known:
        return False
    if name.lower().replace("-", "_") == known:
        return True
    if name[:1] != known[:1]:
        return False
    start = next((i for i, (a, b) in enumerate(zip(name, known, strict=False)) if a != b), min(len(name), len(known)))
    swapped = known[:start] + known[start + 1 : start + 2] + known[start : start + 1] + known[start + 2 :]
    if name == swapped:
        return True
    if len(known) < 5:
        return False
    one_more = name[:start] + name[start + 1 :] == known
    if one_more:
        return name != known + "s" and (start < len(known) or name[-1].isalpha())
    one_less = known[:start] + known[start + 1 :] == name
    one_other = len(name) == len(known) and start < len(known) - 1 and name[start + 1 :] == known[start + 1 :]
    return one_less or one_other


def _check_section(
    section: dict, schema: dict[str, Any], path: ConfigPath, *, open_ended: bool = False
) -> Iterator[Finding]:
    for key, value in section.items():
        if key in schema:
            yield from _check_value(value, schema[key], (*path, key))
        elif path in USERS_TOO:
            meant = closest(str(key), schema) or MISPLACED.get((*path, key))
            if meant is not None:
                hint = f"did you mean {meant!r}? (if it is your own, give it another name)"
                yield (*path, key), f"{UNKNOWN}`{format_path((*path, key))}`", hint
        elif not open_ended:
            yield (*path, key), f"{UNKNOWN}`{format_path((*path, key))}`", did_you_mean(key, schema, listing=16)
    for key, expected in schema.items():
        if isinstance(expected, Required) and key not in section:
            missing = f"`{format_path(path)}` must have the key `{key}`"
            near = [other for other in section if other not in schema]
            yield (*path, key), missing, f"it has {', '.join(map(repr, near))}" if near else None


def _check_value(value: Any, expected: Any, path: ConfigPath) -> Iterator[Finding]:
    if isinstance(expected, Required):
        expected = expected.of
    if isinstance(expected, WithTasks):
        yield path, f"`{format_path(path)}` is for a config with `tasks`, and this one has none", None
        return
    if isinstance(expected, PerTask):
        yield from _check_per_task(value, expected, path)
        return
    if isinstance(expected, str):
        yield from _check_fit(value, expected, path)
        return
    if value is None and path[-1] in MAY_BE_NULL:
        return
    if not isinstance(value, dict):
        yield from _check_fit(value, "dict", path)
    elif isinstance(expected, Keywords):
        yield from _check_keywords(value, expected, path)
    elif isinstance(expected, Names):
        yield from _check_names(value, expected, path)
    else:
        yield from _check_section(value, expected, path)


def _check_names(section: dict, expected: Names, path: ConfigPath) -> Iterator[Finding]:
    required = [key for key, value in expected.of.items() if isinstance(value, Required)]
    for name, value in section.items():
        inside = (*path, name)
        if "\0" in name:
            yield inside, f"a name in `{format_path(path)}` must not hold a NUL character: {name!r}", None
        elif isinstance(value, dict) and value and not any(key in value for key in required):
            # an override of a misspelt node makes a node that has nothing else
            others = [other for other in section if other != name]
            message = f"`{format_path(inside)}` must have the key `{required[0]}`"
            near = did_you_mean(name, others)
            yield (*inside, *_only_path(value)), message, near if near.startswith("did") else None
        else:
            yield from _check_value(value, expected.of, inside)


def _check_per_task(value: Any, expected: PerTask, path: ConfigPath) -> Iterator[Finding]:
    is_one_value = not isinstance(value, dict) or ("dict" in expected.of and not is_per_task(value, expected.names))
    if is_one_value or not expected.names:
        yield from _check_fit(value, expected.of, path)
    else:
        yield from _check_section(value, dict.fromkeys(expected.names, expected.of), path)


def _only_path(value: Any) -> ConfigPath:
    """The keys down to the first value, which is where an override that made the section has put it."""
    path: list[str | int] = []
    while isinstance(value, dict) and value:
        key = next(iter(value))
        path.append(key)
        value = value[key]
    return tuple(path)


def _check_keywords(section: dict, expected: Keywords, path: ConfigPath) -> Iterator[Finding]:
    known = arguments_of(expected.class_name, expected.module)
    for key, value in section.items():
        if known and key not in known:
            message = f"{UNKNOWN}`{format_path((*path, key))}`: Lightning's {expected.class_name} has no such argument"
            yield (*path, key), message, did_you_mean(key, known)
            continue
        yield from _check_fit(value, f"{known.get(key) or 'Any'} | None", (*path, key))


def _check_fit(value: Any, annotation: str, path: ConfigPath) -> Iterator[Finding]:
    texts = value if isinstance(value, list) else [value]
    if annotation != "Any" and any(isinstance(text, str) and "\0" in text for text in texts):
        yield path, f"`{format_path(path)}` must not hold a NUL character, but is {value!r} instead", None
        return
    takes = read_annotation(annotation)
    wrong = misfit(value, takes) if takes is not None else None
    if wrong is not None:
        hint = f"write [{value}]" if isinstance(value, str) and "a list of texts" in wrong.must else None
        yield (*path, *wrong.path), wrong.sentence(path), hint
