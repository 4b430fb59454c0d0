"""Columns of the dataset beside predictions: at the right rows, whatever the order of the batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runway.errors import ConfigError
from runway.executors.recorded_columns import add_columns, check_columns
from runway.executors.row_order import RowOrder
from runway.recorder import EvalRecorder
from runway.transforms.batching.dataloaders import make_dataloader


def loader(texts: list[str], **columns: Any) -> Any:
    from datasets import Dataset

    lengths = [len(text) for text in texts]
    rows = {"text": texts, "input_ids": [[1] * n for n in lengths], "label": [0] * len(texts), **columns}
    return make_dataloader(Dataset.from_dict(rows), batch_size=2)


def test_the_rows_of_several_loaders_get_their_own_values() -> None:
    loaders = [loader(["a", "ccc", "bb"]), loader(["dddd", "e"], other=[1, 2]), [{"x": 1}]]
    recorder, order = EvalRecorder("test"), RowOrder("test")
    for number, one in enumerate(loaders):
        for batch in one:
            order.begin(len(recorder))
            rows = [int(row) for row in batch["index"]] if "index" in batch else None
            recorder.log_sample_dict_batch({"row": rows or [0], "loader": [number] * len(rows or [0])})
            order.add(batch, len(recorder), number, one, rows)
    add_columns(recorder, order.parts, loaders, ["text", "other", "nowhere", "row"])
    sorted_rows = order.apply(recorder)
    assert sorted_rows["text"] == ["a", "ccc", "bb", "dddd", "e", None]
    assert sorted_rows["other"] == [None, None, None, 1, 2, None]
    assert sorted_rows["row"] == [0, 1, 2, 0, 1, 0]
    assert "nowhere" not in sorted_rows


def test_a_column_that_no_data_has_is_an_error_before_the_first_batch() -> None:
    check_columns([loader(["a"]), [1]], ["text"])
    check_columns([[1]], ["anything"])  # of such data nobody knows
    with pytest.raises(ConfigError, match="no column 'txt' to record") as told:
        check_columns([loader(["a"])], ["txt"])
    assert "'text'" in str(told.value.hint)


def test_repeated_and_unknown_rows() -> None:
    one = loader(["a", "b"])
    recorder, order = EvalRecorder("test"), RowOrder("test")
    for drawn in ([1, 1], None):
        order.begin(len(recorder))
        recorder.log_sample_dict_batch({"x": np.zeros(2)})
        order.add({"x": 1}, len(recorder), 0, one, drawn)
        add_columns(recorder, order.parts, [one], ["text"])
        if drawn is not None:
            assert recorder["text"] == ["b", "b"]
