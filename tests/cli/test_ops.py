"""`runway ops` and `runway show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cli.conftest import as_json

if TYPE_CHECKING:
    from tests.conftest import Project


def test_ops_and_show(reviews: Project) -> None:
    listed = {op["name"]: op for op in as_json(reviews, "ops")}
    assert listed["MakeReviews"] == {"name": "MakeReviews", "from": "user", "doc": "Make some reviews."}
    assert listed["LoadHFDataset"]["from"] == "ready-made"
    assert all(op["doc"] for name, op in listed.items() if op["from"] == "ready-made")
    shown = as_json(reviews, "show", "MakeReviews")
    assert shown["settings"][:2] == [
        {"name": "n", "type": "int", "default": "2", "doc": "how many."},
        {"name": "lower", "type": "bool", "default": "False", "doc": "write them in lower case, all of them."},
    ]
    text = reviews.run("show", "MakeReviews").stdout
    assert "Make some reviews." in text
    assert "how many." in text
    assert as_json(reviews, "show", "CleanReviews")["settings"][0]["default"] == "(required)"
    for name in listed:
        if listed[name]["from"] == "ready-made":
            settings = as_json(reviews, "show", name)["settings"] if name == "LoadHFDataset" else []
            assert all(setting["doc"] for setting in settings), name


def test_show_knows_executors(reviews: Project) -> None:
    shown = as_json(reviews, "show", "Seq2SeqExecutor")
    settings = {setting["name"]: setting for setting in shown["settings"]}
    assert {"use_data_node", "label_smoothing", "generate_params"} <= settings.keys()
    assert all(setting["doc"] for setting in shown["settings"])
    assert "mode" not in settings  # the experiment gives it
    assert "Args:" not in shown["doc"]
    failed = reviews.run("show", "Seq2SeqExecuter", check=False)
    assert failed.returncode == 2
    assert "did you mean 'Seq2SeqExecutor'" in failed.output


def test_the_users_class_comes_before_the_ready_made(reviews: Project) -> None:
    assert as_json(reviews, "show", "DummyTransform")["doc"] != "Mine."
    assert "in front of" not in reviews.run("plan", "config.jsonnet").stdout
    reviews.write(
        "src/data_ops/mine.py",
        '''
        from runway import BaseTransform, register_transform_functor


        @register_transform_functor
        class DummyTransform(BaseTransform):
            """Mine."""

            def _call(self, data):
                return "mine"


        @register_transform_functor("Named")
        class Anything(BaseTransform):
            """By another name."""
        ''',
    )
    assert as_json(reviews, "show", "DummyTransform")["doc"] == "Mine."
    # it is said wherever the name is listed, and how the one behind it is had
    listed = {op["name"]: op for op in as_json(reviews, "ops")}
    assert listed["DummyTransform"]["from"] == "user"
    assert listed["DummyTransform"]["in_front_of"] == "ready-made"
    assert [name for name, op in listed.items() if "in_front_of" in op] == ["DummyTransform"]
    assert "user, in front of the ready-made one" in " ".join(reviews.run("ops").stdout.split())
    first = reviews.run("show", "DummyTransform").stdout.splitlines()[0]
    assert first.startswith("DummyTransform  (data_ops.mine:DummyTransform), in front of the ready-made runway.")
    behind = first.rpartition(" ")[2]
    assert as_json(reviews, "show", behind)["doc"] not in ("", "Mine.")
    planned = reviews.run("plan", "config.jsonnet").stdout
    assert planned.endswith("the project's own, in front of the ready-made ones of the same name: DummyTransform\n")
    assert as_json(reviews, "show", "Named")["doc"] == "By another name."
    assert as_json(reviews, "show", "data_ops.mine:Anything")["doc"] == "By another name."
    assert as_json(reviews, "prepare", "config.jsonnet")["ran"] == ["input:Make", "process:Clean", "output:Reviews"]
