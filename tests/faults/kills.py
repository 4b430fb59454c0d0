"""The kills driver: ``python -m tests.faults.kills FOLDER KILLS SEED``.

``runway prepare`` is killed over all formats of the store: before a chosen opening for writing, renaming, deletion or
sync in the cache, some milliseconds later, or at any moment; the driver, one worker, or all processes; with the cache
in a folder or at a URL. Then it runs once to the end. Every entry must be byte for byte as that of an undisturbed run,
nothing may be left over, and no process may live on. All is imported once, and each run is a fork.
"""

from __future__ import annotations

import collections
import json
import os
import random
import re
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.faults import prepared, storage
from tests.faults.watch import PLACES, KillAt

ENDS_WITHIN = 8.0
"""Seconds in which a worker ends whose driver is gone: it lets go what it holds."""


def caches(project: Path) -> dict[str, Path]:
    """{what: where} of all that a run keeps."""
    copies = sorted((project / "cache/remote").glob("*"))
    return {"cache": project / "cache", "bucket": project / "bucket", **({"copies": copies[0]} if copies else {})}


def look(project: Path, whole: Mapping[str, Mapping[str, bytes]]) -> collections.Counter[str]:
    """Raise where a cache is not as that of an undisturbed run; gives how much was compared, and what is left over."""
    found: collections.Counter[str] = collections.Counter()
    for what, root in caches(project).items():
        now = prepared.kept(root)
        locks = {name for name, data in now.items() if re.fullmatch(r"locks/.+\.lock", name) and not data}
        found["empty lock files"] += len(locks)  # of an entry that was there when the kill came; gc takes them
        now = {name: data for name, data in now.items() if name not in locks}
        # A copy is made of what was made or wanted here: the killed run's stay at the URL.
        told = prepared.differences(whole.get(what, {}), now, may_lack=what == "copies")
        assert not told, f"{what} of {project} differs: {told}"
        found["entries"] += sum(name.endswith("meta.json") for name in now)
        found["files"] += len(now)
    # A user's folder of proofs, one for each start of the machine, is meant to stay; Python's tempfile tries the folder
    # out with four bytes, and its TemporaryFile has a name for a moment where the file system knows no nameless ones.
    left = [path for path in (project / "tmp").iterdir() if path.name != f"runway-{os.getuid()}"]
    assert not any(path.is_dir() or path.stat().st_size > 4 for path in left), f"left over in TMPDIR: {left}"
    found["empty temporary files"] += len(left)
    return found


def chosen(chance: random.Random, counts: Mapping[str, int], workers: bool, seconds: float) -> KillAt:
    """A place to be killed at."""
    who = chance.choice(["driver", "worker", "worker", "all"]) if workers else "driver"
    place = chance.choice([*(place for place in PLACES if counts.get(place)), "moment"])
    if place == "moment" or (workers and who == "driver"):  # which writes little itself
        return KillAt("moment", 1, chance.uniform(0, seconds), who)
    most = counts[place] // (2 if workers else 1)
    return KillAt(place, chance.randint(1, max(1, most)), chance.choice([0.0, chance.uniform(0, 0.02)]), who)


def drive(
    folder: Path, kills: int, seed: int, kinds: Iterable[str], ways: Iterable[tuple[str, bool]]
) -> collections.Counter[str]:
    """Kill so many runs; raise where one does not end as an undisturbed one.

    Args:
        folder: for the projects, which must not be there yet.
        kills: how many.
        seed: of where.
        kinds: the values that are prepared.
        ways: (``folder`` or ``url``, whether there are two workers), which come in turn.
    """
    chance = random.Random(seed)
    done: collections.Counter[str] = collections.Counter()
    ways, whole, counts, seconds = list(ways), {}, {}, {}
    for where, workers in dict.fromkeys(ways):
        project = folder / f"{where} {'workers' if workers else 'serial'}"
        prepared.write_project(project, kinds)
        started = time.monotonic()
        assert prepared.prepare(project, *options(project, where, workers), counts=project / "counts") == 0, log(
            project
        )
        seconds[where, workers] = time.monotonic() - started
        whole[where, workers] = {what: prepared.kept(root) for what, root in caches(project).items()}
        prepared.clean(project)
        if workers:  # they count for themselves: as many as a serial run has
            assert prepared.prepare(project, *options(project, where, False), counts=project / "counts") == 0
            prepared.clean(project)
        counts[where, workers] = json.loads((project / "counts").read_text())
    for number in range(10 * kills + 10):
        if done["kills"] >= kills:
            return done
        where, workers = way = ways[number % len(ways)]
        project = folder / f"{where} {'workers' if workers else 'serial'}"
        prepared.clean(project)
        at = chosen(chance, counts[way], workers, seconds[way])
        code = prepared.prepare(project, *options(project, where, workers), at=at)
        if not (project / "killed").exists():
            continue  # it had ended before
        (project / "killed").unlink()
        if code == 0 and at.who != "worker":
            continue  # it was faster than the signal
        expected = (1, 0) if at.who == "worker" else (-9,)
        assert code in expected, f"{at} in {project} ended with {code}: {log(project)}"
        whole_ones = None
        if chance.random() < 0.5:  # otherwise what is left of the killed run is met by the next one
            assert prepared.all_gone(project, ENDS_WITHIN), f"after {at} a process lives on"
            whole_ones = committed(project / ("bucket" if where == "url" else "cache"))
        before = computed(project)
        code = prepared.prepare(project, *options(project, where, False))
        assert code == 0, f"after {at} in {project}: {code}: {log(project)}"
        assert prepared.all_gone(project, ENDS_WITHIN), f"after {at} a process lives on"
        assert "Traceback" not in log(project), log(project)
        if whole_ones is not None:
            twice = whole_ones & set(computed(project)[len(before) :])
            assert not twice, f"after {at} in {project} computed again though it was there: {twice}"
            done["kept of the killed run"] += len(whole_ones)
        try:
            done += look(project, whole[way])
        except AssertionError as error:
            raise AssertionError(f"kill {number} of seed {seed}: {at}: {error}\n{log(project)[-2000:]}") from None
        done += collections.Counter([f"{where}, {'two workers' if workers else 'serial'}", f"at {at.place}", "kills"])
        if workers:
            done[f"killed: {at.who}"] += 1
    raise AssertionError("too few runs were killed")


def committed(root: Path) -> set[str]:
    """The nodes whose entries are there with their values."""
    metas = [json.loads(path.read_bytes()) for path in root.glob("[0-9a-f][0-9a-f]/*/meta.json")]
    return {meta["node"] for meta in metas if meta["format"] != "none"} - {"output:none"}


def computed(project: Path) -> list[str]:
    """The nodes that were computed, in their order."""
    trace = project / "trace.log"
    return trace.read_text(encoding="utf-8").split("\n") if trace.exists() else []


def options(project: Path, where: str, workers: bool) -> list[str]:
    """Of the command."""
    url = [f"meta.default_cache_dir=file://{project.as_posix()}/bucket"] if where == "url" else []
    return [*url, *(["--runner", "processes", "--workers", "2"] if workers else [])]


def log(project: Path) -> str:
    """What the runs have said."""
    return (project / "log").read_text(encoding="utf-8")


WAYS = [("folder", False), ("url", False), ("folder", False), ("url", False), ("folder", True), ("url", True)]


def figures(done: Mapping[str, int]) -> str:
    """What was done, as text."""
    parts = ", ".join(f"{what} {times}" for what, times in sorted(done.items()) if what != "kills")
    return f"{done['kills']} kills, all as undisturbed: {parts}"


if __name__ == "__main__":
    target, wanted, first_seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    shutil.rmtree(target, ignore_errors=True)
    started = time.monotonic()
    result = drive(target.resolve(), wanted, first_seed, storage.values(), WAYS)
    print(f"{figures(result)}; {time.monotonic() - started:.0f} s", flush=True)
