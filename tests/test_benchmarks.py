"""The benchmarks run: at a toy size, without the other systems, so that nothing is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_engine_measures_every_pass_of_both_graphs(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    shown = run("engine.py", "--quick", "--systems", "--nodes", "5", "--sizes", "5", "10", "--json", str(figures))
    assert "growth of runway" in shown
    rows = json.loads(figures.read_text(encoding="utf-8"))
    assert all(row["failure"] is None for row in rows)
    # two ways to run it, two graphs, three passes, at each of two sizes
    assert len(rows) == 24
    assert all(len(row["seconds"]) == 1 for row in rows)


def test_startup_shows_the_ratio_to_the_floor() -> None:
    lines = {line[:32].strip(): line[32:].split() for line in run("startup.py", "--quick").splitlines()[1:]}
    floor = lines["python -c 'import _gojsonnet'"]
    assert floor[2] == "1.00"
    assert float(lines["runway --help"][2]) > 0
    assert len(lines["runway prepare, 5 cached nodes"]) == 5


@pytest.mark.slow
def test_a_report_is_measured() -> None:
    pytest.importorskip("itables")
    (row,) = run("report.py", "--rows", "500", "--no-browser").splitlines()[1:]
    assert row.split()[0] == "500"


@pytest.mark.slow
def test_the_overhead_of_a_trial_is_shown() -> None:
    lines = {line[:52].strip(): line[52:].split() for line in run("sweep_overhead.py", "--quick").splitlines()[1:]}
    assert len(lines) == 5
    assert float(lines["a trial's process, without its training"][1]) > 0


def test_two_checkouts_are_measured_in_turn(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    run("checkouts.py", str(ROOT), "--rounds", "1", "--nodes", "4", "--rows", "200", "--json", str(figures))
    rows = json.loads(figures.read_text(encoding="utf-8"))
    assert len(rows) == 11
    assert all(len(found["old"]) == len(found["new"]) == 1 for found in rows.values())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["all live", "a machine killed while it uploads"])
def test_processes_that_share_a_bucket_do_no_work_twice(kind: str, tmp_path: Path) -> None:
    """Four of them; the benchmark takes sixteen."""
    pytest.importorskip("moto")
    pytest.importorskip("obstore")
    figures = tmp_path / "figures.json"
    run("shared_store.py", "--quick", "--only", kind, "--json", str(figures))
    [outcome] = json.loads(figures.read_text(encoding="utf-8"))
    assert outcome["wrong"] == []
    assert outcome["payloads uploaded whole"] == 4
    assert sum(outcome["runs"].values()) == 4 + ("killed" in kind)


def test_runners_shows_a_ratio_for_each_graph() -> None:
    lines = run("runners.py", "--quick").splitlines()[1:]
    assert len(lines) == 8
    assert [line.split()[-1] for line in lines[::2]] == ["1.00"] * 4
