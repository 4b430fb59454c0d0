"""Stops for a person at a terminal: before or after a node (``--break-at``), and where one has failed (``--pdb``).

What is done at a stop counts for nothing: the data and the transform there are copies of their own, and neither a key
nor what is kept knows of it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from types import FrameType, TracebackType
from typing import Any

from runway.errors import ConfigError, did_you_mean
from runway.log import at_terminal, info
from runway.pipeline.isolation import fork
from runway.ranks import rank
from runway.user_code import is_users_file

BEFORE, AFTER = "before", "after"
OPTION = "--break-at"

_stops: set[tuple[str, str]] = set()
_shown: set[tuple[str, str]] = set()
_flags = {"post_mortem": False}


def ask(words: Iterable[str], *, post_mortem: bool, nodes: Collection[str]) -> None:
    """Take what a command asks for; without a terminal it is left out, and that is said.

    Args:
        words: ``NODE``, ``NODE:before`` or ``NODE:after``; a node alone means after it.
        post_mortem: whether a failing node opens the debugger.
        nodes: the names of all nodes.

    Raises:
        ConfigError: there is no such node.
    """
    words = list(words)
    stops = {_parse(word, nodes) for word in words}
    _stops.clear()
    _shown.clear()
    _flags["post_mortem"] = False
    if (words or post_mortem) and rank() == 0:
        if at_terminal():
            _stops.update(stops)
            _flags["post_mortem"] = post_mortem
        else:
            asked = [*([OPTION] if words else []), *(["--pdb"] if post_mortem else [])]
            info(f"{' and '.join(asked)}: there is no terminal, so nothing stops")


def _parse(word: str, nodes: Collection[str]) -> tuple[str, str]:
    name, _, side = word.rpartition(":")
    if word not in nodes and side in (BEFORE, AFTER):
        word = name
    else:
        side = AFTER
    if word not in nodes:
        raise ConfigError(f"there is no node {word!r}", where=OPTION, hint=did_you_mean(word, nodes))
    return word, side


def is_on() -> bool:
    """Whether something may stop: then all runs in this process."""
    return bool(_stops) or _flags["post_mortem"]


def stops_at(node: str, side: str) -> bool:
    """Whether a stop before or after a node is asked for."""
    return (node, side) in _stops


def was_shown(node: str, side: str) -> bool:
    """Whether it has stopped there: what is only loaded is shown once."""
    return (node, side) in _shown


def note_shown(node: str, side: str) -> None:
    """Say that it stops there now."""
    _shown.add((node, side))


def stop(node: str, side: str, transform: Any, data: Any) -> None:
    """Stop in the debugger.

    Args:
        node: its name.
        side: before it, ``data`` is its input; after it, its output.
        transform: the node's transform, set up; the debugger's own.
        data: what is looked at; a copy is.
    """
    from runway.transforms.inspect import describe_lines

    note_shown(node, side)
    what = "goes into" if side == BEFORE else "comes out of"
    lines = "\n".join(f"  {line}" for line in describe_lines(data, 0))
    sys.stdout.write(f"`data` {what} {node}:\n{lines}\n")
    sys.stdout.flush()
    _look(node, transform, fork(data))


def _look(node: str, transform: Any, data: Any) -> Any:
    breakpoint()  # `data`, `transform` and `node` are yours to look at; `c` goes on, `q` ends the run
    return data


def post_mortem(error: BaseException, **scope: Any) -> None:
    """Where ``--pdb`` asks for it, open the debugger in the user's own frame that raised.

    Args:
        error: what was raised.
        scope: names that are in scope there, unless the frame has them itself.
    """
    if not _flags["post_mortem"] or error.__traceback__ is None:
        return
    import pdb

    class PostMortem(pdb.Pdb):
        """Begins in the last frame of the user's; those of libraries lie below it, runway's above."""

        def get_stack(self, frame: FrameType | None, tb: TracebackType | None) -> tuple[list, int]:
            stack, index = super().get_stack(frame, tb)
            own = [i for i, (found, _) in enumerate(stack) if is_users_file(found.f_code.co_filename)]
            for found, _ in stack:
                if found.f_locals is not found.f_globals:
                    for name, value in scope.items():
                        found.f_locals.setdefault(name, value)
            return stack, own[-1] if own else index

    sys.stdout.write(f"{type(error).__name__}: {error}\n")
    if "node" in scope:
        sys.stdout.write(f"{scope['node']} failed; its input is `data` where the frame has no other; `q` goes on\n")
    sys.stdout.flush()
    debugger = PostMortem()
    debugger.reset()
    debugger.interaction(None, error.__traceback__)
