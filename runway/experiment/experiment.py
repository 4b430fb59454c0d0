"""RunwayExperiment: prepare the data, train, test and evaluate what one config describes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.config.config import Config, project_of
from runway.errors import ConfigError, ExperimentError
from runway.experiment.folders import announce
from runway.experiment.folders.reset import recover
from runway.experiment.folders.run_folder import ExperimentFolder, RunFolder, folder_name, write_json
from runway.experiment.folders.runs import note_run
from runway.experiment.provenance import Provenance, data_keys
from runway.experiment.results import EvalResult, TestResult, TrainResult
from runway.log import add_file, close_files, info, set_quiet, shown, table, to_files
from runway.ranks import rank

if TYPE_CHECKING:
    import lightning

    from runway.pipeline import DataPipeline
    from runway.recorder import EvalRecorder

TEST_RECORDER = "test-evaluation"
SCALARS = (int, float, str)


class RunwayExperiment:
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
    ) -> None:
        self.config = config.copy() if isinstance(config, Config) else Config(config)
        self.project = project_of(self.config)
        self.name = folder_name(experiment_name or self.config.get("experiment_name"), "experiment_name")
        self.config["experiment_name"] = self.name
        self.meta: Mapping[str, Any] = self.config.get("meta") or {}
        self.root = self.project / Path(self.meta.get("EXPERIMENT_FOLDER") or "experiments").expanduser()
        self.folder = ExperimentFolder(self.root, self.name)
        self.tags = tuple(folder_name(tag, "tags") for tag in ([tags] if isinstance(tags, str) else tags))
        self.global_config = self.config.copy()  # what transforms and executors see: with the places of the run
        self.reset = reset
        self.use_dummy_data = use_dummy_data
        self.log_prediction_tables = log_prediction_tables
        self.resume = resume
        self.assume_yes = assume_yes

    # The four modes

    def prepare_data(self) -> None:
        """Run what must run of the data pipeline."""
        self._import_user_code(["data_ops"])
        self._pipeline().prepare()

    def train(self) -> TrainResult:
        """Train: a new version, or with ``resume`` a version that was stopped.

        Raises:
            RunwayError: the config, the data or the machine does not allow it; no version is made then.
            Interrupted: it was stopped by Ctrl-C or SIGTERM, and can be resumed.
        """
        from runway.experiment.training import Training

        self.recover_versions()
        result = Training(self).run()
        self.reset = self.resume = False  # they were for this training, not for a test that follows
        return result

    def test(self) -> TestResult:
        """Test a trained version: the newest, or ``exp_version``; its best checkpoint, or the one that ``test`` names.

        Raises:
            ExperimentError: there is no such version or checkpoint.
        """
        from runway.experiment.testing import Testing

        self.recover_versions()
        return Testing(self).run()

    def eval(self) -> EvalResult:
        """Evaluate the recorder that a test has saved, without testing again.

        Raises:
            ExperimentError: there is no such test.
        """
        from runway.recorder import EvalRecorder

        self.no_training_flags("eval")
        self.recover_versions()
        self._import_user_code(["data_ops"])
        suffix = self.test_suffix

        def was_tested(run: RunFolder) -> bool:
            return (run.test(suffix) / TEST_RECORDER).is_dir()

        run = self.version(was_tested, f"a test {suffix!r}", "test it first")
        folder = run.test(suffix)
        if not was_tested(run):
            raise ExperimentError(
                f"{run.path.name} has no test {suffix!r}",
                where=str(folder),
                hint=f"there are: {', '.join(run.tests())}" if run.tests() else "test it first",
            )
        self.place(run, folder)
        with self.logging_to(folder / "run.log"), self._wandb_run(run, folder):
            metrics, _ = self.evaluate(EvalRecorder.load_from_disk(TEST_RECORDER, folder), folder)
        self.show(metrics, folder)
        return EvalResult(folder, metrics)

    # What the modes share

    @property
    def test_suffix(self) -> str:
        """The name of the test's folder."""
        return folder_name(self.config.get("test_suffix") or "default_test", "test_suffix")

    def version(self, accept: Any, what: str, hint: str) -> RunFolder:
        """The version that ``exp_version`` names, or the newest that will do."""
        wanted = self.global_config.get("exp_version")
        return self.folder.latest(accept, what, hint) if wanted is None else self.folder.get(wanted)

    def place(self, run: RunFolder, test_folder: Path | None = None) -> None:
        """Tell transforms and executors, through the global config, where the run stands."""
        note_run(run.path)
        self.global_config["exp_version"] = run.version
        self.global_config["experiment_path"] = str(run.path)
        self.global_config["train_dir"] = str(run.train)
        if test_folder is not None:
            self.global_config["test_dir"] = str(test_folder)

    def build_executor(
        self, mode: str, pipeline: DataPipeline, log_file: Path | None = None
    ) -> lightning.LightningModule:
        """The executor that ``executor.ExecutorClass`` names.

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
            "global_config": self.global_config,
            "data_pipeline": pipeline,
        }
        return cls(**(arguments | dict((self.config.get("executor") or {}).get("init_kwargs") or {})))

    def executor_class(self) -> type[lightning.LightningModule]:
        """The class that ``executor.ExecutorClass`` names; the user's code is imported for it.

        Raises:
            ConfigError: there is no such class, or it is no LightningModule.
        """
        import lightning

        from runway.registry import executors

        self._import_user_code(["data_ops", "executors", "models"])
        place = "executor.ExecutorClass"
        name = (self.config.get("executor") or {}).get("ExecutorClass")
        if not name:
            raise ConfigError(
                "the config names no executor", where=place, hint="name its class, such as 'TextClassificationExecutor'"
            )
        try:
            cls = executors.get(name)
        except ConfigError as error:
            error.where = error.where or place
            raise
        if not issubclass(cls, lightning.LightningModule):
            raise ConfigError(
                f"the executor {cls.__name__!r} must be a LightningModule, but is not",
                where=place,
                hint="inherit from runway.BaseExecutor",
            )
        return cls

    @property
    def seed(self) -> int:
        """``meta.seed``."""
        return int(self.meta.get("seed", 2022))

    def data(self) -> tuple[DataPipeline, list[str] | None]:
        """Prepare the data that the executor uses; gives pipeline and node names."""
        self.executor_class()  # a misspelt name is told before the data is prepared
        node = ((self.config.get("executor") or {}).get("init_kwargs") or {}).get("use_data_node")
        names = [node] if node else None
        pipeline = self._pipeline()
        pipeline.prepare(names, run_uncached=False)
        return pipeline, names

    def evaluate(self, recorder: EvalRecorder, folder: Path) -> tuple[dict[str, Any], EvalRecorder]:
        """Run the test's evaluation pipeline and write ``metrics.json``."""
        from runway.executors.eval_pipeline import run_eval_pipeline

        pipeline_config = self._test_pipeline()
        if pipeline_config:
            recorder = run_eval_pipeline(
                pipeline_config,
                recorder,
                global_config=self.global_config,
                project=self.project,
                use_dummy_data=self.use_dummy_data,
            )
        metrics = dict(recorder.get_stats_logs())
        write_json(folder / "metrics.json", metrics)
        return metrics, recorder

    def check_evaluation(self) -> None:
        """Find out before a test whether its evaluation can run."""
        from runway.executors.eval_pipeline import check_eval_pipeline

        if self._test_pipeline():
            check_eval_pipeline(
                self._test_pipeline(), global_config=self.global_config, project=self.project, place="eval"
            )

    def _test_pipeline(self) -> Mapping[str, Any]:
        section = self.config.get("eval") or {}
        return section.get("test_eval_pipeline_config") or section.get("pipeline_config") or {}

    def show(self, metrics: Mapping[str, Any], folder: Path) -> None:
        """Print the path, and the numbers where no node of the evaluation pipeline has done so."""
        if rank() != 0:
            return
        nodes = (self._test_pipeline().get("transforms") or {}).values()
        if any(node.get("transform_name") == "DisplayEvalResults" for node in nodes):
            metrics = {}
        rows = [(name, value) for name, value in metrics.items() if isinstance(value, SCALARS)]
        if rows:
            table(f"{folder.parent.parent.name}  {folder.name}", ["metric", "value"], rows)
        info(f"results: {shown(folder)}")

    def provenance(
        self, folder: Path, mode: str, run: RunFolder, pipeline: DataPipeline, nodes: list[str] | None
    ) -> Provenance:
        """The record of a run, with what the experiment knows."""
        facts = {
            "mode": mode,
            "experiment": self.name,
            "version": run.version,
            "tags": list(run.tags),
            "seed": self.seed,
            "overrides": list(self.config.loaded_from.overrides) if self.config.loaded_from is not None else [],
            "use_dummy_data": self.use_dummy_data,
            "data": data_keys(pipeline, nodes),
        }
        return Provenance(folder, facts)

    def write_config(self, folder: Path) -> None:
        """Save the resolved config beside the results."""
        if rank() == 0:
            write_json(folder / "config.json", self.config.to_dict())

    @contextmanager
    def logging_to(self, path: Path) -> Iterator[None]:
        """Write runway's lines into the run's log, too, an error as well; ranks other than the first only warn."""
        if rank() == 0:
            add_file(path)
        else:
            set_quiet(True)
        try:
            yield
        except BaseException as error:
            to_files(f"{type(error).__name__}: {error}")
            raise
        finally:
            close_files()

    @contextmanager
    def _wandb_run(self, run: RunFolder, folder: Path) -> Iterator[None]:
        """The version's wandb run, where wandb is enabled: an evaluation may upload to it."""
        from runway.experiment.loggers import LoggerPlace, build_loggers, check_loggers, finish_loggers

        if "wandb" not in check_loggers(self.meta.get("logger_enable")):
            yield
            return
        place = LoggerPlace(run.path, folder, self.meta, self.project, self.config, run.tags)
        try:
            _ = build_loggers(["wandb"], place)[0].experiment  # type: ignore[attr-defined]
            yield
        finally:
            finish_loggers()

    def _pipeline(self) -> DataPipeline:
        from runway.pipeline import DataPipeline

        section = self.config.get("data_pipeline")
        if not section:
            raise ConfigError("the config has no data pipeline", where="data_pipeline")
        return DataPipeline(
            section,
            global_config=self.global_config,
            project=self.project,
            use_dummy_data=self.use_dummy_data,
        )

    def _import_user_code(self, kinds: Sequence[str]) -> None:
        from runway.user_code import import_project_code

        import_project_code(self.project, kinds, self.meta.get("user_modules") or ())

    def no_training_flags(self, mode: str) -> None:
        """Raise where a flag was given that only training takes."""
        if self.reset or self.resume:
            flag = "--reset" if self.reset else "--resume"
            raise ConfigError(f"{flag} is for training, but the mode is {mode!r}", where=flag, hint="leave it out")

    def check_train_flags(self) -> None:
        """Raise where flags contradict each other."""
        if self.reset and self.resume:
            raise ConfigError("--reset and --resume contradict each other", where="--reset", hint="leave one out")

    def recover_versions(self) -> None:
        """Put back the versions that a ``--reset`` has moved aside, where it was killed."""
        if rank() == 0:
            recover(self.folder)

    def claim(self) -> RunFolder:
        """This training's version: rank 0 makes it, the other ranks of the same run share it."""
        if rank() == 0:
            run = self.folder.claim(self.tags)
            announce.announce(run.path, self.root)
            return run
        path = announce.announced(self.root)
        return next(run for run in self.folder.versions() if run.path == path)
