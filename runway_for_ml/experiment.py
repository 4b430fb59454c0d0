"""RunwayExperiment as an old ``main.py`` calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import runway.experiment.experiment as of_runway
from runway.config import Config

__all__ = ["RunwayExperiment"]


class RunwayExperiment(of_runway.RunwayExperiment):
    """runway's experiment; the flags are those that ``parse_config`` has put into the config.

    Args:
        config_dict: the config.
        root_dir: instead of ``meta.EXPERIMENT_FOLDER``.
    """

    def __init__(self, config_dict: Config, root_dir: str | Path | None = None, **flags: Any) -> None:
        config = config_dict.copy() if isinstance(config_dict, Config) else Config(config_dict)
        if not config.get("test_suffix"):  # of the command line, where it was not given
            config.pop("test_suffix", None)
        if root_dir is not None:
            config["meta"] = {**(config.get("meta") or {}), "EXPERIMENT_FOLDER": str(root_dir)}
        given: dict[str, Any] = {
            "reset": bool(config.pop("reset", False)) and config.get("mode", "train") == "train",
            "assume_yes": bool(config.pop("override", False)),
            "use_dummy_data": bool(config.get("use_dummy_data")),
            "log_prediction_tables": bool(config.pop("log_prediction_tables", False)),
            "tags": config.pop("tags", None) or (),
        }
        super().__init__(config, **(given | flags))
        self.config_dict = self.global_config
        self.exp_name = self.name
        self.root_exp_dir = self.root
