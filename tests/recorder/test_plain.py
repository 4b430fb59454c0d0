"""What is logged becomes plain data of its own."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from runway import EvalRecorder
from tests.recorder.samples import recorder_of, typed


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (torch.tensor([1, 2]), [1, 2]),
        (torch.tensor([[1.5], [2.5]], requires_grad=True), [[1.5], [2.5]]),
        (torch.tensor([0.5, 1.5], dtype=torch.bfloat16), [0.5, 1.5]),
        (torch.tensor([True, False]), [True, False]),
        (torch.zeros(2, 0), [[], []]),
        (torch.arange(12).reshape(2, 3, 2), [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]]),
        (np.array([1, 2], dtype=np.int8), [1, 2]),
        (np.array([1.5, np.nan], dtype=np.float32)[:1].repeat(2), [1.5, 1.5]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([{"a": 1}, None], dtype=object), [{"a": 1}, None]),
        (np.array([1, 2], dtype=">i4"), [1, 2]),
        ([torch.tensor(1), torch.tensor([2, 3])], [1, [2, 3]]),
        ([np.float32(0.5), np.float64(2)], [0.5, 2.0]),
        ([np.int32(1), np.bool_(True)], [1, True]),
        ([np.array([1, 2]), np.array([3])], [[1, 2], [3]]),
        ([(1, 2), (3,)], [[1, 2], [3]]),
        ([{3, 1}, frozenset()], [[1, 3], []]),
        ([datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 2, 3)], ["2020-01-02", "2020-01-02T03:00:00"]),
        ([Path("a/b"), enum.Enum("E", {"x": 5}).x], ["a/b", 5]),
        ([dataclasses.make_dataclass("D", ["a"])(1), None], [{"a": 1}, None]),
        (range(2), [0, 1]),
    ],
)
def test_tensors_arrays_and_others_become_plain(given, kept):
    recorder = recorder_of(x=given)
    assert typed(recorder["x"]) == typed(kept)
    singly = EvalRecorder("rec")
    for value in given:
        singly.log_sample_dict({"x": value})
    assert typed(singly["x"]) == typed(kept)


def test_an_object_of_another_type_becomes_text_with_a_warning(capsys):
    class Odd:
        def __str__(self):
            return "odd one"

    assert recorder_of(strange=[Odd(), 1])["strange"] == ["odd one", 1]
    assert "column 'strange': a Odd is logged as text" in capsys.readouterr().err


def test_images_come_back_pixel_for_pixel():
    noise = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    image = PIL.Image.fromarray(noise)
    grey = image.convert("L")
    recorder = recorder_of(one=[image, None, grey], several=[[image, grey], [], None], mixed=[image, "x", {"a": grey}])
    assert typed(recorder["one"]) == typed([image, None, grey])
    assert typed(recorder["several"]) == typed([[image, grey], [], None])
    assert typed(recorder["mixed"]) == typed([image, "x", {"a": grey}])


def test_nothing_is_shared_with_what_was_logged():
    row = {"list": [1], "dict": {"a": [1]}}
    array, tensor = np.array([[1, 2]]), torch.tensor([[1, 2]])
    recorder = recorder_of(list=[row["list"]], dict=[row["dict"]], array=array, tensor=tensor)
    row["list"].append(2)
    row["dict"]["a"].append(2)
    array[0, 0] = tensor[0, 0] = 9
    recorder[0]["list"].append(3)
    recorder["dict"][0]["a"].append(3)
    assert recorder[0] == {"list": [1], "dict": {"a": [1]}, "array": [1, 2], "tensor": [1, 2]}
