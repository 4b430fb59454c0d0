"""Errors as people read them: the user's own traceback where there is one, then a block that says what, where
and how to mend it."""

from __future__ import annotations

import errno
import os
import sys

from runway.errors import ConfigErrors, RunFailed, RunwayError, leaves_debugger
from runway.masking import hide

FAILED, USAGE = 1, 2


def report(error: BaseException) -> int:
    """Print an error to stderr; returns the exit code."""
    if isinstance(error, RunwayError):
        for part in _parts(error):
            _print_block(part)
        return error.exit_code
    if leaves_debugger(error):
        print("stopped at the breakpoint", file=sys.stderr)
        return FAILED
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        _print_block(RunwayError("the disk is full", where=error.filename, hint="free some space and run again"))
        return FAILED
    if isinstance(error, MemoryError):
        _print_block(RunwayError("the memory is full", hint="a smaller batch size, or fewer rows at a time"))
        return FAILED
    from runway.user_code import user_traceback

    print(hide(user_traceback(error)), file=sys.stderr)
    unexpected = RunwayError(f"{type(error).__name__}: {error}", hint="run again with --debug for the whole traceback")
    unexpected.title = "The run failed"
    _print_block(unexpected)
    return FAILED


def _parts(error: RunwayError) -> list[RunwayError]:
    if isinstance(error, ConfigErrors):
        return [part for inner in error.errors for part in _parts(inner)]
    if isinstance(error, RunFailed):
        return [*error.failures, error] if len(error.failures) > 1 else list(error.failures)
    return [error]


def _print_block(error: RunwayError) -> None:
    traceback = getattr(error, "traceback", "")
    if traceback:
        print(hide(traceback), file=sys.stderr)
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    bold, plain = ("\033[1;31m", "\033[0m") if colour else ("", "")
    lines = hide(error.message).splitlines() or [""]
    print(f"{bold}{error.title}:{plain} {lines[0]}", file=sys.stderr)
    for line in lines[1:]:
        print(f"  {line}", file=sys.stderr)
    for name, text in (("where", error.where), ("input", getattr(error, "input", "")), ("hint", error.hint)):
        if text:
            print(f"  {name + ':':<6} {hide(text)}", file=sys.stderr)
