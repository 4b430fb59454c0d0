"""Imports, and what is said when a file does not evaluate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runway.config import load_config
from runway.config.apart import ENGINES
from runway.errors import ConfigError

if TYPE_CHECKING:
    from tests.config.conftest import Files


@pytest.mark.parametrize("engine", ENGINES)
def test_where_imports_are_looked_up(files: Files, engine: str) -> None:
    files.write("configs/demo/beside.libsonnet", "{ from: 'beside' }")
    files.write("configs/shared.libsonnet", "{ from: 'configs' }")
    files.write(
        "configs/demo/deep/inner.libsonnet", "{ outer: import 'beside.libsonnet', own: import 'inmost.libsonnet' }"
    )
    files.write("configs/demo/deep/inmost.libsonnet", "{ from: 'deep' }")
    files.write("library/root.libsonnet", "{ from: 'project' }")
    config = files.load(
        """
        {
          mine: {
            beside: (import 'beside.libsonnet').from,
            shared: (import 'shared.libsonnet').from,
            root: (import 'library/root.libsonnet').from,
            deep: import 'deep/inner.libsonnet',
            seed: (import 'runway/meta.libsonnet').seed,
            text: importstr 'shared.libsonnet',
          },
        }
        """,
        engine=engine,
    )
    mine = config.mine
    assert (mine.beside, mine.shared, mine.root) == ("beside", "configs", "project")
    assert (mine.deep.outer["from"], mine.deep.own["from"]) == ("beside", "deep")
    assert mine.seed == config.meta.seed
    assert mine.text == "{ from: 'configs' }"
    assert files.path / "configs/shared.libsonnet" in config.loaded_from.files


def test_the_files_own_folder_goes_before_every_other(files: Files) -> None:
    files.write("configs/demo/runway/meta.libsonnet", "{ seed: 77 }")
    config = files.load("{ mine: (import 'runway/meta.libsonnet').seed }")
    assert config.mine == 77
    assert config.meta.seed == 2022


def test_a_missing_import_lists_where_was_looked_and_what_is_near(files: Files, errors_of: Callable) -> None:
    files.write("configs/demo/data_config.libsonnet", "{}")
    (error,) = errors_of("{\n  mine: 1,\n  data: import 'data_confg.libsonnet',\n}")
    assert error.message == "there is no file 'data_confg.libsonnet' to import"
    assert error.where.endswith("configs/demo/exp_config.jsonnet:3")
    assert "did you mean 'data_config.libsonnet'?" in error.hint
    assert str(files.path / "configs") in error.hint
    assert "templates" in error.hint


@pytest.mark.parametrize(
    ("importing", "name", "meant"),
    [
        ("configs/mine/fr_en.jsonnet", "bible_de_en.jsonnet", "'../translation/bible_de_en.jsonnet'"),
        ("mine/fr_en.jsonnet", "bible_de_en.jsonnet", "'../configs/translation/bible_de_en.jsonnet'"),
        ("configs/mine/bible_de_en.jsonnet", "../bible_de_en.jsonnet", "'../translation/bible_de_en.jsonnet'"),
        ("configs/mine/bible_fr_en.jsonnet", "bible_fr_em.jsonnet", None),
    ],
)
def test_a_missing_import_names_the_file_elsewhere_and_never_the_importing_one(
    files: Files, importing: str, name: str, meant: str | None
) -> None:
    files.write("configs/translation/bible_de_en.jsonnet", "{}")
    path = files.write(importing, f"(import '{name}') + {{}}")
    with pytest.raises(ConfigError, match="there is no file") as raised:
        load_config(path)
    hint = str(raised.value.hint)
    assert hint.startswith(f"did you mean {meant}? looked in" if meant else ("looked in", "did you mean 'translation/"))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("text", "message", "line", "source", "caret"),
    [
        ("{\n  a: 1,\n  b: $.trian.c,\n  train: {},\n}", "does not exist: trian", 3, "b: $.trian.c,", 1),
        ("{\n  a: [1,\n   bacth],\n}", "Unknown variable: bacth", 3, "bacth],", 1),
        ("{\n  a: 1\n  b: 2,\n}", "comma before next field", 3, "b: 2,", 1),
        ('{\n  a: error "no data",\n}', "no data", 2, 'a: error "no data",', 1),
        ("{\n  a: 1 + {b: 1}.c,\n}", "does not exist: c", 2, "{b: 1}.c", 1),
        ("{\n  a: if 3 then\n  4,\n}", "boolean", 2, "a: if 3 then", 1),
    ],
)
def test_errors_show_file_line_and_the_line_itself(
    files: Files, engine: str, text: str, message: str, line: int, source: str, caret: int
) -> None:
    with pytest.raises(ConfigError) as raised:
        files.load(text, engine=engine)
    error = raised.value
    assert message.lower() in error.message.lower()
    assert source in error.message
    assert error.message.count("^") >= caret
    assert f"exp_config.jsonnet:{line}" in error.where
    assert "<runway>" not in str(error)


def test_the_caret_stands_below_the_fault(errors_of: Callable) -> None:
    (error,) = errors_of("{\n  a: [nothing],\n}")
    _, source, carets = error.message.split("\n")
    assert source[carets.index("^") : carets.rindex("^") + 1] == "nothing"


def test_an_error_in_an_imported_file_names_that_file(files: Files, errors_of: Callable) -> None:
    files.write("configs/demo/data.libsonnet", "{\n  rows(n): n,\n  pipe: self.row,\n  row:: error 'oh no'\n}")
    (error,) = errors_of("{ a: (import 'data.libsonnet').pipe }")
    assert "data.libsonnet:4" in error.where
    assert "oh no" in error.message


def test_an_unknown_name_comes_with_the_closest(errors_of: Callable) -> None:
    (error,) = errors_of("{\n  batch_size: 3,\n  b: $.bacth_size,\n}")
    assert error.hint == "did you mean 'batch_size'?"


def test_a_value_derived_from_itself(errors_of: Callable) -> None:
    (error,) = errors_of("{ a: $.b, b: $.a }")
    assert error.hint == "a value there is derived from itself"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("text", "kind"),
    [("[1]", "a list"), ("3", "a number"), ("'x'", "text"), ("null", "null"), ("function(x) x", "a function")],
)
def test_a_config_must_be_an_object(files: Files, engine: str, text: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"must be an object .*, but is {kind} instead"):
        files.load(text, engine=engine)


def test_a_file_that_is_not_utf8(files: Files, errors_of: Callable) -> None:
    (error,) = errors_of(b"{\n  a: 'caf\xe9',\n}")
    assert "must be UTF-8 text, but has the byte 0xe9 instead" in error.message
    assert error.where.endswith("exp_config.jsonnet:2")
    assert files.load(b"\xef\xbb\xbf{ a: 1 }").a == 1


def test_a_missing_file_comes_with_near_names(files: Files) -> None:
    path = files.write("configs/demo/exp_config.jsonnet", "{}")
    with pytest.raises(ConfigError, match="there is no config file") as raised:
        load_config(path.with_name("exp_confg.jsonnet"))
    assert "exp_config.jsonnet'?" in str(raised.value.hint)
    with pytest.raises(ConfigError, match="is a folder") as raised:
        load_config(path.parent)
    assert "exp_config.jsonnet" in str(raised.value.hint)
    with pytest.raises(ConfigError) as raised:
        load_config(files.path / "nowhere" / "at" / "all.jsonnet")
    assert "there is no folder" in str(raised.value.hint)


def test_numbers_keep_their_kind(files: Files) -> None:
    config = files.load("{ a: 6.4e-05, b: 32, c: 1e20, d: 0.1, e: 9007199254740992 / 2 }")
    assert config.a == 6.4e-05
    assert (config.d, type(config.b), type(config.e)) == (0.1, int, int)
    assert isinstance(config.c, float)


def test_jsonnet_of_an_installed_package_is_found_through_its_entry_point(files: Files, tmp_path: Path) -> None:
    site = tmp_path / "site"
    package = site / "grouplab_configs"
    (package / "jsonnet").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('never imported')")
    (package / "group.libsonnet").write_text("{ lr: 3, inner: (import 'jsonnet/inner.libsonnet').x }")
    (package / "jsonnet" / "inner.libsonnet").write_text("{ x: 4 }")
    info = site / "grouplab_configs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: grouplab-configs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[runway.templates]\ngrouplab = grouplab_configs\n")
    config = files.write(
        "configs/exp.jsonnet",
        "{ mine: import 'group.libsonnet', named: (import 'grouplab_configs/group.libsonnet').lr }",
    )
    code = (
        f"import sys; sys.path.append({str(site)!r})\n"
        "from runway.config import load_config\n"
        f"config = load_config({str(config)!r})\n"
        "print(config.mine.lr, config.mine.inner, config.named)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["3", "4", "3"], done.stderr


@pytest.mark.parametrize("how", ["absolute", "upwards", "link", "system"])
def test_imports_stay_inside_the_project(files: Files, tmp_path_factory: pytest.TempPathFactory, how: str) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "x.txt").write_text("not yours", encoding="utf-8")
    folder = files.path / "configs/demo"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "link.txt").symlink_to(outside / "x.txt")
    upwards = os.path.relpath(outside / "x.txt", folder)
    names = {"absolute": f"{outside}/x.txt", "upwards": upwards, "link": "link.txt", "system": "/proc/self/environ"}
    text = f"{{ text: importstr '{names[how]}' }}"
    with pytest.raises(ConfigError, match="leads out of the project"):
        files.load(text)
    if how == "system":
        return
    folders = json.dumps([str(outside)])
    assert files.load(text, f"meta.import_paths={folders}")["text"] == "not yours"
    own = f"{{ meta: {{ import_paths: {folders} }} }}"  # of a config that may be somebody else's
    with pytest.raises(ConfigError, match="leads out of the project"):
        files.load(f"{own} + {text}")
    with pytest.raises(ConfigError, match="cannot say itself from where it imports"):
        files.load(own)
    files.write("pyproject.toml", f"[tool.runway]\nimport_paths = {folders}\n")
    assert files.load(text)["text"] == "not yours"
