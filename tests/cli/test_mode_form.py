"""Both forms of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cli.conftest import T

if TYPE_CHECKING:
    from tests.conftest import Project


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
