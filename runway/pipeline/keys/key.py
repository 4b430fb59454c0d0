"""The key of a node: a hash of its code, its arguments and the content of its inputs, and never of its name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runway.pipeline.keys.fingerprint import combine, digest

if TYPE_CHECKING:
    from runway.pipeline.keys.code import Code

ENCODING = "3"
"""Part of every key: raise it when keys are made differently, and nothing old is taken for new."""

SHOWN = 60
_NO_VERSIONS = digest({})


class KeyParts:
    """What one node's key is made of; it can be pickled, and makes the same key in another process.

    Args:
        transform: the transform's name in the config; for people, it is no part of the key.
        code: what counts of its class.
        arguments: the settings that count.
        inputs: (name, digest of the content) of each input; the names are for people.
        takes_list: whether ``_call`` gets a list of outputs.
        input_names: the arguments that the last inputs are for.
        versions: {package: version} of the packages whose versions count.
        where: the place of the arguments in the config, for errors.
    """

    def __init__(
        self,
        *,
        transform: str,
        code: Code,
        arguments: Mapping[str, Any],
        inputs: list[tuple[str, str]],
        takes_list: bool,
        input_names: tuple[str, ...] = (),
        versions: Mapping[str, str],
        where: str,
    ) -> None:
        self.transform = transform
        self.code = code
        self.arguments = arguments
        self.inputs = inputs
        self.takes_list = takes_list
        self.input_names = input_names
        self.versions = versions
        self.where = where
        self._key: str | None = None

    def key(self) -> str:
        """The base key: of all but what the node reads on the way.

        Raises:
            Unfingerprintable: an argument has no stable fingerprint.
        """
        if self._key is None:
            shape = "list" if self.takes_list else "one" if self.inputs else "none"
            if self.input_names:  # inputs by name are a shape of their own
                shape = combine(shape, str(len(self.inputs)), *self.input_names)
            arguments = digest(self.arguments, self.where)
            contents = (content for _, content in self.inputs)
            versions = digest(self.versions) if self.versions else _NO_VERSIONS
            self._key = combine(ENCODING, self.code.digest, versions, arguments, shape, *contents)
        return self._key

    def plain(self) -> dict[str, Any]:
        """The parts as JSON can hold them: kept with the entry, so that a later run can say what differs."""
        return {
            "transform": self.transform,
            "code": self.code.parts,
            "arguments": json.loads(json.dumps(self.arguments, default=repr)),
            "inputs": [list(pair) for pair in self.inputs],
            "list": self.takes_list,
            **({"names": list(self.input_names)} if self.input_names else {}),
            "versions": dict(self.versions),
        }

    def differences(self, older: Mapping[str, Any]) -> list[str]:
        """What differs from the parts of an older entry, one line each.

        Args:
            older: what ``plain`` gave then.
        """
        return differences_of(older, self.plain())


def differences_of(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two results of ``plain``, one line each."""
    return list(_differences(old, new))


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if old["transform"] != new["transform"]:
        yield f"transform {old['transform']} → {new['transform']}"
    yield from _code_differences(old["code"], new["code"])
    yield from _argument_differences("", old["arguments"], new["arguments"])
    if len(old["inputs"]) != len(new["inputs"]) or _shape(old) != _shape(new):
        yield f"input_node {_input_names(old)} → {_input_names(new)}"
    else:
        pairs = zip(old["inputs"], new["inputs"], strict=True)
        yield from (f"input {name}" for (_, before), (name, after) in pairs if before != after)
    for package in sorted({*old["versions"], *new["versions"]}):
        before, after = old["versions"].get(package), new["versions"].get(package)
        if before != after:
            yield f"version of {package} {before} → {after}"


def _code_differences(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    changed = sorted(name for name in old if name in new and old[name] != new[name])
    if changed:
        yield from (f"code: {name} changed" for name in changed)
        return
    yield from (f"code: {name} is used now" for name in sorted(new) if name not in old)
    yield from (f"code: {name} is no longer used" for name in sorted(old) if name not in new)


def _argument_differences(path: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            inner = f"{path}.{key}" if path else key
            if key not in old:
                yield f"argument {inner} added: {_short(new[key])}"
            elif key not in new:
                yield f"argument {inner} removed"
            else:
                yield from _argument_differences(inner, old[key], new[key])
    elif json.dumps(old) != json.dumps(new):  # 1, 1.0 and true are equal in Python, and different here
        yield f"argument {path} {_short(old)} → {_short(new)}"


def _shape(parts: Mapping[str, Any]) -> tuple:
    return parts["list"], tuple(parts.get("names", ()))


def _input_names(parts: Mapping[str, Any]) -> str:
    arguments = parts.get("names", ())
    before = len(parts["inputs"]) - len(arguments)
    prefixes = [*[""] * before, *(f"{argument}: " for argument in arguments)]
    names = ", ".join(prefix + name for prefix, (name, _) in zip(prefixes, parts["inputs"], strict=True))
    return f"[{names}]" if parts["list"] else names or "none"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
