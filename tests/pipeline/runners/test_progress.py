"""How far a run is, in a line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from runway import DataPipeline
from runway.pipeline.runners import progress

if TYPE_CHECKING:
    import pytest


def test_a_line_of_what_is_done_runs_and_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"input:{letter}" for letter in "ABCDEF"]
    config = {"transforms": {name: {"transform_name": "DummyTransform"} for name in names}, "out_ops": names}
    plan = DataPipeline(config, cache_dir=tmp_path, project=tmp_path).plan()
    now = 100.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    line = progress.Progress(plan, names, at_once=4)
    for name in names[:5]:
        line.start(name)
    now = 103.0
    line.finish(names[0])
    assert line.text() == "1/6 nodes · input:B 3 s · input:C 3 s · input:D 3 s · and 1 more · 1 waiting"
    last = {name: 10.0 + number for number, name in enumerate(names)}
    monkeypatch.setattr(plan, "last_seconds", lambda step: last[step.node.name])
    known = progress.Progress(plan, names, at_once=4)
    known.start(names[0])
    now = 105.0
    # Of 75 seconds two have passed; four at once take a quarter, but the longest alone takes 15.
    assert known.text() == "0/6 nodes · input:A 2 s of about 10.0 s · 5 waiting · about 18.2 s left"
