"""What the commands that look at the data pipeline print: plan, config, ops, show, cache, prepare."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Project

T = "data_pipeline.transforms"


def as_json(project: Project, *args: str) -> Any:
    """What a command prints with `--json`."""
    return json.loads(project.run(*args, "--json").stdout)


def why(project: Project, *overrides: str) -> dict[str, list[str]]:
    """{node that would run: the reasons} of `runway plan`."""
    steps = as_json(project, "plan", "config.jsonnet", *overrides)
    return {step["node"]: step["why"] for step in steps if step["status"] in ("run", "maybe")}


def test_plan_says_why(reviews: Project) -> None:
    everything = why(reviews)
    assert everything == {
        "input:Make": ["new"],
        "process:Clean": ["input input:Make"],
        "output:Reviews": ["input process:Clean"],
    }
    assert not (reviews.path / "cache").exists()  # a plan runs nothing and writes nothing
    reviews.run("prepare", "config.jsonnet")
    assert why(reviews) == {}
    make, clean = f"{T}.input:Make.setup_kwargs", f"{T}.process:Clean"
    assert why(reviews, f"{make}.n=2")["input:Make"] == ["argument n 1 → 2"]
    assert why(reviews, f"{make}.lower=true")["input:Make"] == ["argument lower added: true"]
    assert why(reviews, f"~{make}.n")["input:Make"] == ["argument n removed"]
    assert why(reviews, "train.batch_size=2") == {
        "process:Clean": ["config train.batch_size changed"],
        "output:Reviews": ["input process:Clean"],
    }
    assert why(reviews, f"{clean}.transform_name=DummyTransform", f"~{clean}.setup_kwargs")["process:Clean"][0] == (
        "transform CleanReviews → DummyTransform"
    )
    assert why(reviews, f"{clean}.input_node=[input:Make]")["process:Clean"] == ["input_node input:Make → [input:Make]"]
    reviews.write("src/helpers.py", "def clean(text):\n    return text.lower()\n")
    assert why(reviews)["process:Clean"] == ["code: helpers.clean changed"]
    table = reviews.run("plan", "config.jsonnet").stdout
    for text in (
        "input:Make",
        "cached",
        "process:Clean",
        "run",
        "code: helpers.clean changed",
        "maybe",
        "1 cached, 1 run, 1 maybe",
    ):
        assert text in table
    assert why(reviews, "--nodes", "input:Make") == {}
    assert why(reviews, "--opts", f"{make}.n=3", "--nodes", "input:Make") == {"input:Make": ["argument n 1 → 3"]}


def test_plan_names_the_file(reviews: Project) -> None:
    reviews.write("reviews.csv", "good")
    load = f'{T}.input:Make={{"transform_name": "LoadReviews"}}'
    reviews.run("prepare", "config.jsonnet", load)
    reviews.write("reviews.csv", "bad")
    assert why(reviews, load)["input:Make"] == ["file reviews.csv changed"]
    (reviews.path / "reviews.csv").unlink()
    assert why(reviews, load)["input:Make"] == ["file reviews.csv changed"]


def test_config_is_printed_resolved(reviews: Project) -> None:
    printed = json.loads(reviews.run("config", "config.jsonnet", "train.batch_size=64").stdout)
    assert printed["mine"]["lr"] == 32  # what is derived follows
    assert printed["meta"]["logger_enable"] == ["csv"]
    reviews.write("other.jsonnet", "(import 'config.jsonnet') + { train+: { batch_size: 4 } }")
    assert as_json(reviews, "config", "other.jsonnet", "--diff", "config.jsonnet") == [
        {"key": "mine.lr", "old": 4, "new": 2},
        {"key": "train.batch_size", "old": 8, "new": 4},
    ]
    assert reviews.run("config", "config.jsonnet", "--diff", "config.jsonnet").stdout == "no difference\n"


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


def test_cache(reviews: Project) -> None:
    reviews.run("prepare", "config.jsonnet")
    listed = as_json(reviews, "cache", "ls")
    assert {entry["node"] for entry in listed} == {"input:Make", "process:Clean", "output:Reviews"}
    assert "3 entries" in reviews.run("cache", "ls").stdout
    assert as_json(reviews, "cache", "verify") == {"entries": 3, "damaged": []}
    # room is made, and what was computed stays known
    assert "would free" in reviews.run("cache", "gc", "--max-size", "0", "--dry-run").stdout
    assert len(as_json(reviews, "cache", "gc", "--max-size", "0", "--dry-run")["evicted"]) == 3
    assert reviews.run("prepare", "config.jsonnet", "--quiet").stdout == ""
    freed = as_json(reviews, "cache", "gc", "--max-size", "0")
    assert len(freed["evicted"]) == 3
    assert freed["bytes"] > 3000
    assert "evicted" in reviews.run("cache", "ls").stdout
    assert as_json(reviews, "cache", "verify") == {"entries": 3, "damaged": []}
    assert as_json(reviews, "prepare", "config.jsonnet") == {"ran": []}
    # a new consumer needs the value again: that node runs, and nothing above it that is not needed
    batch = "train.batch_size=3"
    assert as_json(reviews, "prepare", "config.jsonnet", batch)["ran"] == ["input:Make", "process:Clean"]
    assert as_json(reviews, "prepare", "config.jsonnet") == {"ran": []}
    assert as_json(reviews, "cache", "gc", "--older-than", "1") == {"evicted": [], "bytes": 0}
    # damage is found, also where a size and a time do not show it
    entry = next(entry for entry in as_json(reviews, "cache", "ls") if entry["node"] == "input:Make" and entry["files"])
    [name] = entry["files"]
    (reviews.path / entry["path"] / name).write_bytes(b"?" * entry["files"][name][0])
    result = reviews.run("cache", "verify", "--json", check=False)
    assert (result.returncode, json.loads(result.stdout)["damaged"]) == (1, [entry["key"]])
    assert as_json(reviews, "cache", "verify")["damaged"] == []
    # it runs again, and what is below it and was evicted; the output came out the same
    assert as_json(reviews, "prepare", "config.jsonnet") == {"ran": ["input:Make", "process:Clean"]}


def test_cache_at_a_url(reviews: Project, tmp_path: Path) -> None:
    """What is done is done at the URL, and another machine sees it."""
    shared = tmp_path / "shared"
    url = f"file://{shared}"
    to_url = f"meta.default_cache_dir={url}"
    assert len(as_json(reviews, "prepare", "config.jsonnet", to_url)["ran"]) == 3
    listed = as_json(reviews, "cache", "ls", url)
    assert {entry["node"] for entry in listed} == {"input:Make", "process:Clean", "output:Reviews"}
    assert all(entry["path"] == f"{url}/{entry['key'][:2]}/{entry['key']}" for entry in listed)
    assert "3 entries" in reviews.run("cache", "ls", url).stdout
    assert as_json(reviews, "cache", "verify", url) == {"entries": 3, "damaged": []}
    # a machine without copies runs nothing either
    shutil.rmtree(reviews.path / "cache")
    assert as_json(reviews, "prepare", "config.jsonnet", to_url) == {"ran": []}
    # damage there is found there, though its size does not show it
    entry = next(entry for entry in listed if entry["node"] == "input:Make" and entry["files"])
    [name] = entry["files"]
    damaged = shared / entry["key"][:2] / entry["key"]
    (damaged / name).write_bytes(b"?" * entry["files"][name][0])
    result = reviews.run("cache", "verify", url, "--json", check=False)
    assert (result.returncode, json.loads(result.stdout)["damaged"]) == (1, [entry["key"]])
    assert not (damaged / "meta.json").exists()
    assert as_json(reviews, "cache", "verify", url) == {"entries": 2, "damaged": []}
    assert as_json(reviews, "prepare", "config.jsonnet", to_url) == {"ran": ["input:Make"]}
    # so is room made there
    before = sum(path.stat().st_size for path in shared.rglob("*") if path.is_file())
    assert "would free" in reviews.run("cache", "gc", url, "--max-size", "0", "--dry-run").stdout
    assert sum(path.stat().st_size for path in shared.rglob("*") if path.is_file()) == before
    freed = as_json(reviews, "cache", "gc", url, "--max-size", "0")
    assert len(freed["evicted"]) == 3
    assert {path.name for path in shared.rglob("*") if path.is_file()} <= {"meta.json", *index_names(shared)}
    assert "evicted" in reviews.run("cache", "ls", url).stdout
    assert as_json(reviews, "prepare", "config.jsonnet", to_url) == {"ran": []}
    # a folder that was left without its meta.json goes once it is a day old
    left = shared / "ab" / ("ab" * 16)
    left.mkdir(parents=True)
    (left / "half.txt").write_text("half")
    assert "0 leftovers" in reviews.run("cache", "gc", url).stdout
    os.utime(left / "half.txt", (0, 0))
    assert "1 leftovers" in reviews.run("cache", "gc", url).stdout
    assert not (left / "half.txt").exists()


def index_names(folder: Path) -> set[str]:
    """The files that say what nodes have read."""
    return {path.name for path in folder.rglob("*.reads.json")}


@pytest.mark.parametrize("size", ["10 apples", "-1", "1.2.3"])
def test_a_size_that_is_none(reviews: Project, size: str) -> None:
    reviews.run("prepare", "config.jsonnet")
    result = reviews.run("cache", "gc", f"--max-size={size}", check=False)
    assert result.returncode == 2
    assert size in result.stderr
    assert "Traceback" not in result.stderr


def test_both_forms_do_the_same(reviews: Project) -> None:
    long = [
        "--config",
        "config.jsonnet",
        "--mode",
        "prepare_data",
        "--opts",
        f"{T}.input:Make.setup_kwargs.n=5",
        "train.batch_size=3",
    ]
    assert "3 nodes ran" in reviews.run(*long).stderr
    short = ["prepare", f"{T}.input:Make.setup_kwargs.n=5", "config.jsonnet", "train.batch_size=3"]
    result = reviews.run("prepare", "config.jsonnet", *short[1:2], *short[3:])
    assert "no nodes ran" in result.stderr
    assert result.stdout == ""


def test_where_a_project_is_and_its_modules(reviews: Project) -> None:
    reviews.write("src/elsewhere/more.py", MORE)
    reviews.write(
        "configs/deep/exp.jsonnet", "(import '../../config.jsonnet') + { meta+: { user_modules: ['elsewhere.more'] } }"
    )
    node = f'{T}.output:Reviews={{"transform_name": "More", "input_node": "process:Clean"}}'
    assert as_json(reviews, "prepare", "configs/deep/exp.jsonnet", node)["ran"][-1] == "output:Reviews"
    assert (reviews.path / "cache").is_dir()  # the project's, not the config's folder
    assert not (reviews.path / "configs/deep/cache").exists()
    result = reviews.run("prepare", "config.jsonnet", node, check=False)
    assert result.returncode == 2
    assert "unknown transform 'More'" in result.stderr


MORE = """
from runway import BaseTransform, register_transform_functor


@register_transform_functor
class More(BaseTransform):
    def _call(self, data):
        return len(data)
"""


def test_prepare_loads_no_heavy_library_for_what_is_cached(reviews: Project) -> None:
    reviews.run("prepare", "config.jsonnet")
    code = (
        "import sys; from runway.cli import main; code = main(['prepare', 'config.jsonnet']);"
        "heavy = {'torch', 'numpy', 'datasets', 'transformers', 'pandas', 'pyarrow', 'lightning', 'rich'};"
        "print(code, sorted(heavy & set(sys.modules)))"
    )
    assert reviews.python("-c", code).stdout.strip() == "0 []"


def test_runs_tell_finished_tests_from_others_and_where_they_looked(reviews: Project) -> None:
    statuses = {"train": "finished", "test/one": "finished", "test/two": "failed"}
    for folder, status in statuses.items():
        reviews.write(f"experiments/cli_V0/{folder}/provenance.json", json.dumps({"status": status}))
    printed = reviews.run("runs").stdout
    assert f"1 run in {reviews.path / 'experiments'}" in printed
    assert "one, two (failed)" in printed
    (found,) = as_json(reviews, "runs")
    assert (found["tests"], found["other_tests"]) == (["one"], {"two": "failed"})
    missing = reviews.run("runs", "nowhere", check=False)
    assert (missing.returncode, str(reviews.path / "nowhere") in missing.stderr) == (2, True)
