"""A row that cannot be read is named, with its loader and worker; so is the one that a worker died over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from runway.errors import DataError, RunwayError
from runway.executors.drawn_rows import NotedLoader
from runway.executors.failures import OutOfMemory, is_out_of_memory, told_failures
from runway.executors.sample_errors import SampleError
from tests.conftest import Project
from tests.executors.tiny import build, tiny_config, trainer
from tests.executors.walkthrough import WalkthroughExecutor


class Odd(Exception):
    """One that torch cannot make anew of its text."""

    def __init__(self, one, other):
        super().__init__(one, other)


ENDS = {
    "raises": lambda: (_ for _ in ()).throw(Odd("bad", "row")),
    "runway": lambda: (_ for _ in ()).throw(DataError("too long", where="here", hint="cut it")),
    "exits": lambda: sys.exit(3),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "gone": lambda: os._exit(4),
}


class Rows(Dataset):
    """Ends at row 13."""

    def __init__(self, end):
        self.end = end

    def __len__(self):
        return 16

    def __getitem__(self, row):
        if row == 13:
            ENDS[self.end]()
        return torch.tensor(row)


class Several(Rows):
    """Reads a batch at once."""

    def __getitems__(self, rows):
        return [self[row] for row in rows]


class Stream(IterableDataset):
    """Ends at its fifth."""

    def __init__(self, end):
        self.end, self.first = end, 0

    def __iter__(self):
        assert isinstance(get_worker_info().dataset, Stream)
        for row in range(self.first, self.first + 9):
            if row % 100 == 5:
                ENDS[self.end]()
            yield torch.tensor(row)


def _first_of_worker(worker):
    get_worker_info().dataset.first = 100 * worker


def _ragged(samples):
    return torch.stack([torch.zeros(2 + (int(row) == 13)) for row in samples])


def _read(dataset, **settings):
    loader = NotedLoader(DataLoader(dataset, batch_size=4, **settings), "sequential")
    loader.name = "the test data of 'output:Rows'"
    with told_failures(None):
        return [batch for batch, *_ in iter(loader)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_row_that_raises_is_named(workers):
    with pytest.raises(SampleError) as caught:
        _read(Rows("raises"), num_workers=workers)
    assert caught.value.message == "row 13 cannot be read: Odd: ('bad', 'row')"
    assert "the test data of 'output:Rows', row 13" in caught.value.where
    assert "worker 1" in caught.value.where or not workers
    assert "test_sample_errors.py" in caught.value.hint  # the user's own line
    with pytest.raises(RunwayError, match="too long") as caught:
        _read(Rows("runway"), num_workers=workers)
    assert caught.value.hint == "cut it"
    assert "row 13" in caught.value.where
    with pytest.raises(SampleError, match="a batch of the rows 12, 13, 14, 15 cannot be read: RuntimeError: stack"):
        _read(list(range(16)), num_workers=workers, collate_fn=_ragged)
    with pytest.raises(SampleError, match="one of the rows 12, 13, 14, 15 cannot be read"):
        _read(Several("raises"), num_workers=workers)


ENDED_WORKERS = """
import json, logging
from tests.executors.test_sample_errors import Rows, _read
from runway.executors.sample_errors import SampleError

found = {}
for end in ("exits", "killed", "gone"):
    try:
        _read(Rows(end), num_workers=2)
    except SampleError as error:
        found[end] = error.message, str(error), error.where, logging._lock._is_owned()
print(json.dumps(found))
"""


def test_a_worker_that_dies_names_its_row(tmp_path):
    """In a process of its own: torch raises wherever it is when the signal comes, in what pytest does too."""
    done = subprocess.run(
        [sys.executable, "-c", ENDED_WORKERS],
        cwd=tmp_path,
        env=Project(tmp_path).environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for end, told in (("exits", "row 13"), ("killed", "signal 9"), ("gone", "with code 4")):
        message, text, where, owned = found[end]
        assert told in message
        assert "row 13" in text
        assert "worker 1" in where
        assert not owned


def test_a_stream_names_the_sample_of_the_worker():
    with pytest.raises(SampleError, match="sample 5 of the stream cannot be read: Odd") as caught:
        _read(Stream("raises"), num_workers=2, worker_init_fn=_first_of_worker)
    assert "worker" in caught.value.where
    assert len(_read(Stream("raises"), num_workers=1, worker_init_fn=_skip)) == 3


def _skip(worker):
    get_worker_info().dataset.first = 10  # it never comes to its bad sample


class Full(WalkthroughExecutor):
    """Runs out of memory in a step."""

    raised: BaseException = MemoryError()

    def training_step(self, batch, batch_idx):
        if batch_idx == 2:
            raise self.raised
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize(
    "raised",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB. GPU 0 has"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        MemoryError(),
    ],
)
def test_memory_that_runs_out_names_the_batch_and_what_to_lower(tmp_path, raised):
    config = tiny_config(tmp_path, loaders={"batch_size": 8})
    executor = build(type("Own", (Full,), {"raised": raised}), config)
    with pytest.raises(OutOfMemory) as caught, told_failures(executor):
        trainer(tmp_path, limit_val_batches=0).fit(executor)
    error = caught.value
    assert "input_ids [8, " in error.message
    assert "8 rows (" in error.message
    assert error.where == "training, epoch 0, after optimiser step 2"
    assert "`data_pipeline.transforms.output:Loaders.setup_kwargs.batch_size` (it is 8)" in error.hint
    assert "accumulate_grad_batches" in error.hint
    assert not is_out_of_memory(RuntimeError("stack expects each tensor to be equal size"))
