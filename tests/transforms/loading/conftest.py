"""Ten rows, and files of them in many forms."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

ROWS = [{"text": f"review {n}", "label": n % 2} for n in range(10)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder ``data`` with the ten rows in many forms."""
    folder = tmp_path / "data"
    folder.mkdir()
    lines = [f"{row['text']},{row['label']}" for row in ROWS]
    (folder / "r.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    (folder / "r.tsv").write_text("\n".join(["text,label", *lines]).replace(",", "\t"))
    (folder / "r.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (folder / "r.json").write_text(json.dumps(ROWS, indent=1))
    with gzip.open(folder / "r.csv.gz", "wt") as file:
        file.write((folder / "r.csv").read_text())
    dataset = Dataset.from_list(ROWS)
    dataset.to_parquet(folder / "r.parquet")
    dataset.save_to_disk(folder / "saved_dataset")
    DatasetDict(train=dataset, test=dataset.select(range(3))).save_to_disk(folder / "saved")
    (next((folder / "saved_dataset").glob("*.arrow"))).rename(folder / "r.arrow")
    return folder


def fill(folder: Path, names: list[str]) -> Path:
    """Write files of one row, their name, into a folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"text\n{name}\n")
    return folder
