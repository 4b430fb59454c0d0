"""The stops driver: ``python -m tests.faults.stops FOLDER STOPS SEED [RANKS]``.

A small training is stopped at random places by SIGKILL, SIGTERM and SIGINT, and resumed until it is done; then the
next. Each must end as the undisturbed one. Everything is imported once, and each run is a fork: a stop takes a second.
Several ranks are processes of their own, of which one gets the signal, or all.
"""

from __future__ import annotations

import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runway.cli.app import main
from tests.faults import stopped_training
from tests.faults.stopped_training import PLACES, SIGNALS, VARIANTS, outcome, stopped_config
from tests.faults.watch import exit_code

# How often each place is reached in a whole training, at the least; a resumed one may end before.
OFTEN = {"step": 12, "fetch": 12, "validation": 8, "evaluation": 3, "save": 5, "epoch": 2}
LONGEST = 10.0


@dataclass
class Stop:
    """One run that was told to stop."""

    place: str
    number: int
    code: int
    """Of the run: an exit code, or 128 + the signal that ended it."""
    seconds: float | None
    """From the signal to the end of every rank; None where the training was done before."""
    who: str = "0"
    """The rank that got the signal, or ``all``."""


def run(project: Path, log: Path, *, resume: bool, stop: str | None = None) -> tuple[int, float]:
    """One training in a fork: its exit code, and the time at which it ended."""
    child = os.fork()
    if child == 0:
        os.chdir(project)
        os.environ["STOP_LOG"] = str(project / "signal_sent")
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        stopped_training.arm(stop)
        code = main(["train", "stopped.jsonnet", *(["--resume"] if resume else [])])
        os._exit(code)  # to tear the copy of all that was imported down takes longer than the run
    code = exit_code(child, 200)
    return (code if code >= 0 else 128 - code), time.time()


def run_ranks(project: Path, log: Path, *, resume: bool, stop: str | None = None) -> tuple[int, float]:
    """One training over several ranks."""
    command = [sys.executable, "-m", "tests.faults.stops", *(["--resume"] if resume else ["--train"])]
    environment = {**os.environ, "STOP_LOG": str(project / "signal_sent"), "STOP": stop or "", "STOP_IN": str(project)}
    with log.open("a") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
        code = process.wait(timeout=240)
        longest = time.monotonic() + 60
        while not _is_over(process.pid):
            if time.monotonic() > longest:  # a rank waits for one that has ended
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.01)
    return (code if code >= 0 else 128 - code), time.time()


def _is_over(group: int) -> bool:
    """Whether no process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def train_as_rank(*, resume: bool) -> int:
    """What ``run_ranks`` starts, and Lightning starts again for each further rank."""
    os.chdir(os.environ["STOP_IN"])
    text, _, who = os.environ["STOP"].partition("@")
    if os.environ.get("LOCAL_RANK", "0") == (who if who in ("0", "1") else "0"):
        stopped_training.arm(text or None, whole_group=who == "all")
    return main(["train", "stopped.jsonnet", *(["--resume"] if resume else [])])


def stopped_until_done(
    project: Path,
    chance: random.Random,
    most: int,
    ranks: int = 1,
    places: Sequence[str] = PLACES,
    signals: Sequence[int] = SIGNALS,
    look: Callable[[Path], None] = lambda project: None,
) -> list[Stop]:
    """Train, stopped at most so many times, at these places and by these signals; ``look`` is called after each."""
    stops: list[Stop] = []
    saved = project / "runs/stopped_V0/train/saved_models"
    for attempt in range(10 * most + 10):
        text = None
        place, number = chance.choice([one for one in places if ranks == 1 or one != "fetch"]), chance.choice(signals)
        who = "0" if ranks == 1 else chance.choice(["0", "all"] if place == "evaluation" else ["0", "1", "all"])
        if len(stops) < most:
            # In the midst of a save, of an evaluation: some milliseconds after its beginning.
            seconds = chance.choice([0.0, chance.uniform(0, 0.03)])
            text = f"{place} {chance.randint(1, OFTEN.get(place, 5))} {int(number)} {seconds:.4f}" + f"@{who}" * (
                ranks > 1
            )
        resume = any(saved.glob("*.ckpt"))
        if not resume and (project / "runs").exists():
            shutil.rmtree(project / "runs")  # stopped before anything was saved: a user starts again
        sent = project / "signal_sent"
        sent.unlink(missing_ok=True)
        code, ended = (run if ranks == 1 else run_ranks)(project, project / "log", resume=resume, stop=text)
        if sent.exists():
            seconds_to_end = None if code == 0 else max(0.0, ended - float(sent.read_text()))
            stops.append(Stop(place, int(number), code, seconds_to_end, who))
            look(project)
        if code == 0:
            return stops
        killed = {128 + signal.SIGKILL} if who != "1" else {1}  # the first rank fails where another has died
        if not sent.exists() or code not in (killed if number == signal.SIGKILL else {130}):
            raise AssertionError(
                f"attempt {attempt} ({text}) ended with {code}:\n{(project / 'log').read_text()[-3000:]}"
            )
    raise AssertionError("it is never done")


def drive(folder: Path, count: int, seed: int, ranks: int = 1) -> list[Stop]:
    """Stop trainings so many times; raise where one does not end as the undisturbed one."""
    chance = random.Random(seed)
    whole: dict[str, dict] = {}
    stops: list[Stop] = []
    trainings = 0
    while len(stops) < count:
        variant = list(VARIANTS)[trainings % len(VARIANTS)]
        if variant not in whole:
            project = folder / f"whole {variant}"
            stopped_config(project, variant, ranks=ranks)
            code, _ = (run if ranks == 1 else run_ranks)(project, project / "log", resume=False)
            assert code == 0, (project / "log").read_text()[-3000:]
            whole[variant] = outcome(project)
        project = folder / f"{trainings} {variant}"
        trainings += 1
        stopped_config(project, variant, ranks=ranks)
        stops += stopped_until_done(project, chance, min(8, count - len(stops)), ranks)
        told = differences(whole[variant], outcome(project))
        assert not told, f"training {trainings} ({variant}, {project}) differs after {stops}: {told}"
    return stops


def differences(one: dict, other: dict) -> list[str]:
    """What is not the same, by name."""
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def figures(stops: list[Stop]) -> str:
    """How many stops of each kind and place, how long they took, and how they ended."""
    names = {int(number): signal.Signals(number).name for number in SIGNALS}
    kinds = collections.Counter((names[stop.number], stop.place) for stop in stops)
    lines = [f"{len(stops)} stops"]
    for number in names.values():
        lines.append(f"  {number:8} " + "  ".join(f"{place} {kinds[number, place]}" for place in PLACES))
    for who, times in sorted(collections.Counter(stop.who for stop in stops).items()):
        lines.append(f"  sent to {'all ranks' if who == 'all' else f'rank {who}'}: {times}")
    for number, name in names.items():
        taken = [stop.seconds for stop in stops if stop.number == number and stop.seconds is not None]
        codes = collections.Counter(stop.code for stop in stops if stop.number == number)
        longest = f"{max(taken):.2f}" if taken else "-"
        ended = ", ".join(f"{code} x {times}" for code, times in sorted(codes.items()))
        lines.append(f"  {name:8} exit codes: {ended}; longest from signal to end: {longest} s")
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1] in ("--train", "--resume"):
        sys.exit(train_as_rank(resume=sys.argv[1] == "--resume"))
    target, wanted, first_seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with contextlib.suppress(BrokenPipeError):
        made = drive(target, wanted, first_seed, int(sys.argv[4]) if len(sys.argv) > 4 else 1)
        print(figures(made), flush=True)
    slow = [stop for stop in made if (stop.seconds or 0) > LONGEST]
    sys.exit(f"slower than {LONGEST} s: {slow}" if slow else 0)
