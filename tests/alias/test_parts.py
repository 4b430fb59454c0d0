"""The alias package's parts: names, the recorder's old views, transforms, old checkpoints."""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
import torch

from runway import registry
from runway.config import Config
from runway.experiment.checkpoint_content import read_checkpoint
from runway.recorder import EvalRecorder as RecorderOfToday
from runway_for_ml.data_module.data_transforms import BaseTransform, HFDatasetTransform, RunwayComputeBLEU
from runway_for_ml.utils.eval_recorder import EvalRecorder, as_old_recorder
from runway_for_ml.utils.global_variables import DataTransform_Registry, Executor_Registry
from runway_for_ml.utils.util import batch_depad

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {
    "executors.base_executor": "BaseExecutor",
    "utils.global_variables": "register_executor register_to Executor_Registry DataTransform_Registry",
    "configs.configuration": "DataPipelineConfig ModelConfig MetaConfig",
    "data_module.data_transforms": "BaseTransform HFDatasetTransform RowWiseTransform register_transform_functor "
    "keep_ds_columns",
    "data_module.data_pipeline": "DataPipeline",
    "utils.util": "batch_depad get_tokenizer",
    "utils.eval_recorder": "EvalRecorder",
    "utils.config_system": "add_runway_sys_args parse_config import_user_modules",
    "experiment": "RunwayExperiment",
}


def test_every_name_that_projects_import_is_there() -> None:
    for module, names in NAMES.items():
        found = importlib.import_module(f"runway_for_ml.{module}")
        assert not [name for name in names.split() if not hasattr(found, name)]
    assert DataTransform_Registry["ComputeBLEU"] is RunwayComputeBLEU
    assert registry.level_of(DataTransform_Registry["DisplayEvalResults"]) == registry.ALIAS
    assert "TextClassificationExecutor" in Executor_Registry


def test_the_recorder_has_its_old_views(tmp_path: Path) -> None:
    recorder = EvalRecorder("mine", tmp_path)
    recorder.log_sample_dict_batch({"a": [3, 1, 2]})
    recorder.log_stats_dict({"mean": 2})
    assert recorder.get_sample_logs() == {"index": [0, 1, 2], "a": [3, 1, 2]}
    assert recorder.index == recorder.get_sample_logs_column("index") == [0, 1, 2]
    assert recorder.get_sample_logs(data_format="csv").columns.tolist() == ["index", "a"]
    assert recorder.get_stats_logs(data_format="csv")["mean"].tolist() == [2]
    recorder.save_to_disk("eval_recorder", file_format="json")
    again = EvalRecorder.load_from_disk("mine", tmp_path, "eval_recorder")
    other = EvalRecorder("other", tmp_path)
    other.copy_data_from(again)
    other.keep_top_n(2)
    other.log_sample_dict({"a": 9})
    assert (other.name, other["a"], again["a"]) == ("other", [3, 1, 9], [3, 1, 2])


def test_transforms_take_what_they_took() -> None:
    class Old(HFDatasetTransform):
        def _call(self, data: Any) -> Any:
            return data, self.splits_to_process, self.rename_col_dict

    old = Old()
    old.setup({"a": "b"}, (name for name in ("train", "valid")), _num_proc=4)
    data = [Config(train=[1]), {"valid": [2]}]
    assert old(data) == (data, ["train", "valid"], {"a": "b"})

    class Views(BaseTransform):
        def _call(self, data: Any) -> Any:
            return [type(one) for one in data]

    assert Views()([RecorderOfToday("x"), RecorderOfToday("y")]) == [EvalRecorder, EvalRecorder]


def test_bleu_is_sacrebleus() -> None:
    recorder = as_old_recorder(RecorderOfToday("x"))
    text = "the cat sat on the mat today"
    recorder.log_sample_dict_batch({"p": [f"{text}</s>", "a"], "r": [text, "b"]})
    op = RunwayComputeBLEU()
    op.setup(ref_field="r", pred_field="p", special_tokens_to_remove=["</s>"])
    stats = op(recorder).get_stats_logs()
    assert recorder["sentence_bleu"] == pytest.approx([100, 0])
    assert stats["avg_sentence_bleu"] == pytest.approx(50)
    assert stats["pred_corpus_bleu_ref_len"] == 8


def test_a_batch_loses_its_padding() -> None:
    x, mask, y = batch_depad(torch.tensor([[5, 0, 0, 0]]), torch.tensor([[1, 0, 0, 0]]), torch.tensor([[1, 2, 0]]), 1)
    assert x is not None
    assert mask is not None
    assert y is not None
    assert (x.tolist(), mask.tolist(), y.tolist()) == ([[5, 0]], [[1, 0]], [[1, 2, 0]])


def test_a_checkpoint_with_an_easydict_in_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("easydict")

    class EasyDict(dict):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            self[name] = value

    EasyDict.__module__, EasyDict.__qualname__, module.EasyDict = "easydict", "EasyDict", EasyDict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "easydict", module)
    config = EasyDict(inner=EasyDict(size=3))
    config.lr = 0.1
    torch.save({"state_dict": {"w": torch.ones(2)}, "hyper_parameters": {"train_config": config}}, tmp_path / "a.ckpt")
    monkeypatch.delitem(sys.modules, "easydict")
    read = read_checkpoint(tmp_path / "a.ckpt")["hyper_parameters"]["train_config"]
    assert read == {"inner": {"size": 3}, "lr": 0.1}
    assert read.lr == 0.1
