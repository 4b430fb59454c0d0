"""RecordedView: the config as a transform sees it, and what is noted of it."""

from __future__ import annotations

import copy
import pickle

import pytest

from runway.config import ABSENT, Config, Reads, RecordedView, lookup


@pytest.fixture
def reads() -> Reads:
    return Reads()


@pytest.fixture
def view(reads: Reads) -> RecordedView:
    return RecordedView(Config({"train": {"batch_size": 32, "lr": 1}, "list": [{"a": 1}], "path": "x"}), reads)


def test_values_that_are_taken_are_noted(view: RecordedView, reads: Reads) -> None:
    assert view.train.batch_size == view["train"]["batch_size"] == 32
    assert view.path == "x"
    assert reads.config == {("train",): "kind", ("train", "batch_size"): "value", ("path",): "value"}


def test_walking_through_a_section_notes_that_it_is_one(view: RecordedView, reads: Reads) -> None:
    section = view.train
    assert reads.config == {("train",): "kind"}
    assert dict(section) == {"batch_size": 32, "lr": 1}
    values = {("train", "batch_size"): "value", ("train", "lr"): "value"}
    assert reads.config == {("train",): "keys", **values}


def test_what_tells_more_stands_for_what_tells_less(view: RecordedView, reads: Reads) -> None:
    for ask, noted in [
        (lambda: "train" in view, "presence"),
        (lambda: view.train, "kind"),
        (lambda: bool(view.train), "emptiness"),
        (lambda: len(view.train), "keys"),
        (lambda: view.train == {}, "value"),
        (lambda: "train" in view, "value"),
    ]:
        ask()
        assert reads.config == {("train",): noted}
    reads.note_config((), "keys")
    reads.note_config((), "given")
    assert reads.config[()] == "value"


def test_what_is_not_there_is_noted_too(view: RecordedView, reads: Reads) -> None:
    assert view.get("nothing", 7) == 7
    assert "other" not in view.train
    with pytest.raises(AttributeError, match=r"train has no key 'bacth_size'.*batch_size"):
        view.train.bacth_size  # noqa: B018
    with pytest.raises(KeyError):
        view["none"]
    assert reads.config[("nothing",)] == reads.config[("train", "other")] == "presence"


def test_it_is_read_only_and_copies_are_plain(view: RecordedView) -> None:
    with pytest.raises(TypeError, match="read-only"):
        view.train.lr = 3
    assert copy.deepcopy(view) == pickle.loads(pickle.dumps(view)) == view.to_dict()
    assert pickle.loads(pickle.dumps(view)).train.batch_size == view.train.batch_size, "as in a worker process"


def test_what_goes_to_another_process_counts_but_for_what_each_run_adds() -> None:
    reads = Reads()
    view = RecordedView({"train": {"lr": 1}, "mine": 2, "train_dir": "/runs/1"}, reads)
    pickle.dumps(view)
    assert reads.config == {(): "given"}


def test_reads_merge_and_compare() -> None:
    first, second = Reads(), Reads({("a",): "value"}, {("file", "x")}, {"use_dummy_data": True})
    first.note_config(("a",), "kind")
    first.merge(second)
    assert first == second
    assert first != Reads()
    assert pickle.loads(pickle.dumps(first)) == second
    assert "('a',): 'value'" in repr(first)


def test_lookup() -> None:
    config = {"a": [{"b": 1}], "c": None, "d": "text"}
    assert lookup(config, ("a", 0, "b")) == 1
    assert lookup(config, ("c",)) is None
    assert [lookup(config, path) for path in (("x",), ("a", 1), ("c", "d"), ("a", "b"), ("d", 0))] == [ABSENT] * 5
