"""A model's card, from what its run has on record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runway.experiment.folders.read_run import ReadRun, read_run


def model_card(run: Path) -> str:
    """Markdown: what was trained on what, how it was tested, and what it was made with.

    Args:
        run: the version's folder.
    """
    read = read_run(run)
    front = ["---", "library_name: transformers", "tags: [runway]", "---", ""]
    lines = [*front, f"# {read.name}", "", _about(read), "", "## Results", "", *_metrics(read)]
    lines += [
        "",
        "## Data",
        "",
        *_data(read),
        "",
        "## Training",
        "",
        *_training(read),
        "",
        "## Made with",
        "",
        *_made(read),
    ]
    return "\n".join(lines) + "\n"


def _about(read: ReadRun) -> str:
    executor = (read.config.get("executor") or {}).get("ExecutorClass", "an executor")
    model = read.config.get("model_config") or {}
    base = (model.get("from_pretrained_kwargs") or {}).get("pretrained_model_name_or_path")
    origin = f"fine-tuned from `{base}`" if base else "trained from scratch"
    return f"A model {origin} by the executor `{executor}` of runway. The best checkpoint of the run is what is here."


def _metrics(read: ReadRun) -> list[str]:
    if not read.metrics:
        return ["It was not tested."]
    table = [f"Of the test `{read.test_name}`:", "", "| metric | value |", "|---|---|"]
    numbers = {name: value for name, value in read.metrics.items() if isinstance(value, int | float)}
    return [*table, *(f"| {name} | {value:.4g} |" for name, value in numbers.items())]


def _data(read: ReadRun) -> list[str]:
    nodes = (read.config.get("data_pipeline") or {}).get("transforms") or {}
    sources = [(name, node) for name, node in nodes.items() if not node.get("input_node") and not node.get("inputs")]
    lines = [
        f"- `{name}`: {node.get('transform_name')} {_short(node.get('setup_kwargs') or {})}" for name, node in sources
    ]
    data = read.provenance.get("data") or {}
    return lines + [f"- `{name}` has the key `{key}`" for name, key in sorted(data.items())]


def _training(read: ReadRun) -> list[str]:
    train = read.config.get("train") or {}
    kept = {
        name: train[name]
        for name in ("batch_size", "optimizer_config", "trainer_paras", "lora_config")
        if name in train
    }
    return ["```json", json.dumps(kept, indent=2, default=str), "```"]


def _made(read: ReadRun) -> list[str]:
    provenance = read.provenance
    git = provenance.get("git") or {}
    packages = provenance.get("packages") or {}
    wanted = ("runway-for-ml", "runway", "torch", "lightning", "transformers", "datasets")
    lines = [f"- seed {(read.config.get('meta') or {}).get('seed')}"]
    if git.get("commit"):
        dirty = " with changes that are not committed" if git.get("dirty") or read.diff else ""
        lines.append(f"- commit `{git['commit']}`{dirty}")
    lines += [f"- {name} {packages[name]}" for name in wanted if name in packages]
    return [*lines, f"- begun {provenance.get('started', 'at a time that is not on record')}"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return f"`{text if len(text) <= 200 else text[:199] + '…'}`"
