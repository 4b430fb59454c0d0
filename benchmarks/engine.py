"""What the engine costs: 200 trivial nodes, uncached, cold and warm, beside five other systems; then its growth.

    python benchmarks/engine.py [--quick] [--systems joblib.Memory Kedro] [--json FILE]

Two graphs (benchmarks/competitors/harness.py): a chain, and a wide one (one source, 198 nodes, one sink). Each pass is
a new process; the systems take turns within a round, and the medians of the rounds are shown. "s" is the whole process,
as a user waits for it; "ms a node" is the time in the process without the imports. runway is shown twice: its Python
API in a script as the others have one, and `runway prepare` on a jsonnet config.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "competitors"))

from environments import DEFAULT_FOLDER, SYSTEMS, System, ensure  # noqa: E402 - beside this script, not installed
from harness import Job  # noqa: E402
from with_runway import write_project  # noqa: E402

SHAPES = ("chain", "wide")
PASSES = ("uncached", "cold", "warm")
RUNWAY = "runway (Python)"
COMMAND = "runway prepare"
SLOW = 5.0  # seconds: a system whose cold pass takes longer is cached once; noise cannot hide a difference of that size
TIMEOUT = 300.0


@dataclass
class Figures:
    """What was measured of one system, graph and pass.

    Attributes:
        seconds: Whole-process wall-clock, one for each round.
        node_ms: Milliseconds a node inside the process, without the imports.
        failure: Why there are none.
    """

    seconds: list[float] = field(default_factory=list)
    node_ms: list[float] = field(default_factory=list)
    failure: str | None = None


def run_process(command: Sequence[str], folder: Path) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Run a command in a folder and give its wall-clock with what it left."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline"}
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    return time.perf_counter() - started, done


def measure_pass(system: System, job: Job, figures: Figures) -> None:
    """Run one pass in a new process and add it to the figures."""
    if figures.failure:
        return
    arguments = ["--shape", job.shape, "--nodes", str(job.nodes), "--folder", str(job.folder)]
    try:
        if system.name == COMMAND:
            seconds, done = run_process([*system.command, str(write_project(job))], job.folder)
        else:
            cached = ["--cached"] if job.cached else []
            seconds, done = run_process([*system.command, *arguments, *cached], job.folder)
    except subprocess.TimeoutExpired:
        figures.failure = f"more than {TIMEOUT:.0f} s"
        return
    if done.returncode != 0:
        figures.failure = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1][:100]
        return
    figures.seconds.append(seconds)
    if system.name == COMMAND:
        return
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    expected = job.nodes - 1 if job.shape == "chain" else sum(range(1, job.nodes - 1))
    if answer["result"] != expected:
        figures.failure = f"wrong result: {answer['result']} instead of {expected}"
        return
    figures.node_ms.append(1000 * answer["run_s"] / job.nodes)


def measure_round(systems: Sequence[System], shape: str, nodes: int, table: dict, scratch: Path) -> None:
    """Give each system its three passes over one graph, each pass a new process."""
    for system in systems:
        folder = Path(tempfile.mkdtemp(dir=scratch))
        cold = table[system.name, shape, nodes, "cold"].seconds
        # Without a cold pass in this folder a warm one would be cold, so a slow system has neither again.
        for name in PASSES if not cold or cold[0] < SLOW else PASSES[:1]:
            job = Job(shape, nodes, name != "uncached", folder)
            measure_pass(system, job, table[system.name, shape, nodes, name])
        shutil.rmtree(folder)


def cell(figures: Figures, kind: str) -> str:
    """One number of a table, or a dash where the pass failed or has none."""
    values = figures.seconds if kind == "s" else figures.node_ms
    if figures.failure or not values:
        return "-"
    value = median(values)
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def show_comparison(table: dict, systems: Sequence[System], nodes: int) -> None:
    """Print a table for each graph and kind of figure, then the ratios and whether the goals are met."""
    width = max(len(system.name) for system in systems) + 2
    for kind, title in (("s", "whole process, seconds"), ("ms", "in the process without imports, ms a node")):
        print(f"\n{nodes} nodes, {title}")
        print(f"{'':{width}}" + "".join(f"{f'{shape} {name}':>16}" for shape in SHAPES for name in PASSES))
        for system in systems:
            if kind == "ms" and system.name == COMMAND:
                continue
            cells = (cell(table[system.name, shape, nodes, name], kind) for shape in SHAPES for name in PASSES)
            print(f"{system.name:{width}}" + "".join(f"{text:>16}" for text in cells))
    failures = [
        (system.name, shape, name, table[system.name, shape, nodes, name].failure)
        for system in systems
        for shape in SHAPES
        for name in PASSES
        if table[system.name, shape, nodes, name].failure
    ]
    for name, shape, pass_name, failure in failures:
        print(f"  - {name}, {shape}, {pass_name}: {failure}")


def show_ratios(table: dict, systems: Sequence[System], nodes: int) -> None:
    """Print ours / theirs; below 1.00 ours is faster."""
    ours = [name for name in (RUNWAY, COMMAND) if any(system.name == name for system in systems)]
    others = [system for system in systems if system.name not in (RUNWAY, COMMAND)]
    width = max((len(system.name) for system in others), default=10) + 2
    for own in ours:
        print(f"\nratio of the whole process, {own} / theirs (below 1.00: ours is faster)")
        print(f"{'':{width}}" + "".join(f"{f'{shape} {name}':>16}" for shape in SHAPES for name in PASSES))
        slower: dict[str, list[str]] = {"warm": [], "cold": []}
        compared = 0
        for system in others:
            cells = []
            for shape in SHAPES:
                for name in PASSES:
                    mine, theirs = table[own, shape, nodes, name], table[system.name, shape, nodes, name]
                    if not mine.seconds or not theirs.seconds or mine.failure or theirs.failure:
                        cells.append("-")
                        continue
                    ratio = median(mine.seconds) / median(theirs.seconds)
                    compared += 1
                    if name in slower and ratio >= 1:
                        slower[name].append(f"{system.name} ({shape}, {ratio:.2f})")
                    cells.append(f"{ratio:.2f}")
            print(f"{system.name:{width}}" + "".join(f"{text:>16}" for text in cells))
        for name, list_of_slower in slower.items() if compared else ():
            verdict = "not below " + ", ".join(list_of_slower) if list_of_slower else "below every other"
            print(f"{own}, {name}: {verdict}")


def show_growth(table: dict, sizes: Sequence[int]) -> None:
    """Print how our cost grows with the graph: a node's cost stays the same where the growth is linear."""
    print("\ngrowth of runway: ms a node without imports, and whole-process seconds of the script and of the command")
    print(f"{'':16}" + "".join(f"{f'{size} nodes':>26}" for size in sizes) + f"{'ms, last / first':>20}")
    for shape in SHAPES:
        for name in PASSES:
            ours = [table[RUNWAY, shape, size, name] for size in sizes]
            commands = [table[COMMAND, shape, size, name] for size in sizes]
            cells = [
                f"{cell(own, 'ms')} | {cell(own, 's')} | {cell(command, 's')}"
                for own, command in zip(ours, commands, strict=True)
            ]
            whole = all(own.node_ms and not own.failure for own in ours)
            growth = f"{median(ours[-1].node_ms) / median(ours[0].node_ms):.2f}" if whole else "-"
            print(f"{f'{shape} {name}':16}" + "".join(f"{text:>26}" for text in cells) + f"{growth:>20}")
            for size, *figures in zip(sizes, ours, commands, strict=True):
                for failure in {one.failure for one in figures if one.failure}:
                    print(f"  - {size} nodes: {failure}")


def main() -> int:
    """Measure, print, and give 0; 1 where runway itself failed a pass."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round, growth to 2,000 nodes only")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the medians are shown (5)")
    parser.add_argument("--nodes", type=int, default=200, help="nodes of the graphs that are compared (200)")
    parser.add_argument("--sizes", type=int, nargs="*", help="sizes of the growth table (200 2000 10000; none: skip)")
    parser.add_argument("--systems", nargs="*", choices=list(SYSTEMS), default=list(SYSTEMS), help="the others to run")
    parser.add_argument("--envs", type=Path, default=DEFAULT_FOLDER, help="where their environments are kept")
    parser.add_argument("--json", type=Path, help="write every figure there too")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    sizes = options.sizes if options.sizes is not None else [200, 2000] if options.quick else [200, 2000, 10000]

    systems = [
        System(RUNWAY, (sys.executable, str(HERE / "competitors" / "with_runway.py"))),
        System(COMMAND, (sys.executable, "-m", "runway", "prepare")),
        *(ensure(name, options.envs) for name in options.systems),
    ]
    table: dict[tuple[str, str, int, str], Figures] = defaultdict(Figures)
    with tempfile.TemporaryDirectory(prefix="runway-bench-") as scratch:
        # Once unmeasured, so that no system pays for reading its files from a cold disk or compiling them.
        measure_round(systems, "chain", 3, defaultdict(Figures), Path(scratch))
        for number in range(rounds):
            for shape in SHAPES:
                print(f"round {number + 1} of {rounds}, {shape}", file=sys.stderr, flush=True)
                measure_round(systems, shape, options.nodes, table, Path(scratch))
        for size in sizes:
            for shape in SHAPES:
                if size != options.nodes:  # that size has been measured above
                    print(f"growth, {shape} of {size}", file=sys.stderr, flush=True)
                    measure_round(systems[:2], shape, size, table, Path(scratch))

    show_comparison(table, systems, options.nodes)
    show_ratios(table, systems, options.nodes)
    if sizes:
        show_growth(table, sizes)
    if options.json:
        figures = [
            {"system": key[0], "shape": key[1], "nodes": key[2], "pass": key[3], **vars(value)}
            for key, value in table.items()
        ]
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    failed = [key for key, value in table.items() if key[0] in (RUNWAY, COMMAND) and value.failure]
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
