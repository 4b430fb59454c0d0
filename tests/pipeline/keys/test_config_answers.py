"""What a node asked of the config: another answer is always another key, and what was not asked is none."""

from __future__ import annotations

import copy
import json
import pickle
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from runway.config import Config, Reads, RecordedView
from runway.pipeline.keys.config_answers import changes
from runway.pipeline.keys.tracked import read_set, states

SECTION = "<a section>"
KEYS = ("a", "b", "c", "d.e", "f")


def state(reads: Reads, config: Any) -> dict[str, str]:
    names = json.loads(json.dumps(read_set(reads, Path("/project"))))  # as it is kept with the entry
    return states(names, config, {}, {}, Path("/project"))


def plain(value: Any) -> Any:
    """An answer that can be compared: a section that the program was given, and did not look into, is only that."""
    return SECTION if isinstance(value, Mapping) else copy.deepcopy(value)


def matched(section: Any, key: str) -> Any:
    match section:
        case {"a": {"b": found}}:
            return plain(found)
        case {"a": found, **rest}:
            return plain(found), sorted(rest)
        case {}:
            return "another section"
        case [first, *_]:
            return plain(first)
        case None | int() | str():
            return "a plain value"
    return None


def in_whole(value: Any) -> Any:
    """A whole copy as JSON, in the order of its keys."""
    return json.dumps(value, default=lambda section: section.to_dict())


QUESTIONS: dict[str, Callable[[Any, str], Any]] = {
    "in": lambda at, key: key in at,
    "get": lambda at, key: plain(at.get(key)),
    "get is None": lambda at, key: at.get(key, 3) is None,
    "item": lambda at, key: plain(at[key]),
    "hasattr": hasattr,
    "getattr": lambda at, key: plain(getattr(at, key, "none")),
    "truth": lambda at, key: bool(at),
    "truth of": lambda at, key: bool(at.get(key)),
    "length": lambda at, key: len(at),
    "list": lambda at, key: list(at),
    "keys": lambda at, key: (list(at.keys()), key in at.keys()),  # noqa: SIM118
    "items": lambda at, key: [(name, plain(value)) for name, value in at.items()],
    "values": lambda at, key: [plain(value) for value in at.values()],
    "dict": lambda at, key: {name: plain(value) for name, value in dict(at).items()},
    "stars": lambda at, key: {name: plain(value) for name, value in {**at}.items()},
    "or": lambda at, key: in_whole((at | {"z": 1}) if isinstance(at, Mapping) else at),
    "ror": lambda at, key: in_whole(({"z": 1} | at) if isinstance(at, Mapping) else at),
    "isinstance": lambda at, key: isinstance(at.get(key), Mapping),
    "type": lambda at, key: plain(at) == SECTION or type(at).__name__,
    "equal": lambda at, key: at == {"a": 1, "b": {}},
    "equal to a part": lambda at, key: at.get("a") == at.get("b"),
    "not none": lambda at, key: at != None,  # noqa: E711
    "copy": lambda at, key: in_whole(at.copy()),
    "deepcopy": lambda at, key: in_whole(copy.deepcopy(at)),
    "pickle": lambda at, key: in_whole(pickle.loads(pickle.dumps(at))),
    "json": lambda at, key: in_whole(at),
    "text": lambda at, key: str(at).replace("RecordedView", "").strip("()"),
    "match": matched,
    "match of": lambda at, key: matched(at.get(key), key),
    "first": lambda at, key: plain(at[0]),
}


def program(chance: random.Random) -> list[tuple[str, str]]:
    """Random steps: into a section or back to the config, and questions."""
    kinds = ["into"] * 8 + ["top"] * 3 + list(QUESTIONS)
    return [(chance.choice(kinds), chance.choice(KEYS)) for _ in range(chance.randint(1, 6))]


def answers(steps: list[tuple[str, str]], config: Any) -> list:
    """What a program is answered; what is not there ends it, as it ends a node."""
    at, given = config, []
    for question, key in steps:
        try:
            if question == "into":
                at = at[key]
                given.append(plain(at))
            elif question == "top":
                at = config
            else:
                given.append(QUESTIONS[question](at, key))
        except (KeyError, AttributeError, TypeError, IndexError, ValueError) as error:
            given.append(type(error).__name__)
            if question == "into":
                break
    return given


def a_value(chance: random.Random, depth: int = 0) -> Any:
    if depth < 3 and chance.random() < 0.55:
        keys = chance.sample(KEYS, chance.randint(0, 3))
        return {key: a_value(chance, depth + 1) for key in keys}
    if depth < 3 and chance.random() < 0.2:
        return [a_value(chance, depth + 1) for _ in range(chance.randint(0, 2))]
    return chance.choice([None, 0, 1, 2.5, 1.0, True, False, "", "x"])


def a_config(chance: random.Random) -> dict:
    return {key: a_value(chance) for key in chance.sample(KEYS, chance.randint(1, 4))}


def edited(chance: random.Random, config: dict) -> dict:
    """The config with one thing set, removed, or put in another place of the order."""
    config = copy.deepcopy(config)
    section = config
    while (inner := [value for value in section.values() if isinstance(value, dict)]) and chance.random() < 0.6:
        section = chance.choice(inner)
    edit, key = chance.choice(["set", "set", "remove", "order"]), chance.choice(KEYS)
    if edit == "set":
        section[key] = a_value(chance, depth=2)
    elif section:
        key = chance.choice(list(section))
        value = section.pop(key)
        if edit == "order":
            section[key] = value
    return config


def recorded(steps: list[tuple[str, str]], config: dict) -> tuple[list, Reads]:
    reads = Reads()
    return answers(steps, RecordedView(Config(copy.deepcopy(config)), reads)), reads


@pytest.mark.parametrize("seed", range(5))
def test_another_answer_is_another_key_and_a_view_answers_as_a_dict_does(seed: int) -> None:
    chance = random.Random(seed)
    different = 0
    for _ in range(1500):
        steps, config = program(chance), a_config(chance)
        other = edited(chance, config)
        given, reads = recorded(steps, config)
        assert given == answers(steps, Config(copy.deepcopy(config))), (steps, config)
        if given != recorded(steps, other)[0]:
            different += 1
            assert state(reads, Config(config)) != state(reads, Config(other)), (steps, config, other, reads.config)
    assert different > 100


def paths_of(config: Any, path: tuple = ()) -> list[tuple]:
    inner = [found for key, value in config.items() for found in paths_of(value, (*path, key))] if config else []
    return [path, *inner] if isinstance(config, Mapping) else [path]


@pytest.mark.parametrize("seed", range(4))
def test_an_edit_of_what_was_not_asked_keeps_the_key(seed: int) -> None:
    chance = random.Random(seed)
    kept = 0
    for _ in range(1500):
        steps, config = program(chance), a_config(chance)
        _, reads = recorded(steps, config)
        leaves = [(key,) for key, value in config.items() if not isinstance(value, dict)]
        leaves += [
            (key, inner) for key, value in config.items() if isinstance(value, dict) for inner, part in value.items()
            if not isinstance(part, dict)
        ]  # fmt: skip
        if not leaves:
            continue
        *section, key = chance.choice(leaves)
        other = copy.deepcopy(config)
        (other[section[0]] if section else other)[key] = "another value"
        asked = reads.config.get((*section, key)) in (None, "presence")
        whole = any(reads.config.get(tuple(section[:end])) in ("value", "given") for end in range(len(section) + 1))
        if asked and not whole:
            kept += 1
            assert state(reads, Config(config)) == state(reads, Config(other)), (steps, config, other, reads.config)
    assert kept > 300


CONFIG = {"train": {"lr": 1, "opt": {"name": "adam"}}, "augment": {"p": 0.5}, "none": None, "list": [{"a": 1}]}


@pytest.mark.parametrize(
    ("ask", "same", "other"),
    [
        (lambda view: "augment" in view, {"augment": {"p": 1}}, {}),
        (lambda view: "augment" in view, {"augment": None}, {}),
        (lambda view: view.get("augment") is not None, {"augment": {"p": 1, "q": 2}}, {"augment": None}),
        (lambda view: hasattr(view, "augment"), {"augment": {}}, {}),
        (lambda view: bool(view.augment), {"augment": {"q": 1}}, {"augment": {}}),
        (lambda view: len(view.augment), {"augment": {"p": 9}}, {"augment": {"p": 1, "q": 2}}),
        (lambda view: view.augment == {"p": 1}, None, {"augment": {"p": 1}}),
        (lambda view: view.augment == view.get("train"), None, {"augment": CONFIG["train"]}),
        (lambda view: view.train.get("none"), {"train": {"lr": 2}}, {"train": None}),
        (lambda view: view.train.get("none"), {"train": {"lr": 2}}, {"train": 3}),
        (lambda view: view.train.opt, {"train": {"opt": {}}}, {"train": {"opt": "adam"}}),
        (lambda view: repr(view.augment), {"train": 3}, {"augment": {"p": 1}}),
        (lambda view: view["list"], {"train": 3}, {"list": [{"a": 2}]}),
        (lambda view: view.get("none"), {"train": 3}, {"none": {}}),
    ],
)
def test_what_counts_and_what_does_not(ask: Callable, same: dict | None, other: dict) -> None:
    reads = Reads()
    ask(RecordedView(Config(CONFIG), reads))
    before = state(reads, Config(CONFIG))
    if same is not None:
        assert state(reads, Config({**CONFIG, **same})) == before
    removed = {} if other else {key: value for key, value in CONFIG.items() if key != "augment"}
    assert state(reads, Config({**CONFIG, **other} if other else removed)) != before


def test_a_copy_for_a_worker_counts_in_whole_but_for_what_each_run_adds() -> None:
    reads = Reads()
    copy.deepcopy(RecordedView(Config(CONFIG), reads))
    before = state(reads, Config(CONFIG))
    assert state(reads, Config({**CONFIG, "train_dir": "/runs/7", "exp_version": 7})) == before
    assert state(reads, Config({**CONFIG, "new": 1})) != before


def test_a_list_that_a_node_changes_is_its_own() -> None:
    config = Config({"list": [1, {"a": 2}]})
    view = RecordedView(config, Reads())
    view["list"].append(3)
    view["list"][1]["a"] = 4
    assert config == {"list": [1, {"a": 2}]}


def test_names_with_dots_are_places_of_their_own() -> None:
    reads = Reads()
    view = RecordedView(Config({"a.b": 1, "a": {"b": 2}, "l": {"0": 1}}), reads)
    assert (view["a.b"], view.a.b) == (1, 2)
    config = Config({"a.b": 1, "a": {"b": 3}})
    assert state(reads, config) != state(reads, Config({"a.b": 1, "a": {"b": 2}}))
    assert state(reads, config) != state(reads, Config({"a.b": 3, "a": {"b": 3}}))


def test_a_key_that_is_neither_text_nor_a_number_counts_with_its_section() -> None:
    reads = Reads()
    view = RecordedView({"a": {(1, 2): 3}}, reads)
    assert (1, 2) in view["a"]
    assert reads.config == {("a",): "value"}


@pytest.mark.parametrize(
    ("ask", "now", "line"),
    [
        (lambda view: view.train.lr, {"train": {"lr": 2}}, "config train.lr changed"),
        (lambda view: view.augment.p, {"augment": None}, "config augment was a section, and is null now"),
        (lambda view: view.get("mine"), {"mine": 3}, "config mine was added"),
        (list, {"new": 1, "none": None}, "config (all of it) has other keys: new was added"),
        (lambda view: list(view.augment), {"augment": {"q": 1}}, "has other keys: q was added, p was removed"),
        (lambda view: bool(view.augment), {"augment": {}}, "augment was a section, and is an empty section now"),
        (lambda view: list(view.train), {"train": {"opt": 1, "lr": 1}}, "train has other keys: their order changed"),
        (lambda view: list(view.train), {"train": 3}, "config train was a section, and is a number now"),
        (lambda view: "none" in view, {"none": 1}, None),
    ],
)
def test_the_reason_says_what_happened_to_the_config(ask: Callable, now: dict, line: str | None) -> None:
    reads = Reads()
    ask(RecordedView(Config(CONFIG), reads))
    lines = changes(state(reads, Config(CONFIG)), state(reads, Config({**CONFIG, **now})))
    assert line in lines[0] if line else lines == []


def test_what_stood_in_a_removed_section_is_not_told_again() -> None:
    reads = Reads()
    view = RecordedView(Config(CONFIG), reads)
    assert view.train.opt.name == "adam"
    assert changes(state(reads, Config(CONFIG)), state(reads, Config({}))) == ["config train was removed"]
