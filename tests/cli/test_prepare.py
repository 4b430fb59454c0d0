"""`runway plan` and `runway prepare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cli.conftest import T, as_json

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


def test_prepare_loads_no_heavy_library_for_what_is_cached(reviews: Project) -> None:
    reviews.run("prepare", "config.jsonnet")
    code = (
        "import sys; from runway.cli import main; code = main(['prepare', 'config.jsonnet']);"
        "heavy = {'torch', 'numpy', 'datasets', 'transformers', 'pandas', 'pyarrow', 'lightning', 'rich'};"
        "print(code, sorted(heavy & set(sys.modules)))"
    )
    assert reviews.python("-c", code).stdout.strip() == "0 []"
