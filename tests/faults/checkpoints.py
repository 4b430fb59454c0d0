"""The checkpoints driver: ``python -m tests.faults.checkpoints FOLDER KILLS SEED``.

A training is killed inside the writing of its checkpoints, with TMPDIR on another file system, and resumed until it is
done; resets and resumes start at once; every file of a run is flipped, cut and emptied. The last good state is never
lost, what is served is right or told, and nothing is a traceback.
"""

from __future__ import annotations

import collections
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runway.cli.app import main
from runway.experiment.checkpoint_content import read_checkpoint
from tests.experiment.tiny import same_weights, tiny_config, weights
from tests.faults.stopped_training import WRITES, outcome, stopped_config
from tests.faults.stops import Stop, differences, run, stopped_until_done
from tests.faults.watch import exit_code

KEPT = {"save_top_k": -1, "monitor": "val_loss", "mode": "min"}
LONGER = "train.trainer_paras.max_epochs=3"
UNEXPECTED = ("Traceback (most recent call last)", "--debug for the whole traceback")
SAVED = "runs/tiny_V0/train/saved_models"


@contextmanager
def elsewhere(folder: Path) -> Iterator[bool]:
    """TMPDIR on another file system than a folder, where there is one; yields whether there is."""
    shared = Path("/dev/shm")
    is_other = os.access(shared, os.W_OK) and shared.stat().st_dev != folder.stat().st_dev
    with tempfile.TemporaryDirectory(dir=shared if is_other else folder) as temporary:
        before, tempfile.tempdir = tempfile.tempdir, temporary
        try:
            yield is_other
        finally:
            tempfile.tempdir = before


def kill_writes(folder: Path, kills: int, chance: random.Random) -> list[Stop]:
    """SIGKILL inside the writing of checkpoints; each training ends as the undisturbed one."""
    folder.mkdir(parents=True)
    whole = folder / "whole"
    stopped_config(whole, "by steps")
    assert run(whole, whole / "log", resume=False)[0] == 0, (whole / "log").read_text()[-3000:]
    stops: list[Stop] = []
    while len(stops) < kills:
        project = folder / str(len(stops))
        stopped_config(project, "by steps")
        most = min(8, kills - len(stops))
        stops += stopped_until_done(project, chance, most, 1, WRITES, [signal.SIGKILL], look=_all_whole)
        told = differences(outcome(whole), outcome(project))
        assert not told, f"{project} differs after {stops}: {told}"
        assert not list(project.rglob(".*.ckpt.tmp-*")), "something is left over"
    return stops


def _all_whole(project: Path) -> None:
    for path in project.rglob("*.ckpt"):
        read_checkpoint(path)


def told_by(project: Path, *words: str) -> tuple[int, str]:
    """The exit code of a command in a fork, and all that it says."""
    return _end(*_begin(project, *words))


def _begin(project: Path, *words: str) -> tuple[int, Path]:
    log = Path(tempfile.mkstemp(dir=project, suffix=".log")[1])
    child = os.fork()
    if child:
        return child, log
    os.chdir(project)
    descriptor = os.open(log, os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    code = 99
    try:
        code = main(list(words))
    finally:
        os._exit(code)


def _end(child: int, log: Path) -> tuple[int, str]:
    code = exit_code(child, 200)
    text = log.read_text(errors="replace")
    log.unlink()
    return code, text


def damage(folder: Path, times: int, chance: random.Random) -> collections.Counter[str]:
    """Damage a file of a run; then list it, and resume, test or evaluate. Gives how often what came of it."""
    whole = folder / "run"
    tiny_config(whole, train=_train())
    for words in (["train"], ["test"]):
        code, text = told_by(whole, *words, "tiny.jsonnet")
        assert code == 0, text
    longer = folder / "longer"
    shutil.copytree(whole, longer)
    assert told_by(longer, "train", "tiny.jsonnet", "--resume", LONGER)[0] == 0
    right, metrics = weights(longer / SAVED / "last.ckpt"), _metrics(whole)
    files = sorted(path.relative_to(whole) for path in (whole / "runs").rglob("*") if path.is_file())
    chance.shuffle(files)
    found: collections.Counter[str] = collections.Counter()
    for number in range(times):
        project = folder / str(number)
        shutil.copytree(whole, project)
        file = files[number % len(files)]
        how = _damage(project / file, chance)
        runs_code, text = told_by(project, "runs", "runs")
        assert runs_code == 0, f"{how} {file}: {text}"
        mode = chance.choice(["resume", "resume", "test", "eval"])
        words = ["train", "tiny.jsonnet", "--resume", LONGER] if mode == "resume" else [mode, "tiny.jsonnet"]
        code, said = told_by(project, *words)
        text += said
        where = f"{mode} after {how} of {file} in {project}: {text}"
        assert not any(words in text for words in UNEXPECTED), where
        assert code in (0, 1, 2), where
        is_told = "warning" in text or code != 0
        if file.suffix == ".ckpt" and mode != "eval":
            assert code == 0, where  # there are others
        if code == 0 and mode == "resume":
            assert same_weights(right, weights(project / SAVED / "last.ckpt")), where
        elif code == 0 and not is_told:
            assert _metrics(project) == metrics, where
        found[f"{mode}: {'an error' if code else 'right, with a warning' if is_told else 'right'}"] += 1
        shutil.rmtree(project)
    return found


def _train() -> dict:
    trainer = {"max_epochs": 2, "accelerator": "cpu", "enable_progress_bar": False, "log_every_n_steps": 1}
    optimizer = {"optimizer_name": "AdamW", "optimizer_params": {"lr": 0.01}}
    return {"trainer_paras": trainer, "optimizer_config": optimizer, "model_checkpoint_callback_paras": KEPT}


def _metrics(project: Path) -> dict:
    return json.loads((project / "runs/tiny_V0/test/first/metrics.json").read_text())


def _damage(path: Path, chance: random.Random) -> str:
    content = bytearray(path.read_bytes())
    how = chance.choice(["flip", "flip", "cut", "empty", "zeros", "list"])
    if how == "flip" and content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif how == "cut":
        del content[chance.randrange(len(content) or 1) :]
    elif how == "zeros":
        content[:] = bytes(len(content))
    else:
        content[:] = b"[3]" if how == "list" else b""
    path.write_bytes(content)
    return how


def at_once(folder: Path, rounds: int, chance: random.Random) -> collections.Counter[int]:
    """Three resets and two resumes of one experiment at once; gives how often which exit code came."""
    codes: collections.Counter[int] = collections.Counter()
    for number in range(rounds):
        project = folder / str(number)
        tiny_config(project, train=_train())
        assert told_by(project, "train", "tiny.jsonnet")[0] == 0
        commands = [["--reset", "--yes"]] * 3 + [["--resume", LONGER]] * 2
        chance.shuffle(commands)
        ended = [_end(*one) for one in [_begin(project, "train", "tiny.jsonnet", *words) for words in commands]]
        text = "\n".join(said for _, said in ended)
        assert not any(words in text for words in UNEXPECTED), text
        assert all(code == 0 for (code, _), words in zip(ended, commands, strict=True) if "--reset" in words), text
        told_by(project, "test", "tiny.jsonnet")
        left = sorted(path.name for path in (project / "runs").iterdir())
        assert all(name.startswith("tiny_V") for name in left), left
        for name in left:
            read_checkpoint(project / "runs" / name / "train/saved_models/last.ckpt")
        codes.update(code for code, _ in ended)
    return codes


def drive(folder: Path, kills: int, seed: int) -> str:
    """All of it; gives the figures.

    Args:
        folder: where to; it is made.
        kills: how many writes are killed, and files damaged; a twentieth of it are rounds of five processes at once.
        seed: of the choices.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    with elsewhere(folder) as is_other:
        stops = kill_writes(folder / "writes", kills, chance)
        found = damage(folder / "damaged", kills, chance)
        codes = at_once(folder / "at once", max(1, kills // 20), chance)
    places = collections.Counter(stop.place for stop in stops)
    lines = [f"{len(stops)} kills inside a write: {dict(places)}; TMPDIR on another file system: {is_other}"]
    lines.append(f"{sum(found.values())} damaged files: {dict(sorted(found.items()))}")
    lines.append(f"{sum(codes.values())} resets and resumes at once: exit codes {dict(codes)}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(drive(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
