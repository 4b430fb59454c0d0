"""EvalRecorder: what goes in comes out, row by row, pass by pass, fork by fork."""

from __future__ import annotations

import copy
import math
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from runway import EvalRecorder
from runway.errors import DataError
from runway.recorder.table import SampleTable
from tests.recorder.samples import recorder_of, typed


def run_python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout


def test_importing_the_package_imports_no_arrow():
    heavy = ("pyarrow", "numpy", "evaluate")
    loaded = run_python(f"import sys, runway.recorder, runway.metrics; print([m for m in {heavy} if m in sys.modules])")
    assert loaded.strip() == "[]"


def test_batches_and_single_samples_make_one_table():
    recorder = EvalRecorder("rec")
    recorder.log_sample_dict_batch({"label": [0, 1], "text": ["a", "b"]})
    recorder.log_sample_dict({"label": 2, "text": "c"})
    assert len(recorder) == 3
    assert recorder.get_sample_logs() == {"label": [0, 1, 2], "text": ["a", "b", "c"]}
    assert recorder[1] == {"label": 1, "text": "b"}
    assert recorder[-1] == {"label": 2, "text": "c"}
    assert recorder["label"] == [0, 1, 2]
    assert recorder[1:] == {"label": [1, 2], "text": ["b", "c"]}
    assert list(recorder) == recorder.get_sample_logs("list")


def test_a_row_that_is_not_there():
    with pytest.raises(IndexError, match="row 3"):
        recorder_of(a=[1, 2, 3])[3]


def test_unknown_column_names_the_nearest():
    with pytest.raises(DataError, match="'lable'") as raised:
        recorder_of(label=[1])["lable"]
    assert "'label'" in raised.value.hint


VALUES = {
    "int": [1, None, -3],
    "float": [1.5, math.inf, None],
    "bool": [True, None, False],
    "text": ["", 'quo"te, comma\n\r\nline', None],
    "only_none": [None, None, None],
    "list": [[1, 2], [], None],
    "nested": [[[1.5], []], None, [[]]],
    "dict": [{"a": 1, "b": [1.0]}, {"a": None, "b": []}, None],
    "dicts_with_other_keys": [{"a": 1}, {"b": "x"}, {}],
    "mixed": [1, "a", [2, None]],
    "mixed_inside": [{"a": 1}, {"a": "x"}, {"a": [1]}],
    "bool_and_int": [True, 1, 0],
    "big": [2**70, 1, None],
    "exact": [2**60 + 1, 0.5, 1],
    "bytes": [b"\x00\xff", b"", None],
    "half_surrogate": ["\ud800", "x", None],
    "other_keys": [{1: "a", None: 2}, {"$dict": 1}, {"$bytes": "x"}],
    "dots.in.name": [1, 2, 3],
    "dots": ["a", "b", "c"],
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("how", ["batch", "single", "column", "pieces"])
def test_values_come_back_as_they_were(name, how):
    recorder = EvalRecorder("rec")
    if how == "batch":
        recorder.log_sample_dict_batch({name: VALUES[name]})
    elif how == "column":
        recorder.set_sample_logs_column(name, tuple(VALUES[name]))
    else:
        for value in VALUES[name]:
            recorder.log_sample_dict({name: value})
            if how == "pieces":
                assert recorder[-1] is not None  # reading closes a piece
    assert typed(recorder.get_sample_logs_column(name)) == typed(VALUES[name])
    assert typed([row[name] for row in recorder]) == typed(VALUES[name])


@pytest.mark.parametrize("name", VALUES)
def test_spilling_changes_nothing(name, monkeypatch):
    monkeypatch.setattr(SampleTable, "MEMORY_LIMIT", 0)
    recorder = EvalRecorder("rec")
    for value in VALUES[name] * 50:
        recorder.log_sample_dict({name: value})
    assert typed(recorder[name]) == typed(VALUES[name] * 50)
    assert typed(recorder[149][name]) == typed(VALUES[name][2])


def test_whole_numbers_beside_fractions_become_floats_however_they_are_batched():
    once = recorder_of(x=[1, 2.5, 3])
    one_by_one = EvalRecorder("rec")
    for value in [1, 2.5, 3]:
        one_by_one.log_sample_dict_batch({"x": np.array([value])})
    assert typed(once["x"]) == typed(one_by_one["x"]) == typed([1.0, 2.5, 3.0])


def test_ragged_columns_are_filled_both_ways():
    recorder = EvalRecorder("rec")
    recorder.log_sample_dict_batch({"a": [1, 2]})
    recorder.log_sample_dict({"b": "x"})
    recorder.log_sample_dict({"a": 4, "c": [1]})
    recorder.log_sample_dict({})
    assert recorder.get_sample_logs() == {
        "a": [1, 2, None, 4, None],
        "b": [None, None, "x", None, None],
        "c": [None, None, None, [1], None],
    }
    assert recorder[4] == {"a": None, "b": None, "c": None}


def test_a_column_that_appears_very_late():
    recorder = EvalRecorder("rec")
    recorder.log_sample_dict_batch({"a": range(10_000)})
    recorder.log_sample_dict({"b": 1})
    assert recorder["b"] == [None] * 10_000 + [1]
    assert recorder[9_999] == {"a": 9_999, "b": None}


def test_columns_of_a_batch_must_be_equally_long():
    recorder = recorder_of(a=[0])
    with pytest.raises(DataError, match="'a' has 2, 'b' has 3"):
        recorder.log_sample_dict_batch({"a": [1, 2], "b": [1, 2, 3]})
    assert recorder.get_sample_logs() == {"a": [0]}


@pytest.mark.parametrize("column", ["text", 5, {"a": 1}, torch.tensor(1), np.float32(1)])
def test_a_column_of_a_batch_must_be_a_sequence(column):
    with pytest.raises(DataError, match="column 'a' of a batch must be a list"):
        EvalRecorder("rec").log_sample_dict_batch({"a": column})


def test_a_batch_must_be_a_dict_with_text_for_names():
    with pytest.raises(DataError, match="takes a dict, but is given a list"):
        EvalRecorder("rec").log_sample_dict_batch([1])
    with pytest.raises(DataError, match="name must be text, but is 1"):
        EvalRecorder("rec").log_sample_dict_batch({1: [1]})


def test_a_second_pass_adds_and_replaces_columns_of_the_same_rows():
    recorder = recorder_of(a=[1, 2, 3], b=["x", "y", "z"])
    recorder.reset_for_new_pass()
    recorder.log_sample_dict_batch({"c": [1.5, 2.5]})
    recorder.log_sample_dict({"c": 3.5, "b": "new"})
    assert recorder.get_sample_logs() == {"a": [1, 2, 3], "b": ["x", "y", "new"], "c": [1.5, 2.5, 3.5]}
    recorder.log_sample_dict({"a": 4})
    assert recorder[3] == {"a": 4, "b": None, "c": None}
    assert len(recorder) == 4


def test_a_pass_cut_short_keeps_the_rest():
    recorder = recorder_of(a=[1, 2, 3])
    recorder.reset_for_new_pass()
    recorder.log_sample_dict({"a": 9})
    assert recorder["a"] == [9, 2, 3]


@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_random_logging_equals_a_plain_python_model(limit, monkeypatch):
    monkeypatch.setattr(SampleTable, "MEMORY_LIMIT", limit)
    monkeypatch.setattr(SampleTable, "SEAL_ROWS", 16)
    chance = random.Random(limit)
    make = [
        lambda: chance.randint(0, 9),
        lambda: chance.random(),
        lambda: "abc"[: chance.randint(0, 3)],
        lambda: [1, 2],
    ]
    for _ in range(30):
        recorder, model, rows, position = EvalRecorder("rec"), {}, 0, 0
        forks = []
        for _ in range(40):
            names = chance.sample("abcd", chance.randint(0, 4))
            count = chance.choice([1, 1, 3, 20])
            batch = {name: [chance.choice(make)() for _ in range(count)] for name in names}
            if chance.random() < 0.1:
                recorder.reset_for_new_pass()
                position = 0
            if chance.random() < 0.1:
                forks.append((recorder.fork(), copy.deepcopy(model), rows))
            if not names:
                continue
            recorder.log_sample_dict_batch(batch)
            rows = max(rows, position + count)
            for name, values in batch.items():
                column = model.setdefault(name, [])
                column += [None] * (rows - len(column))
                column[position : position + count] = values
            position += count
        for made, expected, length in [(recorder, model, rows), *forks]:
            whole = {name: column + [None] * (length - len(column)) for name, column in expected.items()}
            assert len(made) == length
            assert made.get_sample_logs() == whole


def test_a_fork_and_its_origin_go_their_own_ways():
    origin = recorder_of(a=[1, 2])
    origin.log_stats_dict({"m": [1]})
    fork = origin.fork()
    fork.log_sample_dict({"a": 3, "b": 1})
    fork.log_stats_dict({"m": [2]})
    fork.meta_config["x"] = 1
    fork.rename("other", "elsewhere")
    origin.log_sample_dict({"a": 4})
    assert origin.get_sample_logs() == {"a": [1, 2, 4]}
    assert fork.get_sample_logs() == {"a": [1, 2, 3], "b": [None, None, 1]}
    assert (origin.name, origin.get_stats_logs(), "x" in origin.meta_config) == ("rec", {"m": [1]}, False)
    assert copy.deepcopy(fork)["a"] == copy.copy(fork)["a"] == [1, 2, 3]


def test_setting_columns_and_data():
    recorder = recorder_of(a=[1, 2])
    recorder.set_sample_logs_column("b", torch.tensor([3, 4]))
    recorder.set_sample_dict_column("a", ["x", "y"])
    assert recorder.get_sample_dict_column("a") == ["x", "y"]
    with pytest.raises(DataError, match="column 'c' has 3 values, but the recorder has 2 rows"):
        recorder.set_sample_logs_column("c", [1, 2, 3])
    recorder.set_sample_logs_data({"z": [1, 2, 3]})
    recorder.log_sample_dict({"z": 4})
    assert recorder.get_sample_logs() == {"z": [1, 2, 3, 4]}
    recorder.set_sample_logs_data(recorder.get_sample_logs("arrow"))
    assert recorder["z"] == [1, 2, 3, 4]


def test_merge_adds_columns_and_stats():
    left, right = recorder_of(a=[1, 2]), recorder_of(a=[9, 9], b=["x", "y"])
    left.log_stats_dict({"m": 1, "n": 1})
    right.log_stats_dict({"n": 2})
    stats_only = EvalRecorder("stats")
    stats_only.log_stats_dict({"o": 3})
    assert left.merge([right, stats_only]) is left
    assert left.get_sample_logs() == {"a": [1, 2], "b": ["x", "y"]}
    assert left.get_stats_logs() == {"m": 1, "n": 2, "o": 3}
    right.log_sample_dict({"b": "later"})
    assert left["b"] == ["x", "y"]


def test_merge_of_unequal_lengths_names_both():
    left, right = recorder_of(a=[1, 2]), EvalRecorder("other")
    right.log_sample_dict({"a": 1})
    with pytest.raises(DataError, match="'rec' has 2 and 'other' has 1"):
        left.merge(right)


def test_shards_are_put_together_in_the_order_of_an_index():
    shards = [recorder_of(index=[0, 2, 4], pred=["a", "c", "e"]), recorder_of(index=[1, 3, 0], pred=["b", "d", "a"])]
    whole = EvalRecorder.concatenate(shards).sort_by("index", drop_duplicates=True)
    assert whole.get_sample_logs() == {"index": [0, 1, 2, 3, 4], "pred": list("abcde")}
    whole.log_sample_dict({"index": 5})
    assert whole[5] == {"index": 5, "pred": None}
    assert len(shards[0]) == 3


def test_concatenating_other_columns_fills_them():
    whole = EvalRecorder.concatenate([recorder_of(a=[1]), recorder_of(b=[2])])
    assert whole.get_sample_logs() == {"a": [1, None], "b": [None, 2]}


def test_select_rows():
    recorder = recorder_of(a=[1, 2, 3], m=[1, "x", None])
    assert recorder.select_rows([2, 0, 0]).get_sample_logs() == {"a": [3, 1, 1], "m": [None, 1, 1]}
    with pytest.raises(DataError, match="row 3"):
        recorder.select_rows([3])


def test_stats_are_plain_and_a_copy():
    recorder = EvalRecorder("rec")
    recorder.log_stats_dict({"acc": np.float32(0.5), "matrix": np.eye(2), "loss": torch.tensor(1.0)})
    assert recorder.get_stats_logs() == {"acc": 0.5, "matrix": [[1.0, 0.0], [0.0, 1.0]], "loss": 1.0}
    recorder.get_stats_logs()["matrix"].clear()
    assert recorder.get_stats_logs("list") == [{"acc": 0.5, "matrix": [[1.0, 0.0], [0.0, 1.0]], "loss": 1.0}]


def test_the_temporary_file_goes_with_the_recorder(monkeypatch, tmp_path):
    monkeypatch.setattr(SampleTable, "MEMORY_LIMIT", 1000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    recorder = recorder_of(a=list(range(10_000)))
    assert recorder._table._spill_file is not None
    assert list(tmp_path.iterdir()) == []  # it has no name: even a kill leaves nothing behind
    assert recorder["a"] == list(range(10_000))


def test_without_room_for_a_temporary_file_the_rows_stay_in_memory(monkeypatch, capsys):
    def full(descriptor, content, offset):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    monkeypatch.setattr(SampleTable, "MEMORY_LIMIT", 1000)
    recorder = recorder_of(a=list(range(10_000)))
    assert recorder["a"] == list(range(10_000))
    assert "No space left" in capsys.readouterr().err


def test_memory_stays_bounded():
    code = """
import resource, runway
def log(rows):
    recorder = runway.EvalRecorder('r')
    for start in range(0, rows, 512):
        recorder.log_sample_dict_batch({'text': [f'{row:01000d}' for row in range(start, start + 512)]})
    return recorder
log(20_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
recorder = log(200_000)
assert recorder[199_999]['text'].endswith('199999')
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    assert int(run_python(code)) < 80_000  # kB, where the rows take 200,000


def test_fingerprint_is_of_the_content():
    def fill(sizes, x=1):
        recorder = EvalRecorder("rec")
        rows = [
            {"a": i * x, "t": "é" * (i % 4), "l": [i] * (i % 3), "d": {"k": [str(i)]}, "b": i % 2 == 0}
            for i in range(60)
        ]
        rows[7]["a"] = rows[9]["t"] = rows[11]["l"] = rows[13]["d"] = rows[15]["b"] = None
        start = 0
        for size in sizes:
            part = rows[start : start + size]
            recorder.log_sample_dict_batch({name: [row[name] for row in part] for name in rows[0]})
            start += size
            len(recorder[0])
        return recorder.__fingerprint__()

    whole = fill([60])
    assert fill([1] * 60) == fill([7, 13, 40]) == whole
    assert fill([60], x=2) != whole
    assert pickle.loads(pickle.dumps(whole)) == whole


def test_fingerprint_sees_what_moved():
    prints = [
        recorder_of(a=values).__fingerprint__()["samples"]
        for values in (
            ["ab", "c"],
            ["a", "bc"],
            [["a"], ["b"]],
            [["a", "b"], []],
            [None, "a"],
            ["", "a"],
            [0, 1],
            [0.0, 1.0],
        )
    ]
    assert len(set(prints)) == len(prints)


def test_pickling_keeps_everything(monkeypatch):
    monkeypatch.setattr(SampleTable, "MEMORY_LIMIT", 0)
    recorder = recorder_of(**VALUES)
    recorder.log_stats_dict({"m": 1})
    twin = pickle.loads(pickle.dumps(recorder))
    assert typed(twin.get_sample_logs()) == typed(VALUES)
    assert twin.__fingerprint__() == recorder.__fingerprint__()
    twin.log_sample_dict({"int": 5})
    assert len(twin) == 4


def test_old_constructor_and_rename():
    recorder = EvalRecorder(name="test", base_dir="tmp", meta_config={"a": 1})
    assert recorder.meta_config == {"a": 1, "name": "test", "base_dir": "tmp"}
    recorder.rename("new")
    assert (recorder.name, recorder.base_dir, recorder.meta_config["name"]) == ("new", "tmp", "new")
    recorder.rename("new", "dir")
    assert recorder.save_dir == Path("dir/new")
    assert EvalRecorder("x").meta_config == {"name": "x", "base_dir": None}
