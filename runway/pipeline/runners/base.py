"""The seam of runners: what brings the nodes of a plan up to date, wherever it computes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from runway.log import human_bytes, human_seconds, info

if TYPE_CHECKING:
    from runway.pipeline.graph import Spec
    from runway.pipeline.plan import Plan, Step
    from runway.pipeline.runners.step import Bench


class Runner(ABC):
    """Runs what a plan says. A new runner is one file that decides when and where each step is computed.

    How a node is computed and committed is ``runners/step.py``; a runner calls ``compute_and_commit`` with plain data,
    in this process or in another, and asks the plan again once the inputs of a step are known.

    Args:
        plan: the steps, with their states.
        bench: what this process has open to compute them.
        spec: what opens the same pipeline in another process.
        options: what ``meta.runner`` says besides its name, of OPTIONS.
        quiet: do not say what runs.
    """

    OPTIONS: ClassVar[Mapping[str, str]] = {}
    """{what ``meta.runner`` may say: the annotation that it must fit}."""

    def __init__(
        self, plan: Plan, bench: Bench, spec: Spec, options: Mapping[str, Any] | None = None, *, quiet: bool = False
    ) -> None:
        self.plan = plan
        self.bench = bench
        self.spec = spec
        self.options = options or {}
        self.quiet = quiet

    @property
    def ran(self) -> list[str]:
        """The nodes that were computed, in order."""
        return self.bench.computed

    @abstractmethod
    def run(self, targets: list[str], *, values: bool, run_uncached: bool = True) -> dict[str, Any]:
        """Bring the targets up to date.

        Args:
            targets: the nodes asked for.
            values: whether their values are wanted.
            run_uncached: whether uncached targets are run for what they do.

        Returns:
            {target: value}; empty where values are not wanted.

        Raises:
            RunFailed: nodes failed; all others that could run have run.
            DamagedEntry: an entry broke under way: plan again.
        """

    # -- what is said

    def say_ran(self, step: Step, seconds: float, size: int | None = None, place: str = "") -> None:
        """Say that a node was computed, in how long, how large its entry is, on which machine of several, and why."""
        facts = [human_seconds(seconds)] + ([human_bytes(size)] if size is not None else [])
        facts += [f"on {place}"] if place else []
        reasons = f"  ({'; '.join(step.reasons[:3])})" if step.reasons else ""
        self.say(f"ran     {step.node.name}  {', '.join(facts)}{reasons}")

    def say(self, line: str) -> None:
        """Say what became of a node."""
        if not self.quiet:
            info(line)
