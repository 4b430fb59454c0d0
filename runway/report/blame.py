"""What differs between two runs, and what each difference changes: read from what the runs have kept, nothing is run.

A run keeps what the keys of its data and of its training are made of (``lineage.json``, ``provenance.json``), so that
two of them differ in a finite list of things. What is in no key (a package, the machine, the commit) stands apart:
whether it matters cannot be read from the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runway.config.overrides import format_path
from runway.config.reads import ABSENT
from runway.config.rendering import differences
from runway.errors import ExperimentError
from runway.experiment.evaluation import TESTS
from runway.report.causes import (
    CODE,
    COMMIT,
    DATA,
    FILE,
    FLAG,
    PACKAGE,
    PLATFORM,
    PYTHON,
    RANKS,
    RESUMED,
    SEED,
    SEED_PLACE,
    SETTING,
    THREADS,
    Blame,
    Cause,
    Found,
    Place,
)

if TYPE_CHECKING:
    from runway.experiment.folders.read_run import ReadRun

_EXECUTOR: Place = ("executor", "ExecutorClass")
_NODES: Place = ("data_pipeline", "transforms")
_WHOLE = "(all of it)"

Node = Mapping[str, Any]


def blame(first: ReadRun, second: ReadRun) -> Blame:
    """What differs between two runs.

    Args:
        first: the run that the other is held against.
        second: the other.

    Raises:
        ExperimentError: the record of one is damaged.
    """
    try:
        return _blame(first, second)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        hint = "it was changed since it was written: a copy of the run may have it whole"
        names = f"{first.name} or {second.name}"
        raise ExperimentError(f"the record of {names} is damaged: {error!r}", hint=hint) from error


def _blame(first: ReadRun, second: ReadRun) -> Blame:
    found = Found()
    data = _data(found, first.lineage, second.lineage, first.config, second.config)
    if not (first.lineage and second.lineage):
        data |= _keys(found, first, second)
    _training(found, first, second, data)
    known = {name: list(causes) for name, causes in data.items()}
    both_tested = bool(first.test and second.test)
    if both_tested:
        at_test = _data(found, first.test_lineage, second.test_lineage, first.test_config, second.test_config)
        for name, causes in at_test.items():
            for cause in causes:
                cause.test = cause.test or cause not in known.get(name, ())
        _code_of_test(found, first, second)
        _evaluation(found, first, second)
    _settings(found, first, second, both_tested=both_tested)
    _surroundings(found, first, second)
    causes = _joined(found.causes(), (*_overridden(first), *_overridden(second)))
    return Blame(
        (first.name, second.name),
        [cause for cause in causes if cause.counts],
        [cause for cause in causes if not cause.counts],
        list(_unknown(first, second)),
    )


# --- data


def _data(
    found: Found, old: Mapping[str, Node], new: Mapping[str, Node], before: Any, after: Any
) -> dict[str, list[Cause]]:
    """{node: what its output differs by} of those that have another key; what is above one counts for it."""
    reasons: dict[str, list[Cause]] = {}
    changed = differences(before, after)
    for name in (name for name in new if name in old):  # in dependency order
        one, other = old[name], new[name]
        if one["key"] is not None and one["key"] == other["key"]:
            continue
        causes = _own(found, name, one, other, changed)
        contents: dict[str, Any] = dict(one["inputs"])
        for above, content in other["inputs"]:
            is_same = content is not None and contents.get(above) == content
            causes += [] if is_same else reasons.get(above, [])
        if not causes and None not in (one["key"], other["key"]):
            causes.append(found.add(DATA, name, one["key"], other["key"]))
        if causes:
            reasons[name] = list({id(cause): cause for cause in causes}.values())
    for name, causes in reasons.items():
        for cause in causes:
            cause.nodes += [] if name in cause.nodes else [name]
    return reasons


def _keys(found: Found, first: ReadRun, second: ReadRun) -> dict[str, list[Cause]]:
    """The nodes that have another key, where that is all that is known of them."""
    old, new = (run.provenance.get("data") or {} for run in (first, second))
    names = [name for name in new if name in old and old[name] != new[name]]
    causes = {name: found.add(DATA, name, old[name], new[name]) for name in names}
    for name, cause in causes.items():
        cause.nodes = [name]
    return {name: [cause] for name, cause in causes.items()}


def _own(found: Found, name: str, old: Node, new: Node, changed: Iterable[tuple[Place, Any, Any]]) -> list[Cause]:
    """What a node itself differs by."""
    place = (*_NODES, name)
    causes = [found.add(CODE, *code) for code in _code(old["code"], new["code"])]
    if old["transform"] != new["transform"]:
        causes.append(found.setting((*place, "transform_name"), old["transform"], new["transform"]))
    for path, before, after in differences(old["arguments"], new["arguments"]):
        causes.append(found.setting((*place, "setup_kwargs", *path), before, after))
    if _wiring(old) != _wiring(new):
        wired = [one for one in changed if one[0][:3] == place and one[0][3:4] in (("input_node",), ("inputs",))]
        causes += [found.setting(*one) for one in wired or [((*place, "input_node"), _wiring(old), _wiring(new))]]
    causes += _versions(found, old, new)
    return causes + _reads(found, old["reads"] or {}, new["reads"] or {}, changed)


def _wiring(node: Node) -> list[Any]:
    """The inputs of a node: their names, and as what they are passed."""
    return [[above for above, _ in node["inputs"]], node["list"], node.get("names") or []]


def _code(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(name, digest, digest) of what differs. What is only used by what differs, or no longer, is no news beside it."""
    differing = [name for name in old if name in new and old[name] != new[name]]
    for name in differing or sorted({*old} ^ {*new}):
        yield name.removeprefix("text of "), old.get(name, ABSENT), new.get(name, ABSENT)


def _versions(found: Found, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Cause]:
    """The packages whose versions count (``meta.cache_versions``)."""
    changed = differences(old.get("versions") or {}, new.get("versions") or {})
    return [found.add(PACKAGE, str(path[0]), before, after) for path, before, after in changed]


def _reads(
    found: Found, old: Mapping[str, Any], new: Mapping[str, Any], changed: Iterable[tuple[Place, Any, Any]]
) -> list[Cause]:
    """What a node has read on the way and is another thing: settings, files, flags, functions that ran."""
    sides = [one.get("states") or {} for one in (old, new)]
    causes: list[Cause] = []
    for name in sides[0]:
        if name not in sides[1] or sides[0][name] == sides[1][name]:
            continue
        kind, _, what = name.partition(" ")
        if kind == "config":
            below = [one for one in changed if _meets(format_path(one[0]), what)]
            causes += [found.setting(*one) for one in below] or [found.add(SETTING, what)]
        elif kind == "code:":
            causes.append(found.add(CODE, what, sides[0][name], sides[1][name]))
        else:
            causes.append(found.add(FLAG if kind == "flag" else FILE, what))
    return causes


def _meets(path: str, asked: str) -> bool:
    """Whether one of two places in the config lies in the other."""
    if asked == _WHOLE or path == asked:
        return True
    return path.startswith((f"{asked}.", f"{asked}[")) or asked.startswith((f"{path}.", f"{path}["))


# --- training, test, evaluation


def _training(found: Found, first: ReadRun, second: ReadRun, data: Mapping[str, list[Cause]]) -> None:
    parts = [run.training.get("training") or {} for run in (first, second)]
    if not all(parts):
        if first.training and second.training:  # which of the data it has learned from is not known
            for cause in (cause for causes in data.values() for cause in causes):
                cause.training = True
        return
    old, new = ({**_NO_TRAINING, **one} for one in parts)
    causes = [found.add(CODE, *code) for code in code_of_training(old, new)]
    causes += _versions(found, old, new)
    noted = [one.get("reads") or {} for one in (old, new)]  # what showed only while it ran
    causes += _reads(found, noted[0], noted[1], ())
    for name, before in (noted[0].get("nodes") or {}).items():
        after = (noted[1].get("nodes") or {}).get(name)
        if None not in (before, after) and before != after:
            causes += data.get(name) or [found.add(DATA, name, before, after)]
    contents = {*old["contents"], *new["contents"]}
    for path, before, after in differences(old["settings"], new["settings"]):
        if format_path(path) not in contents or before != after:
            causes.append(found.setting(path, before, after))
    if old["executor"] != new["executor"]:
        causes.append(found.setting(_EXECUTOR, old["executor"], new["executor"]))
    for place in old["contents"]:
        (name, before), (other, after) = old["contents"][place], new["contents"].get(place, [None, None])
        if None in (before, after) or before == after or name != other:
            continue
        if name in second.lineage or name in data:
            causes += data.get(name) or [found.add(DATA, name, before, after)]
        else:
            causes.append(found.add(FILE, name, before, after))
    if old["ranks"] != new["ranks"]:
        causes.append(found.add(RANKS, "processes", old["ranks"], new["ranks"]))
    if old["use_dummy_data"] != new["use_dummy_data"]:
        flag = found.add(FLAG, "use_dummy_data")
        flag.before, flag.after = old["use_dummy_data"], new["use_dummy_data"]
        causes.append(flag)
    if old["resumed"] != new["resumed"]:
        steps = [[part["step"] for part in one["resumed"]] or None for one in parts]
        causes.append(found.add(RESUMED, "under other settings after a step", *steps))
    for cause in causes:
        cause.training = True


_NO_TRAINING: dict[str, Any] = {
    **{part: {} for part in ("code", "members", "settings", "contents", "versions")},
    **dict.fromkeys(("executor", "ranks", "use_dummy_data")),
    "resumed": [],
}
"""What an older record may lack."""


def code_of_training(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(name, digest, digest) of what differs; of a class whose methods are known, the methods."""
    members = [one.get("members") or {} for one in (old, new)]
    for name, before, after in _code(old.get("code") or {}, new.get("code") or {}):
        methods = [one.get(name) or {} for one in members]
        differing = [part for part in {**methods[0], **methods[1]} if methods[0].get(part) != methods[1].get(part)]
        if not all(methods) or not differing:
            yield name, before, after
        for part in sorted(differing) if all(methods) else ():
            yield f"{name}.{part}", *(one.get(part, ABSENT) for one in methods)


def _code_of_test(found: Found, first: ReadRun, second: ReadRun) -> None:
    """The executor's code as it tested: it may have been edited since the training."""
    old, new = (run.test.get("executor") for run in (first, second))
    if old and new:
        for code in code_of_training(old, new):
            found.add(CODE, *code).test = True


def _evaluation(found: Found, first: ReadRun, second: ReadRun) -> None:
    sides = [run.evaluation for run in (first, second)]
    nodes = [one.get("nodes") or {} for one in sides]
    for name in (name for name in nodes[1] if name in nodes[0]):
        for code in _code(nodes[0][name]["code"], nodes[1][name]["code"]):
            found.add(CODE, *code).evaluation = True
    if all(sides):
        for path, before, after in differences(*(one["pipeline"] for one in sides)):
            found.setting(("eval", _section(second), *path), before, after).evaluation = True


def _section(run: ReadRun) -> str:
    """Which section of ``eval`` is the test's."""
    section = run.test_config.get("eval") or {}
    return next((name for name in TESTS if section.get(name)), TESTS[0])


def _settings(found: Found, first: ReadRun, second: ReadRun, *, both_tested: bool) -> None:
    """Every setting that differs, whether anything counts it or not."""
    both_trained = bool(first.training and second.training)
    trained = differences(first.config, second.config) if both_trained else []
    tested = differences(first.test_config, second.test_config) if both_tested else []
    for change in trained:
        found.setting(*change)
    evaluated = (_section(second),)
    for change in tested:
        cause, place = found.setting(*change), change[0]
        if place[0] == "eval":
            cause.evaluation |= place[1:2] == evaluated
        else:
            cause.test |= place[0] == "test" or change not in trained


# --- what is in no key


def _surroundings(found: Found, first: ReadRun, second: ReadRun) -> None:
    old, new = first.provenance, second.provenance
    if old.get("seed") != new.get("seed") and None not in (old.get("seed"), new.get("seed")):
        found.add(SEED, format_path(SEED_PLACE), old["seed"], new["seed"]).training = True
    commits = [(one.get("git") or {}).get("commit") for one in (old, new)]
    sides = {kind: [old.get(kind), new.get(kind)] for kind in (PYTHON, PLATFORM, THREADS)}
    for kind, (before, after) in {**sides, COMMIT: commits}.items():
        if before != after and None not in (before, after):
            found.add(kind, kind, before, after).counts = False
    packages = old.get("packages") or {}, new.get("packages") or {}
    users: dict[str, list[str]] | None = None
    for path, before, after in differences(*packages) if all(packages) else ():
        cause = found.add(PACKAGE, str(path[0]), before, after)
        if cause.nodes or cause.training:
            continue  # one that counts
        users = _users() if users is None else users
        tops = {*users.get(_normal(cause.name), [cause.name.replace("-", "_")])}
        cause.counts = False
        cause.nodes = [name for name, node in second.lineage.items() if tops & {*node["packages"]}]
        cause.training = bool(tops & {*((new.get("training") or {}).get("packages") or ())})


def _users() -> dict[str, list[str]]:
    """{distribution: what of it is imported}, of what is installed here."""
    import importlib.metadata

    found: dict[str, list[str]] = {}
    for top, distributions in importlib.metadata.packages_distributions().items():
        for distribution in distributions:
            found.setdefault(_normal(distribution), []).append(top)
    return found


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


# --- how it is told


def _overridden(run: ReadRun) -> list[str]:
    return [str(text).lstrip("~").partition("=")[0].rstrip("+") for text in run.provenance.get("overrides") or ()]


def _joined(causes: list[Cause], overridden: Iterable[str]) -> list[Cause]:
    """Settings with one last name that differ in one way as one: a config derives them from each other.

    The one that an override names stands for them, else the one with the shortest path.
    """
    named = {*overridden}
    groups: dict[str, list[Cause]] = {}
    for cause in causes:
        if cause.kind in (SETTING, SEED):
            last = cause.name.replace("[", ".").rpartition(".")[2]
            groups.setdefault(repr((last, cause.before, cause.after)), []).append(cause)
    gone = set()
    for group in groups.values():
        group.sort(key=lambda cause: (cause.name not in named, cause.kind != SEED, cause.name.count("."), cause.name))
        first = group[0]
        for cause in group[1:]:
            first.also.append(cause.name)
            first.nodes += [name for name in cause.nodes if name not in first.nodes]
            first.training, first.test = first.training or cause.training, first.test or cause.test
            first.evaluation = first.evaluation or cause.evaluation
            gone.add(id(cause))
    return [cause for cause in causes if id(cause) not in gone]


def _unknown(first: ReadRun, second: ReadRun) -> Iterator[str]:
    for run in (first, second):
        if run.provenance.get("data") and not (run.lineage if run.training else run.test_lineage):
            yield f"{run.name} has kept the keys of its data, not what they are made of: why they differ is not known"
        if run.training and not run.training.get("training"):
            yield f"{run.name} has no key of its training: what counts for that is not known"
