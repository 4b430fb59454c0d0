"""Cleans and filters sentence pairs; what goes is counted by reason, logged and kept with the node."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, must_be, must_be_whole, told_as_config_error
from runway.log import info
from runway.metrics._languages import is_unspaced, is_written_unspaced
from runway.registry import register_transform_functor
from runway.transforms.arrow_tables import TableWriter, column, lengths
from runway.transforms.base import HFDatasetTransform
from runway.transforms.datasets.rows import RowFilter, tell_dropped

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from datasets import Dataset, DatasetDict

SOURCE, TARGET = SIDES = ("source", "target")
WORDS, CHARACTERS = "words", "characters"
FORMS = ("NFC", "NFKC", "NFD", "NFKD")
BATCH_ROWS = 50_000


@register_transform_functor
class CleanPairs(HFDatasetTransform):
    """Brings the texts of both sides into one form, and leaves the rows as they are.

    In this order: Unicode normal form, replacements, white space (any run of it becomes one space, none at the ends).
    How many texts each step has changed is noted.
    """

    def setup(
        self,
        unicode_form: str | None = "NFC",
        replacements: Sequence[Mapping[str, str]] = (),
        strip: bool = True,
        lowercase: bool = False,
        **kwargs: Any,
    ) -> None:
        r"""Say what to do.

        Args:
            unicode_form: NFC, NFKC, NFD or NFKD; null leaves characters as they are.
            replacements: ``{pattern, replacement, side}`` each, in this order: a regular expression of RE2, what stands
                in its place (``\1`` for a group; by default nothing), and ``source`` or ``target`` (by default both).
            strip: whether to make runs of white space one space, and none at the ends.
            lowercase: whether to make all letters small.
            **kwargs: the settings of HFDatasetTransform.
        """
        super().setup(**kwargs)
        forms = f"one of {', '.join(FORMS)} or null"
        must_be(unicode_form in (None, *FORMS), "unicode_form", forms, unicode_form, where=self.where)
        for index, rule in enumerate(replacements):
            place = f"{self.where}, replacements[{index}]"
            if not isinstance(rule, Mapping) or not rule.get("pattern"):
                raise ConfigError(f"a replacement must have a pattern, but is {rule!r} instead", where=place)
            for key in ("pattern", "replacement"):
                value = rule.get(key, "")
                hint = "'' as replacement, or none, takes away what the pattern finds"
                must_be(isinstance(value, str), key, "text", value, where=place, hint=hint)
            unknown = sorted(set(rule) - {"pattern", "replacement", "side"})
            if unknown or rule.get("side") not in (None, *SIDES):
                raise ConfigError(
                    f"a replacement has pattern, replacement and side ('source' or 'target'), but is {dict(rule)}",
                    where=place,
                )
        self.unicode_form = unicode_form
        self.replacements = [dict(rule) for rule in replacements]
        self.strip = strip
        self.lowercase = lowercase

    def _call(self, data: Dataset | DatasetDict) -> Dataset | DatasetDict:
        self.changed: dict[str, int] = {}
        for split, pairs in self.splits_of(data, quiet=True).items():
            self.need_columns(pairs, SIDES, split=split)
        cleaned = self.map_splits(data, self._clean)
        if self.changed:
            info(f"{self.name}: changed " + "; ".join(f"{count} by {name}" for name, count in self.changed.items()))
        self.note("changed texts", self.changed)
        return cleaned

    def _clean(self, dataset: Dataset) -> Dataset:
        if not len(dataset):
            return dataset
        writer = TableWriter(self.where)
        for table in dataset.with_format("arrow").iter(BATCH_ROWS):
            for side in SIDES:
                texts = self.clean_texts(table.column(side), side)
                table = table.set_column(table.column_names.index(side), side, texts)
            writer.add(table)
        return writer.finish()

    def clean_texts(self, texts: pa.ChunkedArray, side: str) -> pa.ChunkedArray:
        """The texts of one side, ``source`` or ``target``, cleaned."""
        import pyarrow as pa
        import pyarrow.compute as pc

        def step(name: str, after: pa.ChunkedArray) -> None:
            nonlocal texts
            count = pc.sum(pc.not_equal(texts, after)).as_py() or 0
            if count:
                self.changed[name] = self.changed.get(name, 0) + count
            texts = after

        texts = pc.fill_null(texts, "")
        if self.unicode_form:
            # Not pyarrow's utf8_normalize: up to version 25 it takes letters and accents apart, and does not join them.
            form: Any = self.unicode_form
            normal = [unicodedata.normalize(form, text) for text in texts.to_pylist()]
            step(form, pa.chunked_array([normal], texts.type))
        for rule in self.replacements:
            if rule.get("side") in (None, side):
                what = f"the pattern {rule['pattern']!r} or its replacement is not right"
                hint = "patterns are those of RE2: no look-ahead, no back-reference"
                with told_as_config_error(what, pa.ArrowInvalid, where=f"{self.where}, replacements", hint=hint):
                    after = pc.replace_substring_regex(texts, rule["pattern"], rule.get("replacement", ""))
                step(f"replacing {rule['pattern']}", after)
        if self.lowercase:
            step("lowercase", pc.utf8_lower(texts))
        if self.strip:
            single = pc.replace_substring_regex(texts, r"[\s\p{Z}\x{FEFF}]+", " ")
            step("white space", pc.utf8_trim_whitespace(single))
        return texts


@register_transform_functor
class FilterPairs(HFDatasetTransform):
    """Keeps the pairs that are fit to learn from, and says how many it dropped and why.

    A pair counts for the first reason that applies, in the order of the settings. Drop pairs of a test set only where
    it is not to be compared with others': name the splits in ``splits_to_process``.
    """

    def setup(
        self,
        drop_empty: bool = True,
        min_length: int | None = None,
        max_length: int | None = None,
        max_ratio: float | None = None,
        ratio_slack: int = 3,
        unit: str = "words",
        source_lang: str | None = None,
        target_lang: str | None = None,
        drop_identical: bool = False,
        drop_duplicates: str | None = "pair",
        not_in_splits: str | Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        """Say what goes.

        Args:
            drop_empty: pairs with an empty side.
            min_length: pairs with a side shorter than this.
            max_length: pairs with a side longer than this.
            max_ratio: pairs whose longer side is more than so many times the shorter. Where one counts in words and
                the other in characters, the ratio is relative to the typical one (the median) of the split.
            ratio_slack: sides that differ by no more than this pass ``max_ratio``: "Yes." may be "Ja, sicher doch."
            unit: what lengths count: ``words`` (between spaces; of a side whose language is written without, such as
                Chinese, characters) or ``characters``.
            source_lang: the language of the sources; null lets their script tell whether it has spaces between words.
            target_lang: that of the targets.
            drop_identical: pairs whose sides are the same text, which nobody has translated.
            drop_duplicates: of those with the same ``pair`` (or ``source``, or ``target``) keep the first; null keeps
                all.
            not_in_splits: pairs whose source or target stands in one of these splits too are dropped from the others.
                ``others`` means all splits that ``splits_to_process`` does not name.
            **kwargs: the settings of HFDatasetTransform.
        """
        super().setup(**kwargs)
        where = f"{self.where}, setup_kwargs"
        must_be(unit in (WORDS, CHARACTERS), "unit", "'words' or 'characters'", unit, where=where)
        same = {None: [], "pair": list(SIDES), "source": ["source"], "target": ["target"]}
        kinds = "'pair', 'source', 'target' or null"
        must_be(drop_duplicates in same, "drop_duplicates", kinds, drop_duplicates, where=where)
        for name, value in (("min_length", min_length), ("max_length", max_length), ("ratio_slack", ratio_slack)):
            if value is not None:
                must_be_whole(name, value, least=0, where=where, hint="null is for no limit")
        must_be(max_ratio is None or max_ratio >= 1, "max_ratio", "1 or more", max_ratio, where=where)
        self.drop_empty = drop_empty
        self.min_length = min_length
        self.max_length = max_length
        self.max_ratio = max_ratio
        self.ratio_slack = ratio_slack
        self.unit = unit
        self.languages = {SOURCE: source_lang, TARGET: target_lang}
        self.drop_identical = drop_identical
        self.drop_duplicates = same[drop_duplicates]
        if not_in_splits == "others" and self.splits_to_process is None:
            raise ConfigError(
                "`not_in_splits` is 'others', but `splits_to_process` does not say which splits to work on",
                where=where,
                hint="splits_to_process: ['train'] drops the training pairs that stand in another split",
            )
        self.not_in_splits: str | list[str] = "others"
        if not_in_splits != "others":
            self.not_in_splits = [not_in_splits] if isinstance(not_in_splits, str) else list(not_in_splits)

    def _call(self, data: Dataset | DatasetDict) -> Dataset | DatasetDict:
        names = self.not_in_splits if isinstance(data, Mapping) else ()
        if names == "others":
            names = [name for name in data if name not in (self.splits_to_process or data) and len(data[name])]
        held_out = {name: self.split(data, name) for name in names}
        for name, pairs in held_out.items():
            self.need_columns(pairs, SIDES, split=name, setting="not_in_splits")
        filters = {
            name: self._filter(part, name, {other: rows for other, rows in held_out.items() if other != name})
            for name, part in self.splits_of(data).items()
        }
        tell_dropped(self, filters)
        for name, kept in filters.items():
            if name and len(kept.keep) and not kept.keep.any():
                raise DataError(
                    f"no pair of the split {name!r} is left: {kept.dropped}",
                    where=self.where,
                    hint="look at the limits, and at the pairs: `inspect: true` on this node shows what goes in",
                )
        return self.with_splits(data, {name: kept.rows() for name, kept in filters.items()})

    def _filter(self, dataset: Dataset, split: str, held_out: Mapping[str, Dataset]) -> RowFilter:
        import numpy as np
        import pyarrow.compute as pc

        self.need_columns(dataset, SIDES, split=split)
        kept = RowFilter(dataset)
        units = {side: self._unit(dataset, side) for side in SIDES}
        source, target = (self._lengths(dataset, side, units[side]) for side in SIDES)
        short, long = np.minimum(source, target), np.maximum(source, target)
        told = units[SOURCE]
        if units[SOURCE] != units[TARGET]:
            told = f"words ({next(side for side in SIDES if units[side] == CHARACTERS)}: characters)"
        if self.drop_empty:
            kept.apply(source > 0, "with an empty source")
            kept.apply(target > 0, "with an empty target")
        if self.min_length is not None:
            kept.apply(short >= self.min_length, f"shorter than {self.min_length} {told}")
        if self.max_length is not None:
            kept.apply(long <= self.max_length, f"longer than {self.max_length} {told}")
        if self.max_ratio is not None:
            fits = self._similar(source, target, units)
            kept.apply(fits, f"with a length ratio above {self.max_ratio:g}")
        if self.drop_identical:
            differ = pc.not_equal(column(dataset, SOURCE), column(dataset, TARGET))
            kept.apply(pc.fill_null(differ, True).to_numpy(), "with identical sides")
        if self.drop_duplicates:
            kept.apply_first_of(self.drop_duplicates)
        for name, rows in held_out.items():
            for side in SIDES:
                among = pc.is_in(column(dataset, side), column(rows, side).combine_chunks())
                kept.apply(pc.invert(among).to_numpy(), f"whose {side} is in {name} too")
        return kept

    def _unit(self, dataset: Dataset, side: str) -> str:
        """What the lengths of a side count."""
        language, texts = self.languages[side], column(dataset, side)
        if self.unit == WORDS and (is_unspaced(language) if language else is_written_unspaced(texts)):
            info(f"{self.name}: lengths of the {side} are in characters, as it is written without spaces between words")
            return CHARACTERS
        return self.unit

    def _similar(self, source: np.ndarray, target: np.ndarray, units: Mapping[str, str]) -> np.ndarray:
        """Which pairs, bool ``[rows]``, are alike in length by ``max_ratio`` and ``ratio_slack``."""
        import numpy as np

        assert self.max_ratio is not None
        both = (source > 0) & (target > 0)
        if units[SOURCE] != units[TARGET] and both.any():  # characters become words of the other side
            typical = float(np.median(source[both] / target[both]))
            source, target = (source / typical, target) if units[SOURCE] == CHARACTERS else (source, target * typical)
        short, long = np.minimum(source, target), np.maximum(source, target)
        return (long <= self.max_ratio * short) | (long - short <= self.ratio_slack)

    def _lengths(self, dataset: Dataset, side: str, unit: str) -> np.ndarray:
        """The length of each text, ``[rows]``; 0 for white space alone."""
        import pyarrow.compute as pc

        texts = pc.utf8_trim_whitespace(pc.fill_null(column(dataset, side), ""))
        characters = lengths(texts)
        if unit == CHARACTERS:
            return characters
        spaces = pc.count_substring_regex(texts, r"\s+").to_numpy()
        return (spaces + 1) * (characters > 0)
