"""The translation benchmark runs: on made-up pairs, for a second."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.executors.tiny_translation import pairs

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_every_system_trains_and_decodes(tmp_path: Path) -> None:
    for split, count, seed in (("train", 600, 0), ("val", 20, 1), ("test_2016_flickr", 8, 2)):
        for language, texts in zip(("de", "en"), zip(*pairs(count, seed), strict=True), strict=True):
            with gzip.open(tmp_path / f"{split}.{language}.gz", "wt", encoding="utf-8") as file:
                file.writelines(f"{text}\n" for text in texts)
    figures = tmp_path / "figures.json"
    command = [sys.executable, ROOT / "benchmarks/translation.py", "--data", tmp_path, "--seconds", "1", "--chunk", "2"]
    command += ["--threads", "1", "--json", figures, "--opts", "tokenizer.vocab_size=60"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert len(found["training"]) == 4
    assert all(system["steps"] >= 1 and system["tokens_per_s"] > 0 for system in found["training"].values())
    assert found["decoding"]["ratio"] > 0
