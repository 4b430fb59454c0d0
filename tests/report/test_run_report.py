"""The report of a run: what is in it, that its text is text, and that it works in a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

from runway.errors import ExperimentError, RunwayError
from runway.report import page as pages
from runway.report.run_report import write_report
from tests.report.made import HOSTILE, made_run

needs_libraries = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("bokeh", "itables")), reason="the extra `report` is missing"
)


@needs_libraries
def test_the_page_shows_the_run_and_runs_only_its_own_scripts(tmp_path: Path) -> None:
    run = made_run(tmp_path)
    text = write_report(run).read_text(encoding="utf-8")
    assert (run / "report.html").is_file()
    data = json.loads(re.findall(r'id="page-data">(.*?)</script>', text, re.DOTALL)[0])
    body = text[text.index("<main>") : text.index("</main>")]
    for shown in ("accuracy", "wilson", "took", "Classification", "input:Load", "best.ckpt", "3.0 s (75%)"):
        assert shown in text
    assert '<span class="line changed">train.batch_size = 64' in body
    assert "&lt;b&gt;Tokenize" in body
    # The worst row first, with its whole text, and nowhere as markup.
    (table,) = data["tables"]
    losses = [row[table["columns"].index("loss")] for row in table["rows"]]
    assert losses == sorted(losses, reverse=True)
    assert any(HOSTILE in row for row in table["rows"])
    assert HOSTILE not in text
    # What may run is named by its digest, and nothing is asked of a network.
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', text)[0])
    scripts = re.findall(r'<script type="(?:module|text/javascript)">(.*?)</script>', text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(scripts) == 3
    assert re.findall(r"'sha256-([^']*)'", policy) == digests
    assert policy.startswith("default-src 'none'")
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text[: text.index("<style>")] + body)


@needs_libraries
def test_a_page_holds_a_stated_part_of_many_rows(tmp_path: Path) -> None:
    run = made_run(tmp_path, rows=5000)
    text = write_report(run, to=tmp_path / "elsewhere.html").read_text(encoding="utf-8")
    assert "2,000 of 5,000 rows: the 1,000 with the highest loss, then 1,000 others drawn at random (seed 0)" in text
    assert not (run / "report.html").exists()


@needs_libraries
def test_what_is_missing_is_left_out_or_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made_run(tmp_path)
    with pytest.raises(ExperimentError, match="no test 'defualt'") as told:
        write_report(run, test="defualt")
    assert "default" in str(told.value.hint)
    with pytest.raises(ExperimentError, match="this is no run"):
        write_report(tmp_path)
    shutil.rmtree(run / "test")
    assert "has not been tested" in write_report(run).read_text(encoding="utf-8")
    monkeypatch.setattr(pages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunwayError, match="bokeh and itables") as missing:
        write_report(run)
    assert "pip install" in str(missing.value.hint)
