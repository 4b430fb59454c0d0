"""The forms in which samples are given."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from runway.errors import DataError
from tests.recorder.samples import recorder_of


def test_views():
    image = PIL.Image.new("RGB", (2, 2))
    recorder = recorder_of(a=[1, None], b=[True, None], m=[1, "x"], l=[[1], [2, 3]], i=[image, None])
    frame = recorder.get_sample_logs("pandas")
    assert str(frame["a"].dtype) == "Int64"
    assert frame["m"].tolist() == [1, "x"]
    assert frame["l"].tolist() == [[1], [2, 3]]
    assert recorder.get_sample_logs("arrow")["m"].to_pylist() == ["1", '"x"']
    dataset = recorder.get_sample_logs("dataset")
    assert dataset[0]["i"].size == (2, 2)
    assert dataset[1]["i"] is None
    assert recorder.get_sample_logs("csv").splitlines()[0] == '"a","b","m","l","i"'
    assert recorder.get_sample_logs_column("a", "arrow").to_pylist() == [1, None]
    assert recorder_of(x=[1, 2]).get_sample_logs_column("x", "numpy").dtype == np.int64
    assert recorder.get_sample_logs_column("l", "numpy").tolist() == [[1], [2, 3]]
    with pytest.raises(DataError, match="data_format must be one of") as raised:
        recorder.get_sample_logs("panda")
    assert "'pandas'" in raised.value.hint
