"""`runway config`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.cli.conftest import as_json

if TYPE_CHECKING:
    from tests.conftest import Project


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
