"""Names to classes: what the user registers, what runway ships, what plugins bring.

Three levels, the user's first: a project may have its own ``SplitHFDataset`` beside the ready-made
one. Within one level a name belongs to one place.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar

from runway import user_code
from runway.errors import ConfigError, did_you_mean
from runway.log import warning
from runway.user_code import broken_module_of, broken_modules, import_named_module, tell_broken_modules
from runway.user_code import import_project_code as import_project_code  # which projects import from here

C = TypeVar("C", bound=type)

USER, ALIAS, PLUGIN, READY_MADE = "user", "runway_for_ml", "plugin", "ready-made"
LEVELS = (USER, ALIAS, READY_MADE, PLUGIN)  # the second is empty unless the project imports the alias package

# Where the ready-made classes of a kind live: imported when a name is looked up, never before.
READY_MADE_PACKAGES = {
    "transform": ("runway.transforms", "runway.experiment.transforms"),
    "executor": ("runway.executors",),
    "head": ("runway.executors.multi_task",),
    "encoder": ("runway.executors.multi_task",),
}


class Registry:
    """The classes of one kind (transform, executor, head or encoder of a MultiTaskExecutor), by name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.levels: dict[str, dict[str, type]] = {level: {} for level in LEVELS}
        self.twins: dict[str, type] = {}
        """What a second class was registered under a name that was taken: an error once the name is asked for."""
        self._ready_made_loaded = False

    def register(self, cls: C, name: str | None = None) -> C:
        """Enter ``cls`` under ``name`` (its class name where none is given).

        Two classes under one name are an error for those who ask for the name, and no concern of others.
        """
        name = name or cls.__name__
        table = self.levels[level_of(cls)]
        other = table.get(name)
        if other is not None and _location(other) != _location(cls) and _is_there(other):
            self.twins[name] = cls
            return cls
        table[name] = cls
        return cls

    def tell_twins(self) -> None:
        """Warn of each name that was registered twice, once it is clear that the run does not ask for it."""
        for name in self.twins:
            if (error := self._twice(name)) is not None:
                warning(f"{error.message} ({error.where}); this config does not use it", once=True)

    def _twice(self, name: str) -> ConfigError | None:
        """The error about a name that two classes have; None where one of them is no longer there."""
        twin, found = self.twins.get(name), self._find(name)
        if twin is None or found is None or level_of(twin) != level_of(found) or not _is_there(twin):
            return None
        return ConfigError(
            f"the {self.kind} name {name!r} is registered twice",
            where=f"{_location(found)} and {_location(twin)}",
            hint="rename one of the two classes",
        )

    def get(self, name: str) -> type:
        """The class for a registered name or for ``package.module:Class``.

        Raises:
            ConfigError: there is none, with the closest names; there are two; or it is of a package that a config may
                not name.
            RunwayError: it is in a module of the project's that cannot be imported.
        """
        if not isinstance(name, str):
            raise ConfigError(f"a {self.kind} name must be text, but is {name!r} instead")
        if ":" in name:
            return self._import(name)
        if (error := self._twice(name)) is not None:
            raise error
        found = self._find(name)
        if name not in self.levels[USER] and (broken := broken_module_of(name)) is not None:
            raise broken  # it may be the project's own one, in front of a ready-made one of that name
        if found is None and not self._ready_made_loaded:
            self._load_ready_made()
            found = self._find(name)
        if found is None and load_plugins():
            found = self._find(name)
        if found is None:
            forgotten = self._forgotten(name)
            if forgotten is None and broken_modules:
                raise next(iter(broken_modules.values())).error
            hint = forgotten or did_you_mean(name, self.names())
            raise ConfigError(f"unknown {self.kind} {name!r}", hint=hint)
        return found

    def names(self) -> dict[str, type]:
        """Every known name with its class, the user's shadowing the ready-made."""
        self._load_ready_made()
        load_plugins()
        known: dict[str, type] = {}
        for level in reversed(LEVELS):
            known.update(self.levels[level])
        return dict(sorted(known.items()))

    def behind(self, name: str) -> type | None:
        """The ready-made class that the project's own class of this name stands in front of; None where none does."""
        if name not in self.levels[USER]:
            return None
        self._load_ready_made()
        return self.levels[READY_MADE].get(name)

    def _forgotten(self, name: str) -> str | None:
        """Where the project has a class or function of a name that is not registered, and how to register it."""
        decorator = {"transform": "register_transform_functor"}.get(self.kind, f"register_{self.kind}")
        names = sorted(user_code.data_modules | user_code.training_modules)
        for module in (sys.modules[known] for known in names if known in sys.modules):
            found = vars(module).get(name)
            if isinstance(found, FunctionType) and self.kind == "transform":
                decorator = "transform"
            elif not isinstance(found, type):
                continue
            if found.__module__ == module.__name__:
                kind = "function" if decorator == "transform" else "class"
                return f"{module.__name__} has a {kind} of that name: put @runway.{decorator} above it"
        return None

    def _find(self, name: str) -> type | None:
        return next((self.levels[level][name] for level in LEVELS if name in self.levels[level]), None)

    def _load_ready_made(self) -> None:
        if self._ready_made_loaded:
            return
        self._ready_made_loaded = True
        import pkgutil

        for package_name in READY_MADE_PACKAGES[self.kind]:
            package = importlib.import_module(package_name)
            for module in pkgutil.walk_packages(package.__path__, package_name + "."):
                importlib.import_module(module.name)

    def _import(self, path: str) -> type:
        module_name, _, qualname = path.partition(":")
        module = import_named_module(module_name, where=f"{self.kind} {path!r}")
        found: object = module
        for part in qualname.split("."):
            found = getattr(found, part, None)
            if isinstance(found, ModuleType):  # what a module imports is another's, which the config may not name
                found = None
        if isinstance(found, FunctionType) and self.kind == "transform":
            return class_of_function(found)
        if not isinstance(found, type):
            classes = [key for key, value in vars(module).items() if isinstance(value, type)]
            raise ConfigError(
                f"the module {module_name!r} has no class {qualname!r}",
                where=getattr(module, "__file__", module_name),
                hint=did_you_mean(qualname, classes),
            )
        return found


_plugins: set[str] = set()


def load_plugins() -> bool:
    """Import the modules that installed packages name in ``runway.plugins``, once; whether there were new ones.

    One that is broken is told by its name, and does not stop what does not need it. Nothing is looked for before a
    name is asked for that is not known: where there are no plugins, they cost nothing.
    """
    import importlib.metadata

    new = [entry for entry in importlib.metadata.entry_points(group="runway.plugins") if entry.value not in _plugins]
    for entry in new:
        _plugins.add(entry.value)
        try:
            entry.load()
        except (Exception, SystemExit) as error:
            from runway.log import warning

            package = entry.dist.name if entry.dist is not None else "?"
            warning(f"the plugin {entry.name!r} ({entry.value}, of {package}) does not import: {error!r}")
    return bool(new)


EXTENSIONS: dict[str, dict[str, Any]] = {"runner": {}, "logger": {}, "format": {}}
"""What plugins and projects have registered beside what runway ships, by kind and name."""


def extension(kind: str, name: str) -> Any:
    """The runner, logger or format that was registered under a name; None where there is none, in no plugin either."""
    table = EXTENSIONS[kind]
    return table[name] if name in table or (load_plugins() and name in table) else None


def register_runner(name: str) -> Callable[[C], C]:
    """Class decorator: what ``meta.runner: NAME`` takes, a subclass of ``runway.pipeline.runners.base.Runner``."""
    return lambda cls: _extend("runner", name, cls)


def register_logger(name: str) -> Callable[[Any], Any]:
    """Decorator: what ``meta.logger_enable: [NAME]`` takes, a function of ``logged`` that gives a Lightning logger.

    ``logged.folder`` is where the training or test keeps its files, ``logged.logs`` where loggers write,
    ``logged.config`` the config, ``logged.run`` the version.
    """
    return lambda make: _extend("logger", name, make)


def register_format(
    name: str,
    *,
    accepts: Callable[[Any], bool],
    save: Callable[[Any, Path], Any],
    load: Callable[[Path], Any],
) -> None:
    """A way of keeping values in the cache; it goes before pickle, and behind runway's own.

    Args:
        name: what entries name it by.
        accepts: whether a value is one of its kind; cheap, and without importing a library for that.
        save: writes a value into an empty folder.
        load: reads it back from there.
    """
    _extend("format", name, (name, accepts, save, load))


def _extend(kind: str, name: str, value: Any) -> Any:
    """Enter something under a name, which belongs to one place."""
    other = EXTENSIONS[kind].get(name, value)
    places = [f"{part.__module__}:{part.__qualname__}" for part in map(_main_part, (other, value))]
    if places[0] != places[1]:
        message = f"the {kind} name {name!r} is registered twice"
        raise ConfigError(message, where=" and ".join(places), hint="rename one of the two")
    EXTENSIONS[kind][name] = value
    return value


def _main_part(value: Any) -> Any:
    return value[2] if isinstance(value, tuple) else value  # of a format, what saves


def level_of(cls: type) -> str:
    """Where a class comes from: the user's project, an installed plugin, or runway."""
    if cls.__module__.split(".")[0] == "runway":
        return READY_MADE
    if cls.__module__.split(".")[0] == ALIAS:
        return ALIAS
    source = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    return PLUGIN if "site-packages" in Path(source).parts else USER


def path_of(cls: type) -> str:
    """``package.module:Class``, by which a config can name a class that is not registered or stands behind another."""
    return f"{cls.__module__}:{cls.__qualname__}"


def _is_there(cls: type) -> bool:
    """Whether a class still stands where it was defined: a file that is loaded again may have lost it."""
    module = sys.modules.get(cls.__module__)
    return "<locals>" in cls.__qualname__ or module is None or hasattr(module, cls.__qualname__.partition(".")[0])


def tell_what_is_not_needed() -> None:
    """Warn of modules that cannot be imported and of names registered twice; a config that needs one has failed."""
    tell_broken_modules()
    for registry in (transforms, executors, heads, encoders):
        registry.tell_twins()


def _location(cls: type) -> str:
    source = getattr(sys.modules.get(cls.__module__), "__file__", None) or cls.__module__
    return f"{source}:{cls.__qualname__}"


transforms = Registry("transform")
executors = Registry("executor")
heads = Registry("head")
encoders = Registry("encoder")


def _decorator(registry: Registry) -> Callable:
    def register(cls: C | str | None = None) -> C | Callable[[C], C]:
        if isinstance(cls, type):
            return registry.register(cls)
        return lambda decorated: registry.register(decorated, cls)

    register.__doc__ = f"Class decorator: enter this {registry.kind} under its class name, or under a name given."
    return register


register_transform_functor = _decorator(transforms)
register_executor = _decorator(executors)
register_head = _decorator(heads)
register_encoder = _decorator(encoders)

# Flags of code objects; importing inspect costs as much as a cached run.
_VARARGS, _GENERATOR, _COROUTINE = 0x04, 0x20, 0x80
_FUNCTION_KINDS = {
    _VARARGS: "takes *arguments; arguments come from a config, by their names",
    _GENERATOR: "is a generator; return a list, or a Dataset",
    _COROUTINE: "is a coroutine; define it with `def`",
}


def transform(function: Any = None, *, name: str | None = None) -> Any:
    """Decorator: make a function (or a class) a transform, under its name or one that is given.

    The function stays what it is, and can be called as before.

    Args:
        function: the function; or the name, as in ``@transform('Clean')``.
        name: the name in configs; by default the function's.

    Raises:
        ConfigError: it is not such a function as a config can call.
    """
    if function is None or isinstance(function, str):
        return lambda decorated: transform(decorated, name=name or function)
    if isinstance(function, type):
        return transforms.register(function, name)
    transforms.register(class_of_function(function), name or function.__name__)
    return function


_function_classes: dict[FunctionType, type] = {}


def class_of_function(function: Any) -> type:
    """The transform class of a function, made once.

    Raises:
        ConfigError: it is not such a function as a config can call.
    """
    if function not in _function_classes:
        _check_function(function)
        base = importlib.import_module("runway.transforms.functions").FunctionTransform
        contents = {
            "_runway_function": staticmethod(function),
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
            "__doc__": function.__doc__ or "",
        }
        _function_classes[function] = type(function.__name__, (base,), contents)
    return _function_classes[function]


def _check_function(function: Any) -> None:
    place = f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', function)}"
    if not isinstance(function, FunctionType):
        message = f"@transform takes a function or a class, but has {function!r} instead"
        raise ConfigError(message, where=place, hint="put it above a `def`, over all other decorators")
    code = function.__code__
    for flag, problem in _FUNCTION_KINDS.items():
        if code.co_flags & flag:
            raise ConfigError(f"the function {function.__name__!r} {problem}", where=place)
    if code.co_posonlyargcount:
        message = f"the function {function.__name__!r} has arguments that cannot be given by name"
        raise ConfigError(message, where=place, hint="leave the `/` out")
