"""Hostile copies of all that runway loads: each would leave a mark, were anything in it run or written elsewhere.

``KINDS`` has, for each kind of file, how a whole one is made and how it is loaded; ``replacements`` and ``edits_of``
what somebody may have put in its place.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import PIL.Image
import pyarrow as pa
import torch
from transformers import BertConfig, BertForSequenceClassification

from runway import EvalRecorder
from runway.archives import extract
from runway.errors import RunwayError
from runway.executors.pretrained import load_pretrained, loading_a_model
from runway.executors.seq2seq.translator import Translator
from runway.experiment.checkpoint_content import read_checkpoint, read_weights
from runway.pipeline.store import formats
from runway.snapshot import take_snapshot, unpack_snapshot
from runway.transforms.loading.hf_dataset import LoadHFDataset
from runway.transforms.loading.tokenizer import load_tokenizer
from runway.transforms.text.train_tokenizer import TokenizerPair
from tests.executors.seq2seq.exported import exported
from tests.executors.tiny_translation import tokenizer


class Canary:
    """What makes a folder when it is run, and the question whether it was.

    Args:
        folder: where the folder would be.
    """

    def __init__(self, folder: Path) -> None:
        self.mark = folder / "canary"

    @property
    def value(self) -> Any:
        """An object whose pickle makes the mark when it is loaded."""
        return _Runs(str(self.mark))

    @property
    def module(self) -> str:
        """Python that makes the mark when it is imported."""
        return f"import os\nos.makedirs({str(self.mark)!r}, exist_ok=True)\n"

    @property
    def template(self) -> str:
        """A Jinja template that makes the mark when it is rendered without a sandbox."""
        return f"{{{{ cycler.__init__.__globals__.os.makedirs({str(self.mark)!r}) }}}}"

    def was_run(self) -> bool:
        """Whether the mark is there."""
        return self.mark.exists()


class _Runs:
    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.makedirs, (self.mark, 0o777, True)


# --- what is loaded


def _rows() -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, 0]})


VALUES: dict[str, Callable[[], Any]] = {
    "text": lambda: "a text",
    "json": lambda: {"a": [1, 2.5, None, "x"]},
    "dataset": _rows,
    "dataset_dict": lambda: datasets.DatasetDict({"train": _rows(), "test": _rows()}),
    "numpy": lambda: np.arange(6).reshape(2, 3),
    "torch": lambda: {"a": torch.arange(4), "b": [torch.ones(2)]},
    "pandas": lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
    "arrow": lambda: pa.table({"a": [1, 2], "b": ["x", "y"]}),
    "object": lambda: TokenizerPair(source=tokenizer(), target=tokenizer()),
    "pretrained": tokenizer,
    "pickle": lambda: {1, 2},
}
"""A value of each of the store's formats."""


def _recorder() -> EvalRecorder:
    recorder = EvalRecorder("rec", meta_config={"run": "a"})
    image = PIL.Image.new("RGB", (2, 2))
    mixed = [1, "a", {"x": [2, None], "y": b"b"}]
    columns = {"index": [0, 1, 2], "text": ["a", None, "c"], "vector": [[1.0], [], [2.0, 3.0]], "mixed": mixed}
    recorder.log_sample_dict_batch({**columns, "image": [image] * 3})
    recorder.log_stats_dict({"accuracy": 0.5, "table": [[1, 2], [3, 4]]})
    return recorder


def _use(recorder: EvalRecorder) -> Any:
    """Look at a recorder in every way: its columns are read when they are asked for."""
    for view in ("dict", "list", "pandas", "arrow", "csv"):
        recorder.get_sample_logs(view)
    return recorder.get_stats_logs()


def _save_recorder(folder: Path, file_format: str) -> None:
    recorder = _recorder()
    recorder.rename("rec", folder)
    recorder.save_to_disk(file_format=file_format)


def _load_dataset(folder: Path) -> Any:
    transform = LoadHFDataset(name="load", project=folder.parent)
    transform.setup(dataset_path=str(folder))
    return {name: rows[:] for name, rows in transform._call().items()}


def _save_model(folder: Path) -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertForSequenceClassification(BertConfig(vocab_size=20, **sizes)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def _load_model(folder: Path) -> Any:
    from transformers import AutoModelForSequenceClassification

    from runway.config import Config

    config = Config(from_pretrained_kwargs={"pretrained_model_name_or_path": str(folder), "local_files_only": True})
    with loading_a_model(config):
        return load_pretrained(AutoModelForSequenceClassification, config)


def _save_checkpoint(folder: Path) -> None:
    weights = {"model.weight": torch.ones(2, 2), "model.bias": torch.zeros(2)}
    content = {"state_dict": weights, "epoch": 3, "hyper_parameters": {"lr": 0.1}, "optimizer_states": [{"state": {}}]}
    torch.save(content, folder / "last.ckpt")


def _save_weights(folder: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(2, 2)}, folder / "w.safetensors")


def _save_snapshot(folder: Path) -> None:
    project = folder.parent / "project"
    if not project.is_dir():
        (project / "src").mkdir(parents=True)
        (project / "src" / "a.py").write_text("A = 1\n")
        (project / "src" / "link.py").symlink_to("a.py")
    take_snapshot(project, folder)


def _load_snapshot(folder: Path) -> Any:
    """Unpack what the archive's own name promises, as a worker does."""
    archive = next(folder.glob("*.tar"), folder / f"{'0' * 64}.tar")
    with _emptied(folder.parent / "unpacked") as target:
        return unpack_snapshot(archive.stem, archive, target)


@contextlib.contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder)


def _save_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a/x.txt", "hello " * 20)
        opened.writestr("a/b/y.txt", "y")


def _load_zip(folder: Path) -> Any:
    with _emptied(folder.parent / "extracted") as target:
        try:
            return extract(folder / "a.zip", "a", target, "here")
        except OSError:  # ``fetch`` says so itself
            return None


Kind = tuple[Callable[[Path], Any], Callable[[Path], Any]]
KINDS: dict[str, Kind] = {
    **{
        f"store:{name}": (
            lambda folder, name=name: next(one for one in formats.FORMATS if one.name == name).save(
                VALUES[name](), folder
            ),
            lambda folder, name=name: formats.load(name, folder, allow_pickle=False),
        )
        for name in VALUES
    },
    **{
        f"recorder:{name}": (
            lambda folder, name=name: _save_recorder(folder, name),
            lambda folder, name=name: _use(EvalRecorder.load_from_disk("rec", folder, file_format=name)),
        )
        for name in ("parquet", "json", "csv", "pkl")
    },
    "recorder:entry": (
        lambda folder: _recorder().save_to_dir(folder),
        lambda folder: _use(EvalRecorder.load_from_dir(folder)),
    ),
    "checkpoint": (_save_checkpoint, lambda folder: read_checkpoint(folder / "last.ckpt")),
    "checkpoint:weights": (_save_checkpoint, lambda folder: read_weights(folder / "last.ckpt")),
    "safetensors": (_save_weights, lambda folder: read_weights(folder / "w.safetensors")),
    "export": (exported, lambda folder: Translator.load(folder).translate(["a b"])),
    "model": (_save_model, _load_model),
    "tokenizer": (
        lambda folder: tokenizer().save_pretrained(folder),
        lambda folder: load_tokenizer({"version_name": str(folder), "init_kwargs": {"local_files_only": True}}),
    ),
    "dataset:saved": (lambda folder: datasets.DatasetDict(train=_rows()).save_to_disk(folder), _load_dataset),
    "snapshot": (_save_snapshot, _load_snapshot),
    "zip": (_save_zip, _load_zip),
}
"""{kind: (make a whole one in a folder, load it)}."""


# --- what may stand in a file's place


def replacements(canary: Canary, whole: bytes) -> dict[str, bytes]:
    """Whole files of other kinds, damaged ones, and those that would run something."""
    evil = pickle.dumps(canary.value)
    zipped, tensors, array, tarred = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save({"state_dict": canary.value, "weight": torch.ones(1)}, tensors)
    np.save(array, np.array([canary.value], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(zipped, "w") as opened:
        opened.writestr(zipfile.ZipInfo("a/../../../canary/evil"), "x")
        opened.writestr(zipfile.ZipInfo(str(canary.mark / "evil")), "x")
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        link = tarfile.TarInfo("src")
        link.type, link.linkname = tarfile.SYMTYPE, str(canary.mark.parent)
        archive.addfile(link)
        for name in ("src/canary", "../../canary", str(canary.mark)):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    giant = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(
        117
    )
    shared = [1]
    for _ in range(40):  # which unfold to 2**40 numbers
        shared = [shared, shared]
    return {
        "empty": b"",
        "zeros": bytes(256),
        "ones": b"\xff" * 256,
        "half": whole[: len(whole) // 2],
        "twice": whole * 2,
        "pickle": evil,
        "old pickle": b"cos\nsystem\n(S'mkdir " + os.fsencode(canary.mark) + b"'\ntR.",
        "laughing pickle": pickle.dumps({"runway_recorder": {"columns": {}}, "columns": {"a": shared}}),
        "tensors": tensors.getvalue(),
        "array": array.getvalue(),
        "giant array": giant + b"\n",
        "zip": zipped.getvalue(),
        "tar": tarred.getvalue(),
        "deep": b"[" * 200_000,
        "deep object": b'{"a":' * 200_000,
        "null": b"null",
        "list": b"[]",
        "object": b"{}",
        "text": b'"../../canary"',
        "number": b"-1e400",
        "surrogate": b'{"a": "\\ud800"}',
        "module": canary.module.encode(),
        "giant header": (1 << 60).to_bytes(8, "little") + b"{}",
        "giant tensor": _giant_tensor(),
    }


def _giant_tensor() -> bytes:
    header = json.dumps({"weight": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    return len(header).to_bytes(8, "little") + header


def values_for(canary: Canary) -> list[Any]:
    """What may stand in the place of a value in JSON: other types, sizes, names of files and of modules."""
    names = ["../../canary/x", str(canary.mark / "x"), "os.system", "os:makedirs", "\0", "x" * 10_000, canary.template]
    tags = [{"$dict": 3}, {"$float": "x"}, {"$bytes": 1}, {"$png": "AAAA"}, {"$dict": [[[], 1]]}]
    modules = [{"module": "evil", "class": "Evil"}, {"AutoConfig": "evil.C", "AutoModel": "evil.M"}]
    return [*names, None, True, -1, 1 << 70, 1e308, [], {}, [[]], *tags, *modules]


def edits_of(content: bytes, canary: Canary) -> Iterator[bytes]:
    """A JSON file with each of its values replaced by each of ``values_for``, one at a time; none for other files."""
    try:
        found = json.loads(content)
    except ValueError:
        return
    for place in _places(found, ()):
        for value in values_for(canary):
            yield json.dumps(_with(found, place, value)).encode()
    if isinstance(found, dict):
        for key in ("auto_map", "tokenizer_class", "class", "module", "custom_generate", "chat_template"):
            for value in values_for(canary):
                yield json.dumps({**found, key: value}).encode()


def _places(value: Any, place: tuple) -> Iterator[tuple]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    yield place
    for key, item in list(items)[:30]:
        yield from _places(item, (*place, key))


def _with(value: Any, place: tuple, new: Any) -> Any:
    if not place:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[place[0]] = _with(copied[place[0]], place[1:], new)
    return copied


# --- loading it


class Arena:
    """A folder with whole ones of all kinds, in which hostile copies are loaded; nothing else may be written there.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        silent()
        self.folder = folder
        self.canary = Canary(folder)
        self.place = folder / "deep" / "copy"
        self.whole: dict[str, dict[str, bytes]] = {}
        (folder / "deep").mkdir(parents=True)
        (folder / "evil.py").write_text(self.canary.module)
        (folder / "deep" / "evil.py").write_text(self.canary.module)
        for kind, (make, _) in KINDS.items():
            self.place.mkdir()
            make(self.place)
            files = [path for path in sorted(self.place.rglob("*")) if path.is_file()]
            self.whole[kind] = {path.relative_to(self.place).as_posix(): path.read_bytes() for path in files}
            shutil.rmtree(self.place)
        self.there = self._listing()

    def _listing(self) -> set[str]:
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*")}

    def load(self, kind: str, name: str, content: bytes | Path | None) -> str | None:
        """Load a copy with one file replaced (by a link where it is a path; gone where it is None).

        Returns:
            What went wrong, in a line; None where it was refused with one of our errors, or loaded.
        """
        self.place.mkdir()
        sys.path.insert(0, str(self.place))  # the worst case: what comes along could be imported
        found = None
        try:
            for file, whole in self.whole[kind].items():
                path = self.place / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(whole)
            for folder in {path.parent for path in self.place.rglob("*")} | {self.place}:
                (folder / "evil.py").write_text(self.canary.module)
            path = self.place / name
            path.unlink()
            if isinstance(content, Path):
                path.symlink_to(content)
            elif content is not None:
                path.write_bytes(content)
            with contextlib.redirect_stderr(io.StringIO()):
                KINDS[kind][1](self.place)
        except RunwayError:
            pass
        except BaseException as error:
            found = repr(error)[:300]
            if isinstance(error, KeyboardInterrupt):
                raise
        finally:
            sys.path.remove(str(self.place))
            sys.modules.pop("evil", None)
            shutil.rmtree(self.place, ignore_errors=True)
        if self.canary.was_run():
            shutil.rmtree(self.canary.mark)
            return "it was run"
        new = self._listing() - self.there
        return f"it wrote {sorted(new)[:3]}" if new else found


@cache
def silent() -> None:
    """Let the libraries say nothing about thousands of files."""
    import logging
    import warnings

    import transformers

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    transformers.utils.logging.set_verbosity(logging.CRITICAL)
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
