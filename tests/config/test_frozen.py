"""Overrides that a copy in the config keeps from what was derived: said, with the place; and no false alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runway.config import jsonnet
from runway.config.apart import ENGINES, evaluate_apart

if TYPE_CHECKING:
    from tests.config.conftest import Files

BASE = """
{
  train: { batch_size: 32, epochs: 3, opt: { lr: 1e-3 * $.train.batch_size } },
  lr: 1e-3 * $.train.batch_size,
  data: import 'data.libsonnet',
}
"""
DATA = """
local rows = 4;
{ size: 10, twice: 2 * self.size, rows: rows, half: self.rows / 2 }
"""
BASE_FILE = "(import 'base.jsonnet')"
IN_ONE_FILE = "local base = { train: { batch_size: 32 }, lr: 1e-3 * $.train.batch_size }; "


@pytest.fixture
def base(files: Files) -> Files:
    files.write("configs/demo/base.jsonnet", BASE)
    files.write("configs/demo/data.libsonnet", DATA)
    files.write("src/reads.py", "READ = 'epochs', 'opt', 'size', 'twice', 'rows', 'half'")
    return files


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("text", "override", "told"),
    [
        (
            f"std.mergePatch({BASE_FILE}, {{ extra: 1, train: {{ epochs: 4 }} }})",
            "train.batch_size=64",
            "`lr` keeps 0.032",
        ),
        (f"std.mergePatch({BASE_FILE}, {{ train: {{ batch_size: 16 }} }})", "train.batch_size=64", "`lr` keeps 0.032"),
        (f"std.mergePatch({BASE_FILE}, {{ train: null, data: {{ rows: 8 }} }})", "data.rows=2", "`data.half` keeps 2"),
        (
            f"{BASE_FILE} + {{ data: std.mergePatch(super.data, {{ size: 12 }}) }}",
            "data.size=7",
            "`data.twice` keeps 20",
        ),
        (IN_ONE_FILE + "std.mergePatch(base, { extra: 1 })", "train.batch_size=64", "`lr` keeps 0.032"),
        (
            f"local base = {BASE_FILE}; base + {{ mine: base.train.batch_size }}",
            "train.batch_size=64",
            "`mine` keeps 32",
        ),
        (
            f"local base = {BASE_FILE}; {{ train: base.train, mine: base.lr }}",
            "train.batch_size=5",
            "`mine` keeps 0.03",
        ),
        (f"{BASE_FILE} + {{ mine: {BASE_FILE}.data.half }}", "data.rows=5", "`mine` keeps 2"),
        (IN_ONE_FILE + "base + { mine: base.lr }", "train.batch_size=64", "`mine` keeps 0.032"),
        ("local f(n) = { a: { n: n }, m: 2 * self.a.n }, x = f(3); { a: x.a, m: x.m }", "a.n=4", "`m` keeps 6"),
        ("std.prune(import 'data.libsonnet')", "size=7", "`twice` keeps 20"),
        ("local d = { kind: 'a', path: '%s.csv' % self.kind }; { x: d + { y: d.path } }", "x.kind=b", "`x.y` keeps"),
    ],
)
def test_a_copy_that_keeps_what_was_derived(base: Files, engine: str, text: str, override: str, told: str) -> None:
    (warning,) = base.load(text, override, engine=engine, check=False).loaded_from.warnings
    assert f"the override {override!r}" in warning
    assert told in warning
    assert "to let it follow" in warning


@pytest.mark.parametrize(
    ("text", "override"),
    [
        ("(import 'base.jsonnet') + { mine: 2 * $.train.batch_size, data+: { size: 11 } }", "train.batch_size=64"),
        ("(import 'base.jsonnet') + { mine: 2 * $.train.batch_size, data+: { size: 11 } }", "data.size=64"),
        ("local base = import 'base.jsonnet'; base { data+: { size: 2 * super.size } }", "data.size=64"),
        ("std.mergePatch(import 'base.jsonnet', { extra: 1 })", "extra=2"),
        ("std.mergePatch(import 'base.jsonnet', { extra: 1 })", "train.epochs=2"),
        ("std.mergePatch(import 'base.jsonnet', { extra: 1 })", "data.size=3"),  # it leaves what it does not change
        ("local base = import 'base.jsonnet'; base + { train+: { epochs: base.train.epochs } }", "train.batch_size=64"),
        ("local d = import 'data.libsonnet'; { train: d, test: d { rows: 3 } }", "train.size=11"),  # shared defaults
        ("{ batch_size: 32, loader: (function(x) x)({ batch_size: 32 }) }", "batch_size=64"),
        ("local other = { size: 10 }; { data: import 'data.libsonnet', other: other }", "data.size=64"),
        ("local base = { a: { n: 1 } }; { a: { n: 1 }, b: base.a }", "a.n=2"),
        (
            "local d = { path: null, n: 1 }; { load: { path: d.path, [if d.path == null then 'name']: 2 } }",
            "load.path=3",
        ),
        ("{ a: { assert self.b > 0, local this = self, b: this.c, c: 3 } }", "a.c=2"),
    ],
)
def test_no_warning_where_all_follows_or_nothing_is_derived(base: Files, text: str, override: str) -> None:
    assert base.load(text, override, check=False).loaded_from.warnings == ()


def test_it_says_whether_anything_else_followed(base: Files) -> None:
    (warning,) = base.load(IN_ONE_FILE + "base + { mine: base.lr }", "train.batch_size=64").loaded_from.warnings
    assert "does not reach all that derives from `train.batch_size`" in warning  # `lr` follows
    text = IN_ONE_FILE + "{ train: base.train, mine: base.lr }"
    (warning,) = base.load(text, "train.batch_size=64").loaded_from.warnings
    assert "changed nothing but `train.batch_size` itself" in warning
    assert "exp_config.jsonnet:1" in warning


def test_each_override_of_several_is_told_by_itself(base: Files) -> None:
    text = "std.mergePatch(import 'base.jsonnet', { extra: 1, data: { rows: 4 } })"
    overrides = ["extra=2", "train.batch_size=64", "train.epochs=9", "data.size=3", "mine.new=4"]
    warnings = base.load(text, *overrides, check=False).loaded_from.warnings
    assert [warning.split("'")[1] for warning in warnings] == ["train.batch_size=64", "data.size=3"]


def test_hundreds_of_overrides_stay_cheap(base: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*given: Any) -> str:
        calls.append(1)
        return evaluate_apart(*given)

    monkeypatch.setattr(jsonnet, "evaluate_apart", counted)
    text = "local base = import 'base.jsonnet'; base + { mine: { ['k%d' % n]: n for n in std.range(0, 299) } }"
    overrides = [f"mine.k{number}={number + 1}" for number in range(300)]
    assert base.load(text, *overrides, "train.epochs=4", check=False).loaded_from.warnings == ()
    assert len(calls) < 20, "the engine is asked for one override after another"
    text = text.replace("+ {", "+ { x: base.train.epochs,")
    (warning,) = base.load(text, *overrides, "train.epochs=4", check=False).loaded_from.warnings
    assert "`x` keeps 3" in warning
