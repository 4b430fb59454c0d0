"""RowOrder: recorded rows go back into the dataset's order, and none is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, Sampler, SequentialSampler

from runway import EvalRecorder
from runway.executors.drawn_rows import NotedLoader, drawn_rows
from runway.executors.row_order import RowOrder, Shard, in_order
from runway.transforms.batching.length_buckets import LengthBucketSampler


def record(
    batches: Sequence[Any],
    *,
    index: bool = False,
    loader: Any = None,
    loader_idx: int = 0,
    noted: bool = False,
    shard: tuple[EvalRecorder, RowOrder] | None = None,
) -> tuple[EvalRecorder, RowOrder]:
    """What a rank has recorded of batches that hold the numbers of their rows."""
    recorder, order = shard or (EvalRecorder("validation"), RowOrder())
    for number, batch in enumerate(batches):
        rows = batch.tolist() if hasattr(batch, "tolist") else list(batch)
        order.begin(len(recorder))
        recorder.log_sample_dict_batch({"row": rows, "text": [f"row {row}" for row in rows]})
        content = {"index": torch.tensor(rows)} if index else {"x": batch}
        drawn = drawn_rows(loader, number) if noted else None
        order.add(content, len(recorder), loader_idx, loader, drawn)
    return recorder, order


def noted(loader: DataLoader) -> tuple[EvalRecorder, RowOrder]:
    """A rank's recorder of all batches of a loader that notes what it draws."""
    combined = NotedLoader(loader, "sequential")
    iter(combined)
    (inner,) = combined.flattened
    return record([batch for batch, _, _ in combined], loader=inner, noted=True)


def shards(*made: tuple[EvalRecorder, RowOrder]) -> list[Shard]:
    return [(recorder, order.parts) for recorder, order in made]


def rows(recorder: EvalRecorder) -> list[int]:
    return list(recorder.get_sample_logs_column("row"))


class Shuffled(Sampler):
    """Some order that nobody knows."""

    def __init__(self, order: Sequence[int]) -> None:
        self.order = order

    def __iter__(self):
        return iter(self.order)

    def __len__(self):
        return len(self.order)


class ByLength(BatchSampler):
    """Batches in an order of their own, as many people write them."""

    def __iter__(self):
        yield from sorted(super().__iter__(), key=lambda batch: -max(batch))


# One process


def test_batches_with_an_index_are_sorted_by_it():
    recorder, order = record([[5, 2, 4], [0, 1], [3]], index=True)
    recorder = order.apply(recorder)
    assert rows(recorder) == [0, 1, 2, 3, 4, 5]
    assert list(recorder.get_sample_logs_column("text")) == [f"row {row}" for row in range(6)]


@pytest.mark.parametrize("workers", [0, 2])
def test_what_a_sampler_draws_is_the_place(workers):
    loader = DataLoader(range(9), batch_size=2, sampler=Shuffled([3, 8, 0, 1, 7, 2, 6, 5, 4]), num_workers=workers)
    recorder, order = noted(loader)
    assert rows(recorder) == [3, 8, 0, 1, 7, 2, 6, 5, 4]
    assert rows(order.apply(recorder)) == list(range(9))
    assert isinstance(loader.batch_sampler, BatchSampler), "the user's loader is left as it is"


def test_batches_of_a_batch_sampler_are_placed():
    recorder, order = noted(DataLoader(range(9), batch_sampler=ByLength(SequentialSampler(range(9)), 2, False)))
    assert rows(recorder)[:3] == [8, 6, 7]
    assert rows(order.apply(recorder)) == list(range(9))


def test_a_second_pass_is_noted_anew():
    combined = NotedLoader(DataLoader(range(4), batch_size=2, shuffle=True), "sequential")
    for _ in range(3):
        iter(combined)
        batches = [batch for batch, _, _ in combined]
        assert [batch.tolist() for batch in batches] == [drawn_rows(combined.flattened[0], n) for n in (0, 1)]


def test_a_row_that_a_sampler_draws_twice_is_there_twice():
    recorder, order = noted(DataLoader(range(4), batch_size=2, sampler=Shuffled([2, 0, 2, 2])))
    assert rows(order.apply(recorder)) == [0, 2, 2, 2]


def test_rows_that_are_recorded_outside_of_the_steps_are_kept():
    recorder, order = EvalRecorder("validation"), RowOrder()
    recorder.log_sample_dict_batch({"row": [7, 8, 9]})  # all at once, at the end
    assert rows(order.apply(recorder)) == [7, 8, 9]
    recorder, order = record([[1, 0]], index=True, shard=(recorder, order))
    assert rows(order.apply(recorder)) == [0, 1, 7, 8, 9]


def test_batches_of_a_stream_stay_as_they_came(capsys):
    recorder, order = record([[7, 8], [3, 1]], loader=[1, 2])
    assert rows(order.apply(recorder)) == [7, 8, 3, 1]
    assert "warning" not in capsys.readouterr().err


def test_a_shuffled_loader_that_notes_nothing_is_told(capsys):
    recorder, order = record([[7, 8], [3, 1]], loader=DataLoader(range(9), batch_size=2, shuffle=True))
    order.what = "this validation"
    assert rows(order.apply(recorder)) == [7, 8, 3, 1]
    assert "this validation, loader 0: 4 recorded rows stay in the loader's order" in capsys.readouterr().err


def test_the_order_is_left_where_a_step_records_another_number_of_rows():
    recorder, order = EvalRecorder("validation"), RowOrder()
    order.begin(0)
    recorder.log_sample_dict_batch({"row": [2, 2, 1, 1]})
    order.add({"index": torch.tensor([2, 1])}, len(recorder), 0, None, [2, 1])
    assert rows(order.apply(recorder)) == [2, 2, 1, 1]


@pytest.mark.parametrize("index", [["a", "b"], torch.tensor(3), 5, torch.tensor([[0], [1]])])
def test_an_index_of_another_kind_is_not_taken_for_a_place(index):
    recorder, order = EvalRecorder("validation"), RowOrder()
    order.begin(0)
    recorder.log_sample_dict_batch({"row": [4, 2]})
    order.add({"index": index}, len(recorder), 0, None, None)
    assert rows(order.apply(recorder)) == [4, 2]


def test_an_empty_recorder():
    assert len(RowOrder().apply(EvalRecorder("validation"))) == 0


def test_loaders_come_one_after_the_other():
    first = record([[1, 0]], index=True)
    recorder, order = record([[2, 0, 1]], index=True, loader_idx=1, shard=first)
    assert rows(order.apply(recorder)) == [0, 1, 0, 1, 2]


# Ranks


def test_rows_of_ranks_without_any_place_are_all_kept_and_told(capsys):
    made = shards(record([[0, 1], [2]], loader=[1]), record([[0, 1], [2]], loader=[1]))
    assert rows(in_order(made, "validation of two")) == [0, 1, 2, 0, 1, 2]
    assert "validation of two, loader 0: all 6 rows of the 2 ranks are kept" in capsys.readouterr().err


def test_ranks_with_datasets_of_their_own_lose_nothing(capsys):
    made = shards(*(noted(DataLoader(list(range(rank, 101, 2)), batch_size=4)) for rank in (0, 1)))
    found = rows(in_order(made, "own shards"))
    assert sorted(found) == list(range(101))
    assert "own shards, loader 0: all 101 rows" in capsys.readouterr().err


@pytest.mark.parametrize(("count", "ranks"), [(7, 2), (8, 2), (10, 4), (3, 4), (101, 2)])
@pytest.mark.parametrize("batches", [None, BatchSampler, ByLength])
def test_shards_of_torchs_sampler_are_merged_without_its_padding(count, ranks, batches):
    made = []
    for rank in range(ranks):
        sampler = DistributedSampler(range(count), num_replicas=ranks, rank=rank, shuffle=False)
        how = (
            {"batch_size": 2, "sampler": sampler} if batches is None else {"batch_sampler": batches(sampler, 2, False)}
        )
        made.append(noted(DataLoader(range(count), **how)))
    assert sum(len(part) for part, _ in made) >= count
    assert rows(in_order(shards(*made), "validation")) == list(range(count))


def test_batches_that_runways_sampler_repeats_count_once(monkeypatch):
    from runway.transforms.batching import length_buckets

    made = []
    for rank in (0, 1):
        monkeypatch.setattr(length_buckets, "_rank_and_world", lambda rank=rank: (rank, 2))
        sampler = LengthBucketSampler([5, 3, 9, 2, 7], 2, shuffle=False)
        loader = DataLoader(Whole(), sampler=sampler, batch_size=None)
        made.append(noted(loader))
    assert sum(len(part) for part, _ in made) == 7, "three batches on two ranks: one is repeated"
    assert rows(in_order(shards(*made), "validation")) == [0, 1, 2, 3, 4]


class Whole:
    """A dataset that is asked for a batch at once."""

    def __len__(self):
        return 5

    def __getitem__(self, indices):
        return torch.tensor(indices)


def test_ranks_that_shuffle_differently_are_told(capsys):
    made = []
    for rank, order in enumerate(([0, 1, 2, 3], [2, 0, 3, 1])):
        sampler = DistributedSampler(Shuffled(order), num_replicas=2, rank=rank, shuffle=False)
        inner = DataLoader(range(4), batch_size=2, sampler=sampler)
        drawn = [order[place] for place in sampler]
        shard = record([drawn], loader=inner)
        shard[1].parts[0].rows = shard[1].parts[0].drawn = drawn
        made.append(shard)
    assert rows(in_order(shards(*made), "random")) == [0, 1, 2]
    assert "random, loader 0: the ranks drew 1 of 4 rows twice" in capsys.readouterr().err


def test_a_document_whose_parts_lie_on_two_ranks_loses_none():
    """``index`` is the document's here: rows are told apart by what the sampler deals out."""
    made = []
    for rank in (0, 1):
        sampler = DistributedSampler(range(6), num_replicas=2, rank=rank, shuffle=False)
        combined = NotedLoader(DataLoader(range(6), batch_size=3, sampler=sampler), "sequential")
        iter(combined)
        (loader,) = combined.flattened
        recorder, order = EvalRecorder("validation"), RowOrder()
        for number, (batch, _, _) in enumerate(combined):
            order.begin(len(recorder))
            recorder.log_sample_dict_batch({"row": batch.tolist()})
            order.add({"index": batch // 3}, len(recorder), 0, loader, drawn_rows(loader, number))
        made.append((recorder, order))
    assert sorted(rows(in_order(shards(*made), "validation"))) == list(range(6))


def test_an_index_that_ranks_share_without_a_sampler_loses_nothing(capsys):
    made = shards(record([[4, 0], [2]], index=True), record([[3, 1], [4]], index=True))
    assert rows(in_order(made, "shared")) == [4, 0, 2, 3, 1, 4]
    assert (
        "shared, loader 0: all 6 rows of the 2 ranks are kept, rank by rank: 1 have a place" in capsys.readouterr().err
    )
    made = shards(record([[4, 0], [2]], index=True), record([[3, 1]], index=True))
    assert rows(in_order(made, "shared")) == [0, 1, 2, 3, 4]


def test_ranks_without_rows_do_not_disturb():
    empty = (EvalRecorder("validation"), RowOrder())
    assert rows(in_order(shards(empty, record([[1, 0]], index=True)), "validation")) == [0, 1]
