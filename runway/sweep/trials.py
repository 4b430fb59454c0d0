"""Trials: the points of a sweep as whole configs, each checked before the first of them runs, and known by its key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from runway.config.check import check_config, is_known
from runway.config.load import load_config
from runway.config.overrides import format_path, parse_override
from runway.config.reads import ABSENT, lookup
from runway.config.signatures import accepted_settings
from runway.errors import ConfigError, ConfigErrors, RunwayError, did_you_mean, raise_collected
from runway.log import shown, warning
from runway.pipeline.graph import check_pipelines
from runway.sweep.space import SEED, Point, Space, canonical, overrides_of

if TYPE_CHECKING:
    from runway.config.config import Config
    from runway.pipeline.graph import Graph

MOST_TOLD = 12


class Source(NamedTuple):
    """What every trial begins with.

    Attributes:
        path: the config's file.
        project: its project's folder.
        overrides: those of the command, for all trials.
        use_dummy_data: loaders read a few rows only.
    """

    path: Path
    project: Path
    overrides: tuple[str, ...]
    use_dummy_data: bool = False


@dataclass
class Trial:
    """One training of a sweep.

    Args:
        setting: what is compared: the point without its seed.
        seed: of ``meta.seed``; None: the config's own.
        overrides: what the trial lays over the source.
        config: the result.
        number: from 1, in the order in which the sweep has them.
        key: what it is known by; empty until its data is prepared.
        code: the digest of the code that it is to train with; empty where that is not told.
    """

    setting: Point
    seed: int | None
    overrides: tuple[str, ...]
    config: Config
    number: int = 0
    key: str = ""
    code: str = ""

    @property
    def point(self) -> Point:
        """The setting with the seed, where the sweep sets one."""
        return self.setting if self.seed is None else {**self.setting, format_path(SEED): self.seed}

    @property
    def label(self) -> str:
        """The point in a line."""
        return ", ".join(f"{short}={value}" for short, value in shortened(self.point).items())


def shortened(point: Mapping[str, Any]) -> dict[str, Any]:
    """A point with the ends of its paths for names, as long as they must be to tell them apart."""
    parts = {path: [str(part) for part in parse_override(f"{path}=0").path] for path in point}
    names: dict[str, str] = {}
    for path, own in parts.items():
        others = [other for other in parts.values() if other is not own]
        length = next(
            (count for count in range(1, len(own)) if all(other[-count:] != own[-count:] for other in others)), len(own)
        )
        names[path] = ".".join(own[-length:])
    return {names[path]: value for path, value in point.items()}


def check_paths(space: Space, config: Mapping[str, Any], graphs: Mapping[str, Graph]) -> None:
    """Hold the paths of a sweep against the config that it goes over.

    A path must be in the config, or name a setting that runway, Lightning or the node's transform is known to take:
    a misspelt one would make a new key that nobody reads, and so trials that are all the same.

    Raises:
        ConfigError: a path is not there; all of them, collected.
    """
    errors: list[RunwayError] = []
    for parameter in space.parameters:
        path = parse_override(f"{parameter.path}=0").path
        if lookup(config, path) is not ABSENT or is_known(path) or _is_accepted(path, graphs):
            continue
        depth = next(at for at in range(len(path)) if lookup(config, path[: at + 1]) is ABSENT)
        above, part = lookup(config, path[:depth]), path[depth]
        known = list(above) if isinstance(above, Mapping) else []
        near = did_you_mean(str(part), known)
        place = format_path(path[:depth]) or "the config"
        message = f"there is no {parameter.path!r} to sweep over: {place} has no {part!r}"
        hint = f"{near}; a key of your own must stand in the config to be swept over"
        errors.append(ConfigError(message, where="sweep.parameters", hint=hint))
    raise_collected(errors, where="sweep.parameters")


def _is_accepted(path: Sequence[str | int], graphs: Mapping[str, Graph]) -> bool:
    """Whether it is a setting of a node that the transform's ``setup`` has an argument for."""
    if len(path) != 5 or path[1] != "transforms" or path[3] != "setup_kwargs" or path[0] != "data_pipeline":
        return False
    cls = graphs["data_pipeline"].classes.get(str(path[2])) if "data_pipeline" in graphs else None
    return cls is not None and path[4] in accepted_settings(cls).names


def make_trials(source: Source, points: Iterable[Point], seeds: Sequence[int]) -> list[Trial]:
    """The trials of some points, each for every seed, all of them checked.

    Raises:
        ConfigError: a trial's config has mistakes; each mistake once, with the trial that has it.
    """
    trials: list[Trial] = []
    errors: dict[str, RunwayError] = {}
    told: set[str] = set()
    places = [(setting, seed) for setting in points for seed in seeds or (None,)]
    for number, (setting, seed) in enumerate(places):
        point = setting if seed is None else {**setting, format_path(SEED): seed}
        overrides = tuple(overrides_of(point))
        config, found = _load(source, overrides, warn=number in (0, len(places) - 1))  # the paths are the same in all
        if config is not None and not found:
            trials.append(Trial(setting, seed, overrides, config))
            _warn(config, told)
        for error in found:
            if error.message not in errors:
                error.where = f"the trial {canonical(point)}" + (f": {error.where}" if error.where else "")
                errors[error.message] = error
    listed = list(errors.values())[:MOST_TOLD]
    if len(errors) > MOST_TOLD:
        listed.append(ConfigError(f"and {len(errors) - MOST_TOLD} more mistakes of other trials"))
    raise_collected(listed, where=shown(source.path))
    return trials


def _load(source: Source, overrides: Sequence[str], *, warn: bool) -> tuple[Config | None, list[RunwayError]]:
    try:
        texts = [*source.overrides, *overrides]
        config = load_config(source.path, texts, project=source.project, check=False, warn=warn)
    except ConfigErrors as error:
        return None, list(error.errors)
    except ConfigError as error:
        return None, [error]
    return config, [*check_config(config, source.path), *check_pipelines(config)[1]]


def _warn(config: Config, told: set[str]) -> None:
    """What is probably not meant, once for each path: the next value of it is the same mistake."""
    for text in config.loaded_from.warnings if config.loaded_from else ():
        about = text.partition("=")[0]
        if about not in told:
            told.add(about)
            warning(text)
