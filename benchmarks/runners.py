"""How much faster a DAG is with workers: diamonds of one-second nodes, and a chain of trivial ones.

    python benchmarks/runners.py [--rounds 3] [--seconds 1.0] [--chain 1000] [--ray] [--quick]

The nodes sleep, so that the ratio tells what the runner does and not how many cores there are. In the diamond only the
two middle nodes can run at once: three seconds instead of four is all that there is to gain. Two diamonds side by side
can halve, and one with four nodes in the middle. The chain tells what a node costs that goes to another process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

OPERATIONS = """
import time

from runway import BaseTransform, register_transform_functor


@register_transform_functor
class Sleep(BaseTransform):
    def setup(self, seconds, name):
        self.seconds, self.label = seconds, name

    def _call(self, data):
        time.sleep(self.seconds)
        return [self.label, 0 if data is None else len(data)]
"""

PASS = """
import sys, time
from runway import DataPipeline, load_config
config = load_config("config.jsonnet")
runner = {"serial": "serial"}.get(sys.argv[1]) or {"name": sys.argv[1], "workers": 2}
pipeline = DataPipeline(config.data_pipeline, config, runner=runner, quiet=True)
started = time.perf_counter()
ran = pipeline.prepare()
print(time.perf_counter() - started, len(ran))
"""


def sleep(name: str, seconds: float, *inputs: str) -> dict[str, dict]:
    """One node."""
    fields = {"transform_name": "Sleep", "setup_kwargs": {"seconds": seconds, "name": name}}
    return {name: {**fields, "input_node": list(inputs)} if inputs else fields}


def diamond(seconds: float, tag: str = "") -> dict[str, dict]:
    """Four nodes, of which two can run at once."""
    top, left, right, both = (f"input:top{tag}", f"process:left{tag}", f"process:right{tag}", f"output:both{tag}")
    nodes = sleep(top, seconds) | sleep(left, seconds, top) | sleep(right, seconds, top)
    return nodes | sleep(both, seconds, left, right)


def wide(seconds: float) -> dict[str, dict]:
    """Four nodes between a quick one that all take from and a quick one that takes from all."""
    middle = [f"process:{number}" for number in range(4)]
    nodes = sleep("input:top", 0.0)
    for name in middle:
        nodes |= sleep(name, seconds, "input:top")
    return nodes | sleep("output:all", 0.0, *middle)


def chain(length: int) -> dict[str, dict]:
    """Nodes that do nothing, each after the other."""
    nodes = sleep("input:0", 0.0)
    for number in range(1, length):
        last = "input:0" if number == 1 else f"process:{number - 1}"
        nodes |= sleep(f"process:{number}" if number < length - 1 else "output:end", 0.0, last)
    return nodes


def seconds_of(nodes: dict[str, dict], runner: str) -> float:
    """One pass in a new process, with an empty cache; the start of the workers is in it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "src/data_ops").mkdir(parents=True)
        (Path(folder) / "src/data_ops/ops.py").write_text(OPERATIONS)
        (Path(folder) / "config.jsonnet").write_text(json.dumps({"data_pipeline": {"transforms": nodes}}))
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n{PASS}", runner]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        seconds, ran = done.stdout.split()
        assert int(ran) == len(nodes)
        return float(seconds)


def main() -> None:
    """Print a line for each graph and runner."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each node of a diamond")
    parser.add_argument("--chain", type=int, default=1000, help="how many nodes it has")
    parser.add_argument("--ray", action="store_true", help="with Ray, whose start is in the time")
    parser.add_argument("--quick", action="store_true", help="one round, small")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.chain = 1, 0.1, 10
    runners = ["serial", "processes", *(["ray"] if arguments.ray else [])]
    graphs = {
        "diamond": diamond(arguments.seconds),
        "two diamonds": diamond(arguments.seconds) | diamond(arguments.seconds, " b"),
        "wide diamond": wide(arguments.seconds),
        f"chain of {arguments.chain}": chain(arguments.chain),
    }
    print(f"{'graph':<16}{'runner':<12}{'seconds':>9}{'of serial':>11}   (2 workers, median of {arguments.rounds})")
    for graph, nodes in graphs.items():
        taken: dict[str, list[float]] = {runner: [] for runner in runners}
        for _ in range(arguments.rounds):
            for runner in runners:
                taken[runner].append(seconds_of(nodes, runner))
        base = statistics.median(taken["serial"])
        for runner in runners:
            seconds = statistics.median(taken[runner])
            print(f"{graph:<16}{runner:<12}{seconds:>9.2f}{seconds / base:>11.2f}")


if __name__ == "__main__":
    main()
