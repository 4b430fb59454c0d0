"""What is saved is loaded again, in every format; what is damaged or missing says so."""

from __future__ import annotations

import json
import os
import pickle
import threading

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest
import torch

from runway import EvalRecorder
from runway.errors import DataError
from runway.recorder.table import SampleTable
from tests.recorder.samples import recorder_of
from tests.recorder.test_recorder import VALUES, typed

FORMATS = ["parquet", "json", "csv", "pkl"]


def image(seed: int) -> PIL.Image.Image:
    return PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8))


@pytest.fixture
def recorder(tmp_path):
    made = EvalRecorder("rec", tmp_path, {"batch_size": 4})
    made.log_sample_dict_batch(
        {**VALUES, "image": [image(0), None, image(1)], "images": [[image(2), image(0)], [], None]}
    )
    made.log_stats_dict({"accuracy": 0.5, "nan": float("inf"), "matrix": [[1, 0], [0, 1]]})
    return made


@pytest.mark.parametrize("file_format", FORMATS)
def test_round_trip(recorder, tmp_path, file_format):
    recorder.save_to_disk("eval", file_format)
    loaded = EvalRecorder.load_from_disk("rec", tmp_path, "eval", file_format)
    assert typed(loaded.get_sample_logs()) == typed(recorder.get_sample_logs())
    assert loaded.column_names == recorder.column_names
    assert loaded.get_stats_logs() == recorder.get_stats_logs()
    assert loaded.meta_config == recorder.meta_config
    assert loaded.is_saved


@pytest.mark.parametrize("file_format", FORMATS)
def test_what_json_has_no_number_for(tmp_path, file_format):
    made = EvalRecorder("rec", tmp_path, {"threshold": float("nan")})
    made.log_sample_dict_batch({"score": [1.5, float("nan")], "mixed": [{"a": float("-inf")}, "text"]})
    made.log_stats_dict({"kappa": float("nan"), "ppl": [float("inf"), 1.0]})
    made.save_to_disk("eval", file_format)

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    for path in (tmp_path / "rec").glob("*.json"):
        json.loads(path.read_text(), parse_constant=refuse)
    loaded = EvalRecorder.load_from_disk("rec", tmp_path, "eval", file_format)
    assert repr(loaded.get_stats_logs()) == "{'kappa': nan, 'ppl': [inf, 1.0]}"
    assert repr(loaded["score"]) == "[1.5, nan]"
    assert repr(loaded["mixed"]) == "[{'a': -inf}, 'text']"
    assert repr(loaded.meta_config["threshold"]) == "nan"


def test_changes_are_saved_under_the_same_name(recorder, tmp_path):
    path = recorder.save_to_disk("eval", "json")
    changed = path.stat().st_mtime_ns
    recorder.save_changes()
    assert path.stat().st_mtime_ns == changed, "nothing has changed"
    recorder.log_stats_dict({"late": 1})
    recorder.save_changes()
    assert EvalRecorder.load_from_disk("rec", tmp_path, "eval", "json").get_stats_logs()["late"] == 1
    assert not list((tmp_path / "rec").glob("*.parquet"))


@pytest.mark.parametrize("file_format", FORMATS)
def test_nothing_but_the_files_is_left(recorder, file_format):
    path = recorder.save_to_disk("eval", file_format)
    recorder.save_to_disk("eval", file_format)
    assert path.is_file()
    names = {found.name for found in path.parent.iterdir()}
    beside = set() if file_format == "pkl" else {"eval-stats_log.json", "eval-meta_config.json"}
    assert names == {path.name, "eval-images", *beside}
    assert len(list((path.parent / "eval-images").iterdir())) == 4  # image(0) twice, in two places


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("columns", [{}, {"a": [], "b": []}])
def test_an_empty_recorder(tmp_path, file_format, columns):
    recorder = EvalRecorder("rec", tmp_path)
    recorder.log_sample_dict_batch(columns)
    recorder.log_stats_dict({"a": 1})
    recorder.save_to_disk("eval", file_format)
    loaded = EvalRecorder.load_from_disk("rec", tmp_path, "eval", file_format)
    assert (len(loaded), loaded.column_names, loaded.get_stats_logs()) == (0, list(columns), {"a": 1})


@pytest.mark.parametrize("file_format", FORMATS)
def test_many_rows_through_small_pieces(tmp_path, file_format, monkeypatch):
    monkeypatch.setattr(SampleTable, "MEMORY_LIMIT", 0)
    monkeypatch.setattr(SampleTable.batches, "__kwdefaults__", {"most_rows": 97, "most_bytes": 10_000})
    recorder = EvalRecorder("rec", tmp_path)
    for start in range(0, 1000, 64):
        rows = range(start, min(start + 64, 1000))
        recorder.log_sample_dict_batch(
            {
                "i": list(rows),
                "t": [None if row % 5 == 0 else "x" * (row % 7) for row in rows],
                "m": [[row, "a"][row % 2] for row in rows],
            }
        )
    recorder.log_sample_dict({"late": 1.5})
    recorder.save_to_disk("eval", file_format)
    loaded = EvalRecorder.load_from_disk("rec", tmp_path, "eval", file_format)
    assert typed(loaded.get_sample_logs()) == typed(recorder.get_sample_logs())
    assert loaded[500] == recorder[500]
    assert loaded.__fingerprint__()["samples"] == recorder.__fingerprint__()["samples"]


def test_parquet_is_zstd_and_others_can_read_it(recorder):
    path = recorder.save_to_disk()
    file = pq.ParquetFile(path)
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert file.read()["int"].to_pylist() == [1, None, -3]
    image_path = file.read()["image"].to_pylist()[0]
    assert PIL.Image.open(path.parent / image_path).size == (4, 4)


def test_a_loaded_recorder_begins_a_new_pass(recorder, tmp_path):
    recorder.save_to_disk()
    loaded = EvalRecorder.load_from_disk("rec", tmp_path)
    loaded.log_sample_dict_batch({"judged": [1, 0, 1], "int": [7, 8, 9.5]})
    assert len(loaded) == 3
    assert loaded["int"] == [7, 8, 9.5]
    assert not loaded.is_saved


def test_a_loaded_recorder_may_be_saved_over_its_own_file(tmp_path):
    recorder = EvalRecorder("rec", tmp_path)
    recorder.log_sample_dict_batch({"a": list(range(1000)), "i": [image(0)] * 1000})
    recorder.save_to_disk()
    loaded = EvalRecorder.load_from_disk("rec", tmp_path)
    loaded.set_sample_logs_column("b", ["x"] * 1000)
    loaded.set_sample_logs_column("i", [image(1)] * 1000)
    loaded.save_to_disk()
    assert loaded["a"] == list(range(1000))
    again = EvalRecorder.load_from_disk("rec", tmp_path)
    assert again[999]["a"] == 999
    assert typed(again[999]["i"]) == typed(image(1))
    assert len(list((tmp_path / "rec/eval_recorder-images").iterdir())) == 1000  # those of the first save are gone


def test_is_saved_follows_every_change(recorder, tmp_path):
    assert not recorder.is_saved
    recorder.save_to_disk()
    assert recorder.is_saved
    assert recorder.fork().is_saved
    for change in (
        lambda: recorder.log_sample_dict({"int": 1}),
        lambda: recorder.log_stats_dict({"a": 1}),
        lambda: recorder.rename("other"),
    ):
        change()
        assert not recorder.is_saved
        recorder.save_to_disk()


def test_a_missing_recorder_lists_those_there_are(recorder, tmp_path):
    recorder.save_to_disk("eval", "json")
    with pytest.raises(DataError, match="no recorder 'reccc'") as raised:
        EvalRecorder.load_from_disk("reccc", tmp_path)
    assert "'rec'" in raised.value.hint
    with pytest.raises(DataError) as raised:
        EvalRecorder.load_from_disk("rec", tmp_path)
    assert "eval (json)" in raised.value.hint
    with pytest.raises(DataError) as raised:
        EvalRecorder.load_from_disk("rec", tmp_path / "nowhere")
    assert "there is no recorder in" in raised.value.hint


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("content", [b"", b"rubbish \xff\x00", None])
def test_a_damaged_file(recorder, tmp_path, file_format, content):
    path = recorder.save_to_disk("eval", file_format)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content is None else content)
    with pytest.raises(DataError) as raised:
        EvalRecorder.load_from_disk("rec", tmp_path, "eval", file_format).get_sample_logs()
    assert str(path) in str(raised.value)


def test_parquet_damaged_in_the_middle_is_seen_when_it_is_read(tmp_path):
    recorder = EvalRecorder("rec", tmp_path)
    recorder.log_sample_dict_batch({"a": [os.urandom(100).hex() for _ in range(1000)]})
    path = recorder.save_to_disk()
    content = bytearray(path.read_bytes())
    content[2000:4000] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(DataError, match="column 'a' cannot be read"):
        EvalRecorder.load_from_disk("rec", tmp_path)["a"]


def test_files_of_two_saves_do_not_pass_for_one(recorder, tmp_path):
    recorder.save_to_disk("eval", "json")
    samples = tmp_path / "rec/eval-sample_log.json"
    samples.write_text(json.dumps({"a": [1]}))
    with pytest.raises(DataError, match="has 1 rows, but its meta config says 3"):
        EvalRecorder.load_from_disk("rec", tmp_path, "eval", "json")


def test_json_that_the_original_wrote(tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "eval-sample_log.json").write_text('{"index": [0, 1], "pred": ["a", null]}')
    (folder / "eval-stats_log.json").write_text('{"accuracy": 0.5}')
    (folder / "eval-meta_config.json").write_text('{"name": "old", "base_dir": "x"}')
    loaded = EvalRecorder.load_from_disk("old", tmp_path, "eval", "json")
    assert loaded.get_sample_logs() == {"index": [0, 1], "pred": ["a", None]}
    assert loaded.get_stats_logs() == {"accuracy": 0.5}


def test_a_pickle_with_code_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    (tmp_path / "rec").mkdir()
    (tmp_path / "rec/eval.pkl").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match="mkdir"):
        EvalRecorder.load_from_disk("rec", tmp_path, "eval", "pkl")
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(DataError, match="eval_recorder \\(parquet\\)"):  # and never read where it is not asked for
        EvalRecorder.load_from_disk("rec", tmp_path)


@pytest.mark.parametrize("name", ["../up", "/abs", "a/../../b"])
def test_a_name_cannot_lead_out_of_the_folder(tmp_path, name):
    recorder = EvalRecorder(name, tmp_path)
    with pytest.raises(DataError, match="must stay inside its base_dir"):
        recorder.save_to_disk()


def test_wrong_settings(recorder):
    with pytest.raises(DataError, match="file_format must be one of") as raised:
        recorder.save_to_disk("x", "parqet")
    assert "'parquet'" in raised.value.hint
    with pytest.raises(DataError, match="file_prefix must be a file name"):
        recorder.save_to_disk("../x")
    with pytest.raises(DataError, match="has no base_dir"):
        EvalRecorder("x").save_to_disk()


def test_an_image_outside_the_folder_is_not_read(recorder, tmp_path):
    recorder.save_to_disk("eval", "json")
    path = tmp_path / "rec/eval-sample_log.json"
    columns = json.loads(path.read_text())
    columns["image"][0] = "../../secret.png"
    path.write_text(json.dumps(columns))
    with pytest.raises(DataError, match="outside the recorder's folder"):
        EvalRecorder.load_from_disk("rec", tmp_path, "eval", "json")


def test_a_failed_save_keeps_the_one_before(recorder, tmp_path, monkeypatch):
    path = recorder.save_to_disk()
    before = path.read_bytes()
    recorder.log_sample_dict({"int": 5})

    def full(self, table, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(DataError, match="No space left"):
        recorder.save_to_disk()
    assert path.read_bytes() == before
    assert not [found for found in path.parent.iterdir() if ".tmp-" in found.name]


def test_readers_never_see_a_half_written_file(tmp_path):
    recorder = EvalRecorder("rec", tmp_path)
    recorder.log_sample_dict_batch({"a": list(range(5000))})
    recorder.save_to_disk()
    failures = []

    def read():
        for _ in range(20):
            loaded = EvalRecorder.load_from_disk("rec", tmp_path)
            if loaded["a"] != list(range(5000)):
                failures.append(len(loaded))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        recorder.save_to_disk()
    reader.join(60)
    assert failures == []


def test_the_engine_gets_back_what_it_stored(recorder, tmp_path):
    recorder.save_to_dir(tmp_path / "entry" / "object")
    assert [path.name for path in (tmp_path / "entry/object").iterdir()] == ["recorder.parquet"]
    loaded = EvalRecorder.load_from_dir(tmp_path / "entry" / "object")
    assert typed(loaded.get_sample_logs()) == typed(recorder.get_sample_logs())
    assert loaded.__fingerprint__() == recorder.__fingerprint__()
    loaded.log_sample_dict({"int": 4})
    assert len(loaded) == 4  # it goes on where the recorder was
    with pytest.raises(DataError, match="cannot be read"):
        EvalRecorder.load_from_dir(tmp_path)


# What fuzzing has found (tests/faults/fuzz_files.py).


@pytest.mark.parametrize("file_format", ["parquet", "json", "csv", "pkl"])
@pytest.mark.parametrize("column", [[[None, None], [None]], [{"x": [None], "y": 1}, {"x": [None], "y": 1.5}]])
@pytest.mark.parametrize("name", ["a", "$dict", "$float"])
def test_lists_of_none_and_names_like_tags_come_back(file_format, column, name, tmp_path):
    recorder = EvalRecorder("rec", tmp_path)
    for value in column:
        recorder.log_sample_dict({name: value})
    recorder.save_to_disk(file_format=file_format)
    assert EvalRecorder.load_from_disk("rec", tmp_path, file_format=file_format).get_sample_logs() == {name: column}


def test_an_image_among_the_stats_comes_back_from_a_pickle(tmp_path):
    recorder = EvalRecorder("rec", tmp_path)
    recorder.log_stats_dict({"plot": PIL.Image.new("L", (2, 3))})
    recorder.save_to_disk(file_format="pkl")
    again = EvalRecorder.load_from_disk("rec", tmp_path, file_format="pkl")
    assert again.get_stats_logs() == recorder.get_stats_logs()


def test_what_cannot_be_logged_leaves_nothing_behind():
    circle: list = []
    circle.append(circle)
    recorder = EvalRecorder("rec")
    for sample in ({"a": 1, "b": circle}, {"a": 1, 3: 4}, {"a": 1, "\ud800": 2}):
        with pytest.raises(DataError):
            recorder.log_sample_dict(sample)
        with pytest.raises(DataError):
            recorder.log_sample_dict_batch({key: [value] for key, value in sample.items()})
    assert recorder.get_sample_logs("list") == []


@pytest.mark.parametrize("rows", [[True, False], torch.tensor(1.5), ["a"], 3, [None]])
def test_rows_are_selected_by_numbers(rows):
    with pytest.raises(DataError, match="by their numbers"):
        recorder_of(a=[1, 2]).select_rows(rows)


@pytest.mark.parametrize("prefix", ["a\0b", "\ud800", "..", "a/b", "", None])
def test_a_prefix_must_be_a_file_name(prefix, tmp_path):
    recorder = EvalRecorder("rec", tmp_path)
    with pytest.raises(DataError, match="file_prefix"):
        recorder.save_to_disk(prefix)
