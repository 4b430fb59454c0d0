"""The benchmarks run: at a toy size, without the other systems, so that nothing is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
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


def test_two_checkouts_are_measured_in_turn(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    run("checkouts.py", str(ROOT), "--rounds", "1", "--nodes", "4", "--rows", "200", "--json", str(figures))
    rows = json.loads(figures.read_text(encoding="utf-8"))
    assert len(rows) == 11
    assert all(len(found["old"]) == len(found["new"]) == 1 for found in rows.values())
