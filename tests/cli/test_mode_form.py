"""Both forms of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runway.cli.app import parse
from runway.cli.mode_form import parse_mode_form
from runway.errors import ConfigError
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


def test_both_forms_take_new_settings() -> None:
    lr = "train.optimizer_config.optimizer_params.lr"
    short = parse(["train", "c.jsonnet", "--resume", "--take-new", lr, "train.batch_size", f"{lr}=0.1", "a.b=1"])
    long = parse(["--config", "c.jsonnet", "--mode", "train", "--resume", "--take-new", lr, "train.batch_size"])
    with_opts = parse(["--config", "c", "--mode", "train", "--take-new", lr, "--resume", "--opts", f"{lr}=0.1"])
    assert short.take_new == long.take_new == [lr, "train.batch_size"]
    assert sorted(short.overrides) == ["a.b=1", f"{lr}=0.1"]
    assert (with_opts.take_new, with_opts.overrides) == ([lr], [f"{lr}=0.1"])
    assert short.resume
    assert long.resume


def test_both_forms_take_reuse() -> None:
    assert parse_mode_form(["--config", "c.jsonnet", "--mode", "run", "--reuse"]).reuse
    assert parse(["run", "c.jsonnet", "--reuse", "a.b=1"]).reuse
    assert not parse(["train", "c.jsonnet"]).reuse
    with pytest.raises(ConfigError, match="takes no '--reuse'"):
        parse(["test", "c.jsonnet", "--reuse"])
