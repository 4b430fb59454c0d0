"""AddColumns: what the data says of each row, beside what was predicted for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, must_be_known
from runway.registry import register_transform_functor
from runway.transforms.base import is_dataset
from runway.transforms.evaluation.recorders import RecorderTransform

if TYPE_CHECKING:
    from datasets import Dataset

    from runway.recorder import EvalRecorder


@register_transform_functor
class AddColumns(RecorderTransform):
    """Adds columns of a node of the data pipeline to a recorder, row by row: the texts beside the predictions.

    A recorder with the column ``index`` says itself which row of the split each of its rows is. One without is taken to
    be in the split's order, as runway's recorders are, and must have as many rows.
    """

    def setup(
        self,
        node: str = "",
        split: str = "test",
        columns: Sequence[str] = ("text",),
        index: str = "index",
        **kwargs: Any,
    ) -> None:
        """Say which columns of what.

        Args:
            node: a node of the config's ``data_pipeline`` that gives a Dataset, or splits of one.
            split: the split that was tested.
            columns: the columns to add; one that the recorder has is replaced.
            index: the recorder's column with each row's place in the split.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.
        """
        super().setup(**kwargs)
        if not node:
            raise ConfigError("AddColumns must name a node of the data pipeline", where=f"{self.where}, node")
        self.node, self.split, self.columns, self.index = node, split, list(columns), index

    def _call(self, data: EvalRecorder) -> EvalRecorder:
        dataset = self._dataset()
        must_be_known(
            self.columns, dataset.column_names, f"{self.node!r} has no column", where=f"{self.where}, columns"
        )
        rows = self._rows(data, len(dataset))
        for name in self.columns:
            values = dataset.select_columns([name]).select(rows).with_format("arrow")[:].column(name)
            data.set_sample_logs_column(name, values)
        return data

    def _dataset(self) -> Dataset:
        from runway.pipeline import DataPipeline

        config = self.global_config or {}
        section = config.get("data_pipeline") or {}
        must_be_known(
            [self.node], section.get("transforms") or {}, "the data pipeline has no node", where=f"{self.where}, node"
        )
        pipeline = DataPipeline(section, global_config=config, project=self.project, live=False)
        found = pipeline.get_data([self.node], explode=True)
        if isinstance(found, Mapping):
            must_be_known([self.split], list(found), f"{self.node!r} gives no split", where=f"{self.where}, split")
            found = found[self.split]
        if not is_dataset(found):
            message = f"{self.node!r} gives a {type(found).__name__}, which has no columns"
            raise DataError(message, where=self.where, hint="name a node before the dataloaders")
        return found

    def _rows(self, recorder: EvalRecorder, count: int) -> Any:
        """The row of the split for each row of the recorder."""
        if self.index not in recorder:
            if len(recorder) != count:
                raise DataError(
                    f"the recorder has {len(recorder)} rows, and {self.split!r} of {self.node!r} has {count}",
                    where=self.where,
                    hint=f"record each row's place in the split under {self.index!r}",
                )
            return range(count)
        import numpy as np

        rows = recorder.get_sample_logs_column(self.index, "numpy")
        if rows.dtype.kind not in "iu" or (len(rows) and not 0 <= rows.min() <= rows.max() < count):
            message = f"{self.index!r} must be places in {self.split!r}, from 0 to {count - 1}"
            raise DataError(message, where=self.where)
        return np.asarray(rows, dtype=np.int64)
