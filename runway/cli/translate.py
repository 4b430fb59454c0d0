"""``runway translate RUN TEXT…``: use the model that a test has exported."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runway.errors import ConfigError, DataError, ExperimentError, did_you_mean
from runway.experiment.folders.runs import run_named

EXPORT_PATTERN = "test/*/export"
EXPORT_HINT = "`runway test CONFIG` exports the best model of a Seq2SeqExecutor"
LINES_AT_A_TIME = 2000
STANDARD_INPUT = "-"

Line = tuple[str, str]
"""Where a text comes from, and the text."""


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    found = run_named(
        arguments.run, accept=lambda path: bool(_exports(path)), what="an exported model", hint=EXPORT_HINT
    )
    folder = find_export(found)
    chunks = _chunks(arguments.text, arguments.file)
    import logging

    logging.getLogger("transformers").setLevel(logging.ERROR)
    from transformers.utils.logging import disable_progress_bar

    from runway.executors.seq2seq.translator import Translator

    disable_progress_bar()
    translator = Translator.load(folder, {} if arguments.beams is None else {"num_beams": arguments.beams})
    for chunk in chunks:
        places, texts = zip(*chunk, strict=True)
        for translation in translator.translate(
            texts, arguments.batch_size, on_too_long=arguments.on_too_long, places=places
        ):
            sys.stdout.write(" ".join(translation.splitlines()) + "\n")  # one line for each that was read
        sys.stdout.flush()
    return 0


def find_export(run_folder: Path) -> Path:
    """The exported model of a run: of the test that was last; or the folder itself, where it is an export.

    Raises:
        ExperimentError: there is none.
    """
    found = _exports(run_folder)
    if not found:
        raise ExperimentError(
            f"{run_folder.name} has no exported translation model", where=str(run_folder), hint=EXPORT_HINT
        )
    return max(found, key=lambda place: (place / "translation.json").stat().st_mtime)


def _exports(run_folder: Path) -> list[Path]:
    """The folders with an exported model; the folder itself alone, where it is one."""
    if (run_folder / "translation.json").is_file():
        return [run_folder]
    places = [*run_folder.glob(EXPORT_PATTERN), run_folder / "export"]
    return [place for place in places if (place / "translation.json").is_file()]


def _chunks(words: list[str], files: list[str]) -> Iterator[list[Line]]:
    """The lines to translate, some at a time: the texts, then those of the files; an empty line gives an empty line.

    Raises:
        ConfigError: there is nothing to translate, no such file, or a text that is the name of one.
        DataError: a text is not UTF-8.
    """
    if STANDARD_INPUT in words and len(words) > 1:
        raise ConfigError("`-` is standard input, and stands without texts", where="`runway translate`")
    if not words and not files and (sys.stdin is None or sys.stdin.isatty()):
        raise ConfigError("there is nothing to translate", hint="give texts, --file PATH, or pipe lines in")
    if words == [STANDARD_INPUT] or not (words or files):
        words, files = [], [STANDARD_INPUT, *files]
    for word in words:
        if os.path.isfile(word):
            raise ConfigError(
                f"{word!r} is a file, and a text is expected",
                where="`runway translate`",
                hint=f"`--file {word}` reads it; to translate the word itself, pipe it in",
            )
    for path in map(Path, filter(STANDARD_INPUT.__ne__, files)):
        if not path.exists():
            siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else None
            near = f"the folder {path.parent} does not exist" if siblings is None else did_you_mean(path.name, siblings)
            raise ConfigError(f"there is no file {str(path)!r}", where=str(path.parent.resolve()), hint=near)
    texts = [[(f"text {number}", _checked(word, number)) for number, word in enumerate(words, start=1)]]
    return itertools.chain(texts if words else [], *map(_lines, files))


def _checked(text: str, number: int) -> str:
    """The text of a word on the command line, where Python keeps bytes that are no UTF-8 as surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"text {number} is not UTF-8: character {error.start + 1}",
            where=f"text {number}",
            hint="set the terminal to UTF-8",
        ) from error
    return text


def _lines(word: str) -> Iterator[list[Line]]:
    """The lines of a file, or of standard input, in chunks.

    Raises:
        DataError: it cannot be read, or a line is not UTF-8.
    """
    name = "standard input" if word == STANDARD_INPUT else word
    chunk: list[Line] = []
    try:
        with _opened(word) as stream:
            for number, line in enumerate(stream, start=1):
                place = f"{name}, line {number}"
                line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                try:
                    chunk.append((place, line.decode("utf-8").rstrip("\r\n")))
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"line {number} is not UTF-8: {error.reason} at byte {error.start}",
                        where=place,
                        hint="convert it: iconv -f LATIN1 -t UTF-8",
                    ) from error
                if len(chunk) == LINES_AT_A_TIME:
                    yield chunk
                    chunk = []
    except OSError as error:
        raise DataError(
            f"{name} cannot be read: {error}", where=name, hint="is it whole, and compressed as its name says?"
        ) from error
    if chunk:
        yield chunk


def _opened(word: str) -> contextlib.AbstractContextManager[Any]:
    """The bytes of a file, or of standard input; a compressed file is read as the training data are."""
    if word == STANDARD_INPUT:
        if sys.stdin is None:
            raise ConfigError("there is no standard input", where="`runway translate`")
        return contextlib.nullcontext(sys.stdin.buffer)
    from runway.transforms.loading.data_files import COMPRESSIONS

    if Path(word).suffix not in COMPRESSIONS:
        return Path(word).open("rb")
    import io

    import pyarrow as pa

    return io.BufferedReader(pa.input_stream(word, compression="detect"))
