"""AddColumns: a split's columns beside predictions, by index or by place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runway.errors import ConfigError, DataError
from runway.experiment.transforms.add_columns import AddColumns
from runway.recorder import EvalRecorder
from runway.registry import register_transform_functor
from runway.transforms.base import BaseTransform


@register_transform_functor
class ThreeTexts(BaseTransform):
    """Gives a test split of three rows."""

    def _call(self, data: Any) -> Any:
        from datasets import Dataset, DatasetDict

        return DatasetDict({"test": Dataset.from_dict({"text": ["a", "b", "c"], "id": [7, 8, 9]})})


def add(tmp_path: Path, recorded: dict[str, list], **settings: Any) -> EvalRecorder:
    config = {"data_pipeline": {"transforms": {"input:Texts": {"transform_name": "ThreeTexts", "cache": False}}}}
    transform = AddColumns(name="Add", global_config=config, project=tmp_path)
    transform.setup(**{"node": "input:Texts", **settings})
    recorder = EvalRecorder("test")
    recorder.log_sample_dict_batch(recorded)
    return transform(recorder)


def test_by_index_and_by_place(tmp_path: Path) -> None:
    assert add(tmp_path, {"loss": [1, 2, 3]})["text"] == ["a", "b", "c"]
    found = add(tmp_path, {"index": [2, 0]}, columns=["text", "id"])
    assert (found["text"], found["id"]) == (["c", "a"], [9, 7])


@pytest.mark.parametrize(
    ("recorded", "settings", "error", "told"),
    [
        ({"loss": [1, 2]}, {}, DataError, "has 2 rows, and 'test'"),
        ({"index": [0, 3]}, {}, DataError, "from 0 to 2"),
        ({"index": [0, 1]}, {"columns": ["txt"]}, ConfigError, "has no column"),
        ({"index": [0, 1]}, {"split": "tst"}, ConfigError, "gives no split"),
        ({"index": [0, 1]}, {"node": "input:Text"}, ConfigError, "has no node"),
        ({"index": [0, 1]}, {"node": ""}, ConfigError, "must name a node"),
    ],
)
def test_what_does_not_fit_is_told(
    tmp_path: Path, recorded: dict[str, list], settings: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        add(tmp_path, recorded, **settings)
