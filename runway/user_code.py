"""The user's own code: the project's folder, the imports of its modules, their sources as loaded, their tracebacks."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path

from runway.errors import ConfigError, UserCodeError


def find_project(config_path: str | Path) -> Path:
    """The nearest folder upwards from the config that has ``src/`` or ``pyproject.toml``, else the config's own."""
    start = Path(config_path).resolve().parent
    for folder in (start, *start.parents):
        if (folder / "src").is_dir() or (folder / "pyproject.toml").is_file():
            return folder
    return start


def import_project_code(project: Path, kinds: Iterable[str], extra_modules: Iterable[str] = ()) -> None:
    """Import the user's modules, so that what they register is known.

    Args:
        project: the project's folder; its ``src/`` goes on ``sys.path`` (the folder itself where it has none).
        kinds: which of ``src/data_ops``, ``src/executors``, ``src/models`` to import, every module in each.
        extra_modules: ``meta.user_modules``, dotted names.

    Raises:
        UserCodeError: a module raised while it was imported.
    """
    source = project / "src" if (project / "src").is_dir() else project
    if str(source) not in sys.path:
        sys.path.insert(0, str(source))
    folders = [source / kind for kind in kinds if (source / kind).is_dir()]
    _write_no_racy_bytecode([source] if source.name == "src" else folders)
    for folder in folders:
        # What a package raises, it raises again below, where it is told as the user's error.
        found = pkgutil.walk_packages([str(folder)], folder.name + ".", onerror=lambda name: None)
        for module in sorted(found, key=lambda module: module.name):
            import_user_module(module.name, where=str(folder))
    for name in extra_modules:
        import_user_module(name, where="meta.user_modules")
    _keep_sources(source)


RACY_SECONDS = 2.0


def _write_no_racy_bytecode(folders: Iterable[Path]) -> None:
    """Write no bytecode in this process if there are files that were edited a moment ago.

    Python knows stale bytecode by the second of the source's last change and its size: what is written now would
    be taken for a file that is edited again within the same second.
    """
    times = [file.stat().st_mtime for folder in folders for file in folder.rglob("*.py") if file.is_file()]
    if times and time.time() - max(times) < RACY_SECONDS:
        sys.dont_write_bytecode = True


_sources: dict[str, bytes] = {}


def _keep_sources(folder: Path) -> None:
    """Keep the text of the modules that are loaded: a file that is edited during a run does not say what runs."""
    inside = str(folder) + os.sep
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file.startswith(inside) and file not in _sources:
            source_of(file)


def source_of(file: str) -> bytes | None:
    """The text of a source file, as it was when it was asked for first; None where there is none."""
    if file not in _sources:
        try:
            _sources[file] = Path(file).read_bytes()
        except OSError:
            return None
    return _sources[file]


def import_user_module(name: str, *, where: str) -> object:
    """Import one module of the user's; its own traceback goes with the error.

    Raises:
        ConfigError: there is no such module.
        UserCodeError: it is there, and raised.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise ConfigError(
                f"there is no module {name!r}", where=where, hint="modules are looked up in the project's src/ folder"
            ) from error
        raise _user_code_error(name, error) from error
    except ConfigError:  # a name registered twice says all by itself
        raise
    except (Exception, SystemExit) as error:  # a script that ends itself is no module
        raise _user_code_error(name, error) from error


def _user_code_error(name: str, error: BaseException) -> UserCodeError:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame)]
    last = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else name
    if isinstance(error, SyntaxError) and error.filename:
        last = f"{error.filename}:{error.lineno}"
    wrapped = UserCodeError(f"the module {name!r} cannot be imported: {type(error).__name__}: {error}", where=last)
    wrapped.traceback = user_traceback(error)  # type: ignore[attr-defined]
    return wrapped


def user_traceback(error: BaseException) -> str:
    """The traceback as text, without the frames of runway and of the import system.

    What stands above the first frame of the user's own code is left out: Lightning takes twenty frames to call a step.
    """
    import sysconfig

    found = (sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    libraries = tuple({path + os.sep for path in found if path})
    told = traceback.TracebackException.from_exception(error)
    waiting: list[traceback.TracebackException | None] = [told]
    while waiting:
        part = waiting.pop()
        if part is not None:
            kept = [frame for frame in part.stack if _is_users(frame)]
            own = [index for index, frame in enumerate(kept) if not frame.filename.startswith(libraries)]
            kept = kept[own[0] :] if own else kept
            if kept or issubclass(part.exc_type or object, SyntaxError):
                part.stack = traceback.StackSummary.from_list(kept)
            waiting += [part.__cause__, part.__context__]
    return "".join(told.format()).rstrip()


_OWN = str(Path(__file__).parent) + os.sep
_IMPORT_SYSTEM = str(Path(importlib.__file__).parent) + os.sep


def _is_users(frame: traceback.FrameSummary) -> bool:
    """Not one of runway's, and not one of the import system's."""
    return not frame.filename.startswith((_OWN, _IMPORT_SYSTEM, "<frozen importlib"))
