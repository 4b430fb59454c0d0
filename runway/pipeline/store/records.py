"""What the store itself writes down: ``meta.json``, ``.reads.json``, the journal. Each is sealed, and has a form.

A disk may have changed any byte of them, others may have written them, a crash may have torn them: whatever is in such
a file, ``parse`` gives a record of the form, or raises ValueError, and nothing else.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from typing import Any

from runway.config.reads import QUESTIONS
from runway.disk import stays_inside
from runway.pipeline.keys.fingerprint import combine

SEAL = "seal"
"""The last field of a record: the digest of the text before it. Runway 0.1 wrote none."""

Form = Any
"""A type, for a value of just this type; a dict, for one with these fields (and others); a list of one form, for a list
of such; a tuple, for a list of this length; or a function that says whether a value fits."""
Fits = Callable[[Any], bool]
Fields = dict[str, Fits]
"""Of a record: what each field must fit; it may have others, if it is sealed."""


def seal(record: dict[str, Any]) -> bytes:
    """A record as it is written: JSON with the seal at its end."""
    body = json.dumps(record, separators=(",", ":"))
    return f"{body[:-1]}{_sealing(body)}".encode()


def parse(data: bytes, form: Fields) -> dict[str, Any]:
    """Read a record.

    Raises:
        ValueError: it is torn, altered since it was written, or not of the form.
    """
    record, is_sealed = unseal(data)
    check(record, form, is_sealed=is_sealed)
    return record


def unseal(data: bytes) -> tuple[dict[str, Any], bool]:
    """What a record says, whatever its form, and whether it bore a seal.

    Raises:
        ValueError: it is torn, or altered since it was written.
    """
    try:
        text = data.decode()
        record = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise ValueError("it is torn, or no JSON") from error
    if type(record) is not dict or (text.count("{") + text.count("[") > DEEPEST and _is_deep(record)):
        raise ValueError("it is no record")
    if record.pop(SEAL, None) is None:
        return record, False
    body = f"{text[:-_SEALING_LENGTH]}}}"
    if text[-_SEALING_LENGTH:] != _sealing(body):
        raise ValueError("it has been altered since it was written")
    return record, True


def check(record: dict[str, Any], form: Fields, *, is_sealed: bool) -> None:
    """Raise a ValueError for a record that is not of a form."""
    unknown = () if is_sealed else record.keys() - form.keys()
    if unknown:  # one of them may be what was the seal
        raise ValueError(f"it has an unknown field {ascii(min(unknown))[:40]}")
    for name, fits in form.items():
        if not fits(record.get(name, ABSENT)):
            raise ValueError(f"it has no proper {name!r}")


def _is_deep(value: Any) -> bool:
    """Whether sections and lists stand in each other to a depth at which Python's own stack may end."""
    level, depth = [value], 0
    while level:
        depth += 1
        inner: list[Any] = []
        for item in level:
            inner += item.values() if type(item) is dict else item
        level = [item for item in inner if type(item) in (dict, list)]
        if depth > DEEPEST:
            return True
    return False


def _sealing(body: str) -> str:
    return f',"{SEAL}":"{combine(SEAL, body)}"}}'


_SEALING_LENGTH = len(_sealing(""))
_DIGEST = re.compile("[0-9a-f]{4,64}").fullmatch
ABSENT = object()
DEEPEST = 200
LONGEST_NAME = 200
"""Characters, of a file of an entry: a system takes 255 bytes for one part of a path."""


def fitting(form: Form) -> Fits:
    """Says whether a value that JSON gave is of a form. Made once: each entry of a run is held against one."""
    if isinstance(form, type):
        return lambda value: type(value) is form
    if isinstance(form, dict):
        fields = fields_of(form).items()
        return lambda value: type(value) is dict and all(fits(value.get(name, ABSENT)) for name, fits in fields)
    if isinstance(form, list):
        item = fitting(form[0])
        return lambda value: type(value) is list and all(map(item, value))
    if isinstance(form, tuple):
        items = [fitting(inner) for inner in form]
        return lambda value: (
            type(value) is list
            and len(value) == len(items)
            and all(fits(one) for fits, one in zip(items, value, strict=True))
        )
    return form


def fields_of(form: dict[str, Form]) -> Fields:
    """What each field of a record must fit."""
    return {name: fitting(inner) for name, inner in form.items()}


def maybe(form: Form) -> Fits:
    """What need not be there, or may be null."""
    fits = fitting(form)
    return lambda value: value is ABSENT or value is None or fits(value)


def mapping(name: Form, form: Form) -> Fits:
    """A section with any names."""
    if name is str and isinstance(form, type):  # JSON's names are text: the many digests of code, at once
        return lambda value: type(value) is dict and set(map(type, value.values())) <= {form}
    is_name, fits = fitting(name), fitting(form)
    return lambda value: type(value) is dict and all(is_name(key) and fits(item) for key, item in value.items())


def anything(value: Any) -> bool:
    """What is only shown to people, or compared."""
    return value is not ABSENT


def is_amount(value: Any) -> bool:
    """Seconds, or a time in seconds since 1970."""
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value < 1e12


def is_size(value: Any) -> bool:
    """Bytes."""
    return type(value) is int and 0 <= value < 1 << 62


def is_digest(value: Any) -> bool:
    """Hexadecimal digits; the name of an entry's folder is such a digest too."""
    return type(value) is str and _DIGEST(value) is not None


def is_text(value: Any) -> bool:
    """What can be shown and written as it is."""
    return type(value) is str and value.isprintable()


def is_state(value: Any) -> bool:
    """The state of something that was read: words, a digest, or the keys of a section as a JSON list."""
    try:
        return type(value) is str and (not value.startswith("[") or type(json.loads(value)) is list)
    except (RecursionError, ValueError):
        return False


def is_inside(value: Any) -> bool:
    """The name of a file in an entry, with ``/`` between its parts."""
    return is_path(value) and stays_inside(value) and len(value) < LONGEST_NAME and value != "meta.json"


def is_path(value: Any) -> bool:
    """The name of a file, as a system takes it."""
    try:
        return type(value) is str and b"\0" not in os.fsencode(value)
    except UnicodeError:
        return False


PARTS = {
    "transform": is_text,
    "code": mapping(str, str),
    "arguments": anything,
    "inputs": [(str, str)],
    "list": bool,
    "versions": mapping(str, str),
}
READ_SET = {
    "config": [(QUESTIONS.__contains__, [lambda value: type(value) in (str, int)])],
    "files": [(str, is_path)],
    "flags": [str],
    "code": maybe([(str, str)]),
}
META_FORM = fields_of(
    {
        "version": int,
        "key": is_digest,
        "format": is_text,
        "content": is_digest,
        "files": mapping(is_inside, (is_size, int, is_digest)),
        "samples": maybe(mapping(is_inside, is_digest)),
        "created": is_amount,
        "node": is_text,
        "base_key": maybe(str),
        "seconds": is_amount,
        "parts": PARTS,
        "reads": maybe({"set": READ_SET, "states": mapping(str, is_state)}),
        "notes": maybe(dict),
        "packages": maybe([str]),
        "value": maybe(str),
        "upload": maybe(lambda value: type(value) is str and re.fullmatch("[0-9a-f]*", value) is not None),
        "elsewhere": maybe(bool),
        "evicted": maybe(bool),
    }
)
"""Of ``meta.json``."""
INDEX_FORM = fields_of(
    {
        "sets": [READ_SET],
        "files": mapping(is_path, (int, int, int, int, int, str)),
    }
)
"""Of ``.reads.json``: a ReadSet each, and KnownFiles."""
JOURNAL_FORM = fields_of({"node": is_text, "key": is_digest, "time": maybe(is_amount)})
"""Of a line of the journal."""
