"""Overrides: ``a.b=v`` and ``~a.b`` become jsonnet laid over the config, so that what derives from them follows.

``train.batch_size=64`` is ``config + {train: super.train + {batch_size: 64}}``: jsonnet binds ``$`` and
``self`` late, so every value that the config derives from ``$.train.batch_size`` is made from 64.
A value is laid over as it is; an object takes the old value's place, and is not merged with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from runway.config.literals import LARGEST_INTEGER, parse_value
from runway.config.reads import ABSENT, lookup
from runway.errors import ConfigError, RunwayError, did_you_mean

MARK = "@@runway:"  # begins the messages of errors that our own wrapping code raises
Path = tuple[str | int, ...]
VARIANT = "+"
"""Before the name of a variant: ``+model/big`` lays ``model/big.libsonnet`` over the config."""
REMOVED = ABSENT  # stands for the value of ``~a.b``

_NAME = re.compile(r"[^.\[\]='\"\s]+(?:[ ]+[^.\[\]='\"\s]+)*")
_QUOTED_NAME = re.compile(r"""'([^']+)'|"([^"]+)\"""")
_INDEX = re.compile(r"""\[(?:(\d+)|'([^']+)'|"([^"]+)")\]""")
_KINDS = {"object": "a section", "array": "a list", "string": "text", "null": "null", "boolean": "true or false"}


class Override(NamedTuple):
    """One override: ``path`` is where, ``value`` what is set (REMOVED for ``~``), ``text`` what the user wrote."""

    text: str
    path: Path
    value: Any

    @property
    def removes(self) -> bool:
        """Whether it takes the key away."""
        return self.value is REMOVED


def parse_overrides(texts: Sequence[str]) -> tuple[list[Override], list[RunwayError]]:
    """The overrides that can be read, and an error for each that cannot."""
    overrides: list[Override] = []
    errors: list[RunwayError] = []
    for text in texts:
        if names_variant(text):  # it is no setting; ``load_config`` finds it
            continue
        if text.strip() == "\\":  # the end of a line that was to be continued, and was the last one
            continue
        try:
            overrides.append(parse_override(text))
        except ConfigError as error:
            errors.append(error)
    return overrides, errors


def names_variant(text: str) -> bool:
    """Whether a word among the overrides names a variant: ``+model/big``."""
    return text.startswith(VARIANT) and "=" not in text and len(text) > 1


def parse_override(text: str) -> Override:
    """Read one ``key=value`` or ``~key``.

    Raises:
        ConfigError: it is neither.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _unreadable(text, "it is not UTF-8 text") from error
    if text.startswith("~"):
        path, rest = _parse_key(text, 1)
        if rest:
            raise _unreadable(text, "`~key` removes a key, and takes no value", f"to set it: {text[1:]}")
        return Override(text, path, REMOVED)
    if text.startswith(VARIANT):
        raise _unreadable(text, "a key cannot begin with `+`", f"a new key needs no sign: {text.lstrip('+')}")
    path, rest = _parse_key(text, 0)
    if not rest:
        raise _unreadable(text, "it has no `=`", f"write {text}=VALUE, or ~{text} to remove the key")
    value = parse_value(rest[1:])
    _check_numbers(text, value)
    return Override(text, path, value)


def _parse_key(text: str, at: int) -> tuple[Path, str]:
    """The key's parts, and the text from the ``=`` on."""
    parts: list[str | int] = []
    while True:
        quoted, plain = _QUOTED_NAME.match(text, at), _NAME.match(text, at)
        if quoted:
            parts.append(quoted[1] or quoted[2])
        elif plain:
            parts.append(plain[0])
        else:
            raise _unreadable(text, f"a name is missing at character {at + 1}")
        at = (quoted or plain).end()  # type: ignore[union-attr]
        while index := _INDEX.match(text, at):
            parts.append(int(index[1]) if index[1] else index[2] or index[3])
            at = index.end()
        if text[at : at + 1] != ".":
            break
        at += 1
    if text[at : at + 1] not in ("", "="):
        raise _unreadable(text, f"{text[at]!r} cannot stand at character {at + 1}")
    return tuple(parts), text[at:]


def _unreadable(text: str, reason: str, hint: str | None = None) -> ConfigError:
    shown = text.encode("utf-8", "backslashreplace").decode()
    return ConfigError(
        f"the override {shown!r} cannot be read: {reason}",
        where="--opts",
        hint=hint or "the form is a.b=v, a.list[0]=v, a.'name.with.dots'=v or ~a.b",
    )


def _check_numbers(text: str, value: Any) -> None:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _check_numbers(text, item)
    elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise _unreadable(text, f"jsonnet's numbers hold whole numbers up to 2**53, but it has {value}")
    elif isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise _unreadable(text, "the number is too large for a double")


def format_path(path: Path) -> str:
    """A path as an override's key: ``a.list[0]."name.with.dots"``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            quote = "'" if '"' in part else '"'
            text += ("." if text else "") + (part if _NAME.fullmatch(part) else f"{quote}{part}{quote}")
    return text


OVERLAY = """
local fail(override, depth, reason) = error ("%s" + override.number + ":" + depth + ":" + reason),
  // an object to add to `old`, which sets what the path says from `depth` on
  in_object(override, old, depth) =
    local key = override.path[depth];
    if depth < std.length(override.path) - 1 then
      { [key]: in_value(override, if key in super then super[key] else null, depth + 1) }
    else if override.removes then
      if std.objectHas(old, key) then { [key]:: super[key] } else fail(override, depth, "missing")
    // a key that was taken away is hidden, and stays so unless it is made visible again
    else if override.again then { [key]::: override.value }
    else { [key]: override.value },
  // `old` with what the path says from `depth` on changed in it
  in_value(override, old, depth) =
    if std.isNumber(override.path[depth]) then in_list(override, old, depth)
    else
      local section =
        if std.isObject(old) then old
        else if override.removes then fail(override, depth, "missing")
        else if old == null then {}
        else fail(override, depth, std.type(old));
      section + in_object(override, section, depth),
  in_list(override, old, depth) =
    local index = override.path[depth];
    if !std.isArray(old) then fail(override, depth, std.type(old))
    else if std.length(old) <= index then fail(override, depth, "length " + std.length(old))
    else
      old[0:index]
      + (
        if depth < std.length(override.path) - 1 then [in_value(override, old[index], depth + 1)]
        else if override.removes then []
        else [override.value]
      )
      + old[index + 1:],
  over(old, override) = old + in_object(override, old, 0);
"""
"""Jsonnet that lays an override over an object. Its errors name the override by its number, and the path's depth."""


def overlay(overrides: Sequence[Override], base: str) -> str:
    """Jsonnet code for ``base`` with every override laid over it, in their order.

    Args:
        overrides: what to lay over.
        base: jsonnet code of an object.
    """
    code = f"({base})"
    removed: set[Path] = set()
    for number, override in enumerate(overrides):
        facts = {
            "number": number,
            "path": override.path,
            "removes": override.removes,
            "again": override.path in removed,
        }
        facts |= {} if override.removes else {"value": override.value}
        code = f"over({code}, {json.dumps(facts, ensure_ascii=False)})"  # of jsonnet, JSON is a part
        if override.removes:
            removed.add(override.path)
    return f"{OVERLAY % MARK}{code}" if overrides else base


def explain_failure(message: str, overrides: Sequence[Override], base: Any) -> tuple[int, ConfigError]:
    """Which override failed, and the error that says why.

    Args:
        message: what the overlay's own code raised, after MARK.
        overrides: those of the overlay.
        base: the config without overrides (ABSENT where it does not evaluate), to find near names in.
    """
    number, depth, reason = message.split(":", 2)
    override = overrides[int(number)]
    path, at = override.path, int(depth)
    parent, part = format_path(path[:at]), path[at]
    where = f"the override {override.text!r}"
    above = lookup(base, path[:at])
    if reason == "missing":
        known = [key for key in above if isinstance(key, str)] if isinstance(above, dict) else []
        text = f"there is no {format_path(path[: at + 1])!r} to remove"
        return int(number), ConfigError(text, where=where, hint=did_you_mean(str(part), known) if known else None)
    if reason.startswith("length "):
        length = int(reason.removeprefix("length "))
        items = "1 item" if length == 1 else f"{length} items"
        text = f"the list `{parent}` has {items}, so there is no {format_path(path[: at + 1])!r}"
        hint = f"the last is {parent}[{length - 1}]" if length else f"give the whole list: {parent}=[...]"
        return int(number), ConfigError(text, where=where, hint=hint)
    kind = _KINDS.get(reason, f"a {reason}")
    if isinstance(part, int):
        text = f"`{parent}` is {kind} and has no items, so {format_path(path[: at + 1])!r} cannot be set"
        return int(number), ConfigError(text, where=where, hint=f"set it as a whole: {parent}=[...]")
    text = f"`{parent}` is {kind} and no section, so {format_path(path[: at + 1])!r} cannot be set"
    hint = f"name an item: {parent}[0]" if reason == "array" else f"to replace it: {parent}={{{part}: ...}}"
    return int(number), ConfigError(text, where=where, hint=hint)
