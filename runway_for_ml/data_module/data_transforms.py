"""The base classes of transforms with the original's habits, and its ops that have other names in runway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import runway.transforms.base as of_runway
from runway.log import info
from runway.registry import register_transform_functor, transform
from runway.transforms.evaluation.display import DisplayEvalResults as _DisplayEvalResults
from runway.transforms.evaluation.recorders import UploadEvalRecorderToWandb
from runway_for_ml.utils.eval_recorder import as_old_recorder
from runway_for_ml.utils.global_variables import DataTransform_Registry, register_func_to_registry, register_to
from runway_for_ml.utils.util import get_tokenizer

if TYPE_CHECKING:
    from runway.recorder import EvalRecorder

__all__ = [
    "BaseTransform",
    "DataTransform_Registry",
    "HFDatasetTransform",
    "RowWiseTransform",
    "get_tokenizer",
    "keep_ds_columns",
    "register_func_to_registry",
    "register_to",
    "register_transform",
    "register_transform_functor",
]

register_transform = transform


def keep_ds_columns(ds: Any, keep_cols: Iterable[str]) -> Any:
    """A Dataset with some of its columns."""
    kept = set(keep_cols)
    return ds.remove_columns([name for name in ds.column_names if name not in kept])


class BaseTransform(of_runway.BaseTransform):
    """runway's, whose ``setup`` takes anything; a recorder comes with the original's views."""

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Take any settings, and do nothing with them."""

    def _preprocess(self, data: Any) -> Any:
        return as_old_recorder(data)


class RowWiseTransform(of_runway.RowWiseTransform):
    """runway's, whose ``setup`` takes anything."""

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Take any settings, and do nothing with them."""


class HFDatasetTransform(of_runway.HFDatasetTransform):
    """runway's, which takes any data and leaves renaming to ``_call``, as the original did."""

    splits_to_process: list[str] = ["train", "test", "validation"]  # noqa: RUF012  # what the original had here

    def setup(
        self,
        rename_col_dict: Mapping[str, str] | None = None,
        splits_to_process: Iterable[str] = ("train", "test", "validation"),
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Take the settings that every dataset transform has.

        Args:
            rename_col_dict: kept for ``_call``, which renames columns itself.
            splits_to_process: kept for ``_call``.
            *args: taken, and not read.
            **kwargs: taken, and not read (``_num_proc``).
        """
        self.rename_col_dict = rename_col_dict
        self.splits_to_process = list(splits_to_process)

    def __call__(self, data: Any = None) -> Any:
        """Run ``_call``; a list of inputs, and any mapping, is given to it as it is."""
        return self._call(self._preprocess(data))

    def _preprocess(self, data: Any) -> Any:
        return as_old_recorder(data)


@register_transform_functor
class RunwayComputeBLEU(BaseTransform):
    """The corpus's BLEU and each sample's, by sacreBLEU."""

    def setup(
        self,
        ref_field: str,
        pred_field: str,
        inp_field: str | None = None,
        special_tokens_to_remove: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        """Take the columns.

        Args:
            ref_field: the references.
            pred_field: the predictions.
            inp_field: the inputs; not read.
            special_tokens_to_remove: texts that are taken out of both.
            **kwargs: taken, and not read.
        """
        self.ref_field = ref_field
        self.pred_field = pred_field
        self.special_tokens_to_remove = list(special_tokens_to_remove)

    def _call(self, data: Any) -> EvalRecorder:
        from sacrebleu import corpus_bleu, sentence_bleu

        recorder: EvalRecorder = data[-1] if isinstance(data, list) else data
        references = self._cleaned(recorder.get_sample_logs_column(self.ref_field))
        predictions = self._cleaned(recorder.get_sample_logs_column(self.pred_field))
        corpus = corpus_bleu(predictions, [references])
        stats = {f"pred_corpus_bleu_{name}": getattr(corpus, name) for name in ("score", "bp", "sys_len", "ref_len")}
        stats["pred_corpus_bleu_without_bp"] = corpus.score / corpus.bp if corpus.bp > 0.01 else 0.0
        each = [sentence_bleu(one, [other]).score for one, other in zip(predictions, references, strict=True)]
        recorder.set_sample_logs_column("sentence_bleu", each)
        recorder.log_stats_dict({**stats, "avg_sentence_bleu": sum(each) / len(each) if each else float("nan")})
        return recorder

    def _cleaned(self, texts: list[str]) -> list[str]:
        for token in self.special_tokens_to_remove:
            texts = [text.replace(token, "") for text in texts]
        return texts


register_transform_functor("ComputeBLEU")(RunwayComputeBLEU)


@register_transform_functor
class UploadToWandb(UploadEvalRecorderToWandb):
    """``UploadEvalRecorderToWandb``, under its first name."""


@register_transform_functor
class DisplayEvalResults(_DisplayEvalResults):
    """runway's, with the original's settings."""

    def setup(self, rows_to_display: int = 5, display_format: str = "csv", **kwargs: Any) -> None:
        """Take what to show.

        Args:
            rows_to_display: how many samples are shown.
            display_format: ``csv`` shows samples, anything else the stats only.
            **kwargs: runway's own settings.
        """
        super().setup(**{"num_rows": rows_to_display, "columns": None if display_format == "csv" else [], **kwargs})

    def _call(self, data: EvalRecorder) -> EvalRecorder:
        experiment = self.from_config("experiment_name")
        info(f"Evaluation Report for {experiment}" if experiment else "Evaluation Report")
        return super()._call(data)


register_transform_functor("RunwayDisplayEvalResults")(DisplayEvalResults)
