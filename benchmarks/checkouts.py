"""Is this checkout slower than another: start-up, the engine and the recorder, side by side in one run.

    python benchmarks/checkouts.py OLD [--new NEW] [--rounds 7] [--nodes 200] [--rows 100000]

OLD and NEW are folders with a ``runway/`` package (``git worktree add OLD v0.1.0`` makes one). Both run with this
interpreter, each pass in a new process, in turn; the seconds are medians of whole processes, and the ratio is the
median of the rounds' ratios, so that a busy minute of the machine weighs on both. The processor time is what counts on
a machine that others share.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "competitors"))

from harness import Job  # noqa: E402 - beside this script, not installed
from with_runway import write_project  # noqa: E402


def run(checkout: Path, arguments: Sequence[str], folder: Path) -> tuple[float, float]:
    """Wall-clock and processor seconds of one process with a checkout's runway."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{checkout}: {' '.join(arguments)} failed\n{done.stdout}{done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def passes(folder: Path, nodes: int, rows: int) -> dict[str, list[str]]:
    """{what is measured: arguments of the interpreter}, for one checkout with a folder of its own."""
    engine = [str(HERE / "competitors" / "with_runway.py"), "--nodes", str(nodes)]
    recorder = [str(HERE / "recorder.py"), "--rows", str(rows), "--folder", str(folder / "recorder")]
    small = write_project(Job("chain", 5, True, folder))
    found = {
        "runway --help": ["-m", "runway", "--help"],
        "prepare, 5 nodes, first": ["-m", "runway", "prepare", str(small)],
        "prepare, 5 nodes, cached": ["-m", "runway", "prepare", str(small)],
    }
    for shape in ("chain", "wide"):
        own = [*engine, "--shape", shape, "--folder", str(folder / shape)]
        found[f"{shape} of {nodes}, uncached"] = own
        found[f"{shape} of {nodes}, cold"] = [*own, "--cached"]
        found[f"{shape} of {nodes}, warm"] = [*own, "--cached"]
    for stage in ("write", "read"):
        found[f"recorder, {rows} rows, {stage}"] = [*recorder, "--child", f"{stage}_runway"]
    return found


def main() -> None:
    """Measure, and print a row for each pass."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("--new", type=Path, default=HERE.parent)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    checkouts = {"old": options.old.resolve(), "new": options.new.resolve()}
    for checkout in checkouts.values():  # what one has compiled, the other must not pay for
        compileall.compile_dir(checkout / "runway", quiet=2)
    figures: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as scratch:
            commands = {}
            for name in checkouts:
                for inner in ("recorder", "chain", "wide"):
                    (Path(scratch) / name / inner).mkdir(parents=True)
                commands[name] = passes(Path(scratch) / name, options.nodes, options.rows)
            for what in commands["old"]:
                for name, checkout in checkouts.items():
                    found = run(checkout, commands[name][what], Path(scratch) / name)
                    figures.setdefault(what, {}).setdefault(name, []).append(found)
    print(f"{'':34} {'old s':>8} {'new s':>8} {'new/old':>8} {'processor: new/old':>20}")
    for what, found in figures.items():
        wall = [new[0] / old[0] for old, new in zip(found["old"], found["new"], strict=True)]
        busy = [new[1] / old[1] for old, new in zip(found["old"], found["new"], strict=True)]
        old, new = (median(pair[0] for pair in found[name]) for name in ("old", "new"))
        print(f"{what:34} {old:8.3f} {new:8.3f} {median(wall):8.2f} {median(busy):20.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
