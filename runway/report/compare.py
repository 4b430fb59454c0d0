"""Two runs or more held against the first of them: settings, code, data, metrics, and the rows that changed."""

from __future__ import annotations

import difflib
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from runway.errors import ConfigError, RunwayError
from runway.experiment.folders.read_run import ReadRun, read_run
from runway.report.blame import blame
from runway.report.blame_table import told as cause_told
from runway.report.metric_sums import SummedMetric, summed_metrics
from runway.report.page import number
from runway.report.pairing import NoPairsError, Pairs, pair
from runway.report.samples import Samples
from runway.report.settings import ABSENT, differences
from runway.uncertainty.comparisons import Difference, difference, holm, mcnemar
from runway.uncertainty.intervals import Interval, Sums, Value

_LONGEST_DIFF = 200_000


@dataclass(frozen=True)
class MetricDifference:
    """A metric of another run against the first run's.

    Attributes:
        name: of the metric.
        found: the difference; None where the rows do not give it.
        plain: the second value minus the first.
        p: of a test of no difference, corrected for the several metrics (Holm).
        test: which test that is.
    """

    name: str
    plain: float
    found: Difference | None = None
    p: float | None = None
    test: str = ""

    def told(self) -> str:
        """In words."""
        if self.found is None or self.found.interval is None:
            return f"{self.plain:+.4g}, interval not known"
        low, high = self.found.interval.low, self.found.interval.high
        if low == high == 0:
            return "the same on every row"
        is_tied = self.found.is_tied or (self.p is not None and self.p > 0.05)
        verdict = "tied" if is_tied else "differs"
        smallest = ""
        if is_tied and self.found.smallest is not None:
            smallest = f"; this test set shows a difference of {number(self.found.smallest)} four times in five"
        p = "" if self.p is None else f", p {'< 0.001' if self.p < 0.001 else f'= {self.p:.3f}'} ({self.test})"
        return f"{verdict}: {self.plain:+.4g} [{low:+.4g}, {high:+.4g}]{p}{smallest}"


@dataclass(frozen=True)
class Against:
    """Another run against the first.

    Attributes:
        run: the other.
        metrics: by name.
        unpaired: why the rows do not pair; empty where they do.
        pairs: the rows.
        fixed: places in ``pairs`` that were wrong and are right.
        broken: those that were right and are wrong.
    """

    run: ReadRun
    metrics: dict[str, MetricDifference]
    unpaired: str = ""
    pairs: Pairs | None = None
    fixed: list[int] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """What differs between runs.

    Attributes:
        runs: the first is what the others are held against.
        samples: of each, None where it has none.
        settings: ``(path, value of each)``, those that differ only.
        code: ``(function or member, digest in each)``, those that differ only: of the data, the training, the test.
        data: ``(node, key in each)``, those that differ only.
        reasons: of each other run, ``{node: what its data differs by}``.
        facts: what else differs: commit, Python, packages.
        diff: the code's difference as text, of each other run in turn.
        values: ``(metric, value in each)``.
        against: each other run.
    """

    runs: list[ReadRun]
    samples: list[Samples | None]
    settings: list[tuple[str, list[Any]]]
    code: list[tuple[str, list[Any]]]
    data: list[tuple[str, list[Any]]]
    reasons: list[dict[str, str]]
    facts: list[tuple[str, list[Any]]]
    diff: str
    values: list[tuple[str, list[Any]]]
    against: list[Against]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        named = [run.name for run in self.runs]

        def rows(found: list[tuple[str, list[Any]]]) -> dict[str, dict[str, Any]]:
            return {
                name: {run: None if value == ABSENT else value for run, value in zip(named, row, strict=True)}
                for name, row in found
            }

        return {
            "runs": [str(run.path) for run in self.runs],
            "settings": rows(self.settings),
            "code": [name for name, _ in self.code],
            "diff": self.diff,
            "data": {name: [one.get(name) for one in self.reasons] for name, _ in self.data},
            "facts": rows(self.facts),
            "metrics": rows(self.values),
            "against": [_plain_against(one) for one in self.against],
        }


def _plain_against(one: Against) -> dict[str, Any]:
    metrics = {}
    for name, found in one.metrics.items():
        interval = found.found.interval if found.found else None
        metrics[name] = {
            "difference": found.plain,
            "interval": [interval.low, interval.high] if interval else None,
            "p": found.p,
            "smallest": found.found.smallest if found.found else None,
            "told": found.told(),
        }
    changed = {"fixed": len(one.fixed), "broken": len(one.broken)}
    return {"run": one.run.name, "unpaired": one.unpaired or None, **changed, "metrics": metrics}


def compare(paths: Sequence[Path], *, test: str | None = None) -> Comparison:
    """Compare runs.

    Args:
        paths: their folders.
        test: the suffix of the test to compare; by default each run's last finished one.

    Raises:
        ConfigError: fewer than two runs are named, or one twice.
        ExperimentError: one is no run, or has no such test.
    """
    runs = [read_run(path, test) for path in paths]
    if len(runs) < 2 or len({run.path for run in runs}) < len(runs):
        raise ConfigError("compare takes two runs or more, each once", where=", ".join(run.name for run in runs))
    samples = [_open(run) for run in runs]
    _share_classes([one for one in samples if one is not None])
    summed = [summed_metrics(run.metrics, one) if one else {} for run, one in zip(runs, samples, strict=True)]
    names = list(dict.fromkeys(name for run in runs for name, value in run.metrics.items() if _is_number(value)))
    return Comparison(
        runs=runs,
        samples=samples,
        settings=differences([run.config for run in runs]),
        code=differences([_code(run) for run in runs]),
        reasons=[_reasons(runs[0], run) for run in runs[1:]],
        data=differences([_keys(run) for run in runs]),
        facts=differences([_facts(run) for run in runs]),
        diff="\n".join(text for run in runs[1:] if (text := code_diff(runs[0], run)))[:_LONGEST_DIFF],
        values=[(name, [run.metrics.get(name, ABSENT) for run in runs]) for name in names],
        against=[
            _against(runs[0], runs[at], (samples[0], samples[at]), (summed[0], summed[at]))
            for at in range(1, len(runs))
        ],
    )


def _open(run: ReadRun) -> Samples | None:
    try:
        return Samples(run.recorder, run.config) if run.recorder is not None and run.test_name else None
    except RunwayError:
        return None


def _share_classes(samples: list[Samples]) -> None:
    """Give all the same classes: one may never predict what another does."""
    found = [one.classes for one in samples]
    values = {value for one in found if one is not None for value in one.values}
    if len({type(value) for value in values}) == 1:
        for one in samples:
            one.more_classes = sorted(values)
            del one.classes


def _against(
    first: ReadRun,
    second: ReadRun,
    samples: tuple[Samples | None, Samples | None],
    summed: tuple[Mapping[str, SummedMetric], Mapping[str, SummedMetric]],
) -> Against:
    shared = [
        name for name in first.metrics if _is_number(first.metrics[name]) and _is_number(second.metrics.get(name))
    ]
    plain = {name: MetricDifference(name, float(second.metrics[name] - first.metrics[name])) for name in shared}
    if samples[0] is None or samples[1] is None:
        lacking = first.name if samples[0] is None else second.name
        return Against(second, plain, unpaired=f"{lacking} has no recorded test rows")
    try:
        pairs = pair(samples[0], samples[1])
    except NoPairsError as error:
        return Against(second, plain, unpaired=str(error))
    found: dict[str, MetricDifference] = {}
    for name in shared:
        a, b = summed[0].get(name), summed[1].get(name)
        if a is None or b is None or a.kind != b.kind:
            continue
        sums = [Sums(one.sums.rows, one.sums.which[rows]) for one, rows in zip((a, b), pairs, strict=True)]
        one = _difference(sums[0], sums[1], a.function)
        p, test = one.p, "paired bootstrap"
        if a.right is not None and b.right is not None:
            p, test = mcnemar(a.right[pairs.first], b.right[pairs.second]), "McNemar"
        found[name] = MetricDifference(name, plain[name].plain, one, p, test)
    tested = [name for name, one in found.items() if one.p is not None]
    for name, p in zip(tested, holm([found[name].p or 0.0 for name in tested]), strict=True):
        test = found[name].test + (f", Holm over {len(tested)}" if len(tested) > 1 else "")
        found[name] = MetricDifference(name, found[name].plain, found[name].found, p, test)
    fixed, broken = _changed(samples[0], samples[1], pairs)
    return Against(second, plain | found, pairs=pairs, fixed=fixed, broken=broken)


def _difference(first: Sums, second: Sums, function: Value) -> Difference:
    if np.array_equal(first.rows[first.which], second.rows[second.which]):
        return Difference(0.0, Interval(0.0, 0.0, len(first), "the same rows"), None, None)
    return difference(first, second, function)


def _changed(first: Samples, second: Samples, pairs: Pairs) -> tuple[list[int], list[int]]:
    """From wrong to right, and from right to wrong; where rows are not right or wrong, none."""
    a, b = first.classes, second.classes
    if a is None or b is None:
        return [], []
    before, after = a.right[pairs.first], b.right[pairs.second]
    return np.flatnonzero(~before & after).tolist(), np.flatnonzero(before & ~after).tolist()


# What the runs were


def _code(run: ReadRun) -> dict[str, Any]:
    """A digest of each function and class of the project that data, training, test and evaluation are made by."""
    nodes = [*run.lineage.values(), *run.test_lineage.values(), *(run.evaluation.get("nodes") or {}).values()]
    found: dict[str, Any] = {}
    for node in nodes:
        found |= node.get("code") or {}
    for executor in (run.test.get("executor") or {}, run.training.get("training") or {}):
        members = executor.get("members") or {}
        found |= {name: digest for name, digest in (executor.get("code") or {}).items() if name not in members}
        for owner, parts in members.items():
            found |= {f"{owner}.{part}": digest for part, digest in parts.items()}
    return found


def _keys(run: ReadRun) -> dict[str, Any]:
    return dict(run.provenance.get("data") or {})


def _reasons(first: ReadRun, second: ReadRun) -> dict[str, str]:
    """{node: what its data differs by, in words}."""
    found: dict[str, list[str]] = {}
    for cause in blame(first, second).causes:
        for node in cause.nodes:
            found.setdefault(node, []).append(cause_told(cause))
    return {node: "; ".join(causes) for node, causes in found.items()}


def _facts(run: ReadRun) -> dict[str, Any]:
    """What is neither a setting nor code; a seed that the config names is a setting, and told there."""
    facts = run.provenance
    named = "seed" in (run.config.get("meta") or {})
    return {
        "seed": None if named else facts.get("seed"),
        "commit": (facts.get("git") or {}).get("commit"),
        "Python": facts.get("python"),
        "platform": facts.get("platform"),
        "threads": facts.get("threads"),
        "package": facts.get("packages") or {},
    }


def code_diff(first: ReadRun, second: ReadRun) -> str:
    """The code's difference: between the commits, if git here knows them, and between what was not committed."""
    commits = [(run.provenance.get("git") or {}).get("commit") for run in (first, second)]
    parts = []
    if all(commits) and commits[0] != commits[1]:
        found = _git_diff(str(commits[0]), str(commits[1]))
        parts.append(found if found is not None else f"the commits differ: {commits[0]} and {commits[1]}\n")
    if first.diff != second.diff:
        a, b = (f"{run.name}, not committed" for run in (first, second))
        lines = difflib.unified_diff(first.diff.splitlines(), second.diff.splitlines(), a, b, lineterm="")
        parts.append("\n".join(lines))
    return "\n".join(parts)


def _git_diff(first: str, second: str) -> str | None:
    command = ["git", "diff", "--no-color", "--no-ext-diff", first, second, "--"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
