"""A project whose nodes write every kind of entry and take from every kind of source, for runs in other processes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.conftest import Project

OPERATIONS = '''
"""The nodes of the project."""

import os
import random
import signal
import time
from pathlib import Path

from runway import BaseTransform, register_transform_functor
from runway.log import info

from words import shout

FOLDER = Path(__file__).parent


def wait_for(path):
    """Wait until another process has made a file."""
    limit = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < limit, f"nobody made {path}"
        time.sleep(0.01)


@register_transform_functor
class Load(BaseTransform):
    def _call(self, data):
        from datasets import Dataset, DatasetDict

        rows = self.track_file("data/rows.txt").read_text().split()
        return DatasetDict({"train": Dataset.from_dict({"word": rows, "n": list(range(len(rows)))})})


@register_transform_functor
class Shout(BaseTransform):
    """Not kept: it runs inside of its consumers."""

    def _call(self, data):
        return data.map(lambda row: {"word": shout(row["word"]), "draw": random.random()})


@register_transform_functor
class Draw(BaseTransform):
    def _call(self, data):
        import numpy
        import torch

        info(f"{self.name} draws")
        return {"torch": torch.rand(1000), "numpy": numpy.random.rand(3).tolist(), "rows": list(data["train"]["draw"])}


@register_transform_functor
class Count(BaseTransform):
    def setup(self, by):
        self.by = by

    def _call(self, data):
        beside = (FOLDER / "beside.txt").read_text()  # a file that nobody declares
        whole = self.global_config.to_dict()
        words = sorted(data["train"]["word"])
        return {"words": words, "beside": beside, "name": whole["experiment_name"], "by": self.by}


@register_transform_functor
class Record(BaseTransform):
    def _call(self, data):
        from runway import EvalRecorder

        recorder = EvalRecorder("rows")
        for index, word in enumerate(data[0]["words"] if isinstance(data, list) else data["words"]):
            recorder.log_sample_dict({"index": index, "word": word})
        return recorder


@register_transform_functor
class Pickled(BaseTransform):
    def _call(self, data):
        return {1, 2, 3}


@register_transform_functor
class Look(BaseTransform):
    """Asked for, and not kept."""

    def _call(self, data):
        with open("looked.txt", "a") as file:
            file.write(f"{os.getppid() == int(os.environ.get('TEST_PID', 0))}\\n")
        return None


@register_transform_functor
class Meet(BaseTransform):
    """Does not end before another node has begun."""

    def setup(self, me, other, _folder):
        self.me, self.other, self.folder = me, other, Path(_folder)

    def _call(self, data):
        (self.folder / self.me).touch()
        wait_for(self.folder / self.other)
        return [self.me]


@register_transform_functor
class Gpu(Meet):
    def _call(self, data):
        super()._call(data)
        return os.environ["CUDA_VISIBLE_DEVICES"]


@register_transform_functor
class KilledOnce(BaseTransform):
    def setup(self, _mark, _how="kill"):
        self.mark, self.how = Path(_mark), _how

    def _call(self, data):
        if not self.mark.exists():
            self.mark.touch()
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "interrupt":
                raise KeyboardInterrupt
            os._exit(3)
        return "survived"


@register_transform_functor
class Hang(BaseTransform):
    """Says that it runs, with a process of its own, and does not end."""

    def setup(self, _folder):
        self.folder = Path(_folder)

    def _call(self, data):
        import subprocess

        if (self.folder / "let go").exists():
            return 1
        return Writing(self.folder)


class Writing:
    """Hangs in the middle of being written."""

    def __init__(self, folder):
        self.folder = folder

    def save_to_dir(self, directory):
        import subprocess

        directory.mkdir()
        (directory / "half").write_text("half")
        child = subprocess.Popen(["sleep", "600"])
        (self.folder / "pids").write_text(f"{os.getpid()} {child.pid}")
        (self.folder / "pids").rename(self.folder / "running")
        while True:
            time.sleep(0.05)

    @classmethod
    def load_from_dir(cls, directory):
        raise AssertionError("it was never whole")


@register_transform_functor
class Bad(BaseTransform):
    def _call(self, data):
        raise ValueError("bad row")


@register_transform_functor
class Threads(BaseTransform):
    def setup(self, n):
        pass

    def _call(self, data):
        import pyarrow
        import torch

        return [torch.get_num_threads(), pyarrow.cpu_count(), os.environ["OMP_NUM_THREADS"]]


@register_transform_functor
class Stop(BaseTransform):
    def _call(self, data):
        breakpoint()


@register_transform_functor
class Where(BaseTransform):
    """Says in which process it runs."""

    def _call(self, data):
        return os.getpid()
'''

MODULES = {
    "src/data_ops/ops.py": OPERATIONS,
    "src/data_ops/beside.txt": "beside",
    "src/words.py": """
        def shout(word):
            return word.upper() + MARK


        MARK = "!"
        """,
    "data/rows.txt": "a bc def ghij",
}

FORMATS: dict[str, Any] = {
    "input:Load": {"transform_name": "Load"},
    "process:Shout": {"transform_name": "Shout", "input_node": "input:Load", "cache": False},
    "process:Draw": {"transform_name": "Draw", "input_node": "process:Shout"},
    "process:Count": {"transform_name": "Count", "input_node": "process:Shout", "setup_kwargs": {"by": 1}},
    "process:Pickled": {"transform_name": "Pickled", "input_node": "process:Draw"},
    "output:Record": {"transform_name": "Record", "input_node": ["process:Count", "process:Draw"]},
    "output:Other": {"transform_name": "Record", "input_node": "process:Count"},
    "output:Look": {"transform_name": "Look", "input_node": "output:Other", "cache": False},
    "output:Pickled": {"transform_name": "Pickled", "input_node": "process:Pickled"},
}


def write_project(project: Project, nodes: dict[str, Any]) -> None:
    """Write the code, and a config with these nodes."""
    for path, text in MODULES.items():
        project.write(path, text)
    config = {"experiment_name": "everywhere", "meta": {"seed": 1}, "data_pipeline": {"transforms": nodes}}
    project.write("config.jsonnet", json.dumps(config))


def entries_of(cache: Path) -> dict[str, Any]:
    """All that a cache holds of its entries but times: {key: (what meta.json says, {file: bytes})}."""
    found: dict[str, Any] = {}
    for meta in sorted(cache.glob("??/*/meta.json")):
        facts = json.loads(meta.read_text())
        for time in ("created", "seconds", "seal"):  # which seals the times, too
            del facts[time]
        facts["files"] = {name: (size, digest) for name, (size, _, digest) in facts["files"].items()}
        payload = {
            os.path.relpath(path, meta.parent): path.read_bytes()
            for path in sorted(meta.parent.rglob("*"))
            if path.is_file() and path != meta
        }
        found[meta.parent.name] = (facts, payload)
    return found
