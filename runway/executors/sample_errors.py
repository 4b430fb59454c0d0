"""Which row of a dataset could not be read, in which loader and worker: where it raises, and where a worker dies.

A loader is iterated over a stand-in for its dataset, which notes the row that is read where the main process sees it.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.sharedctypes import RawArray
from typing import Any

from torch.utils.data import DataLoader, IterDataPipe, MapDataPipe, get_worker_info

from runway.errors import DataError, RunwayError
from runway.library_internals import free_logging
from runway.user_code import user_traceback

_MARK = "runway: "
_NONE = -1
_SHOWN = 16


class SampleError(DataError):
    """A row of a dataset cannot be read, no batch can be made of some rows, or a worker died over one."""

    exit_code = 1


class _FromWorker(SampleError):
    """The same in a worker: torch tells it as text, and makes the error anew of that."""

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        _, is_told, text = message.rpartition(_MARK)
        if is_told:
            message, where, hint = json.loads(text.splitlines()[0])
        super().__init__(message, where=where, hint=hint)
        self.is_told = bool(is_told)

    def __str__(self) -> str:
        return super().__str__() if self.is_told else _MARK + json.dumps([self.message, self.where, self.hint])


class _Reading:
    """What a worker reads, or this process."""

    def __init__(self, loader: str, workers: int) -> None:
        self.loader = loader
        self.at = RawArray("q", [_NONE] * (workers or 1))  # each worker's row
        self.rows: list[Any] = []
        """What was read since the last batch was made."""

    def begins(self, row: Any, number: int) -> None:
        worker = get_worker_info()
        self.at[worker.id if worker else 0] = number
        self.rows.append(row)

    def batch_is_made(self) -> None:
        worker = get_worker_info()
        self.at[worker.id if worker else 0] = _NONE
        self.rows = []

    def told(self, what: str, error: BaseException) -> RunwayError:
        """The error to raise instead."""
        worker = get_worker_info()
        where = f"{self.loader}, {what}" + (f", worker {worker.id}" if worker else "")
        of_runway = isinstance(error, RunwayError)
        if of_runway and worker is None:
            error.where = f"{error.where}; {where}" if error.where else where  # type: ignore[attr-defined]
            return error  # type: ignore[return-value]
        reason = error.message if of_runway else f"{type(error).__name__}: {error}"  # type: ignore[attr-defined]
        hint = error.hint if of_runway else user_traceback(error)  # type: ignore[attr-defined]
        return (_FromWorker if worker else SampleError)(f"{what} cannot be read: {reason}", where=where, hint=hint)


class _Rows:
    """Stands for a dataset, of which it is all but what reads from it."""

    def __init__(self, dataset: Any, reading: _Reading) -> None:
        vars(self).update(_dataset=dataset, _reading=reading)

    def __getitem__(self, row: Any) -> Any:
        return self._read(self._dataset.__getitem__, row)

    def _read(self, read: Callable[[Any], Any], row: Any) -> Any:
        """One row, or a list of them."""
        several = isinstance(row, list)
        number = (row[0] if row else _NONE) if several else row
        self._reading.begins(row, number if isinstance(number, int) else _NONE)
        try:
            return read(row)
        except (Exception, SystemExit) as error:
            if isinstance(error, StopIteration) or (isinstance(error, SystemExit) and get_worker_info() is None):
                raise
            what = f"one of the {_shown(row)}" if several else f"row {row!r}"
            told = self._reading.told(what, error)
            if told is error:
                raise
            raise told from error

    def __iter__(self) -> Iterator[Any]:
        stream, number = iter(self._dataset), 0
        while True:
            self._reading.begins(number, number)
            try:
                sample = next(stream)
            except StopIteration:
                return
            except (Exception, SystemExit) as error:
                if isinstance(error, SystemExit) and get_worker_info() is None:
                    raise
                told = self._reading.told(f"sample {number} of the stream", error)
                if told is error:
                    raise
                raise told from error
            yield sample
            number += 1

    def __len__(self) -> int:
        return len(self._dataset)

    def __getattr__(self, name: str) -> Any:
        if name in ("_dataset", "_reading"):  # while it is copied
            raise AttributeError(name)
        value = getattr(self._dataset, name)
        return partial(self._read, value) if name == "__getitems__" else value

    def __setattr__(self, name: str, value: Any) -> None:  # a worker_init_fn gives each worker its part
        setattr(self._dataset, name, value)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._dataset)


class _Collate:
    """Makes batches, and says of which rows it could not."""

    def __init__(self, collate: Callable[[Any], Any], reading: _Reading) -> None:
        self.collate, self.reading = collate, reading

    def __call__(self, samples: Any) -> Any:
        try:
            batch = self.collate(samples)
        except Exception as error:
            told = self.reading.told(f"a batch of the {_shown(self.reading.rows)}", error)
            if told is error:
                raise
            raise told from error
        self.reading.batch_is_made()
        return batch


def _shown(rows: list[Any]) -> str:
    flat = [row for part in rows for row in (part if isinstance(part, list) else [part])]
    more = f" and {len(flat) - _SHOWN} more" if len(flat) > _SHOWN else ""
    return f"rows {', '.join(map(str, flat[:_SHOWN]))}{more}"


_workers: dict[int, tuple[_Reading, int, Any]] = {}
"""The workers that are or were there last, by process: what they read, their number, their process."""


def tells_samples(loader: Any, name: str) -> Any:
    """The loader, or a copy whose errors name the row; the user's own stays as it is.

    Args:
        loader: of any kind; torch's DataLoader, and none with an iterator of its own, is copied.
        name: what to call it.
    """
    is_plain = isinstance(loader, DataLoader) and type(loader)._get_iterator is DataLoader._get_iterator
    if not is_plain or isinstance(loader.dataset, IterDataPipe | MapDataPipe) or "_get_iterator" in vars(loader):
        return loader
    twin = copy.copy(loader)
    vars(twin)["_get_iterator"] = partial(_iterator, twin, name)
    return twin


def _iterator(loader: DataLoader, name: str) -> Any:
    """torch 2.13's ``DataLoader._get_iterator`` over stand-ins."""
    reading = _Reading(name, loader.num_workers)
    inner = copy.copy(loader)
    del vars(inner)["_get_iterator"]
    vars(inner).update(dataset=_Rows(loader.dataset, reading), collate_fn=_Collate(loader.collate_fn, reading))
    iterator = inner._get_iterator()
    for pid in [pid for pid, (of, _, process) in _workers.items() if of.loader == name and not process.is_alive()]:
        del _workers[pid]
    for number, process in enumerate(getattr(iterator, "_workers", ())):
        _workers[process.pid] = (reading, number, process)
    return iterator


_DIED = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)")


def worker_death(error: BaseException) -> SampleError | None:
    """What torch says of a worker that has died, with the row that it was reading; None for any other error."""
    match = _DIED.search(str(error)) if isinstance(error, RuntimeError) else None
    found = [_workers[int(pid)] for pid in (match[1].split(",") if match else ()) if int(pid) in _workers]
    if not found:
        return None
    free_logging()  # torch raises out of a signal handler
    reading, number, process = found[0]
    process.join(1)
    row, code = reading.at[number], process.exitcode
    over = f"over row {row}" if row != _NONE else "between two batches"
    ended = f"ended itself with code {code}" if code is None or code >= 0 else f"was killed by signal {-code}"
    hint = "something in the row, or in the code that reads it, ends the process"
    if code == -9:
        hint = (
            "where memory runs out, the kernel kills what takes most of it: lower `dataloader_workers` or the "
            "batch size, or read less of a row at a time"
        )
    elif code == -7:
        hint = "the shared memory is full: raise its limit (docker: --shm-size), or lower `dataloader_workers`"
    return SampleError(f"worker {number} {ended} {over}", where=f"{reading.loader}, worker {number}", hint=hint)
