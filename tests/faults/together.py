"""The driver of runs that meet: ``python -m tests.faults.together FOLDER ROUNDS SEED``.

Eight processes start the same cold pipeline, or eight configs that share nodes, while ``cache gc`` and ``cache verify``
run in a loop; some of the eight are killed while they compute. Each node must be computed once, but for those of the
killed ones, each result must be right, nobody may end with a traceback, and nobody may wait for a dead one.
"""

from __future__ import annotations

import collections
import json
import os
import random
import shutil
import sys
import time
from pathlib import Path

from tests.faults import prepared
from tests.faults.kills import caches, log, options
from tests.faults.watch import KILL, MARK, KillAt

AT_ONCE = 8
NODE_SECONDS = 0.1
LONGEST = 20.0
"""Seconds in which each must be done when the machine has two slow cores: a claim of a dead one holds up nobody."""


def write_shared(project: Path) -> list[str]:
    """The pipeline, and eight configs of which each has some of its nodes; gives the names of the eight."""
    prepared.write_project(project, prepared.LIGHT, seconds=NODE_SECONDS)
    whole = json.loads((project / "killed.jsonnet").read_text())
    kinds = prepared.LIGHT
    names = []
    for number in range(AT_ONCE):
        chosen = {kinds[(number + step) % len(kinds)] for step in range(4)}
        nodes = {
            name: node
            for name, node in whole["data_pipeline"]["transforms"].items()
            if name.removeprefix("output:").removeprefix("told_") in chosen
        }
        names.append(f"part{number}.jsonnet")
        text = json.dumps({**whole, "data_pipeline": {"transforms": nodes}})
        (project / names[-1]).write_text(text, encoding="utf-8")
    return names


def meet(project: Path, configs: list[str], where: str, chance: random.Random, kills: int) -> collections.Counter[str]:
    """Start all at once, and look at what came of it."""
    prepared.clean(project)
    url = options(project, where, False)
    victims = set(chance.sample(range(len(configs)), kills))
    running: dict[int, int] = {}
    seconds: dict[int, float] = {}
    began = time.monotonic()
    for number, config in enumerate(configs):
        at = KillAt("moment", 1, chance.uniform(0.0, 10 * NODE_SECONDS), "driver") if number in victims else None
        marks = {KILL: json.dumps(at) if at else "", MARK: f"killed{number}"}
        running[prepared.start(project, ["prepare", config, *url], marks, project / "log")] = number
    folder = f"file://{project.as_posix()}/bucket" if where == "url" else "cache"
    looks = 0
    gone: list[int] = []
    looking: int | None = None
    while running:
        assert time.monotonic() - began < 10 * LONGEST, f"still running: {running}: {log(project)}"
        if looking is None and (project / ("bucket" if where == "url" else "cache")).exists():
            what = ("gc", "verify")[looks % 2]
            looking = prepared.start(project, ["cache", what, folder], {KILL: ""}, project / "log")
        for process in [*running, *([looking] if looking else [])]:
            found, status = os.waitpid(process, os.WNOHANG)
            if not found:
                continue
            code = os.waitstatus_to_exitcode(status)
            if process == looking:
                assert code == 0, log(project)
                looks, looking = looks + 1, None
                continue
            number = running.pop(process)
            seconds[number] = time.monotonic() - began
            assert code == 0 or (code == -9 and number in victims), f"{configs[number]}: {code}: {log(project)}"
            gone += [number] if code == -9 else []
        time.sleep(0.01)
    if looking is not None:
        os.waitpid(looking, 0)
    assert max(seconds.values()) < LONGEST, f"{seconds}: {log(project)}"
    return _figures(project, gone, seconds, looks)


def _figures(project: Path, gone: list[int], seconds: dict[int, float], looks: int) -> collections.Counter[str]:
    """Raise where a node was computed twice by those that live; gives what was counted."""
    told = log(project)
    assert "Traceback" not in told, told
    assert "is damaged" not in told, told
    times = collections.Counter((project / "trace.log").read_text(encoding="utf-8").split())
    again = sum(times.values()) - len(times)
    assert again <= len(gone), f"computed twice: {times} with {len(gone)} killed: {told}"
    figures = collections.Counter({"nodes": len(times), "killed": len(gone), "computed again for a killed one": again})
    figures["gc and verify"] = looks
    figures["runs"] = len(seconds)
    return figures


def drive(folder: Path, rounds: int, seed: int) -> collections.Counter[str]:
    """So many rounds, over both kinds of cache and of configs, with and without kills; raise where one goes wrong."""
    chance = random.Random(seed)
    done: collections.Counter[str] = collections.Counter()
    project = folder / "together"
    parts = write_shared(project)
    for number in range(rounds):
        where = ("folder", "url")[number % 2]
        configs = parts if number // 2 % 2 else ["killed.jsonnet"] * AT_ONCE
        prepared.clean(project)
        assert prepared.prepare(project, *options(project, where, False)) == 0, log(project)
        whole = {what: prepared.kept(root) for what, root in caches(project).items() if what != "copies"}
        done += meet(project, configs, where, chance, kills=(0, 3)[number // 4 % 2])
        assert prepared.prepare(project, *options(project, where, False)) == 0, log(project)  # what a killed one lacks
        for what, expected in whole.items():
            found = {name: data for name, data in prepared.kept(caches(project)[what]).items() if name[-5:] != ".lock"}
            assert not prepared.differences(expected, found), prepared.differences(expected, found)
        done["rounds"] += 1
    return done


if __name__ == "__main__":
    target, wanted, first_seed = Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3])
    shutil.rmtree(target, ignore_errors=True)
    print(", ".join(f"{what} {times}" for what, times in sorted(drive(target, wanted, first_seed).items())))
