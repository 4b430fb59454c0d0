"""Uploading a recorder."""

from __future__ import annotations

import pytest

from runway.errors import DataError
from tests.recorder.samples import recorder_of


def test_upload_without_a_run_says_so(capsys):
    assert recorder_of(a=[1]).upload_to_wandb() is False
    assert "no run is active" in capsys.readouterr().err
    with pytest.raises(DataError, match="columns_to_log names 'b'"):
        recorder_of(a=[1]).upload_to_wandb(columns_to_log=["b"])
