"""``runway export RUN FOLDER``: a trained model of transformers as ``from_pretrained`` takes it, with a card."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from runway.errors import ConfigError


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    folder = export_run(
        arguments.run, Path(arguments.folder), project=arguments.project, checkpoint=arguments.checkpoint
    )
    sys.stdout.write(f"{folder}\n")
    return 0


def export_run(run: str, folder: Path, *, project: str | None = None, checkpoint: str = "best") -> Path:
    """Write a run's model, tokenizer and card into a folder of its own.

    Args:
        run: a run's folder or name, or an experiment's.
        folder: a new or empty folder.
        project: the project's folder.
        checkpoint: which weights.

    Raises:
        ConfigError: something stands in the folder, or the model is none of transformers.
    """
    from runway.disk import replacing
    from runway.executors.pretrained import without_adapters, without_progress_bars
    from runway.experiment.loading_runs import find_run, load_run, project_around
    from runway.report.model_card import model_card
    from runway.user_code import import_project_code

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{str(folder)!r} is not empty", where="runway export", hint="name a new folder")
    root = project_around(run, project)
    import_project_code(root, ("data_ops", "models", "executors"))
    executor: Any = load_run(run, checkpoint=checkpoint, project=root)
    model = without_adapters(executor.model)
    if not hasattr(model, "save_pretrained"):
        message = f"the model of {type(executor).__name__} is a {type(model).__name__}, which transformers cannot save"
        hint = "runway.load_run gives its executor; torch.save keeps its weights"
        raise ConfigError(message, where="runway export", hint=hint)
    version = find_run(run, root, checkpoint).run_folder(root)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        folder.rmdir()
    with replacing(folder) as beside:
        beside.mkdir(exist_ok=True)
        with without_progress_bars():
            model.save_pretrained(beside)
        tokenizer = version / "train" / "tokenizer"
        if tokenizer.is_dir():
            for file in tokenizer.rglob("*"):
                if file.is_file():
                    target = beside / file.relative_to(tokenizer)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(file.read_bytes())
        (beside / "README.md").write_text(model_card(version), encoding="utf-8")
    return folder
