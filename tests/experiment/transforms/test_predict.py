"""Predict: what a trained run predicts for given rows, in their order, as a recorder or a dataset."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, DatasetDict

from runway.errors import RunFailed, RunwayError
from runway.executors.base_executor import BaseExecutor
from runway.pipeline import DataPipeline
from runway.registry import register_executor, register_transform_functor
from runway.transforms.base import BaseTransform, HFDatasetTransform
from tests.experiment.tiny import tiny, tiny_config

LENGTHS = [3, 1, 7, 2, 5, 4, 6]


def texts(count: int, start: int = 0) -> Dataset:
    """Rows of text of many lengths, with a label."""
    rows = [{"text": "x" * LENGTHS[i % 7] + str(i), "label": i % 2} for i in range(start, start + count)]
    return Dataset.from_list(rows)


@register_transform_functor
class PredictTexts(BaseTransform):
    """The texts that a run learns from, and others."""

    def setup(self, rows: int = 14, one: bool = False, **kwargs: Any) -> None:
        """Take how many rows, and whether they are one split."""
        super().setup(**kwargs)
        self.rows, self.one = rows, one

    def _call(self, data: Any) -> Any:
        if self.one:
            return texts(self.rows)
        return DatasetDict({"train": texts(self.rows), "test": texts(5, 3)})


@register_transform_functor
class PredictEncode(HFDatasetTransform):
    """Letters to numbers."""

    def _call(self, data: Any) -> Any:
        return data.map(lambda row: {"input_ids": [ord(letter) for letter in row["text"]]})


@register_executor
class LengthOfText(BaseExecutor):
    """Predicts something that tells a row from all others, and a bit of a weight."""

    def _init_model(self, model_config: Any) -> None:
        self.model = torch.nn.Linear(1, 1)
        self.factor = 1.0

    def _value(self, batch: Any) -> torch.Tensor:
        return batch["input_ids"].float().sum(1) + 0 * self.model(torch.zeros(1, 1)).sum()

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """Learns nothing much."""
        return ((self.model(torch.ones(len(batch["labels"]), 1)).squeeze(1) - batch["labels"].float()) ** 2).mean()

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Record the sum of a row's numbers."""
        self.test_eval_recorder.log_sample_dict_batch({"sum": self._value(batch).tolist(), "label": batch["labels"]})


NODES = {
    "input:Texts": {"transform_name": "PredictTexts"},
    "process:Encode": {"transform_name": "PredictEncode", "input_node": "input:Texts"},
    "output:Loaders": {
        "transform_name": "MakeDataloaders",
        "input_node": "process:Encode",
        "cache": False,
        "setup_kwargs": {"pad_to_multiple_of": None, "pad_token_id": 0},
    },
}
SECTIONS: dict[str, Any] = {
    "data_pipeline": {"transforms": NODES},
    "executor": {"ExecutorClass": "LengthOfText", "init_kwargs": {"use_data_node": "output:Loaders"}},
    "eval": {},
}


def sums(rows: Dataset) -> list[float]:
    """What LengthOfText predicts."""
    return [float(sum(map(ord, text))) for text in rows["text"]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run of LengthOfText, and one of TinyRegression."""
    project = tmp_path_factory.mktemp("predict")
    short = ("train.trainer_paras.max_epochs=1", "test.batch_size=3")
    tiny(project, *short, "experiment_name=texts", sections=SECTIONS).train()
    tiny(project, *short).train()
    return project


def predict(project: Path, rows: dict[str, Any] | None = None, *, run: str = "texts", **settings: Any) -> Any:
    """What Predict gives, and the nodes that ran."""
    nodes = {
        "input:Run": {"transform_name": "LoadRun", "setup_kwargs": {"run": run}},
        "input:Rows": {"transform_name": "PredictTexts", "setup_kwargs": rows or {}},
        "output:Predict": {
            "transform_name": "Predict",
            "input_node": ["input:Run", "input:Rows"],
            "setup_kwargs": {"through": "process:Encode", **settings},
        },
    }
    pipeline = DataPipeline({"transforms": nodes}, global_config=tiny_config(project), project=project)
    ran = pipeline.prepare()
    return pipeline.get_data(["output:Predict"], explode=True), ran


def failure(project: Path, *args: Any, **settings: Any) -> RunwayError:
    """How Predict fails."""
    with pytest.raises(RunwayError) as caught:
        predict(project, *args, **settings)
    return caught.value.failures[0] if isinstance(caught.value, RunFailed) else caught.value


def test_rows_are_prepared_by_the_run_and_come_back_in_their_order(trained: Path) -> None:
    recorder, ran = predict(trained, {"one": True, "rows": 20})
    assert recorder.get_sample_logs_column("sum") == sums(texts(20))
    assert ran == ["input:Run", "input:Rows", "output:Predict"]
    assert predict(trained, {"one": True, "rows": 20})[1] == []


def test_a_dataset_has_the_predictions_beside_its_columns(trained: Path) -> None:
    found, _ = predict(trained, {"one": True}, output="dataset", columns={"sum": "score"})
    assert found.column_names == ["text", "label", "score"]
    assert found["score"] == sums(texts(14))
    replaced, _ = predict(trained, {"one": True}, output="dataset", columns={"sum": "label"})
    assert replaced["label"] == sums(texts(14))


def test_splits_are_predicted_each_by_itself(trained: Path) -> None:
    found, _ = predict(trained, output="dataset", columns={"sum": "score"}, splits_to_process=["train"])
    assert found["train"]["score"] == sums(texts(14))
    assert found["test"].column_names == ["text", "label"]
    both, _ = predict(trained, output="dataset", columns={"sum": "score"})
    assert both["test"]["score"] == sums(texts(5, 3))
    assert predict(trained, splits_to_process=["test"])[0].get_sample_logs_column("sum") == sums(texts(5, 3))


def test_rows_as_the_data_node_gives_them_need_no_preparing(trained: Path) -> None:
    nodes = {
        "input:Run": {"transform_name": "LoadRun", "setup_kwargs": {"run": "texts"}},
        **{name: node for name, node in NODES.items() if name != "output:Loaders"},
        "output:Predict": {
            "transform_name": "Predict",
            "input_node": ["input:Run", "process:Encode"],
            "setup_kwargs": {"splits_to_process": ["train"], "batch_size": 4},
        },
    }
    pipeline = DataPipeline({"transforms": nodes}, global_config=tiny_config(trained), project=trained)
    assert pipeline.get_data(["output:Predict"], explode=True).get_sample_logs_column("sum") == sums(texts(14))


def test_the_code_of_the_executor_is_noted(trained: Path) -> None:
    _, ran = predict(trained, {"one": True, "rows": 6})
    assert "output:Predict" in ran
    store = DataPipeline({"transforms": NODES}, global_config=tiny_config(trained), project=trained).store
    entry = store.find(store.last_keys()["output:Predict"])
    assert entry is not None
    states = entry.meta["reads"]["states"]
    assert "code: tests.experiment.transforms.test_predict.LengthOfText" in states
    assert "code: runway.executors.base_executor.BaseExecutor" in states


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        ({"through": "process:Encod"}, "the pipeline of texts_V0 has no node 'process:Encod'", "process:Encode"),
        ({"output": "dataset"}, "the data has a column 'label'", "predicted_label"),
        ({"output": "dataset", "columns": {"summ": "x"}}, "nothing was recorded as 'summ'", "sum"),
        ({"output": "table"}, "Predict gives no 'table'", "recorder"),
        ({"columns": {"sum": "x"}}, "`columns` must be left out", ""),
        ({"init_kwargs": {"wrong": 1}}, "'wrong'", ""),
    ],
)
def test_mistakes_are_told(trained: Path, settings: dict[str, Any], message: str, hint: str) -> None:
    error = failure(trained, {"one": True}, **settings)
    assert message in error.message
    assert re.search(hint, str(error.hint))


def test_a_recorder_is_of_one_split_and_a_run_comes_first(trained: Path) -> None:
    assert "a recorder is of one split" in failure(trained).message
    nodes = {
        "input:Rows": {"transform_name": "PredictTexts"},
        "output:Predict": {"transform_name": "Predict", "input_node": ["input:Rows", "input:Rows"]},
    }
    pipeline = DataPipeline({"transforms": nodes}, global_config=tiny_config(trained), project=trained)
    with pytest.raises(RunFailed) as caught:
        pipeline.prepare()
    assert "takes [run, data], but has [DatasetDict, DatasetDict]" in caught.value.failures[0].message


def test_an_executor_that_is_not_there_is_told(trained: Path) -> None:
    path = trained / "runs/texts_V0/train/config.json"
    text = path.read_text()
    path.write_text(text.replace("LengthOfText", "LengthOfTexts"))
    try:
        error = failure(trained, {"one": True, "rows": 3})
    finally:
        path.write_text(text)
    assert "unknown executor 'LengthOfTexts'" in error.message
    assert "texts_V0" in str(error.where)
    assert "LengthOfText" in str(error.hint)


def test_where_the_executors_own_code_fails_it_is_said_how_the_batches_were_made(trained: Path) -> None:
    told = failure(trained, {"one": True}, through=None)
    assert "KeyError" in told.message
    assert "override `loaders_for(self, data)`" in str(told.traceback)
