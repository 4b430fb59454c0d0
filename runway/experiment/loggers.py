"""The loggers that ``meta.logger_enable`` names."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runway.errors import ConfigError, must_be_known
from runway.executors.lightning_internals import drop_wandb_arguments
from runway.experiment.folders import file_names
from runway.experiment.folders.run_folder import RunFolder, read_json, write_json

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from runway.config import Config


@dataclass(frozen=True)
class Logged:
    """What a logger needs to know about the training or test that it logs.

    Args:
        run: the version, which keeps the wandb run id for all its stages.
        folder: the stage's folder: ``train`` or ``test/<suffix>``.
        config: the whole config.
        project: relative paths in the config start here.
        from_step: the step that a resumed training goes on from.
    """

    run: RunFolder
    folder: Path
    config: Config
    project: Path
    from_step: int | None = None

    @property
    def logs(self) -> Path:
        """Where loggers write."""
        return self.folder / file_names.LOGS


def check_loggers(names: Iterable[str] | str | None) -> list[str]:
    """The names, each once.

    Raises:
        ConfigError: there is no logger of one of the names.
    """
    names = [names] if isinstance(names, str) else list(names or ())
    must_be_known(names, LOGGERS, "unknown logger", where="meta.logger_enable")
    return list(dict.fromkeys(names))


def _csv(logged: Logged) -> Logger:
    from lightning.pytorch.loggers import CSVLogger

    name, resumed = "csv", 0
    while (logged.logs / name).exists() and logged.from_step is not None:  # Lightning would delete what is there
        resumed += 1
        name = f"csv_resumed{resumed}"
    return CSVLogger(save_dir=logged.logs, name="", version=name)


def _tensorboard(logged: Logged) -> Logger:
    _require("tensorboard")
    from lightning.pytorch.loggers import TensorBoardLogger

    purge: dict[str, Any] = {} if logged.from_step is None else {"purge_step": logged.from_step}
    return TensorBoardLogger(save_dir=logged.logs, name="", version="tensorboard", **purge)


def _metrics_history(logged: Logged) -> Logger:
    from runway.experiment.metrics_history import MetricsHistory

    return MetricsHistory(logged.folder / file_names.METRICS_HISTORY, after_step=logged.from_step)


def _wandb(logged: Logged) -> Logger:
    _require("wandb")
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    given = (logged.config.get("meta") or {}).get("WANDB") or {}
    settings = {key: value for key, value in given.items() if value not in (None, "")}
    folder = logged.project / Path(settings.pop("CACHE_DIR", None) or logged.logs).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    settings["tags"] = list(dict.fromkeys([*settings.get("tags", ()), *logged.run.tags])) or None
    file = logged.run.path / file_names.WANDB
    known = read_json(file, {})
    run_id = known.get("id") or uuid.uuid4().hex[:8]
    project = settings.pop("project", None) or known.get("project") or "runway"
    mode = wandb_mode()
    # Offline wandb keeps no earlier runs to resume: it writes another folder under the same id, and sync joins them.
    resume = "allow" if mode == "online" else None
    logger = WandbLogger(
        name=logged.run.path.name,
        save_dir=folder,
        id=run_id,
        project=project,
        mode=mode,
        resume=resume,
        config=logged.config.to_dict(),
        settings=wandb.Settings(silent=True, console="off"),
        **settings,
    )
    drop_wandb_arguments(logger, ["anonymous"])  # wandb warns of a setting that Lightning always passes
    write_json(file, {"id": run_id, "project": project, "entity": settings.get("entity"), "mode": mode})
    return logger


def _require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        message = f"the logger {package!r} needs the package {package}"
        raise ConfigError(message, where="meta.logger_enable", hint=f"pip install {package}")


def wandb_mode() -> str:
    """``WANDB_MODE`` where it is set; else ``online`` with a key and a network, ``offline`` without."""
    chosen = os.environ.get("WANDB_MODE")
    if chosen:
        return {"dryrun": "offline", "run": "online"}.get(chosen, chosen)
    server = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    from requests.utils import get_netrc_auth  # where wandb looks, too

    if not (os.environ.get("WANDB_API_KEY") or get_netrc_auth(server)):
        return "offline"
    address = urlsplit(server)
    try:
        with socket.create_connection((address.hostname or "", address.port or 443), timeout=3):
            return "online"
    except OSError:
        return "offline"


def finish_loggers() -> None:
    """Close what outlives the Trainer: the wandb run."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and getattr(wandb, "run", None) is not None:
        wandb.finish()


LOGGERS: dict[str, Callable[[Logged], Logger]] = {
    "csv": _csv,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "metrics_history": _metrics_history,
}
"""A new logger is one entry."""
