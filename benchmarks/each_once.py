"""How often processes that start together compute each node exactly once.

    python benchmarks/each_once.py [--tries 20] [--quick]

Each try starts four (and eight) `runway prepare` at once on an empty cache, and counts by a file to which every run
of a node appends its name. Some tries start them after random delays, some kill one of them in the middle (-9): the
node that it was computing runs a second time. All others must end well, none may hang, and nothing half-written and no
lock's file may be left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
LONGEST = 120  # seconds; what takes longer hangs

OPERATIONS = '''"""A DataOp that takes its time, and says in a file that it ran."""

import os
import time

from runway import BaseTransform, register_transform_functor


@register_transform_functor
class Work(BaseTransform):
    def setup(self, name, seconds, reads=False):
        self.name, self.seconds, self.reads = name, seconds, reads

    def _call(self, data):
        log = os.open(os.environ["RAN"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(log, f"{self.name} {os.getpid()}\\n".encode())
        os.close(log)
        if self.reads:  # its key then holds more than what it was claimed by
            self.global_config["meta"]["seed"]
        time.sleep(self.seconds)
        return {"name": self.name, "from": data}
'''


def work(name: str, *inputs: str, seconds: float = 0.7, cache: bool = True, reads: bool = False) -> dict[str, dict]:
    """One node."""
    settings = {"name": name, "seconds": seconds, "reads": reads}
    node = {"transform_name": "Work", "setup_kwargs": settings, "cache": cache}
    return {name: {**node, "input_node": list(inputs)} if inputs else node}


def chain() -> dict[str, dict]:
    """Three nodes; the middle one also reads the config."""
    nodes = work("input:A") | work("process:B", "input:A", reads=True)
    return nodes | work("output:C", "process:B")


def uncached() -> dict[str, dict]:
    """Nodes that are not kept, and so run inside their one consumer."""
    nodes = work("input:A", seconds=0.2, cache=False) | work("process:B", "input:A", seconds=0.2, cache=False)
    return nodes | work("process:C", "process:B", seconds=0.2) | work("output:D", "process:C", seconds=0.2)


def wide() -> dict[str, dict]:
    """Twelve nodes side by side."""
    names = [f"process:{index:02}" for index in range(12)]
    nodes = work("input:A", seconds=0.1)
    for name in names:
        nodes |= work(name, "input:A", seconds=0.1)
    return nodes | work("output:Z", *names, seconds=0.1)


class Kind(NamedTuple):
    """One way to try it.

    Attributes:
        name: what is printed.
        graph: gives the nodes.
        delay: processes start after a random part of so many seconds.
        kills: whether one is killed in the middle.
    """

    name: str
    graph: Callable[[], dict[str, dict]]
    delay: float = 0.0
    kills: bool = False


KINDS = [
    Kind("three nodes", chain),
    Kind("uncached ancestors", uncached),
    Kind("a wide graph", wide),
    Kind("three nodes, random starts", chain, delay=0.7),
    Kind("three nodes, one killed", chain, kills=True),
    Kind("three nodes, random starts, one killed", chain, delay=0.7, kills=True),
]


def write_project(folder: Path, nodes: dict[str, dict]) -> None:
    """A project with one config and an empty cache."""
    operations = folder / "src" / "data_ops" / "work.py"
    operations.parent.mkdir(parents=True)
    operations.write_text(OPERATIONS, encoding="utf-8")
    config = {"experiment_name": "once", "meta": {"seed": 1}, "data_pipeline": {"transforms": nodes}}
    (folder / "once.jsonnet").write_text(json.dumps(config), encoding="utf-8")


def runway_command() -> list[str]:
    """The console script beside this interpreter, which is what users run; the module where it is not installed."""
    script = Path(sys.executable).parent / "runway"
    return [str(script)] if script.exists() else [sys.executable, "-m", "runway"]


def start(folder: Path) -> subprocess.Popen[str]:
    """Start `runway prepare`, as the leader of a group."""
    path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "RAN": str(folder / "ran"), "OMP_NUM_THREADS": "1"}
    command = [*runway_command(), "prepare", "once.jsonnet"]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def ran(folder: Path) -> list[list[str]]:
    """[node, process] of each run of a node so far, in order."""
    path = folder / "ran"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def kill_one(folder: Path, chance: random.Random) -> str:
    """Kill the process that computes a node, some way into it; gives the node's name."""
    wanted = chance.randint(1, 3)
    end = time.monotonic() + LONGEST
    while len(ran(folder)) < wanted and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(chance.uniform(0, 0.5))
    node, process = ran(folder)[-1]
    os.kill(int(process), signal.SIGKILL)
    return node


def attempt(kind: Kind, count: int, chance: random.Random) -> list[str]:
    """One try; gives what was wrong."""
    with tempfile.TemporaryDirectory(prefix="runway-once-") as scratch:
        folder = Path(scratch)
        nodes = kind.graph()
        write_project(folder, nodes)
        processes = []
        began = time.monotonic()
        for delay in sorted(chance.uniform(0, kind.delay) for _ in range(count)):
            time.sleep(max(0.0, began + delay - time.monotonic()))
            processes.append(start(folder))
        expected = Counter(dict.fromkeys(nodes, 1))
        if kind.kills:
            expected[kill_one(folder, chance)] += 1
        wrong = []
        killed = 0
        for process in processes:
            try:
                _, errors = process.communicate(timeout=LONGEST)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                wrong.append("one hung")
                continue
            killed += process.returncode == -signal.SIGKILL
            if process.returncode not in (0, -signal.SIGKILL):
                wrong.append(f"one ended with {process.returncode}: {errors.strip()}")
        if killed != int(kind.kills):
            wrong.append(f"{killed} were killed")
        counts = Counter(node for node, _ in ran(folder))
        wrong += [f"{node} ran {counts[node]} times" for node in nodes if counts[node] != expected[node]]
        wrong += [f"{path.name} was left" for path in (folder / "cache" / "locks").glob("*")]
        wrong += [f"{path.name} was left" for path in (folder / "cache").glob("*/.*")]
        return wrong


def main() -> int:
    """Try, and print; 1 where a try went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=20, help="of each kind and number of processes")
    parser.add_argument("--quick", action="store_true", help="three tries")
    parser.add_argument("--seed", type=int, default=0, help="of the delays and of who is killed when")
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    options = parser.parse_args()
    tries = 3 if options.quick else options.tries
    chance = random.Random(options.seed)
    all_right = True
    for kind in KINDS:
        for count in (4, 8):
            if options.only not in kind.name:
                continue
            outcomes = [attempt(kind, count, chance) for _ in range(tries)]
            right = sum(not wrong for wrong in outcomes)
            all_right &= right == tries
            print(f"{kind.name}: {count} processes: each node once in {right} of {tries} tries", flush=True)
            for wrong in filter(None, outcomes):
                print(f"    {'; '.join(wrong)}", flush=True)
    return 0 if all_right else 1


if __name__ == "__main__":
    raise SystemExit(main())
