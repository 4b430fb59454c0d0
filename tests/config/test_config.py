"""Config: a dict, with attributes."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest

from runway.config import Config
from runway.config.config import LoadedFrom, project_of


@pytest.fixture
def config() -> Config:
    return Config({"train": {"batch_size": 32, "steps": [{"lr": 0.1}, [{"lr": 0.2}]]}, "name": "x"})


def test_items_and_attributes_are_the_same(config: Config) -> None:
    assert config.train.batch_size == config["train"]["batch_size"] == 32
    assert config.train.steps[0].lr == 0.1
    assert config.train.steps[1][0].lr == 0.2
    assert isinstance(config.train, dict)
    assert config.get("nothing", 3) == 3
    assert json.loads(json.dumps(config)) == config


def test_an_unknown_key_is_an_attribute_error_with_the_closest(config: Config) -> None:
    with pytest.raises(AttributeError, match=r"'bacth_size'.*did you mean 'batch_size'"):
        config.train.bacth_size  # noqa: B018
    with pytest.raises(KeyError):
        config["nothing"]
    assert not hasattr(config, "nothing")
    assert getattr(config, "nothing", 7) == 7


def test_what_is_set_becomes_a_config(config: Config) -> None:
    config.test = {"a": [{"b": 1}]}
    config["eval"] = {"c": 2}
    config.update(more={"d": 3})
    config |= {"still": {"e": 4}}
    assert config.setdefault("last", {"f": 5}).f == 5
    assert (config.test.a[0].b, config["eval"].c, config.more.d, config.still.e) == (1, 2, 3, 4)
    assert (config | {"g": {"h": 6}}).g.h == 6
    assert "g" not in config
    del config.test
    assert "test" not in config
    with pytest.raises(AttributeError, match="nothing"):
        del config.nothing


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda config: pickle.loads(pickle.dumps(config))])
def test_copies_are_whole_and_apart(config: Config, copied: object) -> None:
    config.loaded_from = LoadedFrom(Path("/somewhere/a.jsonnet"), Path("/somewhere"))
    twin = copied(config)  # type: ignore[operator]
    assert twin == config
    assert twin.loaded_from == config.loaded_from
    assert twin.train.loaded_from is None
    twin.train.steps[0].lr = 9
    assert config.train.steps[0].lr == 0.1
    assert type(twin.train) is Config


def test_a_shallow_copy_is_loaded_from_the_same(config: Config) -> None:
    assert config.loaded_from is None
    config.loaded_from = LoadedFrom(Path("/somewhere/a.jsonnet"), Path("/somewhere"))
    assert "loaded_from" not in config
    twin = config.copy()
    assert twin.loaded_from == config.loaded_from
    assert project_of(twin) == Path("/somewhere")
    assert project_of(Config(config)) == project_of({}) == Path.cwd()
    twin.name = "y"
    assert config.name == "x"


def test_to_dict_is_plain_all_the_way_down(config: Config) -> None:
    plain = config.to_dict()
    assert plain == config
    assert {type(plain), type(plain["train"]), type(plain["train"]["steps"][0])} == {dict}
    plain["train"]["steps"].append(1)
    assert len(config.train.steps) == 2


def test_keys_named_as_dict_methods_are_items() -> None:
    config = Config({"items": 1, "path": "data.csv"})
    assert config["items"] == 1
    assert list(config.items()) == [("items", 1), ("path", "data.csv")]
    assert config.path == "data.csv"
