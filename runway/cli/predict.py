"""``runway predict RUN FILE``: what a trained run predicts for the rows of a file."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from runway.errors import ConfigError, DataError, did_you_mean
from runway.log import info, warning

FORMATS = (".csv", ".jsonl", ".parquet")
_NEEDS_TRUTH = ("ground_truth", "loss", "reference")
"""How columns begin that say nothing where the rows have no labels."""


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    target = Path(arguments.output) if arguments.output else None
    if target is not None and target.suffix not in FORMATS:
        raise ConfigError(f"{target.name} must end in one of {', '.join(FORMATS)}", where="--output")
    rows = predict_file(
        arguments.run,
        arguments.file,
        project=arguments.project,
        checkpoint=arguments.checkpoint,
        through=arguments.through,
        batch_size=arguments.batch_size,
    )
    if target is None:
        for row in rows:
            sys.stdout.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    writers = {".csv": rows.to_csv, ".jsonl": rows.to_json, ".parquet": rows.to_parquet}
    writers[target.suffix](str(target))
    sys.stdout.write(f"{target}: {len(rows)} rows\n")
    return 0


def predict_file(
    run: str,
    file: str,
    *,
    project: str | None = None,
    checkpoint: str = "best",
    through: str | None = None,
    batch_size: int | None = None,
) -> Any:
    """A Dataset: the file's rows, with what the run's test step records for each.

    Args:
        run: a run's folder or name, or an experiment's.
        file: what LoadHFDataset reads.
        project: the project's folder.
        checkpoint: which weights.
        through: the first of the run's nodes that the rows go through; by default found.
        batch_size: instead of the run's.

    Raises:
        DataError: the file has no rows, or labels that the run does not know.
        ConfigError: the run's executor translates: `runway translate` is for that.
    """
    from runway.experiment.loading_runs import find_run, project_around
    from runway.experiment.prepared_as_trained import preparation
    from runway.experiment.transforms.predict import Predict
    from runway.transforms.loading.hf_dataset import LoadHFDataset
    from runway.user_code import import_project_code

    folder = project_around(run, project)
    import_project_code(folder, ("data_ops", "models", "executors"))
    reference = find_run(run, folder, checkpoint)
    config = reference.config(folder)
    executor = config.get("executor") or {}
    if executor.get("ExecutorClass") == "Seq2SeqExecutor":
        hint = f"runway translate {run} --file {file}"
        raise ConfigError(f"{reference.name} is a translation model", where="runway predict", hint=hint)
    node = (executor.get("init_kwargs") or {}).get("use_data_node")
    prepared = preparation(config, node, through)
    loader = LoadHFDataset(name="runway predict", project=Path.cwd())
    loader.setup(dataset_path=file)
    splits = loader(None)
    rows = splits[next(iter(splits))]
    if not len(rows):
        raise DataError(f"{file} has no rows", where="runway predict")
    if prepared.nodes:
        info(f"the rows go through {', '.join(prepared.nodes)} of {reference.name}")
    if prepared.left_out:
        hint = f"--through {prepared.left_out[0]} has them go through it too"
        warning(f"the rows do not go through {', '.join(prepared.left_out)}, as those of the training did ({hint})")
    labelled, rows = _with_labels(rows, prepared.label_column, config, folder, reference)
    predict = Predict(name="runway predict", project=folder, global_config=config)
    taken = {name: f"given_{name}" for name in rows.column_names}
    predict.setup(output="recorder", through=prepared.through, batch_size=batch_size)
    found = predict([reference, rows]).get_sample_logs("dataset")
    if len(found) != len(rows):
        raise DataError(f"{len(rows)} rows were given, but {len(found)} predictions recorded", where="runway predict")
    if not labelled:
        found = found.remove_columns([name for name in found.column_names if name.startswith(_NEEDS_TRUTH)])
        rows = rows.remove_columns([str(prepared.label_column)]) if prepared.label_column in rows.column_names else rows
    both = [name for name in rows.column_names if name in found.column_names]
    rows = rows.rename_columns({name: taken[name] for name in both if rows[name] != found[name]})
    from datasets import concatenate_datasets

    same = [name for name in rows.column_names if name in found.column_names]
    return concatenate_datasets([rows.remove_columns(same), found], axis=1)


def _with_labels(rows: Any, column: str | None, config: Any, folder: Path, reference: Any) -> tuple[bool, Any]:
    """Whether the rows have labels, and the rows with labels as numbers: zeros where they have none."""
    if column is None:
        return True, rows
    if column not in rows.column_names:
        return False, rows.add_column(column, [0] * len(rows))
    if not isinstance(rows[0][column], str):
        return True, rows
    names = _class_names(reference, folder)
    unknown = next((label for label in rows[column] if label not in names), None)
    if unknown is not None:
        message = f"the column {column!r} holds {unknown!r}, which is no class of {reference.name}"
        raise DataError(message, where="runway predict", hint=did_you_mean(str(unknown), names))
    numbers = [names.index(label) for label in rows[column]]
    return True, rows.remove_columns([column]).add_column(column, numbers)


def _class_names(reference: Any, folder: Path) -> list[str]:
    """The classes' names in the order of their numbers, as the run's executor knows them."""
    from runway.experiment.predicting import Predictor

    executor = Predictor(reference, folder, where="runway predict").build()
    id2label = getattr(executor, "id2label", None) or {}
    return [str(id2label[number]) for number in sorted(id2label)]
