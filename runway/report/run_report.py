"""The report of one run: what it reached and how sure that is, how it got there, where it is wrong, what it was."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from runway.errors import RunwayError
from runway.experiment.folders.read_run import ReadRun, read_run
from runway.log import human_bytes, human_seconds, warning
from runway.pipeline.drawing import drawing_of_config
from runway.pipeline.picture import svg
from runway.report import charts
from runway.report.durations import took
from runway.report.metric_sums import MOST_PAIRS, SummedMetric, bleu_of, summed_metrics, text_sums, translations
from runway.report.page import Page, number, own_markup, told
from runway.report.samples import Samples
from runway.report.settings import config_lines
from runway.uncertainty.intervals import Interval, Sums, interval

INTERVALS, SLICES = "intervals", "slices"  # in metrics.json
_MOST_CONFUSED = 30
_LENGTHS = (0, 10, 20, 30, 40, 60, 80)  # words


def write_report(path: Path, *, test: str | None = None, to: Path | None = None) -> Path:
    """Write the report of a run.

    Args:
        path: the version's folder.
        test: the suffix of the test to show; by default the last finished one.
        to: the file; by default ``report.html`` in the version's folder.

    Raises:
        RunwayError: it is no run, there is no such test, or a library of the pages is not installed.
    """
    run = read_run(path, test)
    target = to or run.report
    report_page(run).write(target)
    return target


def report_page(run: ReadRun) -> Page:
    """The page of a run."""
    page = Page(run.name, " · ".join(_headline(run)))
    samples = _open_samples(run)
    summed = summed_metrics(run.metrics, samples) if samples is not None else {}
    _results(page, run, summed)
    _curves(page, run.history)
    if samples is not None and len(samples):
        _classification(page, samples)
        _translation(page, samples, run.metrics)
        _samples(page, run, samples)
    _slices(page, run.metrics)
    transforms = (run.config.get("data_pipeline") or {}).get("transforms") or {}
    if transforms:
        page.section("Data")
        try:
            page.picture(own_markup(svg(drawing_of_config(transforms))))
        except graphlib.CycleError:
            page.note("The pipeline has a cycle.")
        page.table(
            ["split", "rows", "batches"],
            [(name, one.get("rows"), one.get("batches")) for name, one in run.data.items()],
        )
    _timings(page, run)
    if run.config:
        page.section("Config")
        overrides = run.provenance.get("overrides") or []
        page.note(
            f"Overridden on the command line, and marked below: {'  '.join(overrides)}"
            if overrides
            else "Nothing was overridden."
        )
        page.lines(config_lines(run.config, overrides))
    _provenance(page, run)
    return page


def _headline(run: ReadRun) -> Iterator[str]:
    status = run.provenance.get("status")
    yield f"{'training' if run.training else 'test'} {status or 'unknown'}"
    if run.provenance.get("started"):
        yield str(run.provenance["started"])[:19].replace("T", " ")
    seconds = took(run.provenance)
    if seconds is not None:
        yield f"took {human_seconds(seconds)}"
    if run.test_name:
        yield f"test {run.test_name} {run.test.get('status', 'unknown')}"


def _open_samples(run: ReadRun) -> Samples | None:
    if run.recorder is None:
        return None
    try:
        return Samples(run.recorder, run.config)
    except RunwayError as error:  # the rest of the report is worth having
        warning(f"the report shows no samples: {error.message}")
        return None


# Results


def _results(page: Page, run: ReadRun, summed: Mapping[str, SummedMetric]) -> None:
    page.section("Results")
    numbers = {name: value for name, value in run.metrics.items() if _is_number(value)}
    if not run.test_name:
        page.note("The run has not been tested. What its last validation has logged:")
        numbers = {}
        for entry in run.history:
            numbers |= {name: value for name, value in entry["metrics"].items() if _is_number(value)}
    if run.test and run.test.get("status") != "finished":
        page.note(f"The test {run.test_name} is {run.test.get('status')}: {run.test.get('error', '')}")
    if run.training.get("error"):
        page.note(f"The training ended with: {str(run.training['error']).splitlines()[0]}")
    numbers = dict(sorted(numbers.items(), key=lambda one: "loss" in one[0] or "perplexity" in one[0]))
    page.cards(
        (name, number(value), _said(find_interval(run.metrics, name, summed))) for name, value in numbers.items()
    )
    if any(find_interval(run.metrics, name, summed) for name in numbers):
        page.note("In brackets: the 95% interval over the rows of the test, where the metric is one of rows.")
    texts = [(name, value) for name, value in run.metrics.items() if isinstance(value, str)]
    page.facts(texts)
    others = [(name, status) for name, status in run.tests.items() if name != run.test_name]
    if others:
        page.note("Other tests of this run: " + ", ".join(f"{name} ({status})" for name, status in others))


def find_interval(
    metrics: Mapping[str, Any], name: str, summed: Mapping[str, SummedMetric]
) -> tuple[float, float, str] | None:
    """The interval of a metric: what the evaluation has written, else what the recorder's rows give."""
    written = metrics.get(INTERVALS)
    one = written.get(name) if isinstance(written, Mapping) else None
    if isinstance(one, Mapping) and _is_number(one.get("low")) and _is_number(one.get("high")):
        return float(one["low"]), float(one["high"]), str(one.get("method", ""))
    if isinstance(one, list) and len(one) >= 2 and all(map(_is_number, one[:2])):
        return float(one[0]), float(one[1]), ""
    found: Interval | None = summed[name].interval() if name in summed else None
    return (found.low, found.high, found.method) if found else None


def _said(found: tuple[float, float, str] | None) -> str:
    if found is None:
        return ""
    low, high, method = found
    return f"[{number(low)}, {number(high)}]" + (f" {method}" if method else "")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# Curves


def _curves(page: Page, history: list[dict[str, Any]]) -> None:
    series: dict[str, tuple[list[float], list[float]]] = {}
    for entry in history:
        for name, value in entry["metrics"].items():
            if _is_number(value) and entry["step"] is not None:
                steps, values = series.setdefault(name, ([], []))
                steps.append(entry["step"])
                values.append(value)
    if not series:
        return
    page.section("Curves")
    groups: dict[str, list[str]] = {}
    for name in sorted(series):
        groups.setdefault(_axis(name), []).append(name)
    for axis, names in list(groups.items()):
        if all(len(series[name][0]) == 1 for name in names):
            del groups[axis]
    once = [(name, steps[0], values[0]) for name, (steps, values) in sorted(series.items()) if len(steps) == 1]
    for axis, names in sorted(groups.items(), key=lambda one: (one[0] != "loss", one[0] == "learning rate", one[0])):
        for start in range(0, len(names), len(charts.COLOURS)):
            chosen = names[start : start + len(charts.COLOURS)]
            page.chart(charts.curves({name: series[name] for name in chosen}, axis))
    if once:
        page.heading("Logged once")
        page.table(["name", "step", "value"], once)


def _axis(name: str) -> str:
    """What a logged number's chart is called: those of one unit share a chart."""
    low = name.lower()
    if "perplexity" in low:
        return "perplexity"
    if "loss" in low:
        return "loss"
    if low == "lr" or low.startswith("lr-"):
        return "learning rate"
    if any(word in low for word in ("bleu", "chrf")):
        return "score (0 to 100)"
    if any(word in low for word in ("accuracy", "precision", "recall", "f1", "exact_match")):
        return "metric (0 to 1)"
    return name


# Where it is wrong


def _classification(page: Page, samples: Samples) -> None:
    classes = samples.classes
    if classes is None:
        return
    page.section("Classification")
    matrix, right = classes.matrix(), classes.right
    if len(classes.names) <= _MOST_CONFUSED:
        page.chart(charts.confusion(matrix, classes.names), "Rows of the test, by what is true and what was predicted.")
    else:
        wrong = matrix.copy()
        np.fill_diagonal(wrong, 0)
        worst = np.argsort(-wrong, axis=None)[:_MOST_CONFUSED]
        pairs = [np.unravel_index(at, wrong.shape) for at in worst if wrong.flat[at]]
        page.heading(f"What is confused most often, of {len(classes.names)} classes")
        page.table(
            ["true", "predicted", "rows"], [(classes.names[t], classes.names[p], int(wrong[t, p])) for t, p in pairs]
        )
    by_right = {"right": right, "wrong": ~right}
    if "probability" in samples:
        sure = samples.array("probability").astype(float)
        there = np.isfinite(sure)
        if there.any() and sure[there].min() >= 0 and sure[there].max() <= 1:
            figure = charts.calibration(sure[there], right[there])
            error = _calibration_error(sure[there], right[there])
            page.chart(figure, f"Calibration: expected calibration error {error:.3f} (10 bins).")
            groups = {name: sure[which & there] for name, which in by_right.items()}
            page.chart(
                charts.histogram(groups, "probability of the predicted class"), "How sure it is, where right and wrong."
            )
    if "loss" in samples:
        losses = samples.array("loss").astype(float)
        groups = {name: losses[which] for name, which in by_right.items()}
        page.chart(charts.histogram(groups, "loss of a row (nats)"), "The highest thousandth is in the last bin.")


def _calibration_error(sure: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    at = np.clip((sure * bins).astype(int), 0, bins - 1)
    gap = np.bincount(at, sure, bins) - np.bincount(at, right, bins)
    return float(np.abs(gap).sum() / len(sure))


def _translation(page: Page, samples: Samples, metrics: Mapping[str, Any]) -> None:
    if "hypothesis" not in samples or "reference" not in samples:
        return
    page.section("Translation")
    texts = translations(samples)
    if texts is None:
        page.note(
            f"There are more than {MOST_PAIRS:,} pairs, or one without a text: BLEU is not taken apart by length."
        )
        return
    sums = summed_metrics({"sacrebleu": metrics.get("sacrebleu"), **_signatures(metrics)}, samples).get("sacrebleu")
    if sums is None:
        from sacrebleu.metrics import BLEU

        per_row = text_sums(BLEU(force=True), *texts)
    else:
        per_row = sums.sums
    words = np.array([len((text if text else "").split()) for text in texts[1]])
    at = np.digitize(words, _LENGTHS[1:])
    names, values, lows, highs, counts = [], [], [], [], []
    for number_, low in enumerate(_LENGTHS):
        which = np.flatnonzero(at == number_)
        if not len(which):
            continue
        part = Sums(per_row.rows[per_row.which[which]])
        found = interval(part, bleu_of)
        names.append(f"{low + 1 if low else 1}-{_LENGTHS[number_ + 1]}" if low != _LENGTHS[-1] else f"over {low}")
        values.append(float(bleu_of(part.total())))
        lows.append(found.low if found else float("nan"))
        highs.append(found.high if found else float("nan"))
        counts.append(len(which))
    whole = float(bleu_of(per_row.total()))
    figure = charts.by_group(
        names, values, lows, highs, counts, whole=whole, x_label="words of the reference", y_label="BLEU (0 to 100)"
    )
    page.chart(figure, "Corpus BLEU of the pairs of each length, with 95% intervals (bootstrap over pairs).")
    if samples.score is not None and samples.score[0] == "sentence_bleu":
        page.chart(
            charts.histogram({"pairs": samples.array("sentence_bleu").astype(float)}, "BLEU of a sentence (0 to 100)")
        )


def _signatures(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if name.endswith("_signature")}


def _slices(page: Page, metrics: Mapping[str, Any]) -> None:
    """A table of ``{slice: {metric: value or {value, low, high, n}}}``, as the evaluation has written it."""
    slices = metrics.get(SLICES)
    if not isinstance(slices, Mapping) or not slices:
        return
    page.section("Slices")
    rows = []
    for name, found in slices.items():
        for metric, one in found.items() if isinstance(found, Mapping) else [("", found)]:
            if isinstance(one, Mapping):
                low, high = one.get("low"), one.get("high")
                bounds = f"[{told(low)}, {told(high)}]" if _is_number(low) and _is_number(high) else ""
                rows.append(
                    [name, metric, one.get("value"), bounds, one.get("n"), "worse" if one.get("is_worse") else ""]
                )
            else:
                rows.append([name, metric, one, "", None, ""])
    page.table(["slice", "metric", "value", "95% interval", "n", ""], rows)


def _samples(page: Page, run: ReadRun, samples: Samples) -> None:
    page.section("Samples")
    chosen = samples.choose()
    columns, rows = samples.rows(chosen.rows)
    left = (
        f" {len(chosen.rows) - len(rows):,} of them are left out, as the page would be too large."
        if len(rows) < len(chosen.rows)
        else ""
    )
    page.samples(
        columns, rows, caption=f"Of {run.recorded_in}: {chosen.told}.{left} A click on a row shows its whole text."
    )


# What it was


def _timings(page: Page, run: ReadRun) -> None:
    page.section("Time and memory")
    found = run.timings
    pairs: list[tuple[str, Any]] = [
        ("training, from start to end", _seconds(took(run.training))),
        ("test, from start to end", _seconds(took(run.test))),
    ]
    if found:
        steps = found.get("steps") or 0
        pairs += [
            ("waiting for data", _share(found.get("data_seconds"), found)),
            ("in steps", _share(found.get("step_seconds"), found)),
            ("in validations", _share(found.get("validation_seconds"), found)),
            ("steps", steps),
            ("a step", _seconds(found.get("step_seconds", 0) / steps if steps else None)),
            ("most memory of the process", _bytes(found.get("peak_memory"))),
            ("most memory of the GPU", _bytes(found.get("peak_gpu_memory"))),
        ]
    page.facts(pairs)


def _share(seconds: Any, found: Mapping[str, Any]) -> str | None:
    if not _is_number(seconds):
        return None
    whole = sum(found.get(name) or 0 for name in ("data_seconds", "step_seconds", "validation_seconds"))
    return f"{human_seconds(seconds)} ({seconds / whole:.0%})" if whole else human_seconds(seconds)


def _seconds(value: Any) -> str | None:
    return human_seconds(value) if _is_number(value) else None


def _bytes(value: Any) -> str | None:
    return human_bytes(value) if _is_number(value) else None


def _provenance(page: Page, run: ReadRun) -> None:
    page.section("Provenance")
    facts = run.provenance
    git = facts.get("git") or {}
    page.facts(
        [
            ("folder", str(run.path)),
            ("command", " ".join(map(str, facts.get("command") or []))),
            ("tags", ", ".join(facts.get("tags") or [])),
            ("seed", str(facts.get("seed", ""))),
            ("commit", git.get("commit")),
            ("branch", git.get("branch")),
            ("files that differed", "yes, see below" if git.get("changed") else "none" if git else None),
            ("untracked files", ", ".join(git.get("untracked") or [])),
            ("training's key", (facts.get("training") or {}).get("key")),
            ("checkpoint tested", run.test.get("checkpoint")),
            ("best checkpoint", facts.get("best_checkpoint")),
            ("resumed from", facts.get("resumed_from")),
            ("Python", facts.get("python")),
            ("platform", facts.get("platform")),
        ]
    )
    if facts.get("data"):
        page.heading("Keys of the data")
        page.table(["node", "key"], facts["data"].items())
    if run.diff:
        page.pre(run.diff[:200_000], "What differed from the commit")
    if run.summary:
        page.pre(run.summary, "The model's layers")
    packages = facts.get("packages") or {}
    page.pre("\n".join(f"{name}=={version}" for name, version in packages.items()), f"{len(packages)} packages")
