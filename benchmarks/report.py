"""The report of a run with very many samples: seconds to build it, size of the page, seconds until a browser shows it.

    python benchmarks/report.py                      100,000 and 1,000,000 rows
    python benchmarks/report.py --rows 5000 --no-browser

Each report is built by `runway report` in a process of its own. The browser is Debian's chromium, through playwright;
without them that column is empty. Building is held against its limit in seconds of the processor, as machines are
shared; "opened" is the time from the page's address until all charts and tables are drawn.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES, MOST_OPEN, MOST_BUILD = 10_000_000, 3.0, 10.0
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def make_run(path: Path, rows: int) -> None:
    """A tested run of a classifier, with texts of some 300 characters."""
    from runway.recorder import EvalRecorder

    rng = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(5000)])
    texts = [" ".join(words[rng.integers(0, len(words), 40)]) for _ in range(1000)]
    recorder = EvalRecorder("test-evaluation", path / "test/default")
    for start in range(0, rows, 10_000):
        size = min(10_000, rows - start)
        true = rng.integers(0, 5, size)
        predicted = np.where(rng.random(size) < 0.8, true, rng.integers(0, 5, size))
        recorder.log_sample_dict_batch(
            {
                "index": np.arange(start, start + size),
                "text": [f"{start + row} {texts[row % len(texts)]}" for row in range(size)],
                "predicted_class_id": predicted,
                "ground_truth_class_id": true,
                "probability": rng.random(size) * 0.8 + 0.2,
                "loss": rng.exponential(size=size),
            }
        )
    recorder.save_to_disk()
    right = np.asarray(recorder.get_sample_logs_column("predicted_class_id", "numpy"))
    accuracy = float((right == recorder.get_sample_logs_column("ground_truth_class_id", "numpy")).mean())
    loss = float(recorder.get_sample_logs_column("loss", "numpy").mean())
    facts = {"status": "finished", "config": "config.json", "experiment": "many", "version": 0, "overrides": []}
    history = [{"step": at, "epoch": 0, "metrics": {"train_loss": 1 / (at + 1)}} for at in range(1000)]
    files = {
        "train/provenance.json": facts,
        "train/config.json": {"train": {"batch_size": 32}},
        "train/metrics_history.json": history,
        "test/default/provenance.json": facts,
        "test/default/metrics.json": {"accuracy": accuracy, "test_loss": loss},
    }
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(json.dumps(content), encoding="utf-8")


def build(path: Path) -> tuple[float, float]:
    """Wall and CPU seconds of `runway report`."""
    import resource

    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "runway", "report", str(path)], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def opened(pages: list[Path]) -> list[float | None]:
    """Seconds until each page is drawn in one browser; None where there is no browser."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        return [None] * len(pages)
    found: list[float | None] = []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=SWITCHES)
        for path in pages:
            page = browser.new_page()
            begun = time.perf_counter()
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready]", state="attached")
            found.append(time.perf_counter() - begun)
            page.close()
        browser.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--no-browser", action="store_true", help="do not open the pages")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"many_V{at}" for at in range(len(arguments.rows))]
        built = []
        for path, rows in zip(paths, arguments.rows, strict=True):
            make_run(path, rows)
            built.append(build(path))
        pages = [path / "report.html" for path in paths]
        shown = [None] * len(pages) if arguments.no_browser else opened(pages)
        print(f"{'rows':>10} {'built, s':>10} {'of CPU, s':>10} {'page, MB':>10} {'opened, s':>10}  of what is allowed")
        for rows, (wall, cpu), page, seconds in zip(arguments.rows, built, pages, shown, strict=True):
            size = page.stat().st_size
            ratios = [cpu / MOST_BUILD, size / MOST_BYTES, *([seconds / MOST_OPEN] if seconds else [])]
            told = f"{seconds:10.2f}" if seconds else " " * 10
            print(f"{rows:>10,} {wall:10.2f} {cpu:10.2f} {size / 1e6:10.2f} {told}  {max(ratios):.2f}")


if __name__ == "__main__":
    main()
