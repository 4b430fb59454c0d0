"""Recorders of given columns, and values with their types."""

from __future__ import annotations

import PIL.Image

from runway import EvalRecorder


def recorder_of(**columns) -> EvalRecorder:
    recorder = EvalRecorder("rec")
    recorder.log_sample_dict_batch(columns)
    return recorder


def typed(value):
    if isinstance(value, list):
        return [typed(item) for item in value]
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, PIL.Image.Image):
        return value.mode, value.size, value.tobytes()
    return type(value), value
