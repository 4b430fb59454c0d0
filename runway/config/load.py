"""``load_config``: a jsonnet file, with overrides laid over it and defaults under it, checked."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.config.apart import session
from runway.config.config import LoadedFrom
from runway.config.jsonnet import TEMPLATES, EvaluationError, Importer, evaluate
from runway.config.overrides import (
    MARK,
    Override,
    explain_failure,
    format_path,
    names_variant,
    overlay,
    parse_overrides,
)
from runway.config.probable_mistakes import warnings_of_keys, warnings_of_overrides, warnings_of_users_keys
from runway.config.reads import ABSENT
from runway.disk import expanded
from runway.errors import ConfigError, RunwayError, did_you_mean, raise_collected
from runway.log import shown
from runway.masking import masked_error, note
from runway.user_code import code_of

if TYPE_CHECKING:
    from runway.config.config import Config

FEW_FRAMES = 1000  # without overrides: a trial that recurses without end is soon over
VALUES_AT = """
local config = %(config)s,
  at(section, path) =
    if std.length(path) > 1 then at(section[path[0]], path[1:])
    else [section[path[0]], if std.isObject(section) then std.get(section, %(beside)s, []) else []];
[%(values)s]
"""
VARIANT_SUFFIXES = (".libsonnet", ".jsonnet")
IMPORT_PATHS = ("meta", "import_paths")
NOT_AN_OBJECT = "not an object: "
UNDER_META = (
    f'+ {{ meta: local own = if "meta" in super then super.meta else null, '
    f"defaults = import {json.dumps(str(TEMPLATES / 'runway' / 'meta.libsonnet'))}; "
    "if own == null then defaults else if std.isObject(own) then defaults + own else own }"
)
"""Jsonnet that puts the defaults of ``meta`` under the section of the object before it."""


def load_config(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    project: Path | None = None,
    check: bool = True,
    warn: bool = True,
    engine: str | None = None,
) -> Config:
    """Evaluate a config file, with overrides laid over it and ``meta``'s defaults under it.

    Args:
        path: a jsonnet or JSON file.
        overrides: ``a.b=v`` and ``~a.b``, see ``runway.config.overrides``; and variants, ``+model/big``: they are laid
            over the file in their order, before all other overrides.
        project: the project's folder; by default the nearest one upwards that has ``src/`` or ``pyproject.toml``.
        check: hold the result against the schema of the sections that runway owns.
        warn: look for what is probably not meant, which takes longer than all else.
        engine: the jsonnet engine's module; by default the first that is installed.

    Raises:
        ConfigError: one thing is wrong.
        ConfigErrors: several are, all of them listed.
    """
    from runway.user_code import find_project

    path = Path(path)
    _check_file(path)
    path = path.resolve()
    project = find_project(path) if project is None else Path(project).resolve()
    parsed, errors = parse_overrides(overrides)
    loader = _Loader(path, project, engine, _import_paths(parsed, project))
    loader.variants = [_find_variant(text[1:], loader.importer, path) for text in overrides if names_variant(text)]
    for override in parsed:  # before anything tells of them
        if not override.removes:
            note({str(override.path[-1]): override.value})
    with session():
        config = loader.with_overrides(parsed, errors)
        errors += [masked_error(format_path(place)) for place in note(config)]
        errors += _check_import_paths(config, parsed)
        files = tuple(Path(source) for source in loader.importer.sources if not Path(source).is_relative_to(TEMPLATES))
        warnings = _warnings_of_overrides(parsed, files, config, loader) if warn and parsed and not errors else []
        warnings += warnings_of_keys(config, parsed, path, loader.try_with) if warn else []
        warnings += warnings_of_users_keys(config, project, files) if warn else []
    config.loaded_from = LoadedFrom(path, project, tuple(overrides), files, tuple(warnings))
    if check:
        from runway.config.check import check_config

        errors += check_config(config, path)
    raise_collected(errors, where=shown(path))
    return config


def _import_paths(overrides: Sequence[Override], project: Path) -> list[Path]:
    """The folders outside of the project that a config may import from.

    The user names them, in an override or in the project's pyproject.toml; a config cannot: it may be somebody else's.
    """
    from runway.config.check import check_value

    given: Any = [override.value for override in overrides if override.path == IMPORT_PATHS]
    found = [] if not given or check_value(given[-1], IMPORT_PATHS) else list(given[-1] or ())
    file = project / "pyproject.toml"
    if file.is_file() and b"import_paths" in (content := file.read_bytes()):
        import tomllib

        try:
            told = tomllib.loads(content.decode("utf-8")).get("tool", {}).get("runway", {}).get("import_paths") or []
        except (ValueError, AttributeError) as error:
            raise ConfigError(f"pyproject.toml cannot be read: {error}", where=shown(file)) from None
        if check_value(told, IMPORT_PATHS):
            raise ConfigError("`import_paths` must be a list of folders", where=f"{shown(file)}, [tool.runway]")
        found += told
    return [project / expanded(folder) for folder in found]


def _check_import_paths(config: Config, overrides: Sequence[Override]) -> list[RunwayError]:
    """A config's own ``meta.import_paths`` opens nothing, which is better said."""
    meta = config.get("meta")
    named = isinstance(meta, dict) and meta.get("import_paths")
    if not named or any(override.path in (IMPORT_PATHS, IMPORT_PATHS[:1]) for override in overrides):
        return []
    hint = "give it on the command line, meta.import_paths=[…], or in pyproject.toml, [tool.runway] import_paths = […]"
    return [ConfigError("a config cannot say itself from where it imports", where="meta.import_paths", hint=hint)]


def _warnings_of_overrides(
    overrides: Sequence[Override], files: Sequence[Path], config: Config, loader: _Loader
) -> list[str]:
    from runway.config.changed_files import InsideImporter
    from runway.config.frozen import FrozenValues

    told = warnings_of_overrides(overrides, files, loader.try_with)
    rest = [override for override in overrides if all(override is not other for other, _ in told)]
    frozen = FrozenValues(overrides, config, InsideImporter(loader.importer, loader.path), loader)
    return [warning for _, warning in told] + frozen.warnings(rest)


class _Loader:
    """Evaluates one file, with different overrides."""

    def __init__(self, path: Path, project: Path, engine: str | None, more: Sequence[Path]) -> None:
        self.path = path
        self.importer = Importer(path.parent, project, more)
        self.engine = engine
        self.variants: list[str] = []
        self._base: Any = None

    def with_overrides(self, overrides: Sequence[Override], errors: list[RunwayError]) -> Config:
        """The config; overrides that do not fit go into ``errors``, and are left out.

        Raises:
            ConfigError: the file does not evaluate without overrides either.
        """
        overrides = list(overrides)
        while True:
            try:
                return self.evaluate(overrides)
            except EvaluationError as failure:
                number, error = explain_failure(str(failure), overrides, self.base())
            except ConfigError as failure:
                if not overrides or self.base() is ABSENT:
                    raise
                # the first with which the file, which evaluates without, does not
                number = bisect_left(
                    range(len(overrides)), True, key=lambda last: self.try_with(overrides[: last + 1]) is ABSENT
                )
                error = _blamed(failure, overrides[number])
            errors.append(error)
            del overrides[number]

    def try_with(self, overrides: Sequence[Override], importer: Importer | None = None) -> Any:
        """The config with these overrides; ABSENT where it does not evaluate with them."""
        if not overrides and importer is None:
            return self.base()
        try:
            return self.evaluate(overrides, importer)
        except (ConfigError, EvaluationError):
            return ABSENT

    def try_values(self, paths: Sequence[Sequence[str | int]], beside: str, importer: Importer) -> Any:
        """Of the config without overrides, [value at the path, value of a hidden key beside it, or []] for each path.

        Nothing else is evaluated; ABSENT where one of them does not evaluate.
        """
        values = ", ".join(f"at(config, {json.dumps(path)})" for path in paths)
        code = VALUES_AT % {"config": self._file(), "beside": json.dumps(beside), "values": values}
        try:
            return evaluate(code, importer, engine=self.engine, max_frames=FEW_FRAMES)
        except (ConfigError, EvaluationError):
            return ABSENT

    def base(self) -> Any:
        """The config without overrides; ABSENT where it needs them to evaluate."""
        if self._base is None:
            self._base = self.try_with([], self.importer)
        return self._base

    def evaluate(self, overrides: Sequence[Override], importer: Importer | None = None) -> Config:
        """The value of the wrapped file, its imports answered by ``importer`` where one is given.

        Raises:
            ConfigError: the user's code fails, or gives no object.
            EvaluationError: an override does not fit.
        """
        try:
            code = overlay(overrides, self._file())
            if any(override.path == ("meta",) for override in overrides):
                code += f"\n{UNDER_META}"  # what was set as a whole has no defaults under it any more
            return evaluate(code, importer or self.importer, engine=self.engine)
        except EvaluationError as failure:
            kind = str(failure).removeprefix(NOT_AN_OBJECT)
            if kind == str(failure):
                raise
            raise ConfigError(
                f"a config must be an object {{...}}, but is {_article(kind)} instead",
                where=shown(self.path),
                hint="a function is for other files to import" if kind == "function" else None,
            ) from None

    def _file(self) -> str:
        """Jsonnet for the file, with the defaults of ``meta`` under its own."""
        code = (
            f"(local file = import {json.dumps(str(self.path))}; "
            f'if std.isObject(file) then file else error ("{MARK}{NOT_AN_OBJECT}" + std.type(file)))'
        )
        for variant in self.variants:
            wrong = json.dumps(
                f"the variant {shown(Path(variant))} must be an object {{ section+: {{...}} }}, but is: "
            )
            code += (
                f"\n+ (local variant = import {json.dumps(variant)}; "
                f"if std.isObject(variant) then variant else error ({wrong} + std.type(variant)))"
            )
        return f"{code}\n{UNDER_META}"


def _find_variant(name: str, importer: Importer, config: Path) -> str:
    """The file of a variant: ``<the config's folder>/<name>.libsonnet``, or below the project's ``configs/``.

    Raises:
        ConfigError: there is none; with those that there are.
    """
    folders = [importer.config_folder, code_of(importer.project) / "configs"]
    for folder in folders:
        for suffix in VARIANT_SUFFIXES:
            file = folder / f"{name}{suffix}"
            if file.is_file():
                return str(file.resolve())
    known = {
        file.relative_to(folder).with_suffix("").as_posix()
        for folder in folders[:1]
        for suffix in VARIANT_SUFFIXES
        for file in folder.glob(f"*/*{suffix}")
    }
    raise ConfigError(
        f"there is no variant {name!r}",
        where=f"--with {name}",
        hint=f"{did_you_mean(name, known)}; it is a file {shown(config.parent)}/{name}.libsonnet, such as "
        "{ model_config+: {...} }",
    )


def _blamed(failure: ConfigError, override: Override) -> ConfigError:
    """The file's own error as the override's, which led to it."""
    from runway.config.check import check_value

    wrong = None if override.removes else check_value(override.value, override.path)
    if wrong is not None:  # said plainly, instead of where the file stumbles over it
        wrong.where = f"the override {override.text!r}"
        return wrong
    failure.hint = f"the override {override.text!r} leads to this"
    return failure


def _article(kind: str) -> str:
    return {"null": "null", "string": "text", "array": "a list"}.get(kind, f"a {kind}")


def _check_file(path: Path) -> None:
    if path.is_file():
        return
    if path.is_dir():
        files = sorted(file.name for file in path.glob("*.jsonnet"))
        hint = f"name a file in it: {', '.join(files[:8])}" if files else "there is no .jsonnet file in it"
        raise ConfigError(f"the config {str(path)!r} is a folder", where="--config", hint=hint)
    raise ConfigError(f"there is no config file {str(path)!r}", where="--config", hint=_near_files(path))


def _near_files(path: Path) -> str | None:
    import difflib

    folder = path.parent
    if not folder.is_dir():
        parent = next(above for above in folder.parents if above.is_dir())
        return f"there is no folder {str(folder)!r}; files are taken from {shown(parent.resolve())!r}"
    files = sorted(file.name for file in folder.glob("*") if file.suffix in (".jsonnet", ".json", ".libsonnet"))
    near = difflib.get_close_matches(path.name, files, n=3) or [file for file in files if file.endswith(".jsonnet")]
    return f"did you mean {' or '.join(repr(str(folder / name)) for name in near[:4])}?" if near else None
