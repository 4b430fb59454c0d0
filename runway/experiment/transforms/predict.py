"""Predict: the predictions of a trained run for the rows of another node, as a recorder or a dataset."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, must_be, must_be_known
from runway.experiment.trained_run import TrainedRun
from runway.log import info
from runway.registry import register_transform_functor
from runway.transforms.base import BaseTransform, distinct, is_dataset

if TYPE_CHECKING:
    from runway.experiment.predicting import Predictor
    from runway.recorder import EvalRecorder

OUTPUTS = ("recorder", "dataset")


@register_transform_functor
class Predict(BaseTransform):
    """Gives what a trained run predicts: [run, data] → a recorder, or the data with predictions as columns.

    The run's executor is built from the run's own config, its checkpoint is loaded, and its test step records the
    rows, in batches and on the device there is; the output is in the order of the data. Data is a Dataset, a
    DatasetDict (each split by itself), a list of rows, or dataloaders. By default its rows are such as the run's data
    node gives (token ids and labels, say). With ``through`` the run's own nodes prepare them.

    It runs again for other weights, other settings of the run, other data, and where the executor's code has changed.
    """

    def setup(
        self,
        output: str = "recorder",
        columns: Mapping[str, str] | None = None,
        through: str | None = None,
        splits_to_process: list[str] | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
        batch_size: int | None = None,
        trainer_paras: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Say what is predicted, and what is made of it.

        Args:
            output: ``recorder``, as a test gives it, for evaluation nodes; or ``dataset``: the data's rows with what
                was recorded as further columns.
            columns: of a dataset, ``{recorded column: name in the output}``; one that the data has is replaced. By
                default all that was recorded, under names that the data must not have.
            through: the node of the run's own pipeline that takes the data instead of its (first) input; it and what
                comes after it prepare the rows as they did for the run's test. Rows must not get lost there.
            splits_to_process: of a DatasetDict, the splits to predict; a dataset keeps the others as they are. A
                recorder is of one split.
            init_kwargs: go over the run's ``executor.init_kwargs``: ``{ generate_params: { num_beams: 1 } }``.
            batch_size: instead of the run's ``test.batch_size``.
            trainer_paras: go over the run's ``test.trainer_paras``; by default one device of what there is.
            **kwargs: the settings of BaseTransform.
        """
        super().setup(**kwargs)
        must_be_known([output], OUTPUTS, "Predict gives no", where=f"{self.where}, output")
        message = "renames the columns of a dataset"
        must_be(columns is None or output == "dataset", "columns", f"left out: it {message}", columns, where=self.where)
        self.output = output
        self.columns = distinct(columns, "columns", where=self.where)
        self.through = through
        self.splits_to_process = splits_to_process
        self.init_kwargs = dict(init_kwargs or {})
        self.batch_size = batch_size
        self.trainer_paras = dict(trainer_paras or {})

    def _check_input(self, data: Any) -> None:
        is_pair = isinstance(data, list | tuple) and len(data) == 2
        if not is_pair or not isinstance(data[0], TrainedRun):
            got = f"[{', '.join(type(part).__name__ for part in data)}]" if is_pair else f"a {type(data).__name__}"
            hint = "input_node: ['input:LoadRun', 'process:Rows'], the first of them a node of LoadRun"
            raise DataError(f"Predict takes [run, data], but has {got} instead", where=self.where, hint=hint)

    def _call(self, data: Any) -> Any:
        from runway.experiment.predicting import Predictor

        run, rows = data
        predictor = Predictor(
            run,
            self.project,
            through=self.through,
            init_kwargs=self.init_kwargs,
            batch_size=self.batch_size,
            trainer_paras=self.trainer_paras,
            where=self.where,
        )
        self.track_code(predictor.executor_class)
        info(f"{self.name}: {predictor.executor_class.__name__} of {run.name}, {run.checkpoint}")
        if isinstance(rows, list) and rows and isinstance(rows[0], Mapping):
            from datasets import Dataset

            rows = Dataset.from_list([dict(row) for row in rows])
        if not (isinstance(rows, Mapping) and is_dataset(rows)):
            return self._one(predictor, rows)
        names = list(rows) if self.splits_to_process is None else self.splits_to_process
        must_be_known(names, rows, "there is no split", where=f"{self.where}, splits_to_process", error=DataError)
        if self.output == "recorder":
            if len(names) != 1:
                message = f"a recorder is of one split, but the data has {', '.join(names)}"
                raise ConfigError(message, where=self.where, hint="name it: splits_to_process: ['test']")
            return self._one(predictor, rows[names[0]])
        predicted: Any = copy.copy(rows)
        predicted.update({name: self._one(predictor, rows[name]) for name in names})
        return predicted

    def _one(self, predictor: Predictor, rows: Any) -> Any:
        recorder = predictor.predict(rows)
        return recorder if self.output == "recorder" else self._as_dataset(recorder, rows)

    def _as_dataset(self, recorder: EvalRecorder, rows: Any) -> Any:
        found = recorder.get_sample_logs("dataset")
        renamed = self.columns or {name: name for name in found.column_names}
        must_be_known(renamed, found.column_names, "nothing was recorded as", where=f"{self.where}, columns")
        found = found.select_columns(list(renamed)).rename_columns(
            {old: new for old, new in renamed.items() if old != new}
        )
        if not is_dataset(rows):
            return found
        if len(found) != len(rows):
            raise DataError(
                f"the data has {len(rows)} rows, but {len(found)} predictions were recorded",
                where=self.where,
                hint="a test step must record one row for each; nodes after `through` must drop none (`output: "
                "'recorder'` gives what was recorded)",
            )
        both = [name for name in rows.column_names if name in found.column_names]
        if both and self.columns is None:
            hint = f"columns: {{ {both[0]}: 'predicted_{both[0]}' }} names those that you want"
            message = f"the data has a column {both[0]!r}, and so has what was recorded"
            raise DataError(message, where=self.where, hint=hint)
        from datasets import concatenate_datasets

        return concatenate_datasets([rows.remove_columns(both), found], axis=1)
