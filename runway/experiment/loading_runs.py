"""``runway.load_run``: a trained run's executor, with its best weights, tokenizer and config, ready to be used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.experiment.transforms.load_run import LoadRun
from runway.user_code import find_project

if TYPE_CHECKING:
    from runway.executors.base_executor import BaseExecutor
    from runway.experiment.trained_run import TrainedRun


def load_run(
    run: str | Path,
    *,
    checkpoint: str = "best",
    version: int | None = None,
    project: str | Path | None = None,
    **init_kwargs: Any,
) -> BaseExecutor:
    """The executor of a trained run, in evaluation mode.

    ``executor.model`` is the model with the run's weights, ``executor.tokenizer`` the tokenizer that the run has saved,
    ``executor.global_config`` the config that it was trained with.

    Args:
        run: the path of a run's folder, its name, or an experiment's (of its newest version with weights).
        checkpoint: ``best`` by what the run has monitored, ``last``, or the name of a file in ``saved_models``.
        version: of an experiment.
        project: the project's folder, whose ``src/`` is imported; by default that around the run, or the current one.
        **init_kwargs: over the run's ``executor.init_kwargs``.

    Raises:
        ExperimentError: there is no such run or checkpoint, or the weights do not fit.
        ConfigError: the run's executor is not known here.
    """
    from runway.experiment.checkpoint_content import load_weights
    from runway.experiment.predicting import Predictor

    folder = project_around(run, project)
    predictor = Predictor(find_run(run, folder, checkpoint, version), folder, init_kwargs=init_kwargs, where="load_run")
    executor = predictor.build()
    load_weights(executor, predictor.checkpoint, "load_run")
    return executor.eval()


def find_run(run: str | Path, project: Path, checkpoint: str = "best", version: int | None = None) -> TrainedRun:
    """The reference to a run's weights, as the transform ``LoadRun`` gives it."""
    path = Path(run)
    node = LoadRun(name="load_run", project=project)
    node.setup(run=str(path.resolve()) if path.is_dir() else str(run), checkpoint=checkpoint, version=version)
    return node(None)


def project_around(run: str | Path, project: str | Path | None = None) -> Path:
    """The project of a run that is named by its path; else that of the current folder."""
    if project is not None:
        return Path(project).resolve()
    path = Path(run)
    here = find_project(Path.cwd() / "here")
    return find_project(path / "run") if path.is_dir() and not path.resolve().is_relative_to(here) else here
