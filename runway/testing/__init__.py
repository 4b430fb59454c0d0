"""For the tests of a project: run a transform on a few rows, check or run a config, hold a config to what it was.

``runway.testing.pytest_plugin`` makes a test of each record that ``runway freeze`` has written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from runway.config.config import Config
    from runway.pipeline.graph import Node

GIVEN = "input:given"
NODE = "output:tested"


class Run(NamedTuple):
    """What came of a config that was run."""

    path: Path
    """The version's folder."""
    metrics: dict[str, Any]
    """Of its test; of its training, where the config has no test."""


def run_transform(
    transform: str | type | Callable,
    data: Any = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    project: str | Path | None = None,
    **settings: Any,
) -> Any:
    """What a transform makes of some data: as in a pipeline, with its checks, and without a cache.

    Args:
        transform: its name in configs, its class, or a function.
        data: what its input node would give; a list of rows (dicts) becomes a Dataset, a dict of such lists a
            DatasetDict. None: it has no input node.
        inputs: further inputs by the names of its arguments.
        config: what it sees as ``global_config``.
        project: the project's folder, whose ``src/`` is imported; by default that of the current folder.
        **settings: its ``setup_kwargs``.

    Raises:
        ConfigError: there is no such transform, or it does not take these settings.
        RunFailed: it raised.
    """
    from runway.config.config import Config
    from runway.pipeline import DataPipeline

    folder = _import_project(project)
    given = f"{__name__}.given:Given"
    named = {argument: f"input:{argument}" for argument in inputs or {}}
    nodes: dict[str, Any] = {name: {"transform_name": given, "cache": False} for name in (GIVEN, *named.values())}
    nodes[NODE] = {"transform_name": _name_of(transform), "setup_kwargs": settings, "cache": False}
    if data is not None:
        nodes[NODE]["input_node"] = GIVEN
    if named:
        nodes[NODE]["inputs"] = named
    values = {GIVEN: _as_data(data)} | {f"input:{name}": _as_data(value) for name, value in (inputs or {}).items()}
    with tempfile.TemporaryDirectory() as cache:
        pipeline = DataPipeline(
            {"transforms": nodes},
            global_config=Config(config or {}),
            project=folder,
            cache_dir=cache,
            where="the test's pipeline",
            quiet=True,
            runner="serial",
        )
        return pipeline.get_data([NODE], explode=True, input_data_dict=values)


def _name_of(transform: str | type | Callable) -> str:
    if isinstance(transform, str):
        return transform
    from runway import registry

    cls = transform if isinstance(transform, type) else registry.class_of_function(transform)
    name = f"tested {cls.__module__}:{cls.__qualname__}".replace(":", " ")  # one in a function has no place to name
    registry.transforms.levels[registry.USER][name] = cls
    return name


def _as_data(data: Any) -> Any:
    """Rows as a Dataset, ``{split: rows}`` as a DatasetDict; anything else as it is."""
    if _is_rows(data):
        from datasets import Dataset

        return Dataset.from_list(list(data))
    if isinstance(data, dict) and data and all(map(_is_rows, data.values())):
        from datasets import Dataset, DatasetDict

        return DatasetDict({name: Dataset.from_list(list(rows)) for name, rows in data.items()})
    return data


def _is_rows(data: Any) -> bool:
    return isinstance(data, list | tuple) and bool(data) and all(isinstance(row, Mapping) for row in data)


def check_config(config: str | Path, *overrides: str) -> dict[str, Node]:
    """Check all of a config that can be checked without running it; gives the nodes of its data pipeline.

    Args:
        config: its file.
        *overrides: ``a.b=v``, ``+variant``.

    Raises:
        ConfigError: something is wrong with it; all there is, collected.
    """
    from runway.errors import raise_collected
    from runway.pipeline.graph import check_pipelines

    loaded = _load(config, overrides)
    graphs, errors = check_pipelines(loaded)
    raise_collected(errors, where=str(config))
    return graphs["data_pipeline"].nodes if "data_pipeline" in graphs else {}


def run_config(
    config: str | Path, folder: Path, *overrides: str, batches: int = 2, epochs: int = 1, dummy_data: bool = True
) -> Run:
    """Prepare, train and test a config at a small size, on the CPU: does all of it work together?

    Args:
        config: its file.
        folder: where cache and runs go, such as pytest's ``tmp_path``.
        *overrides: ``a.b=v``, ``+variant``; they hold over what is set here.
        batches: how many a training, a validation and a test take; 0 is all.
        epochs: how many the training has.
        dummy_data: loaders read a few rows only (``--use_dummy_data``).

    Raises:
        RunwayError: it does not work.
    """
    from runway.experiment import RunwayExperiment

    paras = {
        "max_epochs": epochs,
        "accelerator": "cpu",
        "devices": 1,
        "precision": "32-true",
        "num_sanity_val_steps": 0,
    }
    limits = {f"limit_{stage}_batches": batches for stage in ("train", "val", "test")} if batches else {}
    small = [
        f"meta.EXPERIMENT_FOLDER={folder / 'experiments'}",
        f"meta.default_cache_dir={folder / 'cache'}",
        "meta.logger_enable=[]",
        "meta.runner=serial",
        *(f"train.trainer_paras.{name}={value}" for name, value in {**paras, **limits}.items()),
        *(
            f"test.trainer_paras.{name}={value}"
            for name, value in {"accelerator": "cpu", "precision": "32-true"}.items()
        ),
        *([f"test.trainer_paras.limit_test_batches={batches}"] if batches else []),
    ]
    experiment = RunwayExperiment(_load(config, [*small, *overrides]), use_dummy_data=dummy_data)
    trained = experiment.train()
    tested = experiment.test()
    return Run(trained.path.parent, {**trained.metrics, **tested.metrics})


def assert_stable(config: str | Path, *overrides: str) -> None:
    """Assert that keys are what makes them, and nothing else: twice the same in one process, and the same in another.

    A set's order, an id, a time or a path of the machine in what a transform is made of would change them, and nodes
    would run again for nothing.

    Args:
        config: its file.
        *overrides: ``a.b=v``, ``+variant``.

    Raises:
        AssertionError: a node has another key; with its name.
    """
    from runway.testing.keys import first_keys, keys_elsewhere

    here, again = first_keys(config, overrides), first_keys(config, overrides)
    elsewhere = keys_elsewhere(config, overrides)
    for other, what in ((again, "when it is made again"), (elsewhere, "in another process")):
        moved = sorted(name for name in here if here[name] != other.get(name))
        assert not moved, f"the key of {', '.join(map(repr, moved))} is another one {what}"


def _load(config: str | Path, overrides: Iterable[str]) -> Config:
    from runway.config.load import load_config
    from runway.user_code import import_project_code

    loaded = load_config(config, list(overrides))
    source, meta = loaded.loaded_from, loaded.get("meta") or {}
    assert source is not None
    kinds = ("data_ops", "models", "executors")
    modules, trusted = meta.get("user_modules") or (), meta.get("trusted_packages") or ()
    import_project_code(source.project, kinds, modules, trusted)
    return loaded


def _import_project(project: str | Path | None) -> Path:
    from runway.user_code import find_project, import_project_code

    folder = Path(project) if project is not None else find_project(Path.cwd() / "here")
    import_project_code(folder, ("data_ops",))
    return folder
