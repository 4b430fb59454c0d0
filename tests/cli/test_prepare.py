"""`runway plan` and `runway prepare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import T, as_json
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from tests.conftest import Project


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
    told = as_json(reviews, "plan", "config.jsonnet")
    assert [step["seconds"] > 0 for step in told] == [True] * 3  # the time of the last key, where there is a new one
    table = reviews.run("plan", "config.jsonnet").stdout
    for text in (
        "input:Make",
        "cached",
        "process:Clean",
        "run",
        "code: helpers.clean changed",
        "maybe",
        "1 cached, 1 run, 1 maybe",
        "by the last times",
    ):
        assert text in table
    reviews.write("src/helpers.py", "def clean(text):\n    return text.strip()\n")
    assert why(reviews, "--nodes", "input:Make") == {}
    assert why(reviews, "--opts", f"{make}.n=3", "--nodes", "input:Make") == {"input:Make": ["argument n 1 → 3"]}


def test_force_runs_nodes_again_and_until_stops_at_one(reviews: Project) -> None:
    def ran(*words: str) -> list[str]:
        return as_json(reviews, "prepare", "config.jsonnet", *words)["ran"]

    make, clean, last = "input:Make", "process:Clean", "output:Reviews"
    assert ran("--until", clean) == [make, clean]
    assert ran() == [last]
    assert ran("--force", clean) == [clean]  # what comes out the same stops there
    assert ran("--force", f"{clean}+") == [clean, last]
    assert ran("--force", "all") == [make, clean, last]
    assert ran("--until", clean, "--force", "all") == [make, clean]
    uncached = f"{T}.{make}.cache=false"
    assert ran(uncached) == [make, clean]  # its key is what Clean's is made of now
    assert ran(uncached, "--force", make) == [make, clean]  # it runs inside of its consumer
    assert ran(uncached) == []
    assert why(reviews, "--force", make)[make] == ["--force"]
    for words, message in (
        (("--force", "input:Mkae"), "did you mean 'input:Make'?"),
        (("--until", "input:Make", "--force", last), "nothing that is asked for needs it"),
        (("--until", make, "--nodes", clean), "--until and --nodes contradict each other"),
    ):
        refused = reviews.run("prepare", "config.jsonnet", *words, check=False)
        assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr


def test_plan_names_the_file(reviews: Project) -> None:
    reviews.write("reviews.csv", "good")
    load = f'{T}.input:Make={{"transform_name": "LoadReviews"}}'
    reviews.run("prepare", "config.jsonnet", load)
    reviews.write("reviews.csv", "bad")
    assert why(reviews, load)["input:Make"] == ["file reviews.csv changed"]
    (reviews.path / "reviews.csv").unlink()
    assert why(reviews, load)["input:Make"] == ["file reviews.csv changed"]


HEAVY = """
import sys; from runway.cli import main; code = main([{command!r}, {config!r}]);
heavy = {{'torch', 'numpy', 'datasets', 'transformers', 'pandas', 'pyarrow', 'lightning', 'rich'}};
print(code, sorted(heavy & set(sys.modules)))
"""


def test_prepare_loads_no_heavy_library_for_what_is_cached(reviews: Project) -> None:
    reviews.run("prepare", "config.jsonnet")
    assert reviews.python("-c", HEAVY.format(command="prepare", config="config.jsonnet")).stdout.strip() == "0 []"


@pytest.mark.parametrize("demo", ["imdb_classification/exp_config", "translation/bible_de_en"])
def test_a_plan_loads_no_heavy_library(project: Project, demo: str) -> None:
    config = str(REPOSITORY / f"configs/{demo}.jsonnet")
    assert project.python("-c", HEAVY.format(command="plan", config=config)).stdout.endswith("\n0 []\n")


def test_a_graph_in_every_format(reviews: Project) -> None:
    drawn = {
        form: reviews.run("graph", "config.jsonnet", "--format", form).stdout for form in ("text", "mermaid", "dot")
    }
    assert drawn["text"].splitlines()[0] == "input:Make  run"
    assert "flowchart TD" in drawn["mermaid"]
    assert drawn["dot"].startswith("digraph")
    layer = reviews.run("graph", "config.jsonnet", "--functions").stdout
    assert "process:Clean  maybe\n    data_ops.ops.CleanReviews\n    helpers.clean\n" in layer
    assert "written: drawn.svg" in reviews.run("graph", "config.jsonnet", "--out", "drawn.svg").stderr
    assert "process:Clean" in reviews.read("drawn.svg")
    for words, message in (
        (("--out", "drawn.bmp"), "there is no format 'bmp'"),
        (("--out", "no/where.svg"), "it cannot be written"),
        (("--nodes", "input:Mkae"), "did you mean 'input:Make'?"),
    ):
        refused = reviews.run("graph", "config.jsonnet", *words, check=False)
        assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr
