"""What a sweep leaves: a table with the best first, the same as csv and JSON, and a picture."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.disk import replace_text, replacing
from runway.experiment.folders.run_folder import write_json
from runway.log import human_seconds, table
from runway.sweep.scores import Outcome, Setting, tied_with
from runway.sweep.space import SEED
from runway.sweep.trials import shortened

if TYPE_CHECKING:
    from runway.experiment.folders.run_folder import RunFolder
    from runway.sweep.settings import SweepSettings

CSV, JSON, PICTURE = "sweep.csv", "sweep.json", "sweep.png"
_MOST_PANELS = 6
_MOST_COLUMNS = 8


def print_table(settings: Sequence[Setting], asked: SweepSettings, *, stdout: bool = True) -> None:
    """The settings, the best first; then what the tests have found."""
    names = _names(settings)
    has_seeds = any(len(one.outcomes) > 1 for one in settings)
    columns = [*names, asked.metric, *(["±", "n"] if has_seeds else []), "run", "trained in"]
    rows = []
    for one in settings:
        score: Any = one.mean if one.mean is not None else _statuses(one)
        width = "" if one.half_width is None else f"{one.half_width:.4f}"
        seeds = [width, len(one.scores)] if has_seeds else []
        runs = ", ".join(_version(outcome.run) for outcome in one.outcomes if outcome.run is not None)
        seconds = [outcome.seconds for outcome in one.outcomes if outcome.seconds is not None]
        took = human_seconds(sum(seconds)) if seconds else ""
        rows.append([*map(_cell, shortened(one.point).values()), score, *seeds, runs, took])
    count = sum(len(one.outcomes) for one in settings)
    title = f"{count} trial{'' if count == 1 else 's'}, the {'highest' if asked.mode == 'max' else 'lowest'}"
    table(f"{title} {asked.metric} first", columns, rows, stdout=stdout)
    tested = [one for one in settings if any(outcome.tests for outcome in one.outcomes)]
    if tested:
        rows = [[name, *(_mean_of_tests(one, name) for one in tested)] for name in _test_names(tested)]
        columns = ["tested", *(told(one) for one in tested)] if len(tested) <= _MOST_COLUMNS else []
        if columns:
            table("", columns, rows, stdout=stdout)


def verdict(settings: Sequence[Setting], asked: SweepSettings) -> list[str]:
    """In words: which setting is the best, and what may be as good."""
    if not settings or settings[0].mean is None:
        return []
    best = settings[0]
    lines = [f"best: {told(best)}, {asked.metric} {_with_interval(best)}"]
    if lacking := [one for one in best.outcomes if one.score is None]:
        said = (
            f"{len(best.scores)} of {len(best.outcomes)} seeds ({_statuses(Setting(best.point, lacking))}: the others)"
        )
        lines.append(f"its mean is of {said}: it may be the best because of that")
    tied = tied_with(best, settings[1:])
    if tied and len(best.scores) > 1:
        named = "; ".join(f"{told(one)} ({_with_interval(one)})" for one in tied[:4])
        more = f" and {len(tied) - 4} more" if len(tied) > 4 else ""
        lines.append(f"tied with it, as far as these seeds can tell: {named}{more}")
    elif tied:
        lines.append(f"equal to it: {'; '.join(told(one) for one in tied[:4])}")
    elif len(best.scores) > 1 and len(settings) > 1:
        lines.append("no other setting is tied with it (95% intervals of the differences)")
    if max(len(one.outcomes) for one in settings) < 2 and sum(one.mean is not None for one in settings) > 1:
        lines.append("one seed each: how much of the difference is chance is not known; --seeds 3 tells")
    return lines


def told(setting: Setting) -> str:
    """A setting in words."""
    point = shortened(setting.point)
    return ", ".join(f"{name}={_cell(value)}" for name, value in point.items()) or "the config as it is"


def content(settings: Sequence[Setting], asked: SweepSettings) -> dict[str, Any]:
    """Everything as plain data: what ``--json`` prints and ``sweep.json`` holds."""
    best = settings[0] if settings and settings[0].mean is not None else None
    return {
        "sweep": asked.name,
        "method": asked.method,
        "metric": asked.metric,
        "mode": asked.mode,
        "best": None if best is None else _setting(best),
        "tied": [] if best is None else [one.point for one in tied_with(best, settings[1:])],
        "settings": [_setting(one) for one in settings],
    }


def _setting(one: Setting) -> dict[str, Any]:
    return {
        "parameters": one.point,
        "mean": one.mean,
        "half_width": one.half_width,
        "n": len(one.scores),
        "trials": [_outcome(outcome) for outcome in one.outcomes],
    }


def _outcome(one: Outcome) -> dict[str, Any]:
    return {
        "key": one.key,
        "seed": one.seed,
        "status": one.status,
        "ran": one.ran,
        "run": None if one.run is None else str(one.run.path),
        "score": one.score,
        "metrics": one.metrics,
        "test": one.tests,
        "seconds": None if one.seconds is None else round(one.seconds, 2),
        "overrides": list(one.overrides),
        **({"machine": one.machine} if one.machine else {}),
        **({"error": one.error} if one.error else {}),
    }


def write_files(folder: Path, settings: Sequence[Setting], asked: SweepSettings) -> None:
    """Write csv, JSON and the picture."""
    found = content(settings, asked)
    for setting in found["settings"]:
        for trial in setting["trials"]:  # the folder may move
            trial["run"] = trial["run"] and Path(trial["run"]).name
    write_json(folder / JSON, found)
    replace_text(folder / CSV, _csv(settings, asked))
    _draw(folder / PICTURE, settings, asked)


def _csv(settings: Sequence[Setting], asked: SweepSettings) -> str:
    outcomes = [outcome for setting in settings for outcome in setting.outcomes]
    parameters = list(dict.fromkeys(path for setting in settings for path in setting.point))
    metrics = sorted({name for outcome in outcomes for name in outcome.metrics} - {asked.metric})
    tests = _test_names(settings)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fixed = [".".join(map(str, SEED)), "status", asked.metric]
    writer.writerow([*parameters, *fixed, *metrics, *(f"test/{name}" for name in tests), "run", "seconds", "key"])
    for one in outcomes:
        seconds = "" if one.seconds is None else round(one.seconds, 2)
        values: list[Any] = [_cell(one.setting.get(path, "")) for path in parameters]
        values += ["" if one.seed is None else one.seed, one.status, "" if one.score is None else one.score]
        values += [one.metrics.get(name, "") for name in metrics] + [one.tests.get(name, "") for name in tests]
        writer.writerow([*values, "" if one.run is None else one.run.path.name, seconds, one.key])
    return text.getvalue()


def _draw(path: Path, settings: Sequence[Setting], asked: SweepSettings) -> None:
    """One panel for each parameter: its values across, the metric up, a dot a trial."""
    outcomes = [one for setting in settings for one in setting.outcomes if one.score is not None]
    names = _names(settings)[:_MOST_PANELS]
    if not outcomes or not names:
        path.unlink(missing_ok=True)
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(names) + 0.8, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    best = settings[0]
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for number, (panel, name) in enumerate(zip(panels, names, strict=True)):
        values = [list(one.setting.values())[number] for one in outcomes]
        places = _places(panel, values)
        scores = [one.score for one in outcomes]
        colours = ["C1" if one in best.outcomes else "C0" for one in outcomes]
        panel.scatter(places, scores, c=colours, alpha=0.8)
        panel.set_xlabel(name)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel(asked.metric)
    figure.suptitle(f"{asked.name} ({len(outcomes)} trials; the best in orange)", fontsize="medium")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _places(panel: Any, values: Sequence[Any]) -> list[float]:
    """Where values stand on the axis: numbers as they are (far apart: by their logarithm), others side by side."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        if min(values) > 0 and max(values) / min(values) >= 8:
            panel.set_xscale("log")
        return [float(value) for value in values]
    texts = [_cell(value) for value in values]
    known = list(dict.fromkeys(texts))
    panel.set_xticks(range(len(known)), [text if len(text) <= 14 else text[:13] + "…" for text in known], rotation=20)
    return [float(known.index(text)) for text in texts]


def _names(settings: Sequence[Setting]) -> list[str]:
    return list(shortened(settings[0].point)) if settings else []


def _test_names(settings: Sequence[Setting]) -> list[str]:
    found = {name for setting in settings for outcome in setting.outcomes for name, value in outcome.tests.items()}
    return sorted(found)


def _mean_of_tests(setting: Setting, name: str) -> Any:
    found = [outcome.tests[name] for outcome in setting.outcomes if name in outcome.tests]
    known = [value for value in found if math.isfinite(value)]
    return sum(known) / len(known) if known else ""


def _version(run: RunFolder) -> str:
    return f"V{run.version}"


def _statuses(setting: Setting) -> str:
    return ", ".join(dict.fromkeys("no score" if o.status == "finished" else o.status for o in setting.outcomes))


def _with_interval(setting: Setting) -> str:
    width = "" if setting.half_width is None else f" ± {setting.half_width:.4f} (95%, n = {len(setting.scores)})"
    return f"{setting.mean:.4f}{width}"


def _cell(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
