"""The demo's own DataOps, as a newcomer finds them in src/data_ops."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from datasets import Dataset, DatasetDict

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def ops(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, imported as the command does it; its names are taken back afterwards."""
    from runway.registry import USER, transforms

    before = dict(transforms.levels[USER])
    monkeypatch.syspath_prepend(str(REPOSITORY / "src"))
    forget_data_ops()  # a namespace package that another test's project has left
    import data_ops.imdb_data_ops

    yield data_ops.imdb_data_ops
    transforms.levels[USER] = before
    forget_data_ops()


def forget_data_ops() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "data_ops"]:
        del sys.modules[name]


@pytest.fixture
def data() -> DatasetDict:
    """Tokenised reviews."""
    rows = [{"text": "x", "label": n % 2, "input_ids": [n + 1] * (n % 5 + 1)} for n in range(30)]
    dataset = Dataset.from_list([{**row, "attention_mask": [1] * len(row["input_ids"])} for row in rows])
    return DatasetDict(train=dataset, test=dataset)


def test_split_and_batches(ops: ModuleType, data: DatasetDict, capsys: pytest.CaptureFixture[str]) -> None:
    from runway.config import Config

    split = ops.SplitHFDataset(name="process:Split")
    split.setup(src_split="train", tgt_split="valid", split_size=10, split_kwargs={"seed": 1})
    data = split(data)
    assert {name: len(part) for name, part in data.items()} == {"train": 20, "test": 30, "valid": 10}
    assert "Split into train/test/validation: DatasetDict" in capsys.readouterr().out

    config = Config({"meta": {"seed": 1}, "train": {"batch_size": 4}, "test": {"batch_size": 8}})
    node = ops.MakeImdbDataloaders(name="output:Loaders", global_config=config)
    node.setup()
    loaders = node(data)
    assert {name: len(found[0]) for name, found in loaders.items()} == {
        "train_dataloaders": 5,
        "val_dataloaders": 2,
        "test_dataloaders": 4,
    }
    for batch in loaders["test_dataloaders"][0]:
        names = ("input_ids", "attention_mask", "labels", "index")
        for ids, mask, label, index in zip(*(batch[name] for name in names), strict=True):
            row = data["test"][int(index)]
            assert ids[mask.bool()].tolist() == row["input_ids"]
            assert label == row["label"]


def test_evaluation(ops: ModuleType, tmp_path: Path) -> None:
    from runway import EvalRecorder

    recorder = EvalRecorder(name="r", base_dir=str(tmp_path))
    recorder.log_sample_dict_batch({"predicted": [1, 0, 1, 1], "truth": [1, 0, 0, 1]})
    node = ops.EvaluateBinaryClassification(name="output:Evaluate")
    node.setup(pred_field="predicted", ref_field="truth")
    stats = node(recorder).get_stats_logs("dict")
    assert stats["accuracy"] == 0.75
    assert stats["precision"] == pytest.approx(2 / 3)
    assert stats["recall"] == 1.0
    assert stats["f1"] == pytest.approx(0.8)
    assert not recorder.get_intervals()  # of a validation none
    recorder.wants_intervals = True
    intervals = node(recorder).get_intervals()
    assert set(intervals) == {"accuracy", "precision", "recall", "f1"}
    assert intervals["accuracy"]["low"] < 0.75 < intervals["accuracy"]["high"]


def test_it_is_short_and_imports_nothing_heavy() -> None:
    assert len((REPOSITORY / "src" / "data_ops" / "imdb_data_ops.py").read_text().splitlines()) <= 125
    heavy = "torch", "datasets", "evaluate", "pyarrow", "numpy", "transformers"
    script = f"import sys, data_ops.imdb_data_ops; print([name for name in {heavy} if name in sys.modules])"
    path = f"{REPOSITORY}:{REPOSITORY / 'src'}"
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": path}, check=True)
    assert run.stdout.strip() == "[]"
