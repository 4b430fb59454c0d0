"""``runway translate RUN TEXT…``: use the model that a test has exported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from runway.errors import ConfigError, DataError, ExperimentError
from runway.experiment.runs import run_named

EXPORT_PATTERN = "test/*/export"
LINES_AT_A_TIME = 2000


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    folder = find_export(run_named(arguments.run))
    chunks = _texts(arguments.text)
    import logging

    logging.getLogger("transformers").setLevel(logging.ERROR)
    from transformers.utils.logging import disable_progress_bar

    from runway.executors.translator import Translator

    disable_progress_bar()
    translator = Translator.load(folder, {} if arguments.beams is None else {"num_beams": arguments.beams})
    for texts in chunks:
        for translation in translator.translate(texts, arguments.batch_size):
            sys.stdout.write(translation + "\n")
        sys.stdout.flush()
    return 0


def find_export(run_folder: Path) -> Path:
    """The exported model of a run: of the test that was last; or the folder itself, where it is an export.

    Raises:
        ExperimentError: there is none.
    """
    if (run_folder / "translation.json").is_file():
        return run_folder
    found = [place for place in (*run_folder.glob(EXPORT_PATTERN), run_folder / "export")]
    found = [place for place in found if (place / "translation.json").is_file()]
    if not found:
        raise ExperimentError(
            f"{run_folder.name} has no exported translation model",
            where=str(run_folder),
            hint="`runway test CONFIG` exports the best model of a Seq2SeqExecutor",
        )
    return max(found, key=lambda place: (place / "translation.json").stat().st_mtime)


def _texts(words: list[str]) -> Iterator[list[str]]:
    """The texts to translate, some at a time; an empty line gives an empty line."""
    if len(words) == 1 and _is_file(words[0]):
        return _lines(Path(words[0]))
    if words:
        return iter([words])
    if sys.stdin is None or sys.stdin.isatty():
        raise ConfigError("there is nothing to translate", hint="give a text, a file, or pipe lines in")
    return _lines(None)


def _is_file(word: str) -> bool:
    try:
        return Path(word).is_file()
    except OSError:  # a sentence may be longer than a file's name can be
        return False


def _lines(path: Path | None) -> Iterator[list[str]]:
    """The lines of a file, or of standard input, in chunks.

    Raises:
        DataError: a line is not UTF-8.
    """
    stream = path.open("rb") if path else sys.stdin.buffer
    try:
        chunk: list[str] = []
        for number, line in enumerate(stream, start=1):
            try:
                chunk.append(line.decode("utf-8").rstrip("\r\n"))
            except UnicodeDecodeError as error:
                raise DataError(
                    f"line {number} is not UTF-8: {error.reason} at byte {error.start}",
                    where=f"{path or 'standard input'}, line {number}",
                    hint="convert it: iconv -f LATIN1 -t UTF-8",
                ) from error
            if len(chunk) == LINES_AT_A_TIME:
                yield chunk
                chunk = []
        if chunk:
            yield chunk
    finally:
        if path:
            stream.close()
