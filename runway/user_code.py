"""The user's own code: the project's folder, the imports of its modules, their tracebacks."""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runway import project_modules
from runway.errors import ConfigError, RunwayError, UserCodeError
from runway.log import warning
from runway.walk import is_cache

if TYPE_CHECKING:
    from traceback import FrameSummary, TracebackException


def find_project(config_path: str | Path) -> Path:
    """The nearest folder upwards from the config that has ``src/`` or ``pyproject.toml``, else the config's own."""
    start = Path(config_path).resolve().parent
    for folder in (start, *start.parents):
        if (folder / "src").is_dir() or (folder / "pyproject.toml").is_file():
            return folder
    return start


CODE, CODE_OF = "RUNWAY_CODE", "RUNWAY_CODE_OF"
"""A submitted job's variables: the folder of its snapshot, and the project that this is the code of."""


def code_of(project: Path) -> Path:
    """Where the code and the configs of a project are taken from: its folder; in a submitted job, its snapshot.

    Data, runs and the cache are those of the project's folder in both.
    """
    code = os.environ.get(CODE)
    return Path(code) if code and os.environ.get(CODE_OF) == str(project.resolve()) else project


def placed(project: Path, name: str | Path) -> Path:
    """A path of the project's, or an absolute one; in a submitted job, files below ``src/`` are the snapshot's."""
    path = project / name
    code = code_of(project)
    if code == project or not path.is_relative_to(project / "src"):
        return path
    return code / path.relative_to(project)


def import_project_code(
    project: Path, kinds: Iterable[str], extra_modules: Iterable[str] = (), trusted_packages: Iterable[str] = ()
) -> None:
    """Import the user's modules, so that what they register is known.

    A module of ``src/`` that cannot be imported is kept in ``broken_modules``: it is an error only where something is
    asked for that it may define (see ``Registry.get``), and ``tell_broken_modules`` tells of it otherwise.

    Args:
        project: the project's folder; its ``src/`` goes on ``sys.path``, and the folder itself after all else.
        kinds: which of ``src/data_ops``, ``src/executors``, ``src/models`` to import, every module in each.
        extra_modules: ``meta.user_modules``, dotted names.
        trusted_packages: ``meta.trusted_packages``, see ``may_be_named``.

    Raises:
        ConfigError: one of ``extra_modules`` is not there, or is of a package that a config may not name.
        UserCodeError: one of them raised while it was imported.
    """
    trust(project, trusted_packages)
    code = code_of(project)
    source = code / "src" if (code / "src").is_dir() else code
    if str(source) not in sys.path:
        sys.path.insert(0, str(source))
    if str(code) not in sys.path:  # for `from src.models import …`
        sys.path.append(str(code))
    folders = [source / kind for kind in kinds if (source / kind).is_dir()]
    projects.extend(place for place in (code, project) if place not in projects)  # the inner one first
    for folder in folders:
        names = sorted(set(_modules_in(str(folder), folder.name)))
        (data_modules if folder.name == "data_ops" else training_modules).update(names)
        for name in names:
            if any(name.startswith(f"{package}.") for package in broken_modules):
                continue
            try:
                import_user_module(name, where=str(folder))
                broken_modules.pop(name, None)
            except (ConfigError, UserCodeError) as error:
                broken_modules[name] = BrokenModule(error, _file_of(folder, name))
    for name in extra_modules:
        if not all(part.isidentifier() for part in name.split(".")):
            hint = "write it as in an import: package.module"
            raise ConfigError(f"{name!r} is no name of a module", where="meta.user_modules", hint=hint)
    data_modules.update(extra_modules)
    for name in extra_modules:
        import_named_module(name, where="meta.user_modules")


def _modules_in(folder: str, package: str) -> Iterator[str]:
    """The names of the modules in a folder, and of the packages in it with theirs.

    They are those that ``pkgutil.walk_packages`` gives, which imports ``inspect`` for it: 5 ms of each command.
    """
    for item in _listed(folder):
        name, path = _module_name(item), os.path.join(folder, item)
        if "." not in item and "__init__" in map(_module_name, _listed(path)):
            yield f"{package}.{item}"
            yield from _modules_in(path, f"{package}.{item}")
        elif name not in ("", "__init__") and "." not in name:
            yield f"{package}.{name}"


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # it is none, or may not be read
        return []


def _module_name(file: str) -> str:
    """The name of the module that a file holds; empty for another file."""
    return next((file.removesuffix(ending) for ending in _MODULES if file.endswith(ending)), "")


_MODULES = sorted(importlib.machinery.all_suffixes(), key=len, reverse=True)


class BrokenModule(NamedTuple):
    """A module of the project's that cannot be imported."""

    error: RunwayError
    file: Path


broken_modules: dict[str, BrokenModule] = {}
"""By name, those of the project that is at work here."""


def _file_of(folder: Path, name: str) -> Path:
    path = folder.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def broken_module_of(name: str) -> RunwayError | None:
    """The error of the module that would register ``name``, by its text; None where no broken module does."""
    word = re.compile(rf"""\bclass\s+{re.escape(name)}\b|\bdef\s+{re.escape(name)}\b|(['"]){re.escape(name)}\1""")
    for broken in broken_modules.values():
        try:
            if word.search(broken.file.read_text(encoding="utf-8", errors="replace")):
                return broken.error
        except OSError:  # gone in the meantime
            continue
    return None


def tell_broken_modules(consequence: str = "this config needs nothing of it") -> None:
    """Warn of each module of the project's that cannot be imported, once it is clear that the run needs none."""
    for broken in broken_modules.values():
        warning(f"{broken.error.message} ({broken.error.where}); {consequence}", once=True)


data_modules: set[str] = set()
"""The names of the modules that were imported for the data pipeline: ``src/data_ops`` and ``meta.user_modules``."""
training_modules: set[str] = set()
"""Those of ``src/executors`` and ``src/models``."""
projects: list[Path] = []
"""The folders whose code has been imported in this process."""
project_modules.install()  # as early as can be: what is imported before it bears no marks


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


_projects: set[Path] = set()
_trusted: set[str] = set()


def trust(project: Path, packages: Iterable[str]) -> None:
    """From now on configs may name the project's modules, and these packages: ``meta.trusted_packages``."""
    _projects.update((project.resolve(), code_of(project).resolve()))
    _trusted.clear()
    _trusted.update(packages)


def import_named_module(name: str, *, where: str) -> object:
    """Import a module that a config names: the one place where a config decides what code is run.

    Raises:
        ConfigError: there is no such module, or a config may not name it.
        UserCodeError: it is there, and raised.
    """
    if not may_be_named(name):
        raise ConfigError(
            f"the config names the module {name!r}, which is not of the project, of runway or of an installed plugin",
            where=where,
            hint=f"if you trust its code: meta+: {{ trusted_packages: ['{name.partition('.')[0]}'] }}",
        )
    return import_user_module(name, where=where)


def may_be_named(module: str) -> bool:
    """Whether a config may have this module imported: nothing that merely happens to be installed is run for a config.

    It may name modules of the project, of runway, of installed plugins (packages with an entry point of runway's) and
    of ``meta.trusted_packages``; and what the program itself has defined or loaded from a place of its own. A module
    that is not there may be named: importing it says so.
    """
    package = module.partition(".")[0]
    ours = ("runway", "runway_for_ml", "__main__")
    if package in ours or any(f"{module}.".startswith(f"{trusted}.") for trusted in _trusted):
        return True
    places = _places_of(package)
    if all(map(_is_in_project, places)):
        return not any(_is_in_cache(place.joinpath(*module.split(".")[1:])) for place in places)
    if package in sys.modules and not any(map(_is_installed, places)):
        return True
    return package in _plugins()


def may_run(file: Path, project: Path) -> bool:
    """Whether a config may name this file to be run: one of the project, of runway or of a trusted package."""
    file = file.resolve()
    trusted = [place for package in _trusted for place in _places_of(package.partition(".")[0])]
    places = (project.resolve(), code_of(project).resolve(), Path(_OWN), *trusted)
    return any(file.is_relative_to(place) for place in places) and not _is_in_cache(file)


def _places_of(package: str) -> list[Path]:
    """The folders of a package, or the file of a module, without importing it; none where there is no such thing."""
    module = sys.modules.get(package)
    try:
        spec = importlib.util.find_spec(package) if module is None else None
    except (ImportError, ValueError):
        return []
    if module is None and spec is None:
        return []
    folders = module.__dict__.get("__path__") if module is not None else spec and spec.submodule_search_locations
    if folders:
        return [Path(folder).resolve() for folder in folders]
    file = getattr(module, "__file__", None) if module is not None else spec and spec.has_location and spec.origin
    return [Path(file).resolve()] if file else [Path("built-in")]


def _is_in_project(place: Path) -> bool:
    """In a project's folder, and not in an environment that stands there."""
    folders = _projects or {Path.cwd()}
    inside = any(place.is_relative_to(folder) for folder in folders)
    return inside and "site-packages" not in place.parts and not _is_installed(place)


def _is_in_cache(place: Path) -> bool:
    """In a cache: assets and entries lie there, which are others' and are data, wherever in the project it is."""
    return any(map(is_cache, (place, *place.parents)))


def _is_installed(place: Path) -> bool:
    """In the standard library, or where packages are installed."""
    return str(place) == "built-in" or any(place.is_relative_to(folder) for folder in _installed())


@functools.cache
def _installed() -> tuple[Path, ...]:
    """The folders of the standard library and of packages; asked for each node, and `sysconfig` takes half a ms."""
    import sysconfig

    found = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return tuple({Path(path).resolve() for path in found if path})


def _plugins() -> set[str]:
    """The packages that are installed for runway: those with an entry point of its groups."""
    import importlib.metadata

    groups = ("runway.plugins", "runway.templates")
    entries = (entry for group in groups for entry in importlib.metadata.entry_points(group=group))
    return {entry.value.partition(":")[0].partition(".")[0].strip() for entry in entries}


def _user_code_error(name: str, error: BaseException) -> UserCodeError:
    import traceback

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
    import traceback

    told = traceback.TracebackException.from_exception(error)
    waiting: list[TracebackException | None] = [told]
    while waiting:
        part = waiting.pop()
        if part is not None:
            kept = [frame for frame in part.stack if _is_users(frame)]
            own = [index for index, frame in enumerate(kept) if is_users_file(frame.filename)]
            kept = kept[own[0] :] if own else kept
            if kept or issubclass(part.exc_type or object, SyntaxError):
                part.stack = traceback.StackSummary.from_list(kept)
            waiting += [part.__cause__, part.__context__]
    return "".join(told.format()).rstrip()


_OWN = str(Path(__file__).parent) + os.sep
_ALIAS = str(Path(__file__).parent.parent / "runway_for_ml") + os.sep
_IMPORT_SYSTEM = str(Path(importlib.__file__).parent) + os.sep


def _is_users(frame: FrameSummary) -> bool:
    """Not one of runway's, and not one of the import system's."""
    return not frame.filename.startswith((_OWN, _ALIAS, _IMPORT_SYSTEM, "<frozen importlib"))


def is_users_file(name: str) -> bool:
    """Whether the code of a frame is neither runway's nor a library's."""
    return not name.startswith((_OWN, _ALIAS, "<frozen importlib", *_libraries()))


@functools.cache
def _libraries() -> tuple[str, ...]:
    import sysconfig

    found = (sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    return tuple({path + os.sep for path in found if path})
