"""The loggers that ``meta.logger_enable`` names."""

from __future__ import annotations

import os
import socket
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runway.errors import ConfigError, did_you_mean
from runway.executors.lightning_internals import drop_wandb_arguments
from runway.experiment.folders.run_folder import read_json, write_json

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

WANDB_FILE = "wandb.json"


@dataclass(frozen=True)
class LoggerPlace:
    """What a logger needs to know about the run that it logs.

    Args:
        run: the version's folder, which keeps the wandb run id for all its stages.
        folder: the stage's folder: ``train`` or ``test/<suffix>``.
        meta: the config's ``meta`` section.
        project: relative paths in the config start here.
        config: the whole config, for loggers that show it.
        tags: the run's tags.
        from_step: the step that a resumed training goes on from.
    """

    run: Path
    folder: Path
    meta: Mapping[str, Any]
    project: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    from_step: int | None = None

    @property
    def logs(self) -> Path:
        """Where loggers write."""
        return self.folder / "logs"


def build_loggers(names: Iterable[str], place: LoggerPlace) -> list[Logger]:
    """The loggers with these names, each once.

    Raises:
        ConfigError: there is no such logger.
    """
    names = check_loggers(names)
    return [LOGGERS[name](place) for name in names]


def check_loggers(names: Iterable[str] | str | None) -> list[str]:
    """The names, each once.

    Raises:
        ConfigError: there is no logger of one of the names.
    """
    names = [names] if isinstance(names, str) else list(names or ())
    for name in names:
        if name not in LOGGERS:
            raise ConfigError(f"unknown logger {name!r}", where="meta.logger_enable", hint=did_you_mean(name, LOGGERS))
    return list(dict.fromkeys(names))


def _csv(place: LoggerPlace) -> Logger:
    from lightning.pytorch.loggers import CSVLogger

    name, resumed = "csv", 0
    while (place.logs / name).exists() and place.from_step is not None:  # Lightning would delete what is there
        resumed += 1
        name = f"csv_resumed{resumed}"
    return CSVLogger(save_dir=place.logs, name="", version=name)


def _tensorboard(place: LoggerPlace) -> Logger:
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "the logger 'tensorboard' needs the package tensorboard",
            where="meta.logger_enable",
            hint="pip install tensorboard",
        ) from error
    from lightning.pytorch.loggers import TensorBoardLogger

    purge: dict[str, Any] = {} if place.from_step is None else {"purge_step": place.from_step}
    return TensorBoardLogger(save_dir=place.logs, name="", version="tensorboard", **purge)


def _metrics_history(place: LoggerPlace) -> Logger:
    from runway.experiment.metrics_history import MetricsHistory

    return MetricsHistory(place.folder / "metrics_history.json", after_step=place.from_step)


def _wandb(place: LoggerPlace) -> Logger:
    try:
        import wandb
    except ImportError as error:
        raise ConfigError(
            "the logger 'wandb' needs the package wandb", where="meta.logger_enable", hint="pip install wandb"
        ) from error
    from lightning.pytorch.loggers import WandbLogger

    settings = {key: value for key, value in (place.meta.get("WANDB") or {}).items() if value not in (None, "")}
    folder = place.project / Path(settings.pop("CACHE_DIR", None) or place.logs).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    settings["tags"] = list(dict.fromkeys([*settings.get("tags", ()), *place.tags])) or None
    known = read_json(place.run / WANDB_FILE, {})
    run_id = known.get("id") or uuid.uuid4().hex[:8]
    project = settings.pop("project", None) or known.get("project") or "runway"
    mode = wandb_mode()
    # Offline wandb keeps no earlier runs to resume: it writes another folder under the same id, and sync joins them.
    resume = "allow" if mode == "online" else None
    logger = WandbLogger(
        name=place.run.name,
        save_dir=folder,
        id=run_id,
        project=project,
        mode=mode,
        resume=resume,
        config=plain_config(place.config),
        settings=wandb.Settings(silent=True, console="off"),
        **settings,
    )
    drop_wandb_arguments(logger, ["anonymous"])  # wandb warns of a setting that Lightning always passes
    write_json(
        place.run / WANDB_FILE, {"id": run_id, "project": project, "entity": settings.get("entity"), "mode": mode}
    )
    return logger


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config as plain dicts and lists."""
    return config.to_dict() if hasattr(config, "to_dict") else dict(config)


def wandb_mode() -> str:
    """``WANDB_MODE`` where it is set; else ``online`` with a key and a network, ``offline`` without."""
    chosen = os.environ.get("WANDB_MODE")
    if chosen:
        return {"dryrun": "offline", "run": "online"}.get(chosen, chosen)
    server = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    return "online" if _has_key(server) and _answers(server) else "offline"


def _has_key(server: str) -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    import netrc

    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(urlsplit(server).hostname or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _answers(server: str) -> bool:
    address = urlsplit(server)
    try:
        with socket.create_connection((address.hostname or "", address.port or 443), timeout=3):
            return True
    except OSError:
        return False


def finish_loggers() -> None:
    """Close what outlives the Trainer: the wandb run."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and getattr(wandb, "run", None) is not None:
        wandb.finish()


LOGGERS: dict[str, Callable[[LoggerPlace], Logger]] = {
    "csv": _csv,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "metrics_history": _metrics_history,
}
"""A new logger is one entry."""
