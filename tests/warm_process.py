"""Runs commands in forks of a process that has the heavy libraries loaded already.

Each command is a process of its own, with its own folder, environment, streams and memory, but does not import torch,
Lightning and transformers anew, which takes five seconds each time. Jobs come as lines of JSON on stdin; each
gets one line back on stdout with its exit code, or null where it took too long.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

LIBRARIES = ("datasets", "evaluate", "lightning.pytorch.loggers", "pandas", "torch", "transformers")


def work(job: dict[str, Any]) -> int:
    """One job, in the fork.

    Args:
        job: ``cwd``, ``env`` (all of it), ``stdin`` (a file, or null), ``stdout`` and ``stderr`` (files to write), and
            either ``argv``, the arguments of `runway`, or ``script``, a Python file to run.

    Returns:
        The exit code.
    """
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    os.dup2(os.open(job["stdin"] or os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    # What Python made of the streams belongs to the parent.
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115 (as long as the process)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    sys.path.insert(0, job["cwd"])
    code = _code_of(job)
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        pass
    return code


def _code_of(job: dict[str, Any]) -> int:
    try:
        if "script" in job:
            exec(compile(Path(job["script"]).read_text(encoding="utf-8"), job["script"], "exec"), {})
            return 0
        # As of ``python -m runway``: Lightning starts further ranks by it.
        spec = importlib.util.find_spec("runway.__main__")
        assert spec
        sys.modules["__main__"].__spec__ = spec
        sys.argv = [str(spec.origin), *job["argv"]]
        from runway.cli import main

        return main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1


def serve() -> None:
    """Load the libraries, then take jobs until stdin ends."""
    sys.path.pop(0)  # this file's folder
    for name in LIBRARIES:
        importlib.import_module(name)
    for name in ("AutoModelForSequenceClassification", "AutoTokenizer", "BertForSequenceClassification"):
        getattr(sys.modules["transformers"], name)  # transformers imports a class when it is asked for
    sys.modules["torch"].set_num_threads(1)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page that holds an object
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = work(job)
            finally:
                os._exit(code)
        watched = os.pidfd_open(child)
        in_time = bool(select.select([watched], [], [], job["timeout"])[0])
        if not in_time:
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(watched)
        print(json.dumps(code if in_time else None), flush=True)


if __name__ == "__main__":
    serve()
