"""What there is on this machine, and how it is dealt out."""

from __future__ import annotations

import os
import sys

import pytest

from runway.errors import ConfigError
from runway.pipeline.graph import Node
from runway.pipeline.runners import resources
from runway.pipeline.runners.resources import check_gpus, cpus, deal_gpus, gpus, set_threads, share_of_cpus


def test_gpus_are_dealt_out_evenly() -> None:
    four = ("0", "1", "2", "3")
    assert deal_gpus(four, 2) == [("0", "1"), ("2", "3")]
    assert deal_gpus(four, 3) == [("0", "1"), ("2",), ("3",)]
    assert deal_gpus(four, 4) == [("0",), ("1",), ("2",), ("3",)]
    # The balanced list of seed 000: no GPU has two more than another one.
    assert deal_gpus(("0", "1"), 5) == [("0",), ("1",), ("0",), ("1",), ("0",)]
    assert deal_gpus(four, 2, each=1) == [("0",), ("1",)]
    assert deal_gpus((), 3) == [(), (), ()]
    assert deal_gpus(four, 2, each=0) == [(), ()]
    with pytest.raises(ConfigError, match="2 GPUs are asked for, and this machine has 1"):
        deal_gpus(("0",), 2, each=2)


def test_the_gpus_are_those_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == ()
    monkeypatch.setattr(resources, "_gpu_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-ab")
    assert gpus() == ("3", "GPU-ab")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert gpus() == ("0", "1")


def test_cores_are_shared() -> None:
    assert 1 <= cpus() <= (os.cpu_count() or 1)
    assert [share_of_cpus(parallel, 8) for parallel in (0, 1, 3, 8, 20)] == [8, 8, 2, 1, 1]


def test_threads_are_set_for_what_is_loaded_and_what_will_be(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy
    import pyarrow
    import torch

    assert numpy
    assert "torch" in sys.modules
    before = torch.get_num_threads(), pyarrow.cpu_count(), os.environ["OMP_NUM_THREADS"]
    try:
        set_threads(3)
        assert (torch.get_num_threads(), pyarrow.cpu_count(), os.environ["OMP_NUM_THREADS"]) == (3, 3, "3")
    finally:
        set_threads(int(before[2]))
        torch.set_num_threads(before[0])
        pyarrow.set_cpu_count(before[1])
        for name in resources.THREADS:
            monkeypatch.delenv(name, raising=False)
        os.environ["OMP_NUM_THREADS"] = before[2]


def node(wanted: float | None) -> Node:
    return Node("process:A", (), False, "T", {}, None, False, False, {} if wanted is None else {"num_gpus": wanted})


def test_a_wish_for_gpus_is_held_against_what_there_is() -> None:
    check_gpus([node(None), node(0)])  # torch is not asked
    check_gpus([node(2), node(0.5)], 2)
    with pytest.raises(ConfigError, match="'process:A' wants 3 GPUs, and the box has 2") as caught:
        check_gpus([node(1), node(3)], 2, place="the box")
    assert caught.value.where == "data_pipeline.transforms.process:A.resources.num_gpus"
