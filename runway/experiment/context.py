"""What training, testing and evaluation share: config and flags, executor, data, the version and its records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.config.config import Config, project_of
from runway.disk import expanded
from runway.errors import ConfigError
from runway.experiment import loggers
from runway.experiment.folders import file_names
from runway.experiment.folders.run_folder import ExperimentFolder, RunFolder, folder_name, write_json
from runway.experiment.folders.runs import register_last_run
from runway.experiment.provenance import provenance
from runway.experiment.submission import job_facts, tell_run
from runway.experiment.together import agreed, seen_here
from runway.log import add_file, close_files, set_quiet, shown, to_files
from runway.masking import hidden, hidden_words, note, resolved
from runway.pipeline import DataPipeline
from runway.pipeline.plan import Force
from runway.ranks import rank
from runway.registry import executors, tell_what_is_not_needed
from runway.user_code import import_project_code

if TYPE_CHECKING:
    import lightning
    from lightning.pytorch.loggers import Logger


_LATER = ("meta", "data_pipeline", "eval")
_AT_USE = ("data_pipeline_config", "data_pipeline", "global_config", "log_file_path", "tokenizer")
"""What is handed to an executor as it is: pipelines resolve ``env:NAME`` when their nodes run."""


@dataclass(frozen=True)
class Result:
    """Where a training, a test or an evaluation stands, and what it found.

    Args:
        path: the run's ``train`` or ``test/<suffix>`` folder.
        metrics: of a training, the last value of every logged metric; else what the test and the evaluation
            pipeline computed.
        checkpoint: of a training, the best checkpoint, None where none was saved; of a test, the one that was
            tested; of an evaluation, None.
    """

    path: Path
    metrics: dict[str, Any] = field(default_factory=dict)
    checkpoint: Path | None = None

    def _repr_html_(self) -> str:
        from runway.notebook import html_table

        facts = [] if self.checkpoint is None else [("checkpoint", shown(self.checkpoint))]
        return html_table((), [*self.metrics.items(), *facts], title=shown(self.path))


class ExperimentContext:
    """One experiment: a config, and the versions that were made of it.

    Args:
        config: what ``load_config`` gives.
        experiment_name: instead of the config's.
        reset: remove the experiment's earlier versions once training has made its first step; it asks first.
        tags: become part of the version's name, and the loggers'.
        use_dummy_data: loaders read a few rows only.
        log_prediction_tables: a test logs its table of samples to the loggers that take tables.
        resume: train from ``last.ckpt`` of the newest version, or of ``exp_version``.
        assume_yes: ``reset`` does not ask.
        take_new: with ``resume``, the paths of settings that the new config changes and that otherwise stay as the
            checkpoint has them (``train.optimizer_config.optimizer_params.lr``).
        reuse: where a finished version is the same training, take it instead of training again.
        force: data nodes that run whatever the cache holds: names, ``NODE+`` (it and all below it), or ``all``.
    """

    def __init__(
        self,
        config: Config,
        *,
        experiment_name: str | None = None,
        reset: bool = False,
        tags: Sequence[str] = (),
        use_dummy_data: bool = False,
        log_prediction_tables: bool = False,
        resume: bool = False,
        assume_yes: bool = False,
        take_new: Sequence[str] = (),
        reuse: bool = False,
        force: Force | Sequence[str] = (),
    ) -> None:
        self.config = config.copy() if isinstance(config, Config) else Config(config)
        note(self.config)
        self.project = project_of(self.config)
        self.name = folder_name(experiment_name or self.config.get("experiment_name"), "experiment_name")
        self.config["experiment_name"] = self.name
        self.meta: Mapping[str, Any] = self.config.get("meta") or {}
        self.root = self.project / expanded(self.meta.get("EXPERIMENT_FOLDER") or "experiments")
        self.folder = ExperimentFolder(self.root, self.name)
        self.tags = self.folder.check_tags([tags] if isinstance(tags, str) else tags)
        self.global_config = self.config.copy()  # what transforms and executors see: with the run's folders
        self.reset = reset
        self.use_dummy_data = use_dummy_data
        self.log_prediction_tables = log_prediction_tables
        self.resume = resume
        self.reuse = reuse
        self.force = force if isinstance(force, Force) else Force(tuple(force), time.time()) if force else None
        self.assume_yes = assume_yes
        self.more_facts: dict[str, Any] = {}
        """What the records of its stages say, too; it goes over what they would say."""
        self.take_new = tuple([take_new] if isinstance(take_new, str) else take_new)

    # The config and the flags

    @property
    def seed(self) -> int:
        """``meta.seed``."""
        return int(self.meta.get("seed", 2022))

    @property
    def test_suffix(self) -> str:
        """The name of the test's folder."""
        return folder_name(self.config.get("test_suffix") or "default_test", "test_suffix")

    @property
    def logger_names(self) -> list[str]:
        """``meta.logger_enable``, each once; an unknown one is a ConfigError."""
        return loggers.check_loggers(self.meta.get("logger_enable"))

    @property
    def init_kwargs(self) -> dict[str, Any]:
        """``executor.init_kwargs``."""
        return dict((self.config.get("executor") or {}).get("init_kwargs") or {})

    def check_flags(self, mode: str) -> None:
        """Raise where a flag was given that only training takes, or flags contradict each other."""
        given = {"--reset": self.reset, "--resume": self.resume, "--reuse": self.reuse}
        flags = [flag for flag, is_given in given.items() if is_given]
        if mode != "train" and flags:
            flag = flags[0]
            raise ConfigError(f"{flag} is for training, but the mode is {mode!r}", where=flag, hint="leave it out")
        if len(flags) > 1:
            raise ConfigError(f"{flags[0]} and {flags[1]} contradict each other", where=flags[0], hint="leave one out")
        if self.take_new and not self.resume:
            raise ConfigError("--take-new is for `train --resume`", where="--take-new", hint="leave it out")

    # Executor and data

    def import_user_code(self, kinds: Sequence[str]) -> None:
        """Import these folders of the project's ``src``, and ``meta.user_modules``."""
        trusted = self.meta.get("trusted_packages") or ()
        import_project_code(self.project, kinds, self.meta.get("user_modules") or (), trusted)

    def executor_class(self) -> type[lightning.LightningModule]:
        """The class that ``executor.ExecutorClass`` names; the user's code is imported for it.

        Raises:
            ConfigError: there is no such class, or it is no LightningModule.
        """
        import lightning

        self.import_user_code(["data_ops", "executors", "models"])
        where = "executor.ExecutorClass"
        name = (self.config.get("executor") or {}).get("ExecutorClass")
        if not name:
            hint = "name its class, such as 'TextClassificationExecutor'"
            raise ConfigError("the config names no executor", where=where, hint=hint)
        try:
            cls = executors.get(name)
        except ConfigError as error:
            error.where = error.where or where
            raise
        if not issubclass(cls, lightning.LightningModule):
            message = f"the executor {cls.__name__!r} must be a LightningModule, but is not"
            raise ConfigError(message, where=where, hint="inherit from runway.BaseExecutor")
        tell_what_is_not_needed()
        return cls

    def build_executor(
        self, mode: str, pipeline: DataPipeline | None, log_file: Path | None = None, *, tokenizer: Any = None
    ) -> lightning.LightningModule:
        """The executor that ``executor.ExecutorClass`` names; with the tokenizer that is given, if one is.

        Raises:
            ConfigError: there is no such class, or it does not take ``executor.init_kwargs``.
        """
        from lightning.pytorch import seed_everything

        cls = self.executor_class()
        seed_everything(self.seed, workers=True, verbose=False)
        arguments: dict[str, Any] = {
            "data_pipeline_config": self.config.get("data_pipeline"),
            "model_config": self.config.get("model_config"),
            "mode": mode,
            "train_config": self.config.get("train"),
            "test_config": self.config.get("test"),
            "log_file_path": log_file,
            "global_config": self._resolved_config(),
            "data_pipeline": pipeline,
        }
        if tokenizer is not None:
            arguments["tokenizer"] = tokenizer
        self.global_config["mode"] = mode
        given = {name: value if name in _AT_USE else resolved(value, name) for name, value in arguments.items()}
        return cls(**(given | resolved(self.init_kwargs, "executor.init_kwargs")))

    def _resolved_config(self) -> Config:
        """The global config as executors see it; what is in pipelines and in ``meta`` is resolved where it is used."""
        known = {name: value if name in _LATER else resolved(value, name) for name, value in self.global_config.items()}
        if all(known[name] is value for name, value in self.global_config.items()):
            return self.global_config
        return self.global_config | known

    def pipeline(self) -> DataPipeline:
        """The data pipeline.

        Raises:
            ConfigError: the config has none, or one with mistakes.
        """
        section = self.config.get("data_pipeline")
        if not section:
            raise ConfigError("the config has no data pipeline", where="data_pipeline")
        return DataPipeline(
            section,
            global_config=self.global_config,
            project=self.project,
            use_dummy_data=self.use_dummy_data,
            live=False,
            force=self.force,
        )

    def prepared_data(self) -> tuple[DataPipeline, dict[str, dict[str, Any]]]:
        """Prepare the data that the executor uses; gives the pipeline, and the lineage of each node."""
        self.executor_class()  # a misspelt name is told before the data is prepared
        pipeline = self.pipeline()
        names = self.data_nodes(pipeline)
        pipeline.prepare(names, run_uncached=False)
        return pipeline, pipeline.lineage(names)

    def data_nodes(self, pipeline: DataPipeline) -> list[str] | None:
        """The nodes that the executor uses: those that it says feed it (``use_data_node``, each task's ``data_node``),
        and those that ``executor.init_kwargs`` names anywhere; None means all outputs, where nothing feeds it."""
        from runway.executors.base_executor import BaseExecutor

        feeding = getattr(self.executor_class(), "data_nodes", BaseExecutor.data_nodes)(self.config)
        if not feeding:
            return None
        waiting: list[Any] = [self.init_kwargs]
        found: dict[str, None] = dict.fromkeys(feeding)
        while waiting:
            value = waiting.pop()
            if isinstance(value, Mapping | list | tuple):
                waiting += value.values() if isinstance(value, Mapping) else value
            elif isinstance(value, str) and value in pipeline.graph.nodes:
                found[value] = None
        return list(found)

    # The version, and what is written beside its results

    def version(self, accept: Callable[[RunFolder], bool], what: str, hint: str) -> RunFolder:
        """The version that ``exp_version`` names, or the newest that will do."""
        wanted = self.global_config.get("exp_version")
        return self.folder.latest(accept, what, hint) if wanted is None else self.folder.get(wanted)

    def claim(self, held: ExitStack) -> RunFolder:
        """A new version: rank 0 makes it, and holds its lock until ``held`` is closed; the other ranks share it."""
        return self._with_path(agreed("RUN", lambda: str(self.folder.claim(self.tags, held).path)))

    def agreed_on(self, run: RunFolder) -> RunFolder:
        """The version that rank 0 has found, which may have looked a moment earlier or later than this one."""
        return self._with_path(agreed("RUN", lambda: str(run.path)))

    def _with_path(self, path: str) -> RunFolder:
        seen_here(Path(path))
        return next(run for run in self.folder.versions() if str(run.path) == path)

    def work_on(self, run: RunFolder, test_folder: Path | None = None) -> None:
        """Tell transforms and executors, through the global config, where the run stands."""
        register_last_run(run.path)
        tell_run(run.path)
        self.global_config["exp_version"] = run.version
        self.global_config["experiment_path"] = str(run.path)
        self.global_config["train_dir"] = str(run.train)
        self.global_config["ckpt_dir"] = str(run.saved_models)
        self.global_config["root_exp_dir"] = str(self.root)
        if test_folder is not None:
            self.global_config["test_dir"] = str(test_folder)

    def build_loggers(
        self, names: Iterable[str], run: RunFolder, folder: Path, from_step: int | None = None
    ) -> list[Logger]:
        """The loggers with these names, each once, for one stage of a run; ``logging_to`` closes them."""
        logged = loggers.Logged(run, folder, self.config, self.project, from_step)
        return loggers.build_loggers(names, logged)

    @contextmanager
    def logging_to(self, folder: Path) -> Iterator[None]:
        """Write runway's lines into the run's log, too, an error as well; ranks other than the first only warn."""
        if rank() == 0:
            add_file(folder / file_names.RUN_LOG)
        else:
            set_quiet(True)
        ended: BaseException | None = None
        try:
            yield
        except BaseException as error:
            ended = error
            to_files(f"{type(error).__name__}: {error}")
            raise
        finally:
            loggers.finish_loggers(ended)
            close_files()

    def _inside(self, path: Path) -> str:
        """A path relative to the project, where it lies in it: the project may move."""
        return path.relative_to(self.project).as_posix() if path.is_relative_to(self.project) else str(path)

    @contextmanager
    def recording(
        self, mode: str, run: RunFolder, folder: Path, data: Mapping[str, Mapping[str, Any]], **facts: Any
    ) -> Iterator[dict[str, Any]]:
        """Keep the resolved config, and the record of what the block was and how it ended, beside its results.

        The config is ``config.json``, unless ``facts`` name another file as ``config``.

        Args:
            mode: ``train`` or ``test``.
            run: the version.
            folder: the stage's.
            data: the lineage of the nodes.
            facts: what else is to be known.
        """
        source = self.config.loaded_from
        known: dict[str, Any] = {
            "config": file_names.CONFIG,
            "mode": mode,
            "experiment": self.name,
            "version": run.version,
            "tags": list(run.tags),
            "seed": self.seed,
            "overrides": hidden_words(source.overrides if source else ()),
            "use_dummy_data": self.use_dummy_data,
            "project": str(self.project),
            "config_file": self._inside(source.path) if source else None,
            "data": {name: node["key"] for name, node in data.items() if node["key"] is not None},
        }
        known |= job_facts() | self.more_facts | facts
        if rank() == 0:
            write_json(folder / known["config"], hidden(self.config))
            write_json(folder / file_names.LINEAGE, data)
        with provenance(folder, known, self.project) as record:
            yield record
