"""Trains a subword tokenizer on the text at hand; its output is a tokenizer of transformers, kept in its own format."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.errors import ConfigError, DataError, must_be, must_be_known, must_be_whole
from runway.log import info, warning
from runway.pretrained import open_pretrained
from runway.registry import register_transform_functor
from runway.transforms.arrow_tables import column
from runway.transforms.base import BaseTransform, as_dataset_dict

if TYPE_CHECKING:
    from datasets import Dataset

ROLES = ("pad", "unk", "bos", "eos")
SPECIAL_TOKENS = {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>"}
ALGORITHMS = ("bpe", "unigram")
LIBRARIES = ("tokenizers", "sentencepiece")
SPACE = "\u2581"
"""Stands for the space before a word, as in sentencepiece: so a text comes back as it was, spaces and all."""
PIECES = rf"{SPACE}?\p{{P}}|{SPACE}?[^{SPACE}\p{{P}}]+|{SPACE}"
"""What a piece may not cross: words and punctuation marks, each with the space before it."""
PIECES_OF_SENTENCEPIECE = rf"{SPACE}?[^{SPACE}]+|{SPACE}"
"""The same for sentencepiece, which divides words from marks by itself, at the change of script."""
MOST_UNKNOWN = 0.05
"""The largest share of a text's characters that may be unknown because a vocabulary has no room for them."""
LONGEST_TEXT = 1 << 16
"""Bytes of a text that sentencepiece trains on at most; it passes over longer ones without a word."""


class TokenizerPair(dict):
    """``{'source': tokenizer, 'target': tokenizer}``, one for each language."""

    def save_to_dir(self, directory: Path) -> None:
        """Save both, each in a folder of its side."""
        for side, tokenizer in self.items():
            tokenizer.save_pretrained(str(directory / side))

    @classmethod
    def load_from_dir(cls, directory: Path) -> TokenizerPair:
        """Load what ``save_to_dir`` has saved."""
        from transformers import PreTrainedTokenizerFast

        load = partial(open_pretrained, PreTrainedTokenizerFast, where=str(directory))
        return cls({side: load(directory / side) for side in ("source", "target")})


@register_transform_functor
class TrainTokenizer(BaseTransform):
    """Trains a tokenizer on text columns; gives a PreTrainedTokenizerFast.

    It encodes a text as its pieces and the end of sentence, and decodes them into the same text. With ``joint: false``
    the output is ``{'source': tokenizer, 'target': tokenizer}``. Each setting has its own entry in the cache: go back
    to a ``vocab_size``, and its tokenizer is there.
    """

    def setup(
        self,
        vocab_size: int = 8000,
        algorithm: str = "bpe",
        library: str | None = None,
        joint: bool = True,
        min_frequency: int = 2,
        character_coverage: float | None = None,
        columns: Sequence[str] = ("source", "target"),
        split: str = "train",
        max_texts: int | None = None,
        special_tokens: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Say what to train.

        Args:
            vocab_size: entries of the vocabulary, special tokens and single characters included.
            algorithm: ``bpe`` or ``unigram``.
            library: ``tokenizers`` or ``sentencepiece``; None takes the one that gives the same pieces each time:
                tokenizers for ``bpe``, sentencepiece for ``unigram``.
            joint: whether both columns share one tokenizer, as a model with tied embeddings needs.
            min_frequency: how often a pair of pieces must occur to become one, for ``bpe`` of ``tokenizers``.
            character_coverage: the share of the text's characters that get an entry of their own; the others, the
                rarest, are unknown. Below 1 for scripts with many characters; not for ``unigram`` of ``tokenizers``.
                None is 1, but where ``bpe`` of ``tokenizers`` has no room for all, the rarest are left out with a
                warning, up to one in 20 of the text's characters.
            columns: the text columns, source and target.
            split: the split to train on; the others must stay unseen.
            max_texts: train on so many texts of a column at most, spread over the split.
            special_tokens: other names for ``pad``, ``unk``, ``bos``, ``eos``, whose ids are 0, 1, 2 and 3.
            **kwargs: ``input_mapping`` and ``output_mapping``, see BaseTransform.
        """
        super().setup(**kwargs)
        where = f"{self.where}, setup_kwargs"
        library = library or ("tokenizers" if algorithm == "bpe" else "sentencepiece")
        for name, value, known in (("algorithm", algorithm, ALGORITHMS), ("library", library, LIBRARIES)):
            must_be(value in known, name, f"one of {', '.join(known)}", value, where=where)
        whole = f"a whole number above {len(ROLES)}"
        must_be(vocab_size > len(ROLES), "vocab_size", whole, vocab_size, where=where)
        least = 1 if (library, algorithm) == ("tokenizers", "unigram") else 0
        must_be(
            character_coverage is None or (0 < character_coverage <= 1 and character_coverage >= least),
            "character_coverage",
            "above 0 and at most 1",
            character_coverage,
            where=where,
            hint="the unigram of tokenizers takes 1 only; that of sentencepiece takes others too",
        )
        if max_texts is not None:
            must_be_whole("max_texts", max_texts, least=1, where=where, hint="null takes all")
        must_be_whole("min_frequency", min_frequency, least=0, where=where)
        special = {**SPECIAL_TOKENS, **(special_tokens or {})}
        are_names = all(isinstance(token, str) and token for token in special.values())
        if set(special) != set(ROLES) or not are_names or len(set(special.values())) < len(ROLES):
            raise ConfigError(f"`special_tokens` must give {', '.join(ROLES)} a name each: {special}", where=where)
        self.vocab_size = vocab_size
        self.algorithm = algorithm
        self.library = library
        self.joint = joint
        self.min_frequency = min_frequency
        self.character_coverage = character_coverage
        self.columns = list(columns)
        self.split = split
        self.max_texts = max_texts
        self.special = special

    def _call(self, data: Any) -> Any:
        data = as_dataset_dict(data)
        split = ""
        if isinstance(data, Mapping):
            must_be_known([self.split], data, "there is no split", where=self.where, error=DataError)
            data, split = data[self.split], self.split
        self.need_columns(data, self.columns, split=split, setting="columns")
        texts = {name: self._texts(data, name) for name in self.columns}
        if self.joint:
            return self._train([text for part in texts.values() for text in part], " and ".join(self.columns))
        if len(texts) != 2:
            raise ConfigError("`columns` must be two, source and target, where `joint` is false", where=self.where)
        return TokenizerPair(
            {
                side: self._train(part, name)
                for side, (name, part) in zip(("source", "target"), texts.items(), strict=True)
            }
        )

    def _texts(self, dataset: Dataset, name: str) -> list[str]:
        """The texts of a column, in the form that the tokenizer itself brings them into before it encodes."""
        if self.max_texts is not None and len(dataset) > self.max_texts:
            dataset = dataset.select(range(0, len(dataset), -(-len(dataset) // self.max_texts)))
        texts = [text for text in column(dataset, name).to_pylist() if text and not text.isspace()]
        texts = [unicodedata.normalize("NFC", text) for text in texts]
        if not texts:
            raise DataError(
                f"the {name} side is empty: {len(dataset)} rows, none with text",
                where=f"{self.where}, split {self.split!r}, column {name!r}",
                hint="look at the node that loads the pairs",
            )
        return texts

    def _train(self, texts: list[str], what: str) -> Any:
        from transformers import PreTrainedTokenizerFast

        if self.library == "sentencepiece":
            texts = self._short_enough(texts, what)
        trained = self._with_tokenizers(texts) if self.library == "tokenizers" else self._with_sentencepiece(texts)
        size = trained.get_vocab_size()
        if size < self.vocab_size:
            self._settle_for(size, what)
        if size > self.vocab_size:
            raise self._too_small(size)
        self._finish(trained)
        info(f"{self.name}: {size} entries from {len(texts)} texts ({what})")
        self.note(f"vocabulary of {what}", {"entries": size, "texts": len(texts)})
        names = {f"{role}_token": token for role, token in self.special.items()}
        return PreTrainedTokenizerFast(tokenizer_object=trained, clean_up_tokenization_spaces=False, **names)

    def _settle_for(self, supported: int, what: str) -> None:
        """Go on with fewer entries in a run with dummy data, which has little text; raise in any other."""
        found = f"the text ({what}) supports {supported} entries, not the {self.vocab_size} of `vocab_size`"
        if not self.use_dummy_data:
            hint = f"set vocab_size to {supported} or less, or give more text"
            raise ConfigError(found, where=f"{self.where}, vocab_size", hint=hint)
        warning(f"{self.name}: {found}; a run with dummy data goes on with {supported}")

    def _too_small(self, needed: int | None) -> ConfigError:
        count = f"{needed} entries" if needed else "more entries"
        return ConfigError(
            f"`vocab_size` {self.vocab_size} is too small: the characters and special tokens alone need {count}",
            where=f"{self.where}, vocab_size",
            hint="set a larger vocab_size, or character_coverage below 1",
        )

    # -- tokenizers

    def _with_tokenizers(self, texts: list[str]) -> Any:
        from tokenizers import Tokenizer, models, trainers

        unk = self.special["unk"]
        special = [self.special[role] for role in ROLES]
        settings: dict[str, Any] = {"vocab_size": self.vocab_size, "special_tokens": special, "show_progress": False}
        trainer: Any
        if self.algorithm == "bpe":
            tokenizer = Tokenizer(models.BPE(unk_token=unk))
            room = self._alphabet(texts)
            limit: dict[str, Any] = {} if room is None else {"limit_alphabet": room}
            trainer = trainers.BpeTrainer(min_frequency=self.min_frequency, **settings, **limit)
        else:
            tokenizer = Tokenizer(models.Unigram())
            trainer = trainers.UnigramTrainer(unk_token=unk, **settings)
        self._prepare(tokenizer)
        try:
            tokenizer.train_from_iterator(texts, trainer, length=len(texts))
        except Exception as error:  # tokenizers has no class of its own
            if "not large enough" in str(error):
                raise self._too_small(None) from error
            raise
        return tokenizer

    def _alphabet(self, texts: list[str]) -> int | None:
        """How many characters, from the most frequent down, get an entry of their own; None: all.

        Raises:
            ConfigError: too many would be unknown.
        """
        from collections import Counter
        from itertools import accumulate

        if self.character_coverage == 1:
            return None
        # As `_prepare` has them cut: each text begins with a space, and is free of double ones.
        found = Counter(char for text in texts for char in SPACE + SPACE.join(text.split())).most_common()
        counts = [count for _, count in found]
        if self.character_coverage is not None:
            goal = self.character_coverage * sum(counts)
            return next(number for number, total in enumerate(accumulate(counts), start=1) if total >= goal)
        room = self.vocab_size - len(ROLES)
        if len(found) <= room:
            return None
        lost, needed = sum(counts[room:]), len(found) + len(ROLES)
        if lost > MOST_UNKNOWN * sum(counts):
            raise self._too_small(needed)
        rarest = ", ".join(repr(character) for character, _ in found[room:][:5])
        more = f" and {len(found) - room - 5} more" if len(found) - room > 5 else ""
        warning(
            f"{self.name}: `vocab_size` {self.vocab_size} has no room for {len(found) - room} of {len(found)} "
            f"characters ({rarest}{more}): {lost} of {sum(counts)} in the text are unknown; {needed} entries hold all"
        )
        self.note("characters without an entry", {"characters": len(found) - room, "of the text": lost / sum(counts)})
        return room

    def _prepare(self, tokenizer: Any, pieces: str = PIECES) -> None:
        """How a text is cut before pieces are looked for, and put together again."""
        from tokenizers import Regex, decoders, normalizers, pre_tokenizers

        spaces = [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), *spaces])
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(SPACE, split=False), pre_tokenizers.Split(Regex(pieces), "isolated")]
        )
        tokenizer.decoder = decoders.Metaspace(SPACE)

    def _finish(self, tokenizer: Any) -> None:
        from tokenizers import processors

        eos = self.special["eos"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {eos}", pair=f"$A {eos} $B {eos}", special_tokens=[(eos, tokenizer.token_to_id(eos))]
        )

    # -- sentencepiece

    def _short_enough(self, texts: list[str], what: str) -> list[str]:
        """The texts that sentencepiece trains on; how many are longer is said and noted."""
        fit = [text for text in texts if 4 * len(text) <= LONGEST_TEXT or len(text.encode()) <= LONGEST_TEXT]
        if len(fit) < len(texts):
            found = f"{len(texts) - len(fit)} of {len(texts)} texts ({what}) are longer than {LONGEST_TEXT} bytes"
            if not fit:
                raise DataError(
                    f"{found}, which sentencepiece does not train on",
                    where=self.where,
                    hint="give one sentence a row, or set library: 'tokenizers'",
                )
            warning(f"{self.name}: {found}; sentencepiece does not train on them")
            self.note(f"texts of {what} too long for sentencepiece", len(texts) - len(fit))
        return fit

    def _with_sentencepiece(self, texts: list[str]) -> Any:
        import sentencepiece
        from tokenizers import Tokenizer, models

        model = sentencepiece.SentencePieceProcessor(model_proto=self._sentencepiece_model(texts, self.vocab_size))
        pieces = [(model.id_to_piece(i), model.get_score(i)) for i in range(model.get_piece_size())]
        unk = self.special["unk"]
        if self.algorithm == "unigram":
            tokenizer = Tokenizer(models.Unigram(pieces, unk_id=model.unk_id()))
        else:
            vocabulary = {piece: i for i, (piece, _) in enumerate(pieces)}
            tokenizer = Tokenizer(models.BPE(vocabulary, _merges(pieces), unk_token=unk, fuse_unk=True))
        self._prepare(tokenizer, PIECES_OF_SENTENCEPIECE)
        return tokenizer

    def _sentencepiece_model(self, texts: list[str], vocab_size: int) -> bytes:
        """A model of sentencepiece, trained."""
        import sentencepiece

        written = io.BytesIO()
        settings: dict[str, Any] = {f"{role}_id": number for number, role in enumerate(ROLES)}
        settings |= {f"{role}_piece": token for role, token in self.special.items()}
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=written,
                model_type=self.algorithm,
                vocab_size=vocab_size,
                character_coverage=1.0 if self.character_coverage is None else self.character_coverage,
                normalization_rule_name="identity",
                minloglevel=2,
                max_sentence_length=LONGEST_TEXT,
                **settings,
            )
        except RuntimeError as error:
            text = str(error)
            most = re.search(r"<= (\d+)", text)
            if "too high" in text and most:
                self._settle_for(int(most[1]), "all columns" if self.joint else "one column")
                return self._sentencepiece_model(texts, int(most[1]))
            if "required_chars" in text or "too small" in text or "smaller than" in text:
                raise self._too_small(None) from error
            raise ConfigError(
                f"sentencepiece cannot train with these settings: {text.strip().splitlines()[-1]}", where=self.where
            ) from error
        return written.getvalue()


def _merges(pieces: Sequence[tuple[str, float]]) -> list[tuple[str, str]]:
    """The merges of a BPE model of sentencepiece, which keeps only what they give, the first with the best score."""
    known = {piece for piece, _ in pieces}
    found = []
    for piece, score in pieces:
        cuts = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
        found += [(-score, left, right) for left, right in cuts if left in known and right in known]
    found.sort(key=lambda merge: merge[0])
    return [(left, right) for _, left, right in found]
