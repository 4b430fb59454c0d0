"""What will run, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runway import BaseTransform, DataPipeline, register_transform_functor
from runway.registry import USER, transforms


@register_transform_functor("plan:Give")
class Give(BaseTransform):
    """Gives its setting, and what the config says."""

    def setup(self, value: int = 0, **kwargs: Any) -> None:
        super().setup(**kwargs)
        self.value = value

    def _call(self, data: Any) -> list:
        return [self.value, self.global_config.get("scale")]


@register_transform_functor("plan:Sign")
class Sign(BaseTransform):
    """Comes out the same for many inputs."""

    def _call(self, data: list) -> int:
        return int(data[0] > 0)


def nodes(value: int = 1, **fields: Any) -> dict[str, Any]:
    def node(name: str, **more: Any) -> dict[str, Any]:
        return {"transform_name": f"tests.pipeline.test_plan:{name}", **more}

    return {
        "input:A": node("Give", setup_kwargs={"value": value}, **fields),
        "process:B": node("Sign", input_node="input:A"),
        "output:C": node("Give", input_node="process:B"),
    }


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    def plan(transforms: dict[str, Any], scale: int = 1, prepare: bool = False) -> dict[str, tuple[str, list[str]]]:
        pipeline = DataPipeline({"transforms": transforms}, {"scale": scale}, project=tmp_path)
        if prepare:
            pipeline.prepare()
        return {name: (step.status, step.reasons) for name, step in pipeline.plan().steps.items()}

    return plan


def test_new_then_cached(plan: Any) -> None:
    new = plan(nodes())
    assert new["input:A"] == ("run", ["new"])
    assert new["process:B"] == ("maybe", ["input input:A"])
    assert {status for status, _ in plan(nodes(), prepare=True).values()} == {"cached"}


def test_a_changed_argument_and_what_waits_for_it(plan: Any) -> None:
    plan(nodes(), prepare=True)
    changed = plan(nodes(value=2))
    assert changed == {
        "input:A": ("run", ["argument value 1 → 2"]),
        "process:B": ("maybe", ["input input:A"]),
        "output:C": ("maybe", ["input process:B"]),
    }


def test_a_value_that_was_read_has_changed(plan: Any) -> None:
    plan(nodes(), prepare=True)
    changed = plan(nodes(), scale=2)
    assert changed["input:A"] == ("run", ["config scale changed"])
    assert changed["process:B"][0] == "maybe"


def test_regenerate_is_a_reason(plan: Any) -> None:
    plan(nodes(), prepare=True)
    assert plan(nodes(regenerate=True))["input:A"] == ("run", ["regenerate: true"])


def test_what_is_not_kept_runs_inside_its_consumer(plan: Any) -> None:
    plan(nodes(cache=False), prepare=True)
    assert {status for status, _ in plan(nodes(cache=False)).values()} == {"cached", "not needed"}
    assert plan(nodes(value=2, cache=False))["process:B"] == ("run", ["input input:A"])


def test_a_damaged_entry_runs_again(plan: Any, tmp_path: Path) -> None:
    plan(nodes(), prepare=True)
    for meta in tmp_path.glob("cache/??/*/meta.json"):
        if '"node":"input:A"' in meta.read_text():
            meta.write_text("{torn")
    assert plan(nodes())["input:A"][0] == "run"


def test_an_input_with_another_content(plan: Any, tmp_path: Path) -> None:
    plan(nodes(), prepare=True)
    DataPipeline({"transforms": nodes(value=2)}, {"scale": 1}, project=tmp_path).prepare(["input:A"])
    assert plan(nodes(value=2)) == {
        "input:A": ("cached", []),
        "process:B": ("run", ["input input:A"]),
        "output:C": ("maybe", ["input process:B"]),
    }


def give_of(step: int) -> type:
    """A class that is another one for each step, as after an edit of its code."""

    class Edited(BaseTransform):
        def _call(self, data: Any) -> int:
            return step

    return transforms.register(Edited, "EditedForPlan")


def test_changed_code(plan: Any) -> None:
    given = {"output:A": {"transform_name": "EditedForPlan"}}
    give_of(1)
    try:
        assert plan(given, prepare=True) == {"output:A": ("cached", [])}
        give_of(2)
        reason = f"code: {__name__}.give_of.<locals>.Edited._call.<step> changed"
        assert plan(given) == {"output:A": ("run", [reason])}
    finally:
        del transforms.levels[USER]["EditedForPlan"]


class Load(BaseTransform):
    def _call(self, data: Any) -> str:
        return self.track_file("rows.txt").read_text() * 5000  # too long to be kept beside what is known of it


LOAD = {"output:L": {"transform_name": f"{__name__}:Load"}}


def test_a_file_that_was_read_has_changed(plan: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("one")
    plan(LOAD, prepare=True)
    (tmp_path / "rows.txt").write_text("two")
    assert plan(LOAD) == {"output:L": ("run", ["file rows.txt changed"])}
    (tmp_path / "rows.txt").write_text("one")
    assert plan(LOAD) == {"output:L": ("cached", [])}


def test_a_damaged_value_is_a_reason(plan: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("one")
    plan(LOAD, prepare=True)
    [value] = tmp_path.glob("cache/??/*/value.*")
    value.write_bytes(b"?")
    assert plan(LOAD) == {"output:L": ("run", ["its entry was damaged"])}
    assert plan(LOAD, prepare=True) == {"output:L": ("cached", [])}


def test_an_uncached_output_runs_again_for_what_differs(plan: Any) -> None:
    plan(nodes(cache=False), prepare=True)
    transforms = {"output:A": nodes(cache=False)["input:A"]}
    assert plan(transforms, prepare=True)["output:A"] == ("cached", ["it ran on this data before"])
    transforms = {"output:A": nodes(2, cache=False)["input:A"]}
    assert plan(transforms)["output:A"] == ("run", ["argument value 1 → 2"])
