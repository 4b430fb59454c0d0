"""Every kind of value comes back from the store as it went in, with the same bytes for the same content."""

from __future__ import annotations

import json
import math
import threading
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Sequence, Value

from runway import EvalRecorder
from runway.errors import StoreError
from runway.pipeline.store import formats
from runway.pipeline.store.local import LocalStore

PARTS: dict[str, Any] = {"transform": "T", "code": {}, "arguments": {}, "inputs": [], "list": False, "versions": {}}
META = {"node": "input:A", "parts": PARTS, "seconds": 0.0, "reads": None, "base_key": "12" * 16}
Point = namedtuple("Point", "x y")
ROWS = {"text": ["a", "b", "c"], "label": [0, 1, 0]}


class OwnFormat:
    def __init__(self, x: int) -> None:
        self.x = x

    def save_to_dir(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        (directory / "x.txt").write_text(str(self.x))

    @classmethod
    def load_from_dir(cls, directory: Path) -> OwnFormat:
        return cls(int((directory / "x.txt").read_text()))


def rows(**more: Any) -> Dataset:
    return Dataset.from_dict({**ROWS, **more})


def images(folder: Path) -> Dataset:
    from PIL import Image as Picture

    paths = []
    for n in range(2):
        path = folder / f"{n}.png"
        Picture.new("RGB", (2, 2), (n, 0, 0)).save(path)
        paths.append(str(path))
    return Dataset.from_dict({"image": paths}, features=Features({"image": Image()}))


def through_store(value: Any, folder: Path) -> tuple[Any, str, str]:
    """What the store gives back, in which format it kept it, and the digest of the content."""
    store = LocalStore(folder)
    entry = store.commit("ab" * 16, value, dict(META))
    found = store.find("ab" * 16)
    assert found is not None
    assert found.content == entry.content
    return store.load(found), found.meta["format"], found.content


# (value, what it comes back as where that is not itself)
PLAIN: list[Any] = [
    "", "text", "ümläut \u2028 \U0001f600", "lone \ud800 surrogate", "x" * 100_000, "line\r\nline\n", None, True, 0,
    -1.5, 2**100, float("inf"), 1e-300, [], {}, [1, "a", None, [True, {"b": 1.5}]], {"a": {"b": []}}, {"": 1},
    {"z": 1, "a": 2}, ["x" * 100_000], (1, 2), {"a": (1, [2])}, {1: "a"}, {(1, 2): 3}, {1, 2}, frozenset({1}),
    b"bytes", 1j, Point(1, 2), range(3), OrderedDict(b=1, a=2), [np.float64(1.5)], Path("a/b"),
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: repr(value)[:30].encode("ascii", "replace").decode())
def test_plain_values(value: Any, tmp_path: Path) -> None:
    loaded, _, content = through_store(value, tmp_path / "one")
    assert loaded == value
    assert repr(loaded) == repr(value)  # the types too, and the order of keys
    again, _, same_content = through_store(loaded, tmp_path / "two")
    assert repr(again) == repr(value)
    assert same_content == content


def test_nan(tmp_path: Path) -> None:
    loaded, _, _ = through_store([float("nan")], tmp_path)
    assert math.isnan(loaded[0])


ARRAYS = [
    np.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3).T, np.zeros((0, 3)), np.array(5), np.array(["a", "bc"]),
    np.zeros(2, np.float16), np.zeros(2, ">i4"), np.array([True]), np.array(["2020-01-01"], "M8[D]"),
    np.array([1 + 1j]), np.zeros(2, [("a", "i4"), ("b", "f8")]), np.array([None, {"a": 1}], dtype=object),
    np.float32(1.5), np.ma.masked_array([1, 2], [0, 1]),
]  # fmt: skip


@pytest.mark.parametrize("value", ARRAYS, ids=lambda value: f"{type(value).__name__} {value.dtype} {value.shape}")
def test_numpy(value: Any, tmp_path: Path) -> None:
    loaded, _, _ = through_store(value, tmp_path)
    assert type(loaded) is type(value)
    assert (loaded.dtype, loaded.shape) == (value.dtype, value.shape)
    assert repr(loaded) == repr(value)


def test_torch(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    values = [
        torch.arange(6).reshape(2, 3),
        torch.zeros(2, dtype=torch.bfloat16),
        torch.zeros(0),
        {"epoch": 1, "state": dict(model.state_dict()), "list": [torch.ones(1), (torch.zeros(1), "a")]},
        model.state_dict(),
    ]
    for number, value in enumerate(values):
        loaded, name, content = through_store(value, tmp_path / str(number))
        assert name in ("torch", "pickle")
        assert type(loaded) is type(value)
        assert repr(loaded) == repr(value)
        assert through_store(value, tmp_path / f"again {number}")[2] == content
    assert through_store(values[3], tmp_path / "format")[1] == "torch"


def test_frames_and_tables(tmp_path: Path) -> None:
    frames = [
        pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [1.5, float("nan")]}),
        pd.DataFrame({"a": [1, 2]}, index=["x", "y"]),
        pd.DataFrame({"a": pd.Categorical(["x", "y"]), "t": pd.to_datetime(["2020-01-01", "2021-01-01"], utc=True)}),
        pd.DataFrame({"a": []}),
        pd.DataFrame({0: [1]}),
        pd.DataFrame([[1, 2]], columns=["same", "same"]),
        pd.DataFrame({"mixed": [1, "a", (2,)]}),
        pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["i", "j"])),
    ]
    for number, frame in enumerate(frames):
        loaded, _, content = through_store(frame, tmp_path / str(number))
        pd.testing.assert_frame_equal(loaded, frame)
        assert through_store(frame.copy(), tmp_path / f"again {number}")[2] == content
    series = pd.Series([1, 2], name="s")
    pd.testing.assert_series_equal(through_store(series, tmp_path / "series")[0], series)
    table = pa.table({"a": [1, None], "b": [["x"], []]}).replace_schema_metadata({"k": "v"})
    loaded, name, _ = through_store(table, tmp_path / "table")
    assert name == "arrow"
    assert loaded.equals(table, check_metadata=True)
    empty = pa.table({"a": pa.array([], pa.int32())})
    assert through_store(empty, tmp_path / "empty")[0].equals(empty)


DATASETS: dict[str, Callable[[Path], Dataset]] = {
    "plain": lambda folder: rows(),
    "empty": lambda folder: rows().select([]),
    "no columns": lambda folder: Dataset.from_dict({}),
    "a selection": lambda folder: rows().select([2, 0]),
    "shuffled": lambda folder: rows().shuffle(seed=1),
    "filtered": lambda folder: rows().filter(lambda row: row["label"] == 0, load_from_cache_file=False),
    "many batches": lambda folder: Dataset.from_dict({"x": list(range(2500))}).select(range(1, 2500)),
    "torch format": lambda folder: rows().with_format("torch", columns=["label"]),
    "numpy format with all columns": lambda folder: rows().with_format(
        "numpy", columns=["label"], output_all_columns=True
    ),
    "features": lambda folder: Dataset.from_dict(
        {"label": [0, 1], "ids": [[1, 2], []], "nested": [{"a": 1}, {"a": None}]},
        features=Features(
            {"label": ClassLabel(names=["neg", "pos"]), "ids": Sequence(Value("int32")), "nested": {"a": Value("int8")}}
        ),
    ),
    "images": images,
}


@pytest.mark.parametrize("case", DATASETS)
def test_datasets(case: str, tmp_path: Path) -> None:
    made = DATASETS[case](tmp_path)
    expected = [repr(row) for row in made]
    pixels = [row["image"].tobytes() for row in made] if case == "images" else None
    loaded, name, content = through_store(made, tmp_path / "store")
    assert (type(loaded), name) == (Dataset, "dataset")
    assert loaded.features == made.features
    assert loaded.format == made.format
    if pixels is None:
        assert [repr(row) for row in loaded] == expected
    else:
        (tmp_path / "0.png").unlink()  # the entry holds the bytes, not the path
        assert [row["image"].tobytes() for row in loaded] == pixels
        return
    # the content does not depend on how the rows came about
    assert through_store(loaded, tmp_path / "again")[2] == content
    assert through_store(made.flatten_indices(), tmp_path / "flat")[2] == content


def test_dataset_dicts(tmp_path: Path) -> None:
    odd = DatasetDict(
        {"../up": rows(), "a/b": rows().select([]), "ümläut split": rows(n=[1, 2, 3]), "": rows().select([1])}
    )
    loaded, _, _ = through_store(odd, tmp_path / "odd")
    assert type(loaded) is DatasetDict
    assert list(loaded) == list(odd)
    assert {name: part[:] for name, part in loaded.items()} == {name: part[:] for name, part in odd.items()}
    assert {path.name for path in tmp_path.iterdir()} == {"odd"}  # no name left its folder
    plain, _, _ = through_store({"train": rows()}, tmp_path / "plain")
    assert type(plain) is DatasetDict
    nothing, _, _ = through_store(DatasetDict(), tmp_path / "nothing")
    assert (type(nothing), dict(nothing)) == (DatasetDict, {})


def test_objects_that_save_themselves(tmp_path: Path) -> None:
    loaded, name, _ = through_store(OwnFormat(7), tmp_path / "own")
    assert (type(loaded), loaded.x, name) == (OwnFormat, 7, "object")
    recorder = EvalRecorder(name="r")
    for n in range(3):
        recorder.log_sample_dict({"x": n, "text": str(n)})
    recorder.log_stats_dict({"mean": 1.0})
    loaded, name, content = through_store(recorder, tmp_path / "recorder")
    assert name == "object"
    assert loaded.get_sample_logs_column("text") == ["0", "1", "2"]
    assert loaded.get_stats_logs() == recorder.get_stats_logs()
    assert through_store(loaded, tmp_path / "again")[2] == content


def test_tokenizers(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]")
    loaded, name, _ = through_store(tokenizer, tmp_path)
    assert name == "pretrained"
    assert loaded("a b c")["input_ids"] == tokenizer("a b c")["input_ids"] == [1, 2, 0]


def test_what_cannot_be_kept_says_so(tmp_path: Path) -> None:
    class Rude:
        def __reduce__(self) -> Any:
            raise ValueError("not me")

    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    circle: list[Any] = []
    circle.append(circle)
    for number, value in enumerate(
        [lambda: 1, Rude(), (n for n in ()), {"a": threading.Lock()}, rows().to_iterable_dataset(), deep]
    ):
        with pytest.raises(StoreError) as caught:
            LocalStore(tmp_path).commit(f"{number:032}", value, dict(META))
        assert "set `cache: false` on this node" in str(caught.value.hint)
        assert type(value).__name__ in caught.value.message
    assert not list(tmp_path.glob("*/*"))  # nor has anything of it been left
    loaded, name, _ = through_store(circle, tmp_path / "circle")
    assert name == "pickle"
    assert loaded[0] is loaded


def test_pickles_need_trust(tmp_path: Path) -> None:
    LocalStore(tmp_path).commit("cd" * 16, {1, 2}, dict(META))
    careful = LocalStore(tmp_path, allow_pickle=False)
    entry = careful.find("cd" * 16)
    assert entry is not None
    with pytest.raises(StoreError, match="can run code"):
        careful.load(entry)
    with pytest.raises(StoreError, match="does not know"):
        formats.load("of the future", tmp_path)


def test_an_entry_names_no_class_of_another_library(tmp_path: Path) -> None:
    """A class method ``from_pretrained`` of any library might load a pickle."""
    (tmp_path / "value.json").write_text('{"module": "pathlib", "class": "Path"}')
    with pytest.raises(StoreError, match="or of transformers"):
        formats.load("pretrained", tmp_path)


@pytest.mark.parametrize("root", ["cache", "kept"])
def test_an_entry_brings_no_module_along(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also in a project without ``src/``, where the folders of its cache could be imported as packages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    store = LocalStore(tmp_path / root)
    key = "ab" * 16
    store.commit(key, OwnFormat(7), dict(META))
    folder = Path(store.location(key))
    (folder / "object" / "shipped.py").write_text("print('it was run')")
    for module in (f"{root}.ab.{key}.object.shipped", "os", "subprocess", "not a module", ""):
        (folder / "value.json").write_text(json.dumps({"module": module, "class": "Shipped"}))
        with pytest.raises(StoreError, match="names a class of the module"):
            formats.load("object", folder)
    assert capsys.readouterr().out == ""
    # a folder of the project's own, without __init__.py as data_ops may be, is looked into
    (tmp_path / "mine_own" / "deep").mkdir(parents=True)
    code = "class Shipped:\n    @classmethod\n    def load_from_dir(cls, directory):\n        return 7\n"
    (tmp_path / "mine_own" / "deep" / f"of_{root}.py").write_text(code)
    (folder / "value.json").write_text(json.dumps({"module": f"mine_own.deep.of_{root}", "class": "Shipped"}))
    monkeypatch.setattr("runway.user_code._projects", {tmp_path.resolve()})
    assert formats.load("object", folder) == 7
