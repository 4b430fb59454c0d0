"""Functions as transforms: settings from the signature, inputs by name, keys from their code."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from runway import DataPipeline, RowWiseTransform, transform
from runway.cli import main
from runway.config.signatures import accepted_settings, describe_settings
from runway.errors import ConfigError, ConfigErrors
from runway.registry import USER, class_of_function, path_of, transforms


@transform
def make_words(count: int = 2) -> list[str]:
    """Make some words.

    Args:
        count: how many.
    """
    return ["Some", "Words", "Here"][:count]


@transform("Clean")
def clean(data: list[str], lowercase: bool = True, *, suffix: str = "") -> list[str]:
    return [(word.lower() if lowercase else word) + suffix for word in data]


@transform
def join(left: list[str], right: list[str], sep: str) -> str:
    return sep.join([*left, *right])


@transform
def read(self: Any, path: str) -> str:
    return self.track_file(path).read_text()


def undecorated(data: list[str]) -> int:
    return len(data)


class AddVocabulary(RowWiseTransform):
    def _call(self, row_n: int, row: Any, vocabulary: dict[str, int]) -> Any:
        return {**row, "id": vocabulary[row["word"]]}


NODES: dict[str, Any] = {
    "input:Make": {"transform_name": "make_words", "setup_kwargs": {"count": 2}},
    "process:Low": {"input_node": "input:Make", "transform_name": "Clean"},
    "process:High": {
        "input_node": "input:Make",
        "transform_name": "Clean",
        "setup_kwargs": {"lowercase": False, "suffix": "!"},
    },
    "output:Join": {
        "inputs": {"right": "process:High", "left": "process:Low"},
        "transform_name": "join",
        "setup_kwargs": {"sep": "-"},
    },
    "output:Mixed": {
        "input_node": "process:High",
        "inputs": {"left": "process:Low"},
        "transform_name": "join",
        "setup_kwargs": {"sep": "+"},
    },
    "output:Count": {"input_node": "process:Low", "transform_name": f"{__name__}:undecorated"},
}


def get(nodes: dict[str, Any], tmp_path: Path, *wanted: str, **kwargs: Any) -> Any:
    pipeline = DataPipeline({"transforms": nodes}, project=tmp_path, cache_dir=tmp_path / "cache", **kwargs)
    return pipeline.get_data(list(wanted) or pipeline.graph.out_ops)


def test_functions_in_a_pipeline(tmp_path: Path) -> None:
    assert get(NODES, tmp_path) == {
        "output:Join": "some-words-Some!-Words!",
        "output:Mixed": "some+words+Some!+Words!",
        "output:Count": 2,
    }
    assert clean(["A"]) == ["a"], "still a function"


def test_inputs_by_name_count_in_the_key(tmp_path: Path) -> None:
    get(NODES, tmp_path)
    swapped = {
        **NODES,
        "output:Join": {**NODES["output:Join"], "inputs": {"left": "process:High", "right": "process:Low"}},
    }
    assert get(swapped, tmp_path, "output:Join")["output:Join"] == "Some!-Words!-some-words"


def test_a_class_takes_further_inputs_by_name(tmp_path: Path) -> None:
    nodes = {
        "input:Rows": {"transform_name": f"{__name__}:make_rows"},
        "input:Vocabulary": {"transform_name": f"{__name__}:make_vocabulary"},
        "output:Ids": {
            "input_node": "input:Rows",
            "inputs": {"vocabulary": "input:Vocabulary"},
            "transform_name": f"{__name__}:AddVocabulary",
        },
    }
    expected = [{"word": "a", "id": 1}, {"word": "b", "id": 2}]
    assert get(nodes, tmp_path, "output:Ids")["output:Ids"] == expected
    both = {"data": "input:Rows", "vocabulary": "input:Vocabulary"}
    nodes["output:Ids"] = {"inputs": both, "transform_name": f"{__name__}:AddVocabulary"}
    assert get(nodes, tmp_path, "output:Ids")["output:Ids"] == expected
    nodes["output:Ids"] = {"input_node": "input:Rows", "transform_name": f"{__name__}:AddVocabulary"}
    with pytest.raises(ConfigError, match="AddVocabulary needs the input 'vocabulary'"):
        get(nodes, tmp_path)


def make_rows() -> list[dict[str, str]]:
    return [{"word": "a"}, {"word": "b"}]


def make_vocabulary() -> dict[str, int]:
    return {"a": 1, "b": 2}


def test_a_function_with_self_tracks_files(tmp_path: Path) -> None:
    nodes = {"output:Read": {"transform_name": "read", "setup_kwargs": {"path": "a.txt"}}}
    for text in ("one", "two"):
        (tmp_path / "a.txt").write_text(text)
        assert get(nodes, tmp_path)["output:Read"] == text


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"setup_kwargs": {"sep": 3}}, ["`sep` must be text"]),
        ({"setup_kwargs": {}}, ["join needs the setting 'sep'"]),
        ({"setup_kwargs": {"sep": "-", "spe": "+"}}, ["join has no setting 'spe'", "did you mean 'sep'"]),
        ({"setup_kwargs": {"sep": "-", "left": []}}, ["is given the argument 'left' twice"]),
        (
            {"inputs": {"left": "process:Low", "rihgt": "process:High"}},
            ["no argument 'rihgt'", "needs the setting 'right'"],
        ),
        ({"inputs": {"left": "process:Lwo", "right": "process:High"}}, ["there is no node 'process:Lwo'"]),
        ({"inputs": {"left": 3}}, ["inputs"]),
    ],
)
def test_what_is_wrong_is_told_at_once(changes: dict[str, Any], messages: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        get({**NODES, "output:Join": {**NODES["output:Join"], **changes}}, tmp_path)
    errors = caught.value.errors if isinstance(caught.value, ConfigErrors) else [caught.value]
    assert all(any(re.search(message, str(error)) for error in errors) for message in messages), str(caught.value)


def test_what_a_signature_says() -> None:
    cls = transforms.get("make_words")
    assert path_of(cls) == f"{__name__}:make_words"
    assert transforms.get(path_of(cls)) is cls
    assert transforms.levels[USER]["Clean"] is class_of_function(clean)
    setting = describe_settings(cls)[0]
    assert (setting.name, setting.type, setting.default, setting.doc) == ("count", "int", "2", "how many.")
    accepted = accepted_settings(class_of_function(clean))
    assert accepted.names == ("data", "lowercase", "suffix", "input_mapping", "output_mapping")
    assert not accepted.takes_any
    assert accepted_settings(class_of_function(lambda_like)).takes_any


def lambda_like(data: Any, **settings: Any) -> Any:
    return data


def generates(data: Any) -> Any:
    yield data


def variadic(*data: Any) -> Any:
    return data


def positional(data: Any, /) -> Any:
    return data


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (generates, "is a generator"),
        (variadic, r"takes \*arguments"),
        (positional, "given by name"),
        (3, "takes a function"),
    ],
)
def test_what_no_config_can_call_is_told_at_definition(function: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        transform(function)


def test_the_key_is_that_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the function calls counts, comments do not; and an unregistered one is told."""
    monkeypatch.syspath_prepend(tmp_path)
    nodes = {"output:N": {"transform_name": "numbered", "setup_kwargs": {"n": 1}}}
    code = "from runway import transform\ndef helper(n):\n    return n + {}\n"
    code += "@transform\ndef numbered(n: int):\n    return helper(n)\n"
    results = []
    for number, text in enumerate((code.format(1), code.format("1  # a comment"), code.format(2))):
        (tmp_path / "numbered_ops.py").write_text(text)
        importlib.reload(sys.modules["numbered_ops"]) if number else importlib.import_module("numbered_ops")
        pipeline = DataPipeline({"transforms": nodes}, project=tmp_path, cache_dir=tmp_path / "cache", live=False)
        results.append((pipeline.plan().steps["output:N"].status, pipeline.get_data(["output:N"])["output:N"]))
    assert results == [("run", 2), ("cached", 2), ("run", 3)]


def test_a_project_lists_and_shows_functions_and_tells_forgotten_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ops = tmp_path / "src" / "data_ops"
    ops.mkdir(parents=True)
    (ops / "function_ops.py").write_text(
        "from runway import BaseTransform, transform\n"
        '@transform\ndef tidy(data, hard: bool = False):\n    """Tidy up."""\n'
        "def forgotten(data):\n    return data\nclass Forgotten(BaseTransform):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    assert main(["ops", "--project", str(tmp_path), "--json"]) == 0
    assert '"name": "tidy",\n    "from": "user",\n    "doc": "Tidy up."' in capsys.readouterr().out
    assert main(["show", "tidy", "--project", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "Tidy up." in shown
    assert "hard" in shown
    for name, decorator in (("forgotten", "transform"), ("Forgotten", "register_transform_functor")):
        with pytest.raises(ConfigError) as caught:
            transforms.get(name)
        assert f"put @runway.{decorator} above it" in str(caught.value.hint)
