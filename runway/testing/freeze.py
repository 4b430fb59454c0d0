"""What a config comes to, on record: keys, first batch, initial weights, three losses; and what has moved since.

``runway freeze C`` writes it, ``runway freeze C --check`` and the pytest plugin compare.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runway.disk import replace_text
from runway.errors import ConfigError, RunwayError
from runway.log import shown

SUFFIX = ".frozen.json"
FORM = 1
STEPS = 3
RELATIVE = 1e-3
"""Losses differ in their last digits with the number of threads and the kernels of a machine."""


def record_file(config: Path) -> Path:
    """Where the record of a config stands: beside it."""
    return config.with_name(config.stem + SUFFIX)


def freeze(config: str | Path, overrides: Sequence[str] = ()) -> Path:
    """Write the record of a config beside it; gives the file."""
    path = Path(config)
    file = record_file(path)
    replace_text(file, json.dumps(state_of(path, overrides), indent=1, sort_keys=True) + "\n")
    return file


def moved_since(file: Path) -> list[str]:
    """What differs from a record, one sentence each: first the node that has moved, and why.

    Raises:
        ConfigError: the file is no such record, or its config is gone.
    """
    try:
        old = json.loads(file.read_text(encoding="utf-8"))
        fits = old["form"] == FORM
    except (OSError, ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise ConfigError("this is no record of `runway freeze`", where=shown(file), hint="runway freeze CONFIG")
    return list(_differences(old, state_of(file.parent / old["config"], old["overrides"])))


def state_of(config: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """What a config comes to now, as JSON can hold it."""
    from runway.experiment import RunwayExperiment
    from runway.testing import _load

    experiment = RunwayExperiment(_load(config, overrides))
    state: dict[str, Any] = {"form": FORM, "config": config.name, "overrides": list(overrides)}
    pipeline = experiment.pipeline()
    pipeline.prepare(run_uncached=False)
    steps = pipeline.plan().steps
    state["nodes"] = {name: step.parts.plain() for name, step in steps.items() if step.parts is not None}
    if experiment.config.get("executor"):
        state |= _training(experiment, pipeline)
    return state


def _training(experiment: Any, pipeline: Any) -> dict[str, Any]:
    """The first batch, the weights before the first step, and the losses of the first steps, on the CPU."""
    import tempfile

    import lightning

    from runway.experiment.trainer import build_trainer, quiet_lightning
    from runway.pipeline.keys.fingerprint import digest

    found: dict[str, Any] = {}

    class Watch(lightning.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if not found:
                found["batch"] = {str(name): digest(_plain(value)) for name, value in _named(batch)}
                weights = {name: _plain(value) for name, value in pl_module.state_dict().items()}
                found["weights"] = digest(weights)
                found["losses"] = []

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
            loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
            found["losses"].append(None if loss is None else float(loss))

    with quiet_lightning(), tempfile.TemporaryDirectory() as folder:
        executor = experiment.build_executor("train", pipeline)
        given = (experiment.config.get("train") or {}).get("trainer_paras") or {}
        paras = {name: given[name] for name in ("gradient_clip_val", "gradient_clip_algorithm") if name in given}
        paras |= {"max_steps": STEPS, "accelerator": "cpu", "devices": 1, "precision": "32-true"}
        paras |= {"limit_val_batches": 0, "num_sanity_val_steps": 0, "enable_checkpointing": False, "logger": False}
        paras.pop("logger")
        trainer = build_trainer(paras, "train.trainer_paras", callbacks=[Watch()], root=Path(folder))
        trainer.fit(executor)
    return found


def _named(batch: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(batch, Mapping):
        yield from batch.items()
    else:
        yield from enumerate(batch if isinstance(batch, list | tuple) else [batch])


def _plain(value: Any) -> Any:
    return value.detach().cpu().tolist() if hasattr(value, "detach") else value


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    from runway.pipeline.keys.key import differences_of

    for name, parts in new["nodes"].items():
        if name not in old["nodes"]:
            yield f"node {name!r} is new"
        else:
            yield from (f"node {name!r}: {why}" for why in differences_of(old["nodes"][name], parts))
    yield from (f"node {name!r} is gone" for name in old["nodes"] if name not in new["nodes"])
    if "batch" in old and "batch" in new:
        names = [name for name in {**old["batch"], **new["batch"]} if old["batch"].get(name) != new["batch"].get(name)]
        if names:
            yield f"the first batch differs in {', '.join(map(repr, names))}"
    if old.get("weights") != new.get("weights"):
        yield "the weights before the first step differ"
    for step, (before, after) in enumerate(zip(old.get("losses", []), new.get("losses", []), strict=False), start=1):
        if (before is None) != (after is None) or (
            before is not None and not math.isclose(before, after, rel_tol=RELATIVE, abs_tol=1e-6)
        ):
            yield f"the loss of step {step} was {before}, and is {after}"
            return


def told(file: Path) -> str | None:
    """What has moved since a record was written, as a text; None where nothing has."""
    try:
        moved = moved_since(file)
    except RunwayError as error:
        return str(error)
    if not moved:
        return None
    lines = "\n".join(f"  {line}" for line in moved)
    return f"{shown(file)}: what the config comes to has moved:\n{lines}\n(if that is meant: runway freeze CONFIG)"
