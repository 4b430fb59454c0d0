"""What a task of Ray does on a worker: unpack the project's code once on each machine, open the pipeline, compute."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
from pathlib import Path
from typing import NamedTuple

from runway import log
from runway.errors import RunwayError, StoreError
from runway.pipeline.keys.fingerprint import combine
from runway.pipeline.observed import AUDIT
from runway.pipeline.runners.worker import Opening, Outcome, Task, Worker
from runway.pipeline.store import open_store
from runway.snapshot import machine_folder, unpack_snapshot


class Delivery(NamedTuple):
    """What a worker opens.

    Attributes:
        opening: the pipeline.
        digest: of the snapshot of its project.
        allow_pickle: whether pickled entries may be loaded.
        audit: the file of ``--audit``.
    """

    opening: Opening
    digest: str
    allow_pickle: bool
    audit: str | None


class _Open(NamedTuple):
    """What is open on a worker, and whether the driver's project folder is seen there."""

    worker: Worker
    sees_project: bool


_open: dict[str, _Open] = {}


def read_token(url: str, name: str) -> str | None:
    """What a file in the store says, read on this machine; or why it cannot be read."""
    try:
        path = open_store(url, project=machine_folder()).blob(name)
        return None if path is None else path.read_text()
    except RunwayError as error:
        return error.message


def compute(name: str, packed: bytes, task: Task) -> tuple[Outcome, list[tuple[str, str, bool]]]:
    """Compute one node on a worker; gives what came of it, and the lines that are to be said.

    Args:
        name: of what is to be open.
        packed: the pickled Delivery.
        task: the node.
    """
    lines: list[tuple[str, str, bool]] = []
    log.hand_over(lambda *line: lines.append(line))
    try:
        if name not in _open:
            _open.clear()
            _open[name] = _opened(pickle.loads(packed))  # noqa: S301 (from the driver, as all that Ray runs)
        outcome = _open[name].worker.do(task)._replace(place=_place())
        if isinstance(outcome.error, RunwayError) and not _open[name].sees_project:
            _tell_of_snapshot(outcome.error)
    except Exception as error:
        outcome = Outcome(task.work.node, error=error)
    finally:
        log.hand_over(None)
    return outcome, lines


def _place() -> str:
    """The machine's address, and the beginning of Ray's name for it: one machine may be several to Ray."""
    import ray

    if not ray.is_initialized():
        return socket.gethostname()
    return f"{ray.util.get_node_ip_address()} ({ray.get_runtime_context().get_node_id()[:6]})"


def _opened(delivery: Delivery) -> _Open:
    spec, folder = delivery.opening.spec, machine_folder()
    if delivery.audit and os.path.isdir(os.path.dirname(delivery.audit)):
        os.environ[AUDIT] = delivery.audit
    store = open_store(spec.store, project=folder, allow_pickle=delivery.allow_pickle)
    archive = store.blob(blob_of(delivery.digest))
    if archive is None:
        hint = "set meta.default_cache_dir to a folder that all machines mount at one path, or to a URL (s3://…)"
        raise StoreError("this machine does not see the cache that the nodes are kept in", where=spec.store, hint=hint)
    # The links lead to one project: another copy of the same code may have other data.
    project = unpack_snapshot(delivery.digest, archive, folder / "projects" / combine(str(spec.project))[:12])
    sees_project = spec.project.is_dir()
    if sees_project:
        link_data(spec.project, project)
    return _Open(Worker(delivery.opening._replace(spec=spec._replace(project=project)), store), sees_project)


def _tell_of_snapshot(error: RunwayError) -> None:
    """A file may be missing there because it is data, which is not in the snapshot."""
    told = (
        f"{socket.gethostname()} does not see the project's folder, and has its code alone, with files of up to 5 MB "
        "that git does not ignore: data must lie at a path that all machines see"
    )
    error.hint = f"{error.hint}; {told}" if error.hint else told


def blob_of(digest: str) -> str:
    return f"snapshots/{digest}.tar"


def link_data(project: Path, unpacked: Path) -> None:
    """Link into an unpacked snapshot what else is in the project: data that is not in it is found at its name."""
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        with os.scandir(project / inside) as found:
            items = [item for item in found if not item.name.startswith(".") and item.name != "__pycache__"]
        for item in items:
            target = unpacked / inside / item.name
            if target.is_dir() and not target.is_symlink():
                waiting.append(f"{inside}{item.name}/")
            elif not target.exists():
                with contextlib.suppress(FileExistsError):  # another worker on this machine
                    target.unlink(missing_ok=True)  # a link to what is no longer there
                    target.symlink_to(item.path)
