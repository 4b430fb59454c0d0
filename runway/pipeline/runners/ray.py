"""The Ray runner: nodes are tasks of a local Ray, or of a cluster.

The project's code goes to the workers as a snapshot through the store, unpacked once on each machine; the project's
data is linked into it where the project's folder is seen there. Ray's ``working_dir`` is not used: it uploads the whole
folder, up to 512 MiB, before anything runs.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import pickle
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from runway import log
from runway.errors import ConfigError, DataError, RunwayError, StoreError
from runway.pipeline.keys.config_answers import changes
from runway.pipeline.keys.fingerprint import combine
from runway.pipeline.node import NodeFailure
from runway.pipeline.observed import AUDIT
from runway.pipeline.runners.parallel import ParallelRunner, Workers
from runway.pipeline.runners.ray_task import Delivery, blob_of, compute, read_token
from runway.pipeline.runners.resources import check_gpus, cpus, share_of_cpus, wish
from runway.pipeline.runners.worker import Opening, Outcome, Task
from runway.snapshot import take_snapshot

if TYPE_CHECKING:
    from runway.pipeline.graph import Node
    from runway.pipeline.plan import Step

MANY = 10_000
"""How many tasks a cluster is given at once: what waits there tells its autoscaler."""
GRACE = 5.0
"""Seconds in which tasks that are cancelled may let go what they hold."""
OBJECT_STORE = 128 * 1024**2
"""Bytes of shared memory for a local Ray: data goes through the store, and only plain facts through Ray."""


class RayRunner(ParallelRunner):
    """Runs nodes as tasks of Ray."""

    OPTIONS: ClassVar[Mapping[str, str]] = {"workers": "PositiveInt | None", "address": "str | None"}

    def at_once(self) -> int:
        """``workers``; or one for each core of this machine, and as many as there are on a cluster."""
        return self.options.get("workers") or (MANY if self._is_cluster else cpus())

    def threads(self, running: int) -> int:
        """A share of a machine's cores among the nodes that run on one machine."""
        machines = _machines()
        largest = int(max(machine.get("CPU", 0) for machine in machines))
        return share_of_cpus(math.ceil(min(self.at_once(), running) / len(machines)), largest)

    @property
    def _is_cluster(self) -> bool:
        return bool(self.options.get("address")) or _is_connected()

    def check_resources(self, nodes: list[Node]) -> None:
        """What a cluster has is known once it is reached."""
        if not self._is_cluster:
            super().check_resources(nodes)

    @contextlib.contextmanager
    def open_workers(self, opening: Opening, most: int) -> Iterator[Workers]:
        """Ray, with the project's code on its way to it."""
        is_cluster = self._is_cluster
        with connection(self.options.get("address"), max(cpus(), min(self.at_once(), MANY))) as is_ours:
            nodes = [self.plan.graph.nodes[name] for name in opening.codes]
            _check_machines(nodes)
            if is_cluster:
                self._check_store()
            tasks = _Tasks(self._delivery(opening), self.plan.graph.nodes, self.at_once(), is_ours=is_ours)
            try:
                yield tasks
            finally:
                tasks.close()

    def _delivery(self, opening: Opening) -> Delivery:
        snapshot = take_snapshot(self.spec.project)
        store, name = self.plan.entries.store, blob_of(snapshot.digest)
        if store.blob(name) is None:
            store.keep_blob(name, snapshot.archive)
        return Delivery(opening, snapshot.digest, store.allow_pickle, os.environ.get(AUDIT))

    def _check_store(self) -> None:
        """Write a token into the store, and let every machine read it.

        Raises:
            StoreError: one of them does not see it.
        """
        import tempfile

        ray = need_ray()
        store = self.plan.entries.store
        name, text = f"tokens/{uuid.uuid4().hex}", uuid.uuid4().hex
        with tempfile.NamedTemporaryFile("w", prefix="runway-") as file:
            file.write(text)
            file.flush()
            store.keep_blob(name, Path(file.name))
        try:
            strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
            probe = ray.remote(num_cpus=0, max_retries=0)(read_token)
            asked = []
            for node in (node for node in ray.nodes() if node["Alive"]):
                there = probe.options(scheduling_strategy=strategy(node["NodeID"], soft=False))
                asked.append((node["NodeManagerAddress"], there.remote(store.url, name)))
            seen = [(address, ray.get(answer)) for address, answer in asked]
        finally:
            store.drop_blob(name)
        blind = {address: answer for address, answer in seen if answer != text}
        if blind:
            raise StoreError(
                f"machines of the Ray cluster do not see the cache: {', '.join(map(_told, sorted(blind.items())))}",
                where=store.url,
                hint="set meta.default_cache_dir to a folder that all machines mount at one path, or to a URL (s3://…)",
            )

    def accept(self, step: Step, outcome: Outcome) -> None:
        """What a node read there must be what is read here: its entry must be found by this process.

        Raises:
            NodeFailure: it is not.
        """
        assert outcome.done is not None
        assert step.base_key is not None
        entries, entry = self.plan.entries, outcome.done.entry
        found = entries.find(step.base_key)
        if found is not None and found.key == entry.key:
            return
        reads = entry.meta.get("reads") or {"set": {"config": [], "files": [], "flags": []}, "states": {}}
        differ = changes(reads["states"], entries._states(reads["set"], {})) or ["its entry is not found"]
        error = DataError(
            f"it read something else on the worker than what stands here: {'; '.join(differ[:3])}",
            hint="input files must be the same on all machines: in a shared folder, or small ones in the project",
        )
        raise NodeFailure(step.node, error)


def _told(blind: tuple[str, str | None]) -> str:
    address, answer = blind
    return f"{address} ({answer})" if answer else address


def need_ray() -> Any:
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise ConfigError(
            f"the runner 'ray' needs Ray, which cannot be imported: {error}",
            where="meta.runner",
            hint="pip install 'runway-for-ml[ray]', or take the runner 'processes'",
        ) from error
    return ray


def _is_connected() -> bool:
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


@contextlib.contextmanager
def connection(address: str | None, workers: int) -> Iterator[bool]:
    """A connection to Ray, and whether it is ours: what was there before stays open.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster.
    """
    ray = need_ray()
    if ray.is_initialized():
        yield False
        return
    if address is not None:
        _check_address(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A node that asks for no GPU sees those that there are, as it does with the other runners.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    arguments: dict[str, Any] = {"address": address or "local", "logging_level": logging.ERROR}
    if address is None:
        local = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": OBJECT_STORE}
        arguments |= local
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    debugger = os.environ.get("PYTHONBREAKPOINT")
    try:
        ray.init(**arguments)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise _unreachable(address or "a local Ray", error) from error
    finally:  # Ray would have its own: it waits for somebody at another terminal
        os.environ.pop("PYTHONBREAKPOINT", None)
        if debugger is not None:
            os.environ["PYTHONBREAKPOINT"] = debugger
    try:
        yield True
    finally:
        ray.shutdown()
        if in_main:
            signal.signal(signal.SIGTERM, before)  # Ray sets one of its own


def _check_address(address: str) -> None:
    """Look whether anybody listens there: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except OSError as error:
            raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())[:300]
    hint = "`ray status` on a machine of the cluster says whether it runs; its Ray must be of this version"
    return ConfigError(f"Ray cannot be reached: {reason}", where=address, hint=hint)


def _machines() -> list[dict[str, float]]:
    """What each machine of the cluster has."""
    return [node["Resources"] for node in need_ray().nodes() if node["Alive"]]


def _check_machines(nodes: Iterable[Node]) -> None:
    """Ray waits for ever for what no machine has.

    Raises:
        ConfigError: a node asks for that.
    """
    nodes = list(nodes)
    machines = _machines()
    check_gpus(nodes, max(machine.get("GPU", 0.0) for machine in machines), place="a machine of the Ray cluster")
    most = max(machine.get("CPU", 0.0) for machine in machines)
    for node in nodes:
        asked = wish(node.resources, "num_cpus")
        if asked is not None and asked > most:
            raise ConfigError(
                f"the node {node.name!r} wants {asked:g} cores, "
                f"and no machine of the Ray cluster has more than {most:g}",
                where=f"data_pipeline.transforms.{node.name}.resources.num_cpus",
                hint="ask for fewer",
            )


class _Tasks(Workers):
    """The tasks of one run.

    Args:
        delivery: what workers open.
        nodes: of the graph.
        most: how many tasks Ray has at once.
        is_ours: whether the connection is this run's alone.
    """

    def __init__(self, delivery: Delivery, nodes: Mapping[str, Node], most: int, *, is_ours: bool) -> None:
        self.ray = need_ray()
        self.nodes = nodes
        self.most = most
        packed = pickle.dumps(delivery)
        self.name = combine(packed.hex())
        self.packed = self.ray.put(packed)
        # Data comes through the store: no machine is nearer to it than another.
        options: dict[str, Any] = {"max_retries": 0, "scheduling_strategy": "SPREAD"}
        if not is_ours:  # its workers may have imported another version of the project
            options["runtime_env"] = {"env_vars": {"RUNWAY_SNAPSHOT": delivery.digest}}
        self.function = self.ray.remote(**options)(compute)
        self.out: dict[Any, str] = {}

    def submit(self, step: Step, task: Task) -> bool:
        """Hand a node to Ray, which finds a place for it."""
        if len(self.out) >= self.most:
            return False
        asked = wish(step.node.resources, "num_cpus")
        wanted = wish(step.node.resources, "num_gpus") or 0
        options = {
            "num_cpus": 1 if asked is None else _as_ray_counts(asked),
            "num_gpus": _as_ray_counts(wanted),
            "name": step.node.name,
        }
        answer = self.function.options(**options).remote(self.name, self.packed, task)
        self.out[answer] = step.node.name
        return True

    def wait(self) -> list[Outcome]:
        """The next tasks that have ended."""
        ended, _ = self.ray.wait(list(self.out), num_returns=1)
        return [self._outcome(answer, self.out.pop(answer)) for answer in ended]

    def _outcome(self, answer: Any, node: str) -> Outcome:
        try:
            outcome, lines = self.ray.get(answer)
        except self.ray.exceptions.RayError as error:
            return Outcome(node, error=NodeFailure(self.nodes[node], _death(self.ray, error)))
        for line in lines:
            log.say(*line)
        return outcome

    def close(self) -> None:
        """Cancel what is out; it lets go what it holds."""
        if not self.out:
            return
        for answer in self.out:
            self.ray.cancel(answer)
        self.ray.wait(list(self.out), num_returns=len(self.out), timeout=GRACE)


def _as_ray_counts(number: float) -> float:
    """Ray takes fractions below one only."""
    return number if number < 1 else math.ceil(number)


def _death(ray: Any, error: Exception) -> RunwayError:
    """What became of a task that did not come back."""
    kept = "what was done is kept, run it again"
    first = " ".join(str(error).split())[:300]
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        told = RunwayError("Ray ended the worker that computed it: the memory was full", hint=f"fewer workers; {kept}")
    elif isinstance(error, ray.exceptions.WorkerCrashedError):
        hint = (
            "most likely it was killed (signal 9) because the memory was full: fewer workers, or fewer rows at a time"
        )
        told = RunwayError("the Ray worker that computed it was killed, or has crashed", hint=f"{hint}; {kept}")
    elif isinstance(error, ray.exceptions.RayTaskError):
        hint = "runway must be installed on every machine of the cluster, in this version"
        told = RunwayError(f"the worker cannot begin: {first}", hint=hint)
    else:
        told = RunwayError(f"Ray has lost it: {type(error).__name__}: {first}", hint=kept)
    told.exit_code = 1
    return told
