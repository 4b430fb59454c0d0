"""load_config: defaults, what a config was loaded from, the speed, the warnings."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runway.config import ABSENT, Config, diff, load_config, render

if TYPE_CHECKING:
    from tests.config.conftest import Files

LOCALS = """
// local max_length = 1;
local data = import 'data.libsonnet';
local max_length = 128, rows = [1, 2];
local double(x) = 2 * x;
{
  local inner = 3,
  text: 'local rows = 3',
  tokenizer: { max_length: max_length },
  pipeline: { max_length: max_length, inner: inner, rows: rows },
  train: { batch_size: 32, dataloader_workers: 0 },
  twice: double($.train.batch_size),
}
"""


def test_a_config_says_what_it_was_loaded_from(files: Files) -> None:
    config = files.load("{ mine: { a: 1 } }", "mine.a=2")
    assert type(config) is Config
    source = config.loaded_from
    assert source is not None
    assert source.path == files.path / "configs/demo/exp_config.jsonnet"
    assert source.project == files.path
    assert source.overrides == ("mine.a=2",)
    assert source.warnings == ()
    assert source.files == (source.path,)
    assert set(config) == {"mine", "meta"}
    assert config.mine.loaded_from is None
    assert pickle.loads(pickle.dumps(config)).loaded_from == source
    assert copy.deepcopy(config).loaded_from == source


def test_users_keys_of_nearly_any_name_are_attributes(files: Files) -> None:
    config = files.load("{ path: 'a.csv', project: 'p', source: 1, loaded_from: 2, mine: { path: 'b.csv' } }")
    assert (config.path, config.project, config.source) == ("a.csv", "p", 1)
    assert config.mine.path == "b.csv"
    assert config["loaded_from"] == 2
    assert config.loaded_from.project == files.path


def test_meta_has_defaults_under_what_the_file_says(files: Files) -> None:
    assert files.load("{}").meta.default_cache_dir == "cache/"
    config = files.load(
        "{ meta: { seed: 1, logger_enable: [], WANDB: { project: 'p' } }, mine: $.meta.default_cache_dir }"
    )
    assert config.meta.seed == 1
    assert config.meta.logger_enable == []
    assert config.meta.EXPERIMENT_FOLDER == "experiments/"
    assert config.mine == "cache/"
    assert files.load("{ meta: null }").meta.seed == 2022
    assert files.load("{ mine: $.meta.seed }", "meta.seed=5").mine == 5
    whole = files.load("{ meta: { seed: 1 }, mine: $.meta.default_cache_dir }", "meta={seed: 2}")
    assert (whole.meta.seed, whole.meta.WANDB, whole.mine) == (2, {}, "cache/")
    assert "WANDB" not in files.load("{}", "~meta.WANDB").meta
    assert files.load("{}", "meta.logger_enable[0]=wandb").meta.logger_enable == ["wandb"]


def test_the_project_can_be_given_and_paths_may_be_relative(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write("elsewhere/configs/shared.libsonnet", "{ x: 1 }")
    files.write("exp.jsonnet", "{ mine: (import 'shared.libsonnet').x }")
    monkeypatch.chdir(files.path)
    config = load_config("exp.jsonnet", project=Path("elsewhere"))
    assert config.mine == 1
    assert config.loaded_from.project == files.path / "elsewhere"
    assert config.loaded_from.path == files.path / "exp.jsonnet"


def test_plain_json_is_a_config(files: Files) -> None:
    config = files.load("{ train: { batch_size: 32, x:: 1 }, mine: [1.5, 'ä', null, true] }")
    saved = files.write("run/config.json", render(config))
    again = load_config(saved, ["train.batch_size=64"])
    assert again.train.batch_size == 64
    assert again.mine == config.mine


@pytest.mark.parametrize(
    ("override", "line"),
    [("tokenizer.max_length=64", 3), ("max_length=64", 3), ("rows=[3]", 3), ("pipeline.inner=4", None)],
)
def test_a_warning_says_that_a_local_is_out_of_reach(files: Files, override: str, line: int | None) -> None:
    files.write("configs/demo/data.libsonnet", "{}")
    warnings = files.load(LOCALS, override).loaded_from.warnings
    if line is None:  # the local is used in this one place, which the override sets
        assert warnings == ()
    else:
        (warning,) = warnings
        assert f"exp_config.jsonnet:{line}" in warning
        assert override in warning
        assert "out of reach of --opts" in warning


@pytest.mark.parametrize(
    "override",
    [
        "train.batch_size=64",
        "train.dataloader_workers=2",
        "data=3",
        "mine.new.key=1",
        "double=4",
        "~tokenizer",
        "exp_version=1",
    ],
)
def test_no_warning_where_an_override_does_what_it_says(files: Files, override: str) -> None:
    files.write("configs/demo/data.libsonnet", "{}")
    warnings = files.load(LOCALS, override).loaded_from.warnings
    assert [warning for warning in warnings if "double" not in warning] == []


def test_a_local_in_an_imported_file_is_named_there(files: Files) -> None:
    files.write("configs/demo/data.libsonnet", "local size = 3;\n\n{ a: size, b: size }\n")
    (warning,) = files.load("{ mine: import 'data.libsonnet' }", "mine.size=4").loaded_from.warnings
    assert "data.libsonnet:1" in warning


def test_a_new_key_that_is_all_but_an_old_one_gets_a_warning(files: Files) -> None:
    (warning,) = files.load("{ learning_rate: 1, lr: $.learning_rate }", "lerning_rate=2").loaded_from.warnings
    assert "new key `lerning_rate`" in warning
    assert "did you mean 'learning_rate'?" in warning


def test_an_alias_is_in_reach(files: Files) -> None:
    text = "{ local mine = $.mine, mine: { a: 1, b: 2 }, x: mine.a + mine.a }"
    assert files.load(text, "mine.b=3").loaded_from.warnings == ()
    (warning,) = files.load(text.replace("$.mine", "{ a: 1, b: 2 }"), "mine.b=3").loaded_from.warnings
    assert "`local mine`" in warning


def test_overrides_that_need_each_other_get_no_warning(files: Files) -> None:
    text = "local mine = { list: [] }; { mine: mine, also: mine }"
    config = files.load(text, "mine.list=[1, 2]", "mine.list[1]=3")
    assert config.mine.list == [1, 3]
    assert len(config.loaded_from.warnings) == 1


def test_a_slip_comes_before_a_local_of_the_sections_name(files: Files) -> None:
    text = "local mine = { max_length: 1 }; { mine: mine, also: mine }"
    (warning,) = files.load(text, "mine.max_lenght=3").loaded_from.warnings
    assert "did you mean 'max_length'?" in warning


def test_render_is_stable_and_can_be_read_back(files: Files) -> None:
    config = files.load("{ b: 1, a: { 'ä': [1e-5, 1] } }")
    text = render(config)
    assert json.loads(text) == config
    shuffled = Config({key: config[key] for key in sorted(config, reverse=True)})
    assert render(shuffled) == text
    assert text.index('"a"') < text.index('"b"')
    assert "ä" in text
    config.mine = Path("x/y")
    assert json.loads(render(config))["mine"] == "x/y"


def test_diff_names_what_differs_as_an_override_would() -> None:
    first = Config({"a": {"b": 1, "c.d": [1, {"e": 2}]}, "gone": 1, "same": [1, 2], "list": [1], "one": 1, "n": 1})
    second = Config(
        {"a": {"b": 2, "c.d": [1, {"e": 3}]}, "new": None, "same": [1, 2], "list": [1, 2], "one": True, "n": 1.0}
    )
    assert diff(first, second) == [
        ("a.b", 1, 2),
        ('a."c.d"[1].e', 2, 3),
        ("gone", 1, ABSENT),
        ("list", [1], [1, 2]),
        ("new", ABSENT, None),
        ("one", 1, True),
    ]
    assert diff(first, first.to_dict()) == []


def test_the_import_is_cheap_and_loading_needs_no_heavy_module(files: Files) -> None:
    path = files.write("a.jsonnet", "{ train: { trainer_paras: { max_epochs: 1 } } }")
    code = (
        "import sys, runway.config\n"
        "assert '_gojsonnet' not in sys.modules and '_jsonnet' not in sys.modules\n"
        "assert 'runway.config.load' not in sys.modules\n"
        f"runway.config.load_config({str(path)!r}, ['train.batch_size=3'])\n"
        "slow = {'inspect', 'dataclasses', 'importlib.metadata', 'rich', 'lightning', 'torch', 'numpy'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
