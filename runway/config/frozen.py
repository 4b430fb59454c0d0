"""What an override does not reach because the config took a copy of it before: each is said in a warning.

Two ways of writing a config take copies. ``std.mergePatch(base, {...})`` gives plain values, with all that ``base``
derived from its own. ``local base = import 'base.jsonnet'; base + { lr: 2 * base.train.lr }`` derives from ``base`` as
it stands, and not from what is laid over it.

How it is found: the config is evaluated anew from changed files, with a ``std.mergePatch`` that keeps deriving, and
with the overrides set inside of each copy too. What then has another value is derived from a copy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from runway.config.changed_files import FOUND_IN, ConfigPath, InCopy, InsideImporter, LateImporter, place_in_copy
from runway.config.overrides import Override, format_path
from runway.config.reads import ABSENT, lookup
from runway.config.rendering import differences
from runway.log import shown

if TYPE_CHECKING:
    from runway.config.jsonnet import Importer

MAX_TOLD = 5
MAX_EVALUATIONS = 60  # some milliseconds each; without overrides that do not reach something there are three
SHOWN = 60


class Loader(Protocol):
    """Evaluates one config file, with its imports answered by ``importer``; gives ABSENT where that fails."""

    importer: Importer

    def base(self) -> Any:
        """The config without overrides."""

    def try_with(self, overrides: Sequence[Override], importer: Importer | None = None) -> Any:
        """The config with these overrides."""

    def try_values(self, paths: Sequence[ConfigPath], beside: str, importer: Importer) -> Any:
        """What stands at these paths of the config without overrides, and beside it in a hidden list, or []."""


class FrozenValues:
    """Looks for what overrides do not reach.

    Args:
        overrides: all of them.
        config: the config with them.
        inside: the changed files in which values can be set.
        loader: evaluates the config anew.
    """

    def __init__(self, overrides: Sequence[Override], config: Any, inside: InsideImporter, loader: Loader) -> None:
        self.overrides = overrides
        self.config = config
        self.inside = inside
        self.loader = loader
        self.base: Any = ABSENT
        self._left = MAX_EVALUATIONS

    def warnings(self, asked: Sequence[Override]) -> list[str]:
        """One sentence for each of these overrides that does not reach what was derived from its value."""
        self.base = self.loader.base() if asked else ABSENT
        if self.base is ABSENT:
            return []
        asked = [one for one in asked if not one.removes and lookup(self.base, one.path) is not ABSENT]
        found = self._behind_merge_patch(asked)
        found |= self._behind_copies([override for override in asked if id(override) not in found])
        return [found[id(override)] for override in self.overrides if id(override) in found]

    # -- std.mergePatch

    def _behind_merge_patch(self, asked: Sequence[Override]) -> dict[int, str]:
        """{id of an override: the sentence}."""
        sources = self.loader.importer.sources
        file = next((path for path, source in sources.items() if b"mergePatch" in source), None)
        if file is None or not asked:
            return {}
        line = sources[file].partition(b"mergePatch")[0].count(b"\n") + 1
        late = LateImporter(self.loader.importer)
        before = self._try([], late)
        why = (
            f"`std.mergePatch` at {shown(file)}:{line} keeps what was derived before; to let it follow, lay the "
            "changes over with `+`: (import 'base.jsonnet') + { train+: { ... } }"
        )

        def kept(part: Sequence[Override]) -> list[ConfigPath]:
            """What follows these overrides there, and has in the config the value that it has without them."""
            after = self._try(part, late)
            followed = [path for path, _, _ in differences(before, after)] if ABSENT not in (before, after) else []
            values = ((path, lookup(self.config, path)) for path in followed)
            return [path for path, value in values if value is not ABSENT and value == lookup(self.base, path)]

        guilty = self._each_by_itself(asked, lambda part: bool(kept(part)))
        return {id(override): self._sentence(override, kept([override]), why) for override in guilty}

    # -- copies of a local or of an imported file

    def _behind_copies(self, asked: Sequence[Override]) -> dict[int, str]:
        """{id of an override: the sentence}."""
        outermost = self._copied(asked, True)
        found = self._behind(outermost, asked)
        rest = [override for override in asked if id(override) in outermost and id(override) not in found]
        innermost = self._copied(rest, False) if rest else {}
        others = {number: place for number, place in innermost.items() if place != outermost[number]}
        return found | (self._behind(others, rest) if others else {})

    def _behind(self, in_copies: dict[int, InCopy], asked: Sequence[Override]) -> dict[int, str]:
        """{id of an override: the sentence}, for the place in a copy that each override's old value is from."""

        def with_copies(part: Sequence[Override]) -> Any:
            """The config with these overrides set in the copies, too."""
            self.inside.set(in_copies[id(override)] for override in part)
            other = self._try(self.overrides, self.inside)
            return self.config if other is ABSENT else other

        copied = [override for override in asked if id(override) in in_copies]
        found: dict[int, str] = {}
        for override in self._each_by_itself(copied, lambda part: bool(with_copies(part) != self.config)):
            in_copy = in_copies[id(override)]
            changed = [path for path, _, _ in differences(self.config, with_copies([override]))]
            kept = _derived(changed, override.path, in_copy.path)
            if kept:
                name, place = self.inside.copies[in_copy.number]
                why = (
                    f"it is derived from {name} ({place}) before the override; to let it follow, derive it through "
                    f"`$` or `self`: (import 'base.jsonnet') + {{ ...: $.{format_path(override.path)} }}"
                )
                found[id(override)] = self._sentence(override, kept, why)
        return found

    def _copied(self, asked: Sequence[Override], outermost: bool) -> dict[int, InCopy]:
        """{id of an override: where its old value is in a copy}, of those whose value the config has from one."""
        endings = ((one.path[start:], lookup(self.base, one.path)) for one in asked for start in range(len(one.path)))
        self.inside.find(endings, outermost=outermost)
        waiting: list[Sequence[Override]] = [asked]
        found: dict[int, InCopy] = {}
        while waiting and self._left > 0:
            self._left -= 1
            part = waiting.pop()
            marks = self.loader.try_values([override.path for override in part], FOUND_IN, self.inside) if part else []
            if marks is ABSENT:  # a mark stands where another kind of value is needed
                waiting += [part[len(part) // 2 :], part[: len(part) // 2]] if len(part) > 1 else []
                continue
            for override, (mark, sections) in zip(part, marks, strict=True):
                number, length = place_in_copy(mark) or (0, 0)
                # The section is the copy's own, too: else a value of the copy has only found its way there.
                own = length == len(override.path) or (number, length - 1) in map(place_in_copy, sections)
                if length and own:
                    path = override.path[len(override.path) - length :]
                    found[id(override)] = InCopy(number, path, lookup(self.base, override.path), override.value)
        return found

    # -- both

    def _try(self, overrides: Sequence[Override], importer: Importer) -> Any:
        self._left -= 1
        return self.loader.try_with(overrides, importer)

    def _each_by_itself(
        self, items: Sequence[Override], matters: Callable[[Sequence[Override]], bool]
    ) -> list[Override]:
        """The overrides that matter each by itself, by halving: few of many do."""
        waiting: list[Sequence[Override]] = [items]
        found: list[Override] = []
        while waiting and self._left > 0 and len(found) < MAX_TOLD:
            part = waiting.pop()
            if not part or not matters(part):
                continue
            if len(part) == 1:
                found.append(part[0])
            else:
                waiting += [part[len(part) // 2 :], part[: len(part) // 2]]
        return found

    def _sentence(self, override: Override, kept: Sequence[ConfigPath], why: str) -> str:
        path, first = format_path(override.path), min(kept, key=lambda place: (len(place), str(place)))
        value = json.dumps(lookup(self.config, first), ensure_ascii=False, default=repr)
        value = value if len(value) <= SHOWN else value[: SHOWN - 1] + "…"
        more = f" (and {len(kept) - 1} more)" if len(kept) > 1 else ""
        alone = self.config if len(self.overrides) == 1 else self.loader.try_with([override])
        changed = [place for place, _, _ in differences(self.base, alone)]
        only_itself = all(place[: len(override.path)] == override.path for place in changed)
        does = (
            f"changed nothing but `{path}` itself" if only_itself else f"does not reach all that derives from `{path}`"
        )
        return f"the override {override.text!r} {does}: `{format_path(first)}` keeps {value}{more}; {why}"


def _derived(changed: Sequence[ConfigPath], path: ConfigPath, in_copy: ConfigPath) -> list[ConfigPath]:
    """What of a config is derived from a value in a copy, and not the same value in another place.

    Args:
        changed: what differs when the value is set in the copy, too.
        path: of the value.
        in_copy: its path in the copy, which stands at what is before it in ``path``.
    """
    length = len(in_copy)
    top = path[: len(path) - length]
    below = [place for place in changed if place[: len(top)] == top]
    others = {place[:-length] for place in below if place[-length:] == in_copy}
    return [place for place in below if not any(place[: len(other)] == other for other in others)]
