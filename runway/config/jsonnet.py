"""Evaluate jsonnet: the engine, where imports are looked up, and errors that show the line at fault.

The engine is ``gojsonnet``; where it has no wheel, the C++ ``jsonnet`` with the same language and API.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runway.config.apart import SNIPPET, EndlessError, evaluate_apart
from runway.config.config import Config
from runway.config.overrides import MARK
from runway.config.tokens import LONG_NUMBER, MAX_NESTING, check_integers, check_nesting
from runway.errors import ConfigError, did_you_mean
from runway.log import shown, warning
from runway.masking import hidden_source
from runway.user_code import code_of

TEMPLATES = Path(__file__).parents[1] / "templates" / "jsonnet"
TEMPLATE_GROUPS = ("runway.templates", "runway.plugins")
TEXT_SUFFIXES = (".jsonnet", ".libsonnet", ".json")

ENGINES_INDENT = 3  # spaces a level, in the JSON that the engines give
MAX_FRAMES = 10_000  # the engine's own 500 are used up by 70 overrides in one section
FAILS = b"error 'this import failed'"

_FRAME = (
    r"^\s*(?:(?:STATIC|RUNTIME) ERROR: )?(?P<file>[^\n]*?):"
    r"(?:\((?P<line>\d+):(?P<column>\d+)\)-\(\d+:\d+\)|(?P<line1>\d+):(?P<column1>\d+)(?:-(?P<end>\d+))?)(?P<rest>[\s:].*|$)"
)
_FIELD = r'^\s*Field "(.*)"\s*$'
_UNKNOWN = r"(?i)(?:Field does not exist|Unknown variable): (\S+)"


class EvaluationError(Exception):
    """An error that runway's own wrapping code raised inside jsonnet; ``args[0]`` is its text after MARK."""


def evaluate(snippet: str, importer: Importer, *, engine: str | None = None, max_frames: int = MAX_FRAMES) -> Any:
    """The value of a jsonnet expression, objects as Configs.

    Args:
        snippet: the code; it imports the user's file, and holds no code of the user's itself.
        importer: answers its imports.
        engine: the name of the engine's module; by default the first that is installed.
        max_frames: how deep it may call.

    Raises:
        ConfigError: the user's code does not parse or fails, or imports a file that is not there.
        EvaluationError: the snippet's own code failed on purpose.
    """
    importer.error = None
    try:
        text = evaluate_apart(snippet, importer, engine, max_frames)
        if importer.error is not None:
            raise importer.error from None
    except RuntimeError as error:
        raise importer.error or _explained(str(error), importer) from None
    except EndlessError as error:
        place = next((path for path in importer.sources if not path.startswith(str(TEMPLATES))), SNIPPET)
        raise ConfigError(error.message, where=shown(place), hint=error.hint) from None
    if "\n" + " " * (ENGINES_INDENT * MAX_NESTING) in text:
        place = shown(next(iter(importer.sources), SNIPPET))
        raise ConfigError(f"the config comes to a value that is nested more than {MAX_NESTING} deep", where=place)
    # every number of jsonnet is a double: 1e20 is printed as an integer, but is none
    return json.loads(text, object_pairs_hook=Config, parse_int=_parse_integer)


def _parse_integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 17 else float(digits)


class Importer:
    """Answers a config's imports: looks a file up, reads it, and keeps what was read.

    A name is looked up beside the file that imports it, beside the config, in the project's ``configs/``,
    in the project, in runway's own templates, and last in the packages that publish templates.

    Args:
        config_folder: the config's.
        project: the project's folder.
        more: further folders whose files may be imported, and in which names are looked up last.

    Attributes:
        sources: {path: content} of what was imported.
        error: why an import failed.
    """

    def __init__(self, config_folder: Path, project: Path, more: Sequence[Path] = ()) -> None:
        self.config_folder, self.project, self.more = config_folder, project, tuple(more)
        code = code_of(project)
        self.folders = [config_folder, code / "configs", code, TEMPLATES, *more]
        self.sources: dict[str, bytes] = {}
        self.error: ConfigError | None = None

    def __call__(self, folder: str, name: str) -> tuple[str, bytes]:
        try:
            path = self._find(folder, name)
            if path not in self.sources:
                content = read_source(path)
                if path.endswith(TEXT_SUFFIXES):
                    check_nesting(content, path)
                    if LONG_NUMBER.search(content) and not self._is_only_text(name):
                        check_integers(content, path)
                self.sources[path] = content
            return path, self.sources[path]
        except ConfigError as error:
            # Not raised: the Go engine then reads memory that is not its own for the message. What is given
            # instead fails as soon as it is used, and ``evaluate`` raises this error.
            self.error = error
        except OSError as error:
            importing, line = _importing_place(name, self.sources)
            self.error = ConfigError(
                f"{shown(name)!r} cannot be looked up: {error.strerror or error}",
                where=f"{shown(importing)}:{line}" if importing else None,
            )
        return name, FAILS

    def _is_only_text(self, name: str) -> bool:
        """Whether a file is imported by ``importstr`` alone, and no text is parsed as data."""
        told = b"\n".join(self.sources.values())
        written = re.escape(name).encode()
        as_text = re.search(rb"\bimport(?:str|bin)\s*@?['\"]%b['\"]" % written, told)
        as_data = re.search(rb"\bimport\s*@?['\"]%b['\"]|\bparse(?:Json|Yaml)\b" % written, told)
        return as_text is not None and as_data is None

    def _find(self, folder: str, name: str) -> str:
        folders = [Path(folder)] if folder else []  # our own snippet has no folder, and imports by full path
        folders += [other for other in self.folders if other not in folders]
        path = _first_file(folders, name)
        own = [*self.folders, self.project]
        if path is None:
            own = installed_templates(name)
            path = _first_file(own, name)
        if path is None:
            raise self._missing(name, folders)
        real = os.path.realpath(path)
        if not any(_is_below(real, os.path.realpath(folder)) for folder in own):
            importing, line = _importing_place(name, self.sources)
            raise ConfigError(
                f"the import of {name!r} leads out of the project, to {real}",
                where=f"{shown(importing)}:{line}" if importing else None,
                hint="copy the file into the project; or name its folder on the command line, meta.import_paths=[…], "
                "or in the project's pyproject.toml, [tool.runway] import_paths = […]",
            )
        return path

    def _missing(self, name: str, folders: list[Path]) -> ConfigError:
        importing, line = _importing_place(name, self.sources)
        searched = [shown(folder) for folder in folders]
        near = self._near(name, folders, importing)
        meant = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        return ConfigError(
            f"there is no file {name!r} to import",
            where=f"{shown(importing)}:{line}" if importing else None,
            hint=f"{meant}looked in {', '.join(searched)} and in installed packages' templates",
        )

    def _near(self, name: str, folders: list[Path], importing: str | None) -> list[str]:
        """Files of that name elsewhere in ``configs/``, as seen from the importing file; else the nearest name."""
        import difflib

        configs, wanted, start = self.folders[1], os.path.basename(name), os.path.dirname(importing or "")
        namesakes = [path for path in configs.rglob("*") if path.name == wanted and str(path) != importing]
        elsewhere = sorted(Path(os.path.relpath(path, start)).as_posix() for path in namesakes if path.is_file())
        if elsewhere and importing:
            return elsewhere[:3]
        known = {near for near, path in _importable(folders) if str(path) != importing}
        return difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)


def _first_file(folders: list[Path], name: str) -> str | None:
    for folder in folders:
        path = os.path.normpath(os.path.join(folder, name))
        with contextlib.suppress(ValueError):  # a null byte, half a surrogate
            if os.path.isfile(path):
                return path
    return None


def _importable(folders: list[Path]) -> Iterator[tuple[str, Path]]:
    for folder in folders:
        for pattern in ("*sonnet", "*/*sonnet"):
            yield from ((path.relative_to(folder).as_posix(), path) for path in folder.glob(pattern))


def _importing_place(name: str, sources: dict[str, bytes]) -> tuple[str | None, int]:
    """The file that imports ``name``, and the line."""
    statement = re.compile(rf"\bimport(?:str|bin)?\s*@?['\"]{re.escape(name)}['\"]")
    for path, content in sources.items():
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
            if statement.search(line):
                return path, number
    return None, 0


def installed_templates(name: str) -> list[Path]:
    """The folders in which installed packages publish jsonnet, for an import that is found nowhere else.

    A package publishes the folder of a module by an entry point in ``runway.templates`` (or
    ``runway.plugins``); what it holds is imported by its own name, or with the package's name before it.
    """
    import importlib.metadata  # 20 ms or more: only now

    folders: list[Path] = []
    for group in TEMPLATE_GROUPS:
        for entry in importlib.metadata.entry_points(group=group):
            try:
                found = _package_folders(entry.value.partition(":")[0].strip())
            except (Exception, SystemExit) as error:  # of a package above it, which is imported to find it
                package = entry.dist.name if entry.dist is not None else "?"
                warning(f"the templates of {entry.name!r} ({entry.value}, of {package}) cannot be looked up: {error!r}")
                continue
            for folder in found:
                folders.append(folder)
                if name.partition("/")[0] == folder.name:
                    folders.append(folder.parent)
    return folders


def _package_folders(module: str) -> list[Path]:
    import importlib.util

    try:
        spec = importlib.util.find_spec(module)
    except ImportError:  # an entry point that points nowhere: another package may have the file
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(folder) for folder in spec.submodule_search_locations]
    return [Path(spec.origin).parent] if spec.origin else []


def read_source(path: str | Path) -> bytes:
    """A file's bytes, checked.

    Raises:
        ConfigError: it cannot be read, or is jsonnet that is not UTF-8.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{shown(path)} cannot be read: {error.strerror}", where=shown(path)) from error
    if not str(path).endswith(TEXT_SUFFIXES):
        return content  # importbin takes any bytes
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{shown(path)} must be UTF-8 text, but has the byte 0x{content[error.start]:02x} instead",
            where=f"{shown(path)}:{line}",
            hint="save it as UTF-8 in your editor",
        ) from error
    return content


def _explained(text: str, importer: Importer) -> Exception:
    """The engine's error as ours: its message, the user's own file and line, the line itself with a caret."""
    first = text.splitlines()[0].removeprefix("RUNTIME ERROR: ").strip()
    if first.startswith(MARK):
        return EvaluationError(first.removeprefix(MARK))
    frames = [found for line in text.splitlines() if (found := re.match(_FRAME, line))]
    own = [frame for frame in frames if frame["file"] in importer.sources]
    if own and re.match(_FRAME, text.splitlines()[0]):  # a static error: the message stands behind the place
        first = own[0]["rest"].lstrip(": ").strip()
    message = first.rstrip(".") or "the config does not evaluate"
    making = ".".join(reversed([found[1] for line in text.splitlines() if (found := re.match(_FIELD, line))]))
    if making and not own:
        message += f" (at {making})"
    if not own:
        return ConfigError(message, where=shown(next(iter(importer.sources), SNIPPET)), hint=_advice(first, importer))
    frame = own[0]
    line, column = int(frame["line"] or frame["line1"]), int(frame["column"] or frame["column1"])
    excerpt = _excerpt(importer.sources[frame["file"]], line, column, int(frame["end"] or column))
    return ConfigError(
        f"{message}\n{excerpt}" if excerpt else message,
        where=f"{shown(frame['file'])}:{line}" + (f", making {making}" if making else ""),
        hint=_advice(first, importer),
    )


def _excerpt(content: bytes, line: int, column: int, end: int) -> str:
    lines = content.decode("utf-8", "replace").splitlines()
    if not 0 < line <= len(lines):
        return ""
    source = hidden_source(lines[line - 1].expandtabs(1))
    gutter = f"{line:>5} | "
    end = max(column, min(end, len(source) + 1))
    return f"{gutter}{source}\n{' ' * (len(gutter) - 2)}| {' ' * (column - 1)}{'^' * max(1, end - column)}"


def _advice(message: str, importer: Importer) -> str | None:
    """The closest name in the config's files, for a name that does not exist."""
    unknown = re.search(_UNKNOWN, message)
    if unknown:
        text = "\n".join(content.decode("utf-8", "replace") for content in importer.sources.values())
        names = set(re.findall(r"\b([A-Za-z_]\w*)['\"]?\s*(?:\+?:|=|\()", text)) - {unknown[1]}
        advice = did_you_mean(unknown[1], names, listing=0)
        return advice if advice.startswith("did you mean") else None
    if message.startswith("max stack frames"):
        return "a value there is derived from itself"
    if "manifest function" in message:
        return "a function must be a hidden field: `name(x):: ...`"
    return None
