"""DataOps that judge translations: scores of a corpus and of each sentence, and a table of the worst."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, did_you_mean, must_be_whole
from runway.log import info, warning
from runway.metrics._languages import bleu_tokenizer, is_unspaced, is_written_unspaced, tell_if_unspaced
from runway.registry import register_transform_functor
from runway.transforms.evaluation.recorders import RecorderTransform, base_dir_or_test_dir

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU, CHRF

    from runway.recorder import EvalRecorder
    from runway.uncertainty.sums import Summed


OPTIONAL = {"source": "source", "loss": "loss", "tokens": "target_tokens"}
"""The columns that a recorder may lack, with their usual names."""


class TranslationTransform(RecorderTransform):
    """What the transforms here share: columns of text, taken with a word about what is missing, and BLEU."""

    lowercase: bool
    tokenize: str | None
    target_lang: str | None

    def texts(self, recorder: EvalRecorder, setting: str, name: str) -> list[str]:
        """A column of text, in Unicode's form NFC: "é" is the same letter on both sides, however it is put together.

        Raises:
            DataError: it is not there, or a row of it holds no text.
        """
        self.need_samples(recorder)
        values = self.values_of(recorder, name, setting)
        for row, value in enumerate(values):
            if not isinstance(value, str):
                raise DataError(f"column {name!r} has no text in row {row}, but {value!r}", where=self.where)
        return [unicodedata.normalize("NFC", value) for value in values]

    def language(self) -> str | None:
        """The language of the hypotheses: this node's ``target_lang``, else the config's ``dataset.target_lang``."""
        found = self.target_lang or self.from_config("dataset", "target_lang")
        return found if isinstance(found, str) else None

    def bleu(self, **settings: Any) -> BLEU:
        """sacreBLEU's BLEU with this node's ``lowercase`` and ``tokenize``, or the language's tokenizer.

        Raises:
            ConfigError: there is no such tokenizer, or it cannot be had here.
        """
        from sacrebleu.metrics import BLEU

        name = self.tokenize or bleu_tokenizer(self.language())
        try:
            return BLEU(lowercase=self.lowercase, tokenize=name, **settings)
        except (ValueError, KeyError, TypeError, RuntimeError, OSError, SystemExit) as error:
            known = [*BLEU.TOKENIZERS]
            found = "cannot be used here" if name in known else "is none of sacreBLEU's tokenizers"
            raise ConfigError(
                f"`tokenize` {name!r} {found}: {' '.join(str(error).split())}",
                where=f"{self.where}, setup_kwargs.tokenize",
                hint="it may need a package or the network; `runway eval` scores again what the test has kept"
                if name in known
                else did_you_mean(str(name), known, listing=12),
            ) from error


@register_transform_functor
class EvaluateTranslations(TranslationTransform):
    """Corpus scores of translations, logged to the recorder's stats.

    ``sacrebleu`` with ``sacrebleu_signature``, ``chrf`` with ``chrf_signature``, ``length_ratio`` (tokens of the
    hypotheses to those of the references); ``loss`` and ``perplexity`` where the recorder has the loss of each
    pair and not yet ``test_loss`` among its stats; ``sacrebleu_of_source``, what copying the source would get.
    Texts are compared in Unicode's form NFC.
    """

    def setup(
        self,
        hypothesis: str = "hypothesis",
        reference: str = "reference",
        source: str | None = "source",
        loss: str | None = "loss",
        tokens: str | None = "target_tokens",
        lowercase: bool = False,
        tokenize: str | None = None,
        target_lang: str | None = None,
        chrf_word_order: int = 0,
        group: str | None = None,
        slices: Sequence[Any] | None = None,
        intervals: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the columns and what the scores depend on.

        Args:
            hypothesis: the column of translations.
            reference: the column of what is right.
            source: the column of sources, for the score of copying them; null leaves that out. This column and the next
                two may be missing where they have their default names.
            loss: the column of mean losses a token, in nats; null leaves loss and perplexity out.
            tokens: the column that says how many tokens each loss is the mean of.
            lowercase: whether case counts for nothing; papers on Multi30K differ in it.
            tokenize: sacreBLEU's tokenizer: 13a, intl, zh, ja-mecab, char, none …; null takes that of ``target_lang``,
                and the signature says which.
            target_lang: the language of the hypotheses; null takes the config's ``dataset.target_lang``.
            chrf_word_order: 2 for chrF++.
            group: the column (``document``, ``book``) of whose values the pairs are alike: intervals are over these.
            slices: of the pairs, each with its own scores; null takes the config's ``eval.slices``.
            intervals: whether the scores have 95% intervals, and slices; null: after a test, not after a validation.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.
        """
        super().setup(**kwargs)
        self.hypothesis, self.reference, self.source = hypothesis, reference, source
        self.loss, self.tokens = loss, tokens
        self.lowercase, self.tokenize, self.target_lang = lowercase, tokenize, target_lang
        self.chrf_word_order = chrf_word_order
        self.setup_scores(group, slices, intervals)

    def _call(self, data: EvalRecorder) -> EvalRecorder:
        from sacrebleu.metrics import CHRF

        for setting, usual in OPTIONAL.items():  # one that is named otherwise is meant to be there
            name = getattr(self, setting)
            if name not in (None, usual):
                self.values_of(data, name, setting)
        bleu = self.bleu()
        hypotheses = self.texts(data, "hypothesis", self.hypothesis)
        references = self.texts(data, "reference", self.reference)
        self._tell_if_unspaced(bleu, references)
        chrf = CHRF(lowercase=self.lowercase, word_order=self.chrf_word_order)
        score = bleu.corpus_score(hypotheses, [references])
        stats: dict[str, Any] = {
            "sacrebleu": score.score,
            "chrf": chrf.corpus_score(hypotheses, [references]).score,
            "length_ratio": score.sys_len / score.ref_len if score.ref_len else math.nan,
            **self._losses(data),
        }
        if self.source is not None and self.source in data:
            sources = self.texts(data, "source", self.source)
            stats["sacrebleu_of_source"] = self.bleu(force=True).corpus_score(sources, [references]).score
        stats["sacrebleu_signature"] = str(bleu.get_signature())
        stats["chrf_signature"] = str(chrf.get_signature())
        scores = self.scores_of(data)
        if scores is None:
            data.log_stats_dict(stats)
            return data
        summed = self._summed(data, hypotheses, references, chrf)
        defined = {name: one for name, one in summed.items() if math.isfinite(stats.get(name, math.nan))}
        scores.add(defined, better={"sacrebleu": "max", "chrf": "max", "loss": "min", "perplexity": "min"})
        scores.log_to(data, stats)
        return data

    def _summed(
        self, data: EvalRecorder, hypotheses: list[str], references: list[str], chrf: CHRF
    ) -> dict[str, Summed]:
        """The scores as sums over pairs, of which intervals are made."""
        from runway.uncertainty.sums import Summed, bleu_of, chrf_of, exp_of_mean, mean, ratio, text_sums

        of_bleu = text_sums(self.bleu(force=True), hypotheses, references)
        found = {
            "sacrebleu": Summed(of_bleu, bleu_of),
            "chrf": Summed(text_sums(chrf, hypotheses, references), chrf_of),
            "length_ratio": Summed(of_bleu, ratio),
        }
        if self.loss is not None and self.loss in data:
            losses = data.get_sample_logs_column(self.loss, "numpy")
            has_tokens = self.tokens is not None and self.tokens in data
            weights = data.get_sample_logs_column(str(self.tokens), "numpy") if has_tokens else None
            found |= {"loss": mean(losses, weights), "perplexity": mean(losses, weights, exp_of_mean)}
        return found

    def _tell_if_unspaced(self, bleu: BLEU, references: list[str]) -> None:
        """Warn where words that are not written apart would be counted."""
        name, language = bleu.tokenizer.signature(), self.language()
        tell_if_unspaced(name, references, where=self.where, language=language)
        if self.chrf_word_order and (is_unspaced(language) or is_written_unspaced(references)):
            warning(f"{self.where}: chrf_word_order counts words, but the references have no spaces between them")

    def _losses(self, data: EvalRecorder) -> dict[str, float]:
        if self.loss is None or self.loss not in data or "test_loss" in data.get_stats_logs():
            return {}
        losses = data.get_sample_logs_column(self.loss)
        has_tokens = self.tokens is not None and self.tokens in data
        weights = data.get_sample_logs_column(str(self.tokens)) if has_tokens else [1] * len(losses)
        total = sum(weights)
        if not total:
            return {}
        mean = sum(loss * weight for loss, weight in zip(losses, weights, strict=True)) / total
        return {"loss": mean, "perplexity": math.exp(mean) if mean < 700 else math.inf}


@register_transform_functor
class AddSentenceBleu(TranslationTransform):
    """Adds a column with the BLEU of each sentence alone, from 0 to 100: for sorting, not for reporting."""

    def setup(
        self,
        hypothesis: str = "hypothesis",
        reference: str = "reference",
        column: str = "sentence_bleu",
        lowercase: bool = False,
        tokenize: str | None = None,
        target_lang: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the columns.

        Args:
            hypothesis: the column of translations.
            reference: the column of what is right.
            column: the name of the new column.
            lowercase: whether case counts for nothing.
            tokenize: sacreBLEU's tokenizer; null takes that of ``target_lang``.
            target_lang: the language of the hypotheses; null takes the config's ``dataset.target_lang``.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.
        """
        super().setup(**kwargs)
        self.hypothesis, self.reference, self.column = hypothesis, reference, column
        self.lowercase, self.tokenize, self.target_lang = lowercase, tokenize, target_lang

    def _call(self, data: EvalRecorder) -> EvalRecorder:
        # Orders that a short sentence has no n-gram of are left out, as sacreBLEU advises for sentences.
        bleu = self.bleu(effective_order=True)
        hypotheses = self.texts(data, "hypothesis", self.hypothesis)
        references = self.texts(data, "reference", self.reference)
        scores = [
            bleu.sentence_score(hypothesis, [reference]).score
            for hypothesis, reference in zip(hypotheses, references, strict=True)
        ]
        data.set_sample_logs_column(self.column, scores)
        return data


@register_transform_functor
class SaveWorstSamples(RecorderTransform):
    """Saves a recorder of the samples sorted by a score, the worst first, beside the run's; the data passes through."""

    def setup(
        self,
        sort_by: str = "sentence_bleu",
        lowest_first: bool = True,
        columns: Sequence[str] | None = ("source", "reference", "hypothesis", "sentence_bleu"),
        num_rows: int | None = None,
        eval_record_name: str = "worst-translations",
        base_dir: str | None = None,
        file_format: str = "parquet",
        **kwargs: Any,
    ) -> None:
        """Say what to save, and where.

        Args:
            sort_by: the column to sort by.
            lowest_first: whether a low value is the worst; false for a loss.
            columns: the columns to keep; null keeps all.
            num_rows: how many to keep; null keeps all.
            eval_record_name: the recorder's name, which is that of its folder.
            base_dir: the folder that holds its folder; by default that of the recorder, else the ``test_dir``.
            file_format: parquet, json, csv or pkl.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.
        """
        super().setup(**kwargs)
        if num_rows is not None:
            must_be_whole("num_rows", num_rows, least=0, where=self.where, hint="null keeps all")
        self.sort_by, self.lowest_first, self.columns, self.num_rows = sort_by, lowest_first, columns, num_rows
        self.eval_record_name, self.base_dir, self.file_format = eval_record_name, base_dir, file_format

    def _call(self, data: EvalRecorder) -> EvalRecorder:
        from runway.recorder import EvalRecorder

        columns = list(self.columns) if self.columns is not None else data.column_names
        values = self.values_of(data, self.sort_by, "sort_by")
        for name in columns:
            self.values_of(data, name, "columns")
        rows = sorted(
            (row for row, value in enumerate(values) if value is not None),
            key=values.__getitem__,
            reverse=not self.lowest_first,
        )[: self.num_rows]
        chosen = data.select_rows(rows)
        folder = data.base_dir if self.base_dir is None and data.base_dir else base_dir_or_test_dir(self, self.base_dir)
        table = EvalRecorder(self.eval_record_name, folder)
        table.log_sample_dict_batch({"row": rows} | {name: chosen.get_sample_logs_column(name) for name in columns})
        table.save_to_disk("eval_recorder", self.file_format)
        info(f"{len(rows)} samples by {self.sort_by} saved to {table.save_dir}")
        return data
