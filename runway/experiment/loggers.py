"""The loggers that ``meta.logger_enable`` names."""

from __future__ import annotations

import importlib.util
import os
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from runway import registry
from runway.config.signatures import accepted_settings
from runway.disk import expanded
from runway.errors import ConfigError, must_be_known
from runway.experiment.folders import file_names
from runway.experiment.folders.in_use import hold_if_free
from runway.experiment.folders.run_folder import RunFolder, read_if_whole, write_json
from runway.library_internals import free_logging
from runway.log import info, warning
from runway.masking import hidden, hidden_words, resolved
from runway.ranks import rank

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from runway.config import Config


WANDB_SERVER = "https://api.wandb.ai"
WANDB_LOCK = ".wandb.lock"
ANSWER_SECONDS, BEGIN_SECONDS, FINISH_SECONDS = 10.0, 30.0, 300.0
"""How long a wandb server may take to answer at all, to begin a run, and to take what is left at the end."""

_METHODS = ("log_metrics", "log_hyperparams", "log_table", "log_graph", "save", "finalize", "after_save_checkpoint")
_open = ExitStack()
_ends: list[Callable[[BaseException | None], None]] = []
"""What is told how the stage has ended."""


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
    unknown = [name for name in names if name not in LOGGERS and ":" not in name]
    known = {
        *LOGGERS,
        *(name for name in unknown if registry.extension("logger", name)),
        *registry.EXTENSIONS["logger"],
    }
    must_be_known(unknown, known, "unknown logger", where="meta.logger_enable")
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
    from runway.experiment.tensorboard import RunTensorBoard

    purge: dict[str, Any] = {} if logged.from_step is None else {"purge_step": logged.from_step}
    logger = RunTensorBoard(
        config=hidden(logged.config.to_dict()),
        tags=logged.run.tags,
        save_dir=logged.logs,
        name="",
        version="tensorboard",
        **purge,
    )
    _ends.append(logger.end)
    return logger


def _metrics_history(logged: Logged) -> Logger:
    from runway.experiment.metrics_history import MetricsHistory

    return MetricsHistory(logged.folder / file_names.METRICS_HISTORY, after_step=logged.from_step)


def _wandb(logged: Logged) -> Logger:
    _require("wandb")
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    given = resolved((logged.config.get("meta") or {}).get("WANDB") or {}, "meta.WANDB")
    settings = {key: value for key, value in given.items() if value not in (None, "")}
    folder = logged.project / expanded(settings.pop("CACHE_DIR", None) or logged.logs)
    folder.mkdir(parents=True, exist_ok=True)
    settings["tags"] = list(dict.fromkeys([*settings.get("tags", ()), *logged.run.tags])) or None
    file = logged.run.path / file_names.WANDB
    known = read_if_whole(file, {}, "the run begins anew there")
    is_only_one = rank() != 0 or _open.enter_context(hold_if_free(logged.run.path / WANDB_LOCK))
    run_id = (known.get("id") if is_only_one else None) or uuid.uuid4().hex[:8]
    project = settings.pop("project", None) or known.get("project") or "runway"

    finishing: dict[str, Any] = {}
    if "finish_timeout" in getattr(wandb.Settings, "model_fields", ()):  # not in early versions
        finishing = {"finish_timeout": FINISH_SECONDS, "finish_timeout_raises": True}

    def make(mode: str) -> WandbLogger:
        # Offline wandb keeps no earlier runs to resume: it writes another folder under the same id; sync joins them.
        resume = "allow" if mode == "online" else None
        logger = WandbLogger(
            name=logged.run.path.name,
            save_dir=folder,
            id=run_id,
            project=project,
            mode=mode,
            resume=resume,
            config=hidden(logged.config.to_dict()),
            settings=wandb.Settings(silent=True, console="off", init_timeout=BEGIN_SECONDS, **finishing),
            **settings,
        )
        from runway.executors.lightning_internals import drop_wandb_arguments

        drop_wandb_arguments(logger, ["anonymous"])  # wandb warns of a setting that Lightning always passes
        return logger

    with _without_secrets_in_arguments():
        logger, mode = _begun(make, wandb_mode() if rank() == 0 else "offline")  # the other ranks log nothing
    if rank() != 0:
        return logger
    _ends.append(_end_wandb)
    if is_only_one:
        write_json(file, {"id": run_id, "project": project, "entity": settings.get("entity"), "mode": mode})
    else:
        info(f"wandb: {logged.run.path.name} is being logged by another process: this is a run of its own, {run_id}")
    return logger


@contextmanager
def _without_secrets_in_arguments() -> Iterator[None]:
    """Hide secrets of the command line, which wandb keeps when a run begins."""
    given = sys.argv
    sys.argv = hidden_words(given)
    try:
        yield
    finally:
        sys.argv = given


def _begun(make: Callable[[str], Any], mode: str) -> tuple[Any, str]:
    """A wandb logger and its mode: offline where the server does not let the run begin in time."""
    free_logging()  # wandb starts a thread that logs, and waits for it
    logger = make(mode)
    try:
        _ = logger.experiment
    except Exception as error:  # wandb's, or of its service process: none is worth a training
        if mode != "online":
            return logger, mode  # what is logged first fails for the same reason, which is told then
        _tell_offline(error)
        sys.modules["wandb"].teardown()  # its process holds the run's id
        return make("offline"), "offline"
    return logger, mode


def _tell_offline(error: Exception) -> None:
    why = shorten(" ".join(str(error).split()), 160, placeholder=" …")
    server = os.environ.get("WANDB_BASE_URL", WANDB_SERVER)
    warning(f"wandb: {server} does not answer, so this run is logged offline; `wandb sync` sends it later ({why})")


def _require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        message = f"the logger {package!r} needs the package {package}"
        raise ConfigError(message, where="meta.logger_enable", hint=f"pip install {package}")


def wandb_mode() -> str:
    """``WANDB_MODE`` where it is set; else ``online`` with a key and a server that answers, ``offline`` without."""
    chosen = os.environ.get("WANDB_MODE")
    if chosen:
        return {"dryrun": "offline", "run": "online"}.get(chosen, chosen)
    server = os.environ.get("WANDB_BASE_URL", WANDB_SERVER)
    from requests.utils import get_netrc_auth  # where wandb looks, too

    if not (os.environ.get("WANDB_API_KEY") or get_netrc_auth(server)):
        return "offline"
    import requests

    try:
        requests.get(server, timeout=ANSWER_SECONDS)  # any answer will do
    except requests.RequestException as error:
        _tell_offline(error)
        return "offline"
    return "online"


def finish_loggers(error: BaseException | None = None) -> None:
    """Close what outlives the Trainer; a run that ends in an error is marked as failed."""
    try:
        for end in _ends:
            try:
                end(error)
            except Exception as failed:  # the run is over, and its results are on disk
                warning(f"what was logged last may be missing: {failed}")
    finally:
        _ends.clear()
        _open.close()


def _end_wandb(error: BaseException | None) -> None:
    wandb = sys.modules.get("wandb")
    if wandb is not None and getattr(wandb, "run", None) is not None:
        wandb.finish(exit_code=0 if error is None else 1)


def build_loggers(names: Iterable[str], logged: Logged) -> list[Logger]:
    """The loggers with these names, each once; one that fails later stops, with a warning, and the run goes on."""
    return [_harmless(name, _maker(name)(logged)) for name in dict.fromkeys(names)]


def _maker(name: str) -> Callable[[Logged], Logger]:
    """What makes a logger of a name, of runway's or of a plugin, or of a class's place."""
    if name in LOGGERS:
        return LOGGERS[name]
    return _of_class(name) if ":" in name else registry.extension("logger", name)


def _of_class(place: str) -> Callable[[Logged], Logger]:
    """A Lightning logger by its place; of ``save_dir``, ``name`` and ``version`` it gets what it takes."""
    cls = registry.Registry("logger").get(place)

    def make(logged: Logged) -> Logger:
        given = {"save_dir": logged.logs, "name": "", "version": cls.__name__}
        takes = accepted_settings(cls, "__init__")
        return cls(**{name: value for name, value in given.items() if name in takes.names})

    return make


def _harmless(name: str, logger: Logger) -> Logger:
    if name != "metrics_history":  # which is the run's own record
        for method in _METHODS:
            if hasattr(logger, method):
                vars(logger)[method] = partial(_unless_it_fails, name, getattr(logger, method), logger)
    return logger


def _unless_it_fails(name: str, method: Callable, logger: Logger, *args: Any, **kwargs: Any) -> Any:
    if vars(logger).get("has_failed"):
        return None
    try:
        return method(*args, **kwargs)
    except Exception as error:  # a server, a disk, a library's own
        vars(logger)["has_failed"] = True
        warning(f"the logger {name!r} has failed and logs no more: {type(error).__name__}: {error}")
    return None


LOGGERS: dict[str, Callable[[Logged], Logger]] = {
    "csv": _csv,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "metrics_history": _metrics_history,
}
"""A new logger is one entry."""
