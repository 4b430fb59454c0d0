"""How often processes with two local cache folders, as on two machines, do work twice over one bucket.

    python benchmarks/shared_store.py [--processes 16] [--tries 3] [--quick] [--only NAME] [--json FILE]

A real S3 server (moto's, on localhost) holds the bucket. Half of the `runway prepare` run in one project folder, half
in another, all start together on an empty bucket. Each run of a node appends a line to a file, and the server counts
what it was sent. Then the same with a process killed (-9) in the middle of its computation or of its upload, and with
all processes of its folder, as a machine that goes down: the node then runs a second time, once, and whoever waits does
so no longer than the claim's time. Nothing half-uploaded is to be seen, and no claim is left.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from each_once import LONGEST, runway_command  # noqa: E402 - beside this script, not installed
from s3_server import S3Server  # noqa: E402

CLAIM = 5
"""Seconds that a claim holds here without a sign of life; the usual two minutes would make a long wait."""
SLACK = 5
"""Seconds more, for looking every two seconds and for two busy cores."""
OBJECT = re.compile(r"/[^/]+/cache/(?:(?P<key>../[0-9a-f]+)/(?P<name>.+)|(?P<other>.*))")

OPERATIONS = '''"""A DataOp that takes its time, says in a file that it ran, and gives a payload of 10 MB."""

import os
import time

from runway import BaseTransform, register_transform_functor


@register_transform_functor
class Work(BaseTransform):
    def setup(self, name, seconds):
        self.name, self.seconds = name, seconds

    def _call(self, data):
        log = os.open(os.environ["RAN"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(log, f"{self.name} {os.getpid()} {time.time()} {os.getcwd()}\\n".encode())
        os.close(log)
        time.sleep(self.seconds)
        return {"name": self.name, "payload": self.name[-1] * 10_000_000}
'''


class Run(NamedTuple):
    """One run of a node."""

    node: str
    process: int
    at: float
    folder: str


class Kind(NamedTuple):
    """One way to try it.

    Attributes:
        name: what is printed.
        kill: in what one process is killed: "computing" or "uploading" process:B; nothing where it is empty.
        all_there: whether all processes of its folder are killed with it.
    """

    name: str
    kill: str = ""
    all_there: bool = False


KINDS = [
    Kind("all live"),
    Kind("one killed while it computes", "computing"),
    Kind("one killed while it uploads", "uploading"),
    Kind("a machine killed while it computes", "computing", all_there=True),
    Kind("a machine killed while it uploads", "uploading", all_there=True),
]


def write_project(folder: Path, bucket: str) -> dict[str, Any]:
    """A project of four nodes in a row, whose cache is in the bucket; gives the nodes."""
    operations = folder / "src" / "data_ops" / "work.py"
    operations.parent.mkdir(parents=True)
    operations.write_text(OPERATIONS, encoding="utf-8")
    nodes: dict[str, Any] = {}
    for name in ("input:A", "process:B", "process:C", "output:D"):
        inputs = {"input_node": [list(nodes)[-1]]} if nodes else {}
        nodes[name] = {"transform_name": "Work", "setup_kwargs": {"name": name, "seconds": 1}, "cache": True, **inputs}
    meta = {"seed": 1, "default_cache_dir": f"s3://{bucket}/cache"}
    config = {"experiment_name": "shared", "meta": meta, "data_pipeline": {"transforms": nodes}}
    (folder / "shared.jsonnet").write_text(json.dumps(config), encoding="utf-8")
    return nodes


def ran(scratch: Path) -> list[Run]:
    """Each run of a node so far, in order."""
    path = scratch / "ran"
    lines = [line.split(maxsplit=3) for line in path.read_text().splitlines()] if path.exists() else []
    return [Run(node, int(process), float(at), folder) for node, process, at, folder in lines]


class Killer:
    """Kills who computes or uploads process:B for the first time, or all processes in that one's folder."""

    def __init__(self, kind: Kind, scratch: Path, processes: list[subprocess.Popen[str]]) -> None:
        self.kind = kind
        self.scratch = scratch
        self.processes = processes
        self.at = 0.0
        self.killed: list[int] = []
        self._once = threading.Lock()

    def before(self, method: str, path: str) -> None:
        """Told each request before it is answered."""
        match = OBJECT.fullmatch(path)
        name = (match["name"] or "") if match else ""
        if self.kind.kill == "uploading" and method in ("PUT", "POST") and "/" in name:
            last = ran(self.scratch)
            if any(run.node == "process:B" for run in last):
                self.kill()

    def kill(self) -> None:
        """Kill them, once."""
        with self._once:
            if self.killed:
                return
            victim = next(run for run in ran(self.scratch) if run.node == "process:B")
            for process in self.processes:
                in_folder = Path(str(process.args[-1])).parent == Path(victim.folder)  # type: ignore[index]
                if process.pid == victim.process or (self.kind.all_there and in_folder):
                    process.send_signal(signal.SIGKILL)
                    self.killed.append(process.pid)
            self.at = time.time()

    def watch(self) -> None:
        """Kill who computes."""
        end = time.monotonic() + LONGEST
        while time.monotonic() < end and not any(run.node == "process:B" for run in ran(self.scratch)):
            time.sleep(0.02)
        time.sleep(0.3)
        self.kill()


def attempt(server: S3Server, kind: Kind, count: int) -> dict[str, Any]:
    """One try: what came of it, and what was wrong."""
    bucket = server.make_bucket()
    first_request = len(server.requests)
    with tempfile.TemporaryDirectory(prefix="runway-shared-") as temporary:
        scratch = Path(temporary).resolve()
        folders = [scratch / "one", scratch / "two"]
        nodes: dict[str, Any] = {}
        for folder in folders:
            nodes = write_project(folder, bucket)
        path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
        own = {"PYTHONPATH": path, "RAN": str(scratch / "ran"), "RUNWAY_CLAIM_SECONDS": str(CLAIM)}
        environment = {**os.environ, **server.environment, **own, "OMP_NUM_THREADS": "1"}
        processes: list[subprocess.Popen[str]] = []
        killer = Killer(kind, scratch, processes)
        server.before = killer.before
        for index in range(count):
            command = [*runway_command(), "prepare", str(folders[index % 2] / "shared.jsonnet")]
            processes.append(
                subprocess.Popen(
                    command,
                    cwd=folders[index % 2],
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        if kind.kill == "computing":
            killer.watch()
        wrong = []
        for process in processes:
            try:
                _, errors = process.communicate(timeout=LONGEST)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                wrong.append("one hung")
                continue
            if process.returncode != (-signal.SIGKILL if process.pid in killer.killed else 0):
                wrong.append(f"one ended with {process.returncode}: {errors.strip()}")
        server.before = lambda method, path: None
        runs = ran(scratch)
    counts = Counter(run.node for run in runs)
    again = [run.at - killer.at for run in runs if run.node == "process:B"][1:]
    expected = {node: 1 + (node == "process:B" and bool(kind.kill)) for node in nodes}
    wrong += [f"{node} ran {counts[node]} times" for node in nodes if counts[node] != expected[node]]
    if kind.kill and not killer.killed:
        wrong.append("nobody was killed")
    if again and again[0] > CLAIM + SLACK:
        wrong.append(f"it was {again[0]:.1f} s until another took over")
    facts = look(server, bucket, first_request)
    wrong += [f"{key} was uploaded {n} times" for key, n in facts["payloads"].items() if n > 1]
    wrong += [f"{key} was made visible {n} times" for key, n in facts["switches"].items() if n > 1]
    wrong += [f"{name} was left" for name in facts["left"]]
    if facts["entries"] != len(nodes):
        wrong.append(f"{facts['entries']} entries")
    return {
        "kind": kind.name,
        "processes": count,
        "runs": dict(counts),
        "payloads uploaded whole": sum(facts["payloads"].values()),
        "seconds until another took over": round(again[0], 1) if again else None,
        "requests": len(server.requests) - first_request,
        "wrong": wrong,
    }


def look(server: S3Server, bucket: str, first_request: int) -> dict[str, Any]:
    """What the server was sent, and what is in the bucket."""
    from obstore.store import from_url

    payloads: Counter[str] = Counter()
    switches: Counter[str] = Counter()
    for request in server.requests[first_request:]:
        match = OBJECT.fullmatch(request.path)
        if not (match and match["key"] and request.status == 200):
            continue
        if request.method == "PUT" and match["name"] == "meta.json":
            switches[match["key"]] += 1
        elif "/" in match["name"] and (
            (request.method == "PUT" and "partNumber" not in request.query)
            or (request.method == "POST" and "uploadId" in request.query)
        ):
            payloads[f"{match['key']}/{match['name'].partition('/')[2]}"] += 1
    os.environ.update(server.environment)
    store = from_url(f"s3://{bucket}/cache")
    import obstore

    names = [found["path"] for some in obstore.list(store) for found in some]
    used = set()
    metas = [name for name in names if name.endswith("/meta.json")]
    for name in metas:
        meta = json.loads(bytes(obstore.get(store, name).bytes()))
        folder = name.rpartition("/")[0]
        used |= {name, *(f"{folder}/{meta['upload']}/{file}" for file in meta["files"])}
    left = [name for name in names if name not in used and not name.endswith(".reads.json")]
    return {"payloads": payloads, "switches": switches, "left": left, "entries": len(metas)}


def main() -> int:
    """Try, and print; 1 where a try went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--tries", type=int, default=3, help="of each kind")
    parser.add_argument("--quick", action="store_true", help="four processes, one try")
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--json", type=Path, help="where the outcomes go")
    options = parser.parse_args()
    tries, count = (1, 4) if options.quick else (options.tries, options.processes)
    outcomes = []
    with S3Server() as server:
        for kind in KINDS:
            if options.only not in kind.name:
                continue
            for _ in range(tries):
                outcome = attempt(server, kind, count)
                outcomes.append(outcome)
                took = outcome["seconds until another took over"]
                print(
                    f"{kind.name}: {count} processes: {sum(outcome['runs'].values())} runs of 4 nodes, "
                    f"{outcome['payloads uploaded whole']} payloads uploaded, {outcome['requests']} requests"
                    + (f", taken over after {took} s (a claim holds {CLAIM} s)" if took is not None else ""),
                    flush=True,
                )
                for wrong in outcome["wrong"]:
                    print(f"    wrong: {wrong}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(outcomes, indent=1), encoding="utf-8")
    return 1 if any(outcome["wrong"] for outcome in outcomes) else 0


if __name__ == "__main__":
    raise SystemExit(main())
