"""DataOps over an EvalRecorder: get it, compute metrics, merge and save, show, upload."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, must_be_known
from runway.log import info, shown, warning
from runway.registry import register_transform_functor
from runway.transforms.base import BaseTransform
from runway.user_code import may_run

if TYPE_CHECKING:
    import evaluate
    import numpy as np

    from runway.recorder import EvalRecorder
    from runway.transforms.evaluation.scores import Scores

ONE_CLASS_SAYS_NOTHING = ("matthews_correlation", "roc_auc", "pearsonr", "spearmanr")
"""Metrics of the hub that are undefined where all references are the same, and may give 0."""
METRIC_KEYS = ("name", "kwargs", "load_kwargs", "columns", "rename", "prefix")


class RecorderTransform(BaseTransform):
    """A transform of one EvalRecorder: write ``_call(self, data)`` and return the recorder."""

    group: str | None = None
    intervals: bool | None = None
    slices: Sequence[Any] | None = None

    def setup_scores(self, group: str | None, slices: Sequence[Any] | None, intervals: bool | None) -> None:
        """Take the settings of what ``scores_of`` gives.

        Raises:
            ConfigError: ``group`` is no text, or ``slices`` is no list.
        """
        if group is not None and not isinstance(group, str):
            raise ConfigError(f"`group` must be a column's name, but is {group!r} instead", where=self.where)
        if slices is not None and (isinstance(slices, str | Mapping) or not isinstance(slices, Sequence)):
            raise ConfigError(f"`slices` must be a list, but is {slices!r} instead", where=self.where)
        self.group, self.slices, self.intervals = group, slices, intervals

    def scores_of(self, recorder: EvalRecorder) -> Scores | None:
        """What computes intervals and slices of scores over the recorder; None where none are wanted."""
        from runway.transforms.evaluation.scores import Scores
        from runway.transforms.evaluation.slices import make_slices

        if not (recorder.wants_intervals if self.intervals is None else self.intervals):
            return None
        asked, where = self.slices, f"{self.where}, slices"
        if asked is None:
            asked, where = self.from_config("eval", "slices", default=()), "eval.slices"
        return Scores(recorder, self.where, self.group, make_slices(asked, recorder, where))

    def _preprocess(self, data: Any) -> Any:
        return data[0] if isinstance(data, list) and len(data) == 1 else data

    def _check_input(self, data: Any) -> None:
        check_recorder(data, self)

    def values_of(self, recorder: EvalRecorder, name: str, setting: str) -> list:
        """A column of the recorder, a value for each sample.

        Raises:
            DataError: it is not there; the error names the setting that asks for it.
        """
        self.must_have(recorder, name, setting)
        return recorder.get_sample_logs_column(name)

    def must_have(self, recorder: EvalRecorder, name: str, setting: str) -> None:
        """Raise a DataError that names the setting where the recorder lacks a column."""
        what = f"the recorder {recorder.name!r} has no such column: {setting} names"
        must_be_known([name], recorder.column_names, what, where=self.where, error=DataError)

    def need_samples(self, recorder: EvalRecorder) -> None:
        """Raise a DataError where the recorder is empty."""
        if not len(recorder):
            raise DataError(
                f"the recorder {recorder.name!r} is empty, so there is nothing to compute metrics over",
                where=self.where,
                hint="no sample was logged: look at the dataloader and at the limit_*_batches of the trainer",
            )


def check_recorder(data: Any, transform: BaseTransform) -> None:
    """Raise a DataError unless ``data`` is an EvalRecorder."""
    from runway.recorder import EvalRecorder

    if not isinstance(data, EvalRecorder):
        given = f"a list of {len(data)}" if isinstance(data, list) else f"a {type(data).__name__}"
        raise DataError(
            f"{type(transform).__name__} takes one EvalRecorder, but is given {given} instead",
            where=transform.where,
            hint="its input_node is one node whose output is a recorder; MergeAllEvalRecorderAndSave takes several",
        )


def base_dir_or_test_dir(transform: BaseTransform, base_dir: str | None) -> Path:
    """The folder that the config names, else the ``test_dir`` of the run."""
    if base_dir is None:
        base_dir = (transform.global_config or {}).get("test_dir")
    if base_dir is None:
        raise ConfigError("base_dir must be given where there is no run with a test_dir", where=transform.where)
    return transform.resolve_path(base_dir)


@register_transform_functor
class GetEvaluationRecorder(BaseTransform):
    """The recorder to evaluate: the one given to the pipeline, else one that was saved."""

    def setup(
        self,
        base_dir: str | None = None,
        eval_record_name: str = "test-evaluation",
        recorder_prefix: str = "eval_recorder",
        file_format: str = "parquet",
        **kwargs: Any,
    ) -> None:
        """Take what is needed to load a recorder; nothing of it counts where the pipeline is given one.

        Args:
            base_dir: the folder that holds the recorder's; by default the run's ``test_dir``.
            eval_record_name: the recorder's name, which is that of its folder.
            recorder_prefix: the beginning of its files' names.
            file_format: parquet, json, csv or pkl.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.
        """
        super().setup(**kwargs)
        self.base_dir = base_dir
        self.eval_record_name = eval_record_name
        self.recorder_prefix = recorder_prefix
        self.file_format = file_format

    def _call(self, data: EvalRecorder | None) -> EvalRecorder:
        if data is not None:
            check_recorder(data, self)
            return data
        from runway.recorder import EvalRecorder

        base_dir = base_dir_or_test_dir(self, self.base_dir)
        for path in EvalRecorder.saved_files(self.eval_record_name, base_dir, self.recorder_prefix, self.file_format):
            self.track_file(path)
        return EvalRecorder.load_from_disk(self.eval_record_name, base_dir, self.recorder_prefix, self.file_format)


@register_transform_functor
class ComputeMetrics(RecorderTransform):
    """Metrics over two columns of a recorder, logged to its stats.

    A result goes by its key in the metric's output where that begins with the metric's name (``accuracy``,
    ``rouge1``); ``score`` goes by the metric's name (``sacrebleu``), any other key by both (``sacrebleu_bp``).
    Arrays, such as a confusion matrix, become nested lists.
    """

    def setup(
        self,
        metrics: Sequence[str | Mapping[str, Any]],
        pred_field: str,
        ref_field: str | None = None,
        rows: Mapping[str, Any] | None = None,
        prefix: str = "",
        group: str | None = None,
        slices: Sequence[Any] | None = None,
        intervals: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the metrics and the columns.

        Args:
            metrics: a name (shipped with runway, the path of a module, or on the hub) each, or
                {name, kwargs: for compute(), load_kwargs: for the constructor (config_name), columns: {argument of
                compute(): column}, rename: {key of the output: name of the stat}, prefix: put before the other names}.
            pred_field: the column of predictions (for perplexity, of losses).
            ref_field: the column of references; none for a metric that takes predictions only.
            rows: over which rows, ``{column: value}`` (``{task: 'reviews'}``); null is over all.
            prefix: put before the names of all stats, such as ``reviews_``.
            group: the column (``film``, ``speaker``) of whose values the rows are alike: intervals are over these.
            slices: of the rows, each with its own scores (see docs/evaluation.md); null takes the config's
                ``eval.slices``.
            intervals: whether the scores have 95% intervals, and slices; null: after a test, not after a validation.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.

        Raises:
            ConfigError: an entry of ``metrics`` is not of that form.
        """
        super().setup(**kwargs)
        entries = [metrics] if isinstance(metrics, str | Mapping) else list(metrics)
        self.metrics = [self._entry(index, entry) for index, entry in enumerate(entries)]
        self.pred_field = pred_field
        self.ref_field = ref_field
        self.rows = dict(rows or {})
        self.prefix = prefix
        self.setup_scores(group, slices, intervals)

    def _entry(self, index: int, entry: str | Mapping[str, Any]) -> dict[str, Any]:
        where = f"{self.where}, metrics[{index}]"
        made: dict[str, Any] = dict(entry) if isinstance(entry, Mapping) else {"name": entry}
        must_be_known(made, METRIC_KEYS, "unknown key", where=where)
        if not isinstance(made.get("name"), str):
            raise ConfigError(
                f"a metric must be a name or an object with a name, but is {entry!r} instead", where=where
            )
        for key in ("kwargs", "load_kwargs", "columns", "rename"):
            made[key] = dict(made.get(key) or {})
        return made

    def _call(self, data: EvalRecorder) -> EvalRecorder:
        self.need_samples(data)
        chosen = self._chosen(data)
        scores = self.scores_of(chosen)
        stats: dict[str, Any] = {}
        for entry in self.metrics:
            for name, value in self._compute(chosen, entry, scores).items():
                if name in stats:
                    raise DataError(
                        f"two metrics give the stat {name!r}",
                        where=self.where,
                        hint=f"give one of them a prefix: {{name: {entry['name']!r}, prefix: 'my_'}}",
                    )
                stats[name] = value
        if scores is None:
            data.log_stats_dict(stats)
        else:
            scores.log_to(data, stats)
        return data

    def _chosen(self, recorder: EvalRecorder) -> EvalRecorder:
        """The recorder with the rows that the metrics are over."""
        if not self.rows:
            return recorder
        columns = {name: self.values_of(recorder, name, "rows") for name in self.rows}
        rows = [row for row in range(len(recorder)) if all(columns[name][row] == self.rows[name] for name in columns)]
        if not rows:
            wanted = ", ".join(f"{name} {value!r}" for name, value in self.rows.items())
            there = {name: sorted({str(value) for value in values})[:8] for name, values in columns.items()}
            told = "; ".join(f"{name}: {', '.join(values)}" for name, values in there.items())
            raise DataError(f"no row has {wanted}", where=f"{self.where}, rows", hint=f"there are: {told}")
        return recorder.select_rows(rows)

    def _compute(self, recorder: EvalRecorder, entry: dict[str, Any], scores: Scores | None) -> dict[str, Any]:
        from runway.metrics import SHIPPED

        is_shipped = entry["name"] in SHIPPED
        inputs = {"predictions": self._column(recorder, self.pred_field, "pred_field", is_shipped)}
        if self.ref_field is not None:
            inputs["references"] = self._column(recorder, self.ref_field, "ref_field", is_shipped)
        for argument, column in entry["columns"].items():
            inputs[argument] = self._column(recorder, column, f"columns.{argument}", is_shipped)
        metric = self._load(entry)
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                found = metric.compute(**inputs, **entry["kwargs"])
        except (ValueError, TypeError, ZeroDivisionError) as error:
            raise DataError(
                f"the metric {entry['name']!r} cannot be computed: {error}",
                where=f"{self.where}, columns {', '.join(filter(None, (self.pred_field, self.ref_field)))}",
            ) from error
        stats = {self._stat_name(key, entry): value for key, value in (found or {}).items()}
        if not is_shipped:  # those tell themselves
            _tell_odd(entry["name"], stats, inputs, [one for one in told if _is_of_undefined(one)])
        for one in told:
            if not _is_of_undefined(one):
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        if scores is not None:
            self._score(scores, metric, entry, inputs, found or {})
        return stats

    def _stat_name(self, key: str, entry: Mapping[str, Any]) -> str:
        return f"{self.prefix}{_stat_name(key, entry)}"

    def _score(
        self,
        scores: Scores,
        metric: evaluate.EvaluationModule,
        entry: dict[str, Any],
        inputs: Mapping[str, Any],
        found: Mapping[str, Any],
    ) -> None:
        """Intervals and slices of what a metric has given."""
        import math

        import numpy as np

        from runway.metrics import SHIPPED
        from runway.metrics._direction import direction

        def is_defined(value: Any) -> bool:
            return isinstance(value, int | float | np.number) and math.isfinite(value)

        metric_name = Path(entry["name"]).stem
        if entry["name"] in SHIPPED:
            summed: Mapping[str, Any] = metric.summed(**inputs, **entry["kwargs"])
            summed = {key: one for key, one in summed.items() if is_defined(found.get(key))}
            names = {key: self._stat_name(key, entry) for key in summed}
            plain = {**entry, "rename": {}, "prefix": ""}
            better = {name: direction(_stat_name(key, plain)) for key, name in names.items()}
            scores.add({name: summed[key] for key, name in names.items()}, better=better)
            left = [] if summed else [key for key in found if key in (metric_name, "score")]  # its own, as a whole
        else:
            left = list(found)
        left = [key for key in left if is_defined(found[key])]
        if not left:
            return

        def compute(rows: np.ndarray) -> dict[str, float]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                given = {name: _taken(values, rows) for name, values in inputs.items()}
                try:
                    again = metric.compute(**given, **entry["kwargs"]) or {}
                except (ValueError, TypeError, ZeroDivisionError):  # these rows lack a class, say
                    return {}
            return {self._stat_name(key, entry): float(again[key]) for key in left if is_defined(again.get(key))}

        scores.resample([self._stat_name(key, entry) for key in left], compute, entry["name"])

    def load_metrics(self) -> None:
        """Load every metric once: before a training it shows whether they can be had.

        Raises:
            AssetError: the hub does not have one, or cannot be reached.
            ConfigError: there is no module at a path, or a package is missing.
        """
        self.loaded_metrics()

    def loaded_metrics(self) -> list[tuple[dict[str, Any], evaluate.EvaluationModule]]:
        """Every entry of ``metrics``, with its metric; it raises as ``load_metrics``."""
        return [(entry, self._load(entry)) for entry in self.metrics]

    def _load(self, entry: dict[str, Any]) -> evaluate.EvaluationModule:
        from runway.metrics import SHIPPED, load_metric

        path = self.resolve_path(entry["name"])
        if entry["name"] not in SHIPPED and path.exists():
            if not may_run(path, self.project):
                raise ConfigError(
                    f"the config names the metric module {entry['name']!r}, which is not of the project",
                    where=self.where,
                    hint="copy it into the project; or, of a package, name that in meta.trusted_packages",
                )
            self.track_file(path)
            return load_metric(path, **entry["load_kwargs"])
        return load_metric(entry["name"], **entry["load_kwargs"])

    def _column(self, recorder: EvalRecorder, name: str, setting: str, as_array: bool) -> Any:
        """A column's values; as an array for a metric that takes it so, without a Python object for each."""
        import numpy as np
        import pyarrow as pa

        self.must_have(recorder, name, setting)
        if as_array:
            found = recorder.get_sample_logs_column(name, "arrow")
            kind = found.type
            is_text = kind == pa.string()
            if not found.null_count and (is_text or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                return found if is_text else np.asarray(found.to_numpy())
        values = recorder.get_sample_logs_column(name)
        missing = sum(value is None for value in values)
        if missing:
            raise DataError(
                f"column {name!r} has no value in {missing} of {len(values)} rows, first in row {values.index(None)}",
                where=self.where,
                hint="log it for each sample",
            )
        return values


def _taken(values: Any, rows: np.ndarray) -> Any:
    """Some rows of a column, as a list: what any metric takes."""
    if hasattr(values, "to_pylist"):
        return values.take(rows).to_pylist()
    return values[rows].tolist() if hasattr(values, "dtype") else [values[row] for row in rows.tolist()]


def _tell_odd(
    metric: str, stats: Mapping[str, Any], inputs: Mapping[str, list], told: Sequence[warnings.WarningMessage]
) -> None:
    """Say of a metric that is not runway's which scores are NaN, and what it has said of them itself."""
    undefined = [name for name, value in stats.items() if isinstance(value, float) and value != value]
    said = {" ".join(str(one.message).split()) for one in told}
    counts = ", ".join(f"{len(values)} {name}" for name, values in inputs.items())
    references = inputs.get("references") or []
    if references and all(value == references[0] for value in references):
        counts += f", which are all {references[0]!r}"
    if undefined:
        reason = "; ".join(sorted(said)) or "it says not why"
        warning(f"the metric {metric!r} is undefined, {reason}: NaN ({', '.join(undefined)}) of {counts}")
    elif said or (", which" in counts and Path(metric).stem in ONE_CLASS_SAYS_NOTHING):
        reason = "; ".join(sorted(said)) or "it is undefined where all references are the same"
        warning(f"the metric {metric!r} of {counts}: {reason}; the value is what it takes instead")


def _is_of_undefined(told: warnings.WarningMessage) -> bool:
    return "Undefined" in told.category.__name__  # UndefinedMetricWarning of scikit-learn's


def _stat_name(key: str, entry: Mapping[str, Any]) -> str:
    if key in entry["rename"]:
        return entry["rename"][key]
    metric = Path(entry["name"]).stem
    name = metric if key == "score" else key if key.startswith(metric) else f"{metric}_{key}"
    return f"{entry.get('prefix') or ''}{name}"


@register_transform_functor
class MergeAllEvalRecorderAndSave(BaseTransform):
    """One recorder out of one or several over the same rows, saved in one folder that the next run overwrites."""

    def setup(
        self,
        base_dir: str | None = None,
        eval_record_name: str | None = None,
        eval_recorder_prefix: str | None = "merged",
        recorder_prefix: str = "eval_recorder",
        file_format: str = "parquet",
        save_recorder: bool = True,
        **kwargs: Any,
    ) -> None:
        """Take the name and place of the merged recorder.

        Args:
            base_dir: the folder that holds its folder; by default that of the first recorder, else the ``test_dir``.
            eval_record_name: its name; by default made of the prefix and the first recorder's name.
            eval_recorder_prefix: put before the first recorder's name (unless it begins so); null keeps the name.
            recorder_prefix: the beginning of its files' names.
            file_format: parquet, json, csv or pkl.
            save_recorder: whether to save it.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.
        """
        super().setup(**kwargs)
        self.base_dir = base_dir
        self.eval_record_name = eval_record_name
        self.eval_recorder_prefix = eval_recorder_prefix
        self.recorder_prefix = recorder_prefix
        self.file_format = file_format
        self.save_recorder = save_recorder

    def _call(self, data: EvalRecorder | list[EvalRecorder]) -> EvalRecorder:
        recorders: list[Any] = list(data) if isinstance(data, list | tuple) else [data]
        for recorder in recorders or [data]:
            check_recorder(recorder, self)
        merged = recorders[0].merge(recorders[1:])
        base_dir: str | Path | None = merged.base_dir
        if self.base_dir is not None:
            base_dir = self.resolve_path(self.base_dir)
        elif base_dir is None and self.save_recorder:
            base_dir = base_dir_or_test_dir(self, None)
        merged.rename(self.eval_record_name or self._prefixed(merged.name or "evaluation"), base_dir)
        if self.save_recorder:
            path = merged.save_to_disk(self.recorder_prefix, self.file_format)
            info(f"recorder {merged.name!r} with {len(merged)} rows saved to {shown(path.parent)}")
        return merged

    def _prefixed(self, name: str) -> str:
        prefix = f"{self.eval_recorder_prefix}-" if self.eval_recorder_prefix else ""
        folder, _, last = name.rpartition("/")
        last = last if last.startswith(prefix) else prefix + last
        return f"{folder}/{last}" if folder else last


@register_transform_functor
class UploadEvalRecorderToWandb(RecorderTransform):
    """Log the recorder's stats and columns to the wandb run that is active; the recorder passes through."""

    def setup(
        self,
        log_stats_dict: bool = True,
        prefix_to_log: Sequence[str] | None = None,
        columns_to_log: Sequence[str] | None = None,
        wandb_tab_name: str = "evaluation",
        **kwargs: Any,
    ) -> None:
        """Take what to upload.

        Args:
            log_stats_dict: whether to log the stats.
            prefix_to_log: log the columns whose names begin with one of these, as a table.
            columns_to_log: log these columns too.
            wandb_tab_name: the section of the run's page.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.
        """
        super().setup(**kwargs)
        self.log_stats_dict = log_stats_dict
        self.prefix_to_log = prefix_to_log or ()
        self.columns_to_log = columns_to_log
        self.wandb_tab_name = wandb_tab_name

    def _call(self, data: EvalRecorder) -> EvalRecorder:
        from runway.recorder.upload import active_run

        meta = (self.global_config or {}).get("meta") or {}
        if active_run() is None and "wandb" not in (meta.get("logger_enable") or ()):
            info("wandb: not in meta.logger_enable, nothing is uploaded")
            return data
        data.upload_to_wandb(
            self.wandb_tab_name,
            log_stats_dict=self.log_stats_dict,
            prefix_to_log=self.prefix_to_log,
            columns_to_log=self.columns_to_log,
        )
        return data
