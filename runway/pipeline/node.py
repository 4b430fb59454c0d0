"""Run one node: make its functor, seed, call, and say what went wrong in the user's terms."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runway.config.reads import Reads, RecordedView, seen_by_nodes
from runway.errors import RunwayError, did_you_mean, leaves_debugger
from runway.log import human_seconds, info, warning
from runway.masking import hidden, hide, resolved
from runway.pipeline import debugger
from runway.pipeline.isolation import fork
from runway.pipeline.keys.code import latest_code_of
from runway.pipeline.observed import note_what_ran, observing
from runway.pipeline.wiring import call
from runway.user_code import user_traceback

if TYPE_CHECKING:
    from runway.pipeline.graph import Node, Spec

SHOWN_ARGUMENTS = 300


class NodeFailure(RunwayError):
    """A node's transform raised.

    Args:
        node: the node.
        error: what was raised.
        data: its input.

    Attributes:
        node: the node's name.
        traceback: the user's own frames, as text; empty where runway said what is wrong.
        input: what went in, in a line; empty where the node has no input.
    """

    title = "Node failed"

    def __init__(self, node: Node, error: BaseException, data: Any = None) -> None:
        self.node = node.name
        self.input = "" if data is None else hide(_summary(data))
        arguments = hide(json.dumps(hidden(node.setup_kwargs), default=repr, ensure_ascii=False))
        if len(arguments) > SHOWN_ARGUMENTS:
            arguments = arguments[:SHOWN_ARGUMENTS] + "…"
        place = f"node {node.name!r}, transform {node.transform_name}, setup_kwargs {arguments}"
        if isinstance(error, RunwayError):
            self.title, self.exit_code = error.title, error.exit_code
            self.traceback = getattr(error, "traceback", "")
            inner = (error.where or "").removeprefix(f"node {node.name!r}").lstrip(", ")
            super().__init__(error.message, where=f"{inner} ({place})" if inner else place, hint=error.hint)
        else:
            self.exit_code = 1
            self.traceback = user_traceback(error)
            hint = _columns_hint(error, data) if isinstance(error, KeyError) else None
            super().__init__(f"{type(error).__name__}: {error}", where=place, hint=hint)
        self.__cause__ = error

    def __str__(self) -> str:
        return f"{super().__str__()}\n  input: {self.input}" if self.input else super().__str__()


def _columns_hint(error: KeyError, data: Any) -> str | None:
    """What the input has, where a name was asked for that is none of its columns."""
    parts = list(data.values()) if isinstance(data, dict) else [data]
    columns = [name for part in parts for name in getattr(part, "column_names", None) or ()]
    if not columns or not error.args or error.args[0] in columns:
        return None
    listed = ", ".join(dict.fromkeys(map(repr, columns)))
    near = did_you_mean(str(error.args[0]), set(columns), listing=0)
    return f"{near if near.startswith('did') else ''} the columns of the input are {listed}".strip()


def _summary(data: Any) -> str:
    from runway.transforms.inspect import describe_briefly

    try:
        return describe_briefly(data)
    except Exception as error:  # of the value's own class: what failed before is what is to be told
        return f"{type(data).__name__} (which cannot be looked at: {type(error).__name__}: {error})"


def run_node(node: Node, cls: type, data: Any, spec: Spec, seed_key: str) -> tuple[Any, Reads, float]:
    """Compute one node's output.

    Args:
        node: what is configured.
        cls: its transform class.
        data: the output of its input node, a list of them, or None; its own copy.
        spec: its pipeline: the config, the flags and the project that the transform sees.
        seed_key: what the random generators are seeded from.

    Returns:
        The output, what was read on the way, and the seconds it took.

    Raises:
        NodeFailure: the transform raised.
    """
    stop(node, cls, spec, debugger.BEFORE, data)
    reads = Reads()
    started = time.perf_counter()
    code = latest_code_of(cls)
    _seed(seed_key, code.packages)
    with _working_folder_kept(), _hf_caching_off(code.packages), observing(reads, spec.project, spec.store) as observed:
        try:
            functor = set_up(node, cls, spec, reads)
            if node.inspect:
                _log_summary(node, "in", data)
            called = time.perf_counter()
            output = call(functor, data)
            if node.inspect:
                _log_summary(node, f"out, after {human_seconds(time.perf_counter() - called)}", output)
        except (Exception, SystemExit) as error:  # ``exit()`` in a transform must not look like success
            if isinstance(error, NodeFailure) or leaves_debugger(error):
                raise
            debugger.post_mortem(error, node=node.name, data=data)
            raise NodeFailure(node, error, data) from error
    note_what_ran(node.name, code, observed.ran, reads)
    if output is None and data is not None:
        warning(f"{node.name}: {node.transform_name} returned None; is a `return` missing?")
    return output, reads, time.perf_counter() - started


def set_up(node: Node, cls: type, spec: Spec, reads: Reads) -> Any:
    """A node's transform, ready to be called.

    Args:
        node: what is configured.
        cls: its transform class.
        spec: its pipeline.
        reads: where what it reads is noted.
    """
    functor = cls(
        name=node.name,
        global_config=None if spec.config is None else RecordedView(seen_by_nodes(spec.config), reads),
        use_dummy_data=spec.use_dummy_data,
        project=spec.project,
        reads=reads,
    )
    functor.setup(**resolved(fork(node.setup_kwargs), f"node {node.name!r}, setup_kwargs"))
    return functor


def stop(node: Node, cls: type, spec: Spec, side: str, data: Any) -> None:
    """Stop in the debugger before or after a node, where that is asked for, with a transform that is nobody else's."""
    if debugger.stops_at(node.name, side):
        try:
            transform = set_up(node, cls, spec, Reads())
        except Exception:  # it is raised again, and told, when the node runs
            return
        debugger.stop(node.name, side, transform, data)


def _log_summary(node: Node, side: str, data: Any) -> None:
    from runway.transforms.inspect import describe_lines

    info(f"{node.name} {side}:")
    for line in describe_lines(data):
        info(f"  {line}")


USERS_OF_TORCH = {"torch", "transformers", "lightning", "accelerate", "peft", "torchvision", "sentence_transformers"}


def _seed(key: str, packages: frozenset[str]) -> None:
    """Seed Python's, numpy's and torch's generators from a node's key: its output does not depend on what ran before.

    A library that is not loaded is loaded only where the code uses it.
    """
    import random

    seed = int(key[:8], 16)
    random.seed(seed)
    if "numpy" in sys.modules or packages:  # any other package may use it
        import numpy

        numpy.random.seed(seed)
    if "torch" in sys.modules or packages & USERS_OF_TORCH:
        import torch

        torch.manual_seed(seed)


@contextlib.contextmanager
def random_state_kept() -> Iterator[None]:
    """Put the generators back afterwards: training must not depend on whether a node was cached."""
    import random

    numpy: Any = sys.modules.get("numpy")
    torch: Any = sys.modules.get("torch")
    python_state = random.getstate()
    numpy_state = numpy.random.get_state() if numpy else None
    torch_state = torch.random.get_rng_state() if torch else None
    gpu_states = torch.cuda.get_rng_state_all() if torch and torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        random.setstate(python_state)
        if numpy:
            numpy.random.set_state(numpy_state)
        if torch:
            torch.random.set_rng_state(torch_state)
        if gpu_states is not None:
            torch.cuda.set_rng_state_all(gpu_states)


@contextlib.contextmanager
def _working_folder_kept() -> Iterator[None]:
    """A node may go to another folder; the next one in this process, whichever that is, must not find itself there."""
    try:
        before = os.getcwd()
    except OSError:  # it was deleted
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.chdir(before)


@contextlib.contextmanager
def _hf_caching_off(packages: frozenset[str]) -> Iterator[None]:
    """HF's own cache of ``Dataset.map`` takes an imported function for unchanged when its body has changed.

    Nor is the function hashed for it: ``map(self.method)`` would pickle the transform with all of its config.
    """
    if "datasets" not in sys.modules and "datasets" not in packages:
        yield
        return
    import datasets

    from runway.library_internals import random_fingerprints

    was_on = datasets.is_caching_enabled()
    datasets.disable_caching()
    bars = datasets.utils.logging.is_progress_bar_enabled()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        with random_fingerprints():
            yield
    finally:
        if was_on:
            datasets.enable_caching()
        if bars:
            datasets.enable_progress_bars()
