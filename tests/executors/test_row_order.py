"""RowOrder: recorded rows go back into the dataset's order."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler

from runway import EvalRecorder
from runway.executors.row_order import RowOrder, _first_of_each, _in_order


def record(batches: list[list[int]], loader_idx: int = 0) -> tuple[EvalRecorder, RowOrder]:
    recorder, order = EvalRecorder("validation"), RowOrder()
    for rows in batches:
        recorder.log_sample_dict_batch({"row": rows, "text": [f"row {row}" for row in rows]})
        order.add({"index": torch.tensor(rows)}, len(recorder), loader_idx, None)
    return recorder, order


def test_batches_with_an_index_are_sorted_by_it():
    recorder, order = record([[5, 2, 4], [0, 1], [3]])
    recorder = order.apply(recorder)
    assert list(recorder.get_sample_logs_column("row")) == [0, 1, 2, 3, 4, 5]
    assert list(recorder.get_sample_logs_column("text")) == [f"row {row}" for row in range(6)]


def test_batches_without_an_index_stay_as_they_came():
    recorder, order = EvalRecorder("validation"), RowOrder()
    for rows in ([7, 8], [3, 1]):
        recorder.log_sample_dict_batch({"row": rows})
        order.add({"input_ids": torch.zeros(2)}, len(recorder), 0, DataLoader([0] * 4))
    assert list(order.apply(recorder).get_sample_logs_column("row")) == [7, 8, 3, 1]


def test_the_order_is_left_where_a_step_records_another_number_of_rows():
    recorder, order = EvalRecorder("validation"), RowOrder()
    recorder.log_sample_dict_batch({"row": [2, 2, 1, 1]})
    order.add({"index": torch.tensor([2, 1])}, len(recorder), 0, None)
    assert list(order.apply(recorder).get_sample_logs_column("row")) == [2, 2, 1, 1]


def test_an_empty_recorder():
    recorder = EvalRecorder("validation")
    assert len(RowOrder().apply(recorder)) == 0


def test_loaders_come_one_after_the_other():
    order = RowOrder()
    order.add({"index": torch.tensor([1, 0])}, 2, 0, None)
    order.add({"index": torch.tensor([2, 0, 1])}, 5, 1, None)
    assert _first_of_each([(None, (order.loaders, order.rows, True))]) == [1, 0, 3, 4, 2]


@pytest.mark.parametrize(("rows", "ranks"), [(7, 2), (8, 2), (10, 4), (3, 4)])
def test_shards_of_torchs_sampler_are_merged_without_its_padding(rows, ranks):
    shards = []
    for rank in range(ranks):
        sampler = DistributedSampler(range(rows), num_replicas=ranks, rank=rank, shuffle=False)
        loader = DataLoader(range(rows), batch_size=2, sampler=sampler)
        part, order = EvalRecorder("validation"), RowOrder()
        for batch in loader:
            part.log_sample_dict_batch({"row": batch.tolist()})
            order.add({"x": batch}, len(part), 0, loader)
        shards.append((part, (order.loaders, order.rows, order.known)))
    assert sum(len(part) for part, _ in shards) >= rows
    assert list(_in_order(shards).get_sample_logs_column("row")) == list(range(rows))


def test_a_row_that_two_ranks_recorded_is_there_once():
    shards = []
    for batches in ([[4, 0], [2]], [[3, 1], [4]]):
        part, order = record(batches)
        shards.append((part, (order.loaders, order.rows, order.known)))
    merged = _in_order(shards)
    assert list(merged.get_sample_logs_column("row")) == [0, 1, 2, 3, 4]


def test_ranks_without_rows_do_not_disturb():
    part, order = record([[1, 0]])
    empty = EvalRecorder("validation")
    shards = [
        (empty, ([], [], True)),
        (part, (order.loaders, order.rows, True)),
    ]
    assert list(_in_order(shards).get_sample_logs_column("row")) == [0, 1]
