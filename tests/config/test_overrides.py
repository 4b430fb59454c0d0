"""Overrides, through load_config: late binding, keys, removal, and what cannot be done."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from runway.config.apart import ENGINES
from runway.config.overrides import format_path, parse_override
from runway.errors import ConfigError

if TYPE_CHECKING:
    from tests.config.conftest import Files

CONFIG = """
{
  train: { batch_size: 32, optimizer_config: { optimizer_params: { lr: 1e-6 * $.train.batch_size } } },
  test: { batch_size: 2 * $.train.batch_size },
  mine: { list: [1, { b: 2, twice: 2 * self.b }, 'x'], "name.with.dots": 1, none: null,
          hidden:: 3, shown: self.hidden },
  data_pipeline: {
    transforms: {
      'input:Load': { transform_name: 'Load', setup_kwargs: { size: $.train.batch_size } },
      'process:B': { input_node: 'input:Load', transform_name: 'B' },
    },
  },
}
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_what_derives_from_an_overridden_value_follows(files: Files, engine: str) -> None:
    config = files.load(CONFIG, "train.batch_size=64", engine=engine)
    assert config.train.batch_size == 64
    assert config.train.optimizer_config.optimizer_params.lr == pytest.approx(6.4e-5)
    assert config.test.batch_size == 128
    assert config.data_pipeline.transforms["input:Load"].setup_kwargs.size == 64
    assert type(config.test.batch_size) is int


@pytest.mark.parametrize("engine", ENGINES)
def test_an_item_of_a_list_and_what_derives_from_it(files: Files, engine: str) -> None:
    config = files.load(CONFIG, "mine.list[1].b=5", "mine.list[0]=[7]", "mine.list[2]=None", engine=engine)
    assert config.mine.list == [[7], {"b": 5, "twice": 10}, None]


def test_a_value_set_last_wins_and_derived_values_can_be_set_too(files: Files) -> None:
    config = files.load(CONFIG, "test.batch_size=5", "train.batch_size=1", "train.batch_size=8")
    assert (config.train.batch_size, config.test.batch_size) == (8, 5)


def test_hidden_fields_can_be_overridden_and_stay_hidden(files: Files) -> None:
    config = files.load(CONFIG, "mine.hidden=9")
    assert config.mine.shown == 9
    assert "hidden" not in config.mine


@pytest.mark.parametrize(
    "key", ['mine."name.with.dots"', "mine.'name.with.dots'", 'mine["name.with.dots"]', "mine['name.with.dots']"]
)
def test_names_with_dots_are_quoted(files: Files, key: str) -> None:
    assert files.load(CONFIG, f"{key}=5").mine["name.with.dots"] == 5


def test_node_names_need_no_quotes(files: Files) -> None:
    config = files.load(CONFIG, "data_pipeline.transforms.input:Load.setup_kwargs.path=a=b:c.csv")
    assert config.data_pipeline.transforms["input:Load"].setup_kwargs == {"size": 32, "path": "a=b:c.csv"}


def test_an_object_takes_the_place_of_the_old_value(files: Files) -> None:
    config = files.load(CONFIG, "mine={a: {b: 1}}")
    assert config.mine == {"a": {"b": 1}}


def test_sections_are_made_where_there_are_none_or_null(files: Files) -> None:
    config = files.load(CONFIG, "mine.none.a.b=1", "mine.new.c=2", "own.deep.key=[x]")
    assert config.mine.none.a.b == 1
    assert config.mine.new.c == 2
    assert config.own.deep.key == ["x"]


@pytest.mark.parametrize("engine", ENGINES)
def test_removal_hides_the_key_from_the_result_only(files: Files, engine: str) -> None:
    config = files.load(CONFIG, "~train.batch_size", "~mine.list[0]", "~mine.none", engine=engine)
    assert "batch_size" not in config.train
    assert config.test.batch_size == 64
    assert config.mine.list == [{"b": 2, "twice": 4}, "x"]
    assert "none" not in config.mine


def test_a_removed_key_can_be_set_again(files: Files) -> None:
    config = files.load(CONFIG, "~train.batch_size", "train.batch_size=3")
    assert (config.train.batch_size, config.test.batch_size) == (3, 6)


def test_nothing_is_evaluated(files: Files) -> None:
    text = '__import__("os").abort()'
    assert files.load(CONFIG, f"mine.code={text}", "mine.jsonnet=error 'x'").mine.code == text
    assert files.load(CONFIG, "mine.code=' + (error 1) + '", "mine.'a\\b $ %s \"'=1").mine.code == " + (error 1) + "


def test_a_value_with_any_characters_arrives_as_it_is(files: Files) -> None:
    text = "\\ \u2028 😀 \"q\" 'p' %(x)s $.train ||| \t"
    assert files.load(CONFIG, f"mine.text={text}").mine.text == text


def test_many_overrides_stay_fast_in_both_engines(files: Files) -> None:
    overrides = [f"mine.section.key{i}.a.b={i}" for i in range(40)]
    for engine in ENGINES:
        assert files.load(CONFIG, *overrides, engine=engine).mine.section.key39.a.b == 39


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train", "has no `=`"),
        ("=3", "a name is missing"),
        ("a..b=3", "a name is missing at character 3"),
        (".a=3", "a name is missing at character 1"),
        ("a.=3", "a name is missing"),
        ("", "a name is missing"),
        ("mine.list[x]=3", "'\\[' cannot stand at character 10"),
        ("mine.list[-1]=3", "cannot stand"),
        ("mine.list[0]b=3", "'b' cannot stand"),
        ("mine.'open=3", "a name is missing"),
        ("~mine.list=3", "takes no value"),
        ("+mine.new=3", "cannot begin with `\\+`"),
        ("mine.n=123456789012345678901", "2\\*\\*53"),
        ("mine.n=1e999", "too large"),
        ("mine.n=\udcff", "not UTF-8"),
    ],
)
def test_overrides_that_cannot_be_read(errors_of: Callable, override: str, message: str) -> None:
    (error,) = errors_of(CONFIG, override)
    assert "cannot be read" in error.message
    assert error.where == "--opts"
    assert re.search(message, error.message)


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("train.batch_size.x=3", "`train.batch_size` is a number and no section", "train.batch_size={x: ...}"),
        ("mine.list.b=3", "`mine.list` is a list and no section", "mine.list[0]"),
        ("mine.list[3]=3", "the list `mine.list` has 3 items, so there is no 'mine.list[3]'", "mine.list[2]"),
        ("mine.list[9].b=3", "has 3 items", "mine.list[2]"),
        ("mine.list[0].b=3", "`mine.list[0]` is a number and no section", "mine.list[0]={b: ...}"),
        ("mine[0]=3", "`mine` is a section and has no items", "mine=[...]"),
        ("mine.new[0]=3", "`mine.new` is null and has no items", "mine.new=[...]"),
        ("~mine.lst", "there is no 'mine.lst' to remove", "did you mean 'list'?"),
        ("~mine.list[3]", "has 3 items", "mine.list[2]"),
        ("~mine.hidden", "there is no 'mine.hidden' to remove", None),
        ("~mine.a.b", "there is no 'mine.a.b' to remove", None),
        ("~train.batch_size.x", "there is no 'train.batch_size.x' to remove", None),
        ("~trian", "there is no 'trian' to remove", "did you mean 'train'?"),
    ],
)
def test_overrides_that_do_not_fit(errors_of: Callable, override: str, message: str, hint: str | None) -> None:
    (error,) = errors_of(CONFIG, override)
    assert message in error.message
    assert error.where == f"the override {override!r}"
    if hint:
        assert hint in error.hint


def test_all_that_is_wrong_is_said_at_once(errors_of: Callable) -> None:
    errors = errors_of(CONFIG, "train", "mine.list[9]=3", "train.bacth_size=3", "~mine.lst", "meta.seed=x")
    assert len(errors) == 5
    assert {"the override '~mine.lst'", "the override 'meta.seed=x'"} <= {error.where for error in errors}


def test_an_override_of_a_wrong_kind_is_named_even_where_the_file_stumbles_over_it(errors_of: Callable) -> None:
    (error,) = errors_of(CONFIG, "train.batch_size=x")
    assert error.message == "`train.batch_size` must be a whole number from 1, but is 'x' instead"
    assert error.where == "the override 'train.batch_size=x'"


def test_an_override_that_breaks_the_file_is_named(errors_of: Callable) -> None:
    (error,) = errors_of("{ mine: { size: 'a', double: 2 * self.n, n: 1 } }", "mine.size=b", "mine.n=text")
    assert error.hint == "the override 'mine.n=text' leads to this"
    assert "exp_config.jsonnet:1" in error.where


def test_a_value_that_must_be_given_can_be_given(files: Files, errors_of: Callable) -> None:
    text = "{ mine: { path: error 'give mine.path' } }"
    assert files.load(text, "mine.path=data.csv").mine.path == "data.csv"
    (error,) = errors_of(text)
    assert error.message.startswith("give mine.path")


@pytest.mark.parametrize("path", [("a", "b"), ("a", 0, "b.c"), ("input:X", 'with"quote'), ("with space", 3, 4)])
def test_a_path_written_out_reads_back(path: tuple) -> None:
    override = parse_override(format_path(path) + "=1")
    assert override.path == path


def test_texts_hold_what_follows_the_first_equals_sign() -> None:
    values: list[Any] = [parse_override(text).value for text in ("a=b=c", "a==", "a= x ")]
    assert values == ["b=c", "=", " x "]


@pytest.mark.parametrize("engine", ENGINES)
def test_hundreds_of_overrides_in_one_section(files: Files, engine: str) -> None:
    overrides = [f"train.more.key{number}={number}" for number in range(300)]
    config = files.load(CONFIG, *overrides, engine=engine, check=False)
    assert config.train.more == {f"key{number}": number for number in range(300)}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_that_never_ends_is_an_error(files: Files, engine: str) -> None:
    with pytest.raises(ConfigError):
        files.load("local f(x) = f(x + 1) + 1; { mine: f(0) }", engine=engine)


def test_the_override_that_breaks_the_file_is_found_among_many(errors_of: Callable) -> None:
    others = [f"mine.other{number}=1" for number in range(20)]
    (error,) = errors_of("{ mine: { double: 2 * self.n, n: 1 } }", *others[:13], "mine.n=text", *others[13:])
    assert error.hint == "the override 'mine.n=text' leads to this"
