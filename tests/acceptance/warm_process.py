"""Runs commands in forks of a process that has the heavy libraries loaded already.

Each command is a process of its own, with its own folder, streams and memory, but does not import torch,
Lightning and transformers anew, which takes five seconds each time. Jobs come as lines of JSON on stdin; each
gets one line back on stdout with its exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

SECONDS = 120


def work(job: dict[str, Any]) -> int:
    """One job, in the fork.

    Args:
        job: ``cwd``, ``env``, ``stdin`` (text or null), ``stdout`` and ``stderr`` (files to write), and either
            ``argv``, the arguments of `runway`, or ``script``, a Python file to run.

    Returns:
        The exit code.
    """
    signal.alarm(SECONDS)
    os.chdir(job["cwd"])
    for name, value in job["env"].items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    reading, writing = os.pipe()
    os.write(writing, (job["stdin"] or "").encode())
    os.close(writing)
    os.dup2(reading, 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    # What Python made of the streams belongs to the parent.
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode, buffering=1) for n, mode in ((0, "r"), (1, "w"), (2, "w")))
    try:
        if "script" in job:
            exec(compile(Path(job["script"]).read_text(encoding="utf-8"), job["script"], "exec"), {})
            return 0
        from runway.cli import main

        sys.argv = ["runway", *job["argv"]]
        return main()
    except BaseException:
        traceback.print_exc()
        return 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def serve() -> None:
    """Load the libraries, then take jobs until stdin ends."""
    sys.path.pop(0)  # this file's folder
    for name in ("datasets", "lightning.pytorch.loggers", "torch", "transformers"):
        importlib.import_module(name)
    for name in ("AutoModelForSequenceClassification", "AutoTokenizer", "BertForSequenceClassification"):
        getattr(sys.modules["transformers"], name)  # transformers imports a class when it is asked for
    sys.modules["torch"].set_num_threads(1)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(work(json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
