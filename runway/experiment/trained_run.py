"""A trained run as a value: where its weights and its config are, and what they are, wherever they stand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runway.config.config import Config, LoadedFrom
from runway.errors import ExperimentError
from runway.experiment.folders.file_names import SAVED_MODELS, TOKENIZER, TRAIN
from runway.experiment.folders.run_folder import RunFolder, read_json

_VALUE = "trained_run.json"
_OTHERS = {"experiment_name", "test_suffix", "exp_version", "meta", "test", "eval"}
"""The sections of a run's config that say nothing of the executor and its weights."""


@dataclass(frozen=True)
class TrainedRun:
    """A reference to one checkpoint of a run; consumers load from it. It counts by what is there, not by where it is.

    Args:
        name: the run's folder, ``<name>_V<k>``.
        folder: its path; relative to the project where it lies in it.
        checkpoint: the file of weights, below ``train/saved_models``.
        config_file: the file with the config that it was trained with, in ``train``.
        weights: the digest of the weights.
        settings: the digest of what the config says of executor, model and data.
        tokenizer: the digest of the tokenizer that the run has saved; None where it has none.
    """

    name: str
    folder: str
    checkpoint: str
    config_file: str
    weights: str
    settings: str
    tokenizer: str | None = None

    def run_folder(self, project: Path) -> Path:
        """The run's folder.

        Raises:
            ExperimentError: it is not on this machine.
        """
        path = project / self.folder
        if not path.is_dir():
            hint = "runs stand in a folder of one machine: share it, or let the node run there"
            raise ExperimentError(f"the run {self.name} is not here", where=str(path), hint=hint)
        return path

    def checkpoint_path(self, project: Path) -> Path:
        """The file of weights.

        Raises:
            ExperimentError: the run is not on this machine.
        """
        return self.run_folder(project) / TRAIN / SAVED_MODELS / self.checkpoint

    def tokenizer_folder(self, project: Path) -> Path | None:
        """The folder of the tokenizer that the run has saved, if it has."""
        return self.run_folder(project) / TRAIN / TOKENIZER if self.tokenizer else None

    def config(self, project: Path) -> Config:
        """The config that it was trained with; paths in it are taken against ``project``.

        Raises:
            ExperimentError: it is not there, or damaged.
        """
        return run_config(self.run_folder(project) / TRAIN / self.config_file, project)

    def content_digest(self) -> str:
        """What the value is to those who use it; see ``write_entry``."""
        from runway.pipeline.keys.fingerprint import combine

        return combine(self.weights, self.settings, self.tokenizer or "")

    def __fingerprint__(self) -> str:
        return self.content_digest()

    def save_to_dir(self, directory: Path) -> None:
        """Write it into a folder of its own."""
        directory.mkdir(parents=True)
        (directory / _VALUE).write_text(json.dumps(asdict(self), sort_keys=True), encoding="utf-8")

    @classmethod
    def load_from_dir(cls, directory: Path) -> TrainedRun:
        """What ``save_to_dir`` wrote."""
        return cls(**json.loads((directory / _VALUE).read_text(encoding="utf-8")))


def run_config(path: Path, project: Path) -> Config:
    """A run's config as it was kept.

    Raises:
        ExperimentError: it is not there, or damaged.
    """
    found = read_json(path)
    if not isinstance(found, Mapping):
        hint = "a run keeps its config beside its checkpoints: copy the whole folder"
        raise ExperimentError(f"the run has no {path.name}", where=str(path.parent), hint=hint)
    config = Config(found)
    config.loaded_from = LoadedFrom(path, project)
    return config


def settings_digest(config: Mapping[str, Any]) -> str:
    """The digest of what a config says of executor, model and data: what weights need to predict as they did."""
    from runway.pipeline.keys.fingerprint import digest

    kept = {name: value for name, value in config.items() if name not in {*_OTHERS, "train"}}
    train = config.get("train") or {}
    kept["train"] = {name: train[name] for name in ("use_lora", "lora_config") if train.get(name)}
    return digest(kept, "config")


def as_run(path: Path) -> RunFolder:
    """A version's folder by its path, whatever it is called now."""
    return RunFolder(path, -1)
