"""Top-level keys that nothing reads and that are all but the name of one that is read: ``tokeniser``, ``datasets``.

Such a key is the user's own and is taken; but where a key of nearly that name does the work, it is probably a slip.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runway.config.check import is_slip
from runway.config.reads import lookup
from runway.config.schema import CONFIG
from runway.log import shown

if TYPE_CHECKING:
    from runway.config.config import Config

CLOSE = 0.85
LONG = 7  # shorter words that differ in more than one slip are other words


def notes_on_keys(config: Config, sources: Mapping[str, bytes]) -> list[str]:
    """One sentence for each key that nothing reads and that is nearly one that is read.

    Args:
        config: the resolved config.
        sources: the text of every file that it was made of, templates included.
    """
    own = [key for key in config if key not in CONFIG]
    near = {key: [other for other in (*CONFIG, *own) if other != key and is_near(key, other)] for key in own}
    near = {key: others for key, others in near.items() if others}
    if not near:
        return []
    code = _project_code(config)
    if code is None:
        return []
    texts = [text.decode("utf-8", "replace") for text in sources.values()]
    notes = []
    for key, others in near.items():
        meant = [other for other in others if other in CONFIG or _is_read(other, texts, code)]
        told = any(f"`{key}`" in note for note in config.notes)  # as the new key of an override
        if meant and not told and not _is_read(key, texts, code):
            notes.append(f"nothing reads the key `{key}` of {shown(config.path)}: did you mean {meant[0]!r}?")
    return notes


def is_near(name: str, other: str) -> bool:
    """Whether the two names differ so little that one is probably meant for the other.

    Their words are compared one by one: ``dataset_de`` and ``dataset_en``, ``encoder`` and ``decoder``, ``lang1`` and
    ``lang2`` are names that were chosen.
    """
    words, others = (re.split("[_-]", text.lower()) for text in (name, other))
    if len(words) != len(others):
        return is_slip(name, other)
    return all(_is_near_word(word, known) for word, known in zip(words, others, strict=True) if word != known)


def _is_near_word(word: str, known: str) -> bool:
    if word[:1] != known[:1] or re.sub(r"\D", "", word) != re.sub(r"\D", "", known) or word[:-1] == known[:-1]:
        return False
    if is_slip(word, known) or (len(word) > 4 and known + "s" == word) or (len(known) > 4 and word + "s" == known):
        return True
    return min(len(word), len(known)) >= LONG and difflib.SequenceMatcher(None, word, known).ratio() >= CLOSE


def _is_read(key: str, texts: Iterable[str], code: Iterable[str]) -> bool:
    name = re.escape(key)
    in_config = re.compile(rf"""\.\s*{name}\b|(['"]){name}\1(?!\s*\]?\s*\+?:)|%\({name}\)""")
    in_code = re.compile(rf"\b{name}\b")
    return any(in_config.search(text) for text in texts) or any(in_code.search(text) for text in code)


def _project_code(config: Config) -> list[str] | None:
    """The text of the project's modules; None where it names modules that stand elsewhere and may read any key."""
    source = config.project / "src"
    folder = source if source.is_dir() else config.project
    for name in lookup(config, ("meta", "user_modules")) or ():
        path = folder.joinpath(*str(name).split("."))
        if not path.is_dir() and not path.with_suffix(".py").is_file():
            return None
    return [path.read_text(encoding="utf-8", errors="replace") for path in _modules(folder, deep=folder == source)]


def _modules(folder: Path, *, deep: bool) -> Iterator[Path]:
    for pattern in ["**/*.py"] if deep else ["*.py", "*/*.py"]:
        yield from (path for path in folder.glob(pattern) if path.is_file())
