"""Many runs: chosen, sorted, and a thousand of them at once."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from runway.errors import ConfigError
from runway.report.run_list import list_rows, list_runs, main_metrics
from tests.report.made import made_run


@pytest.fixture
def three(tmp_path: Path) -> Path:
    for version, size in enumerate((16, 64, 32)):
        run = made_run(tmp_path, f"made_V{version}", rows=10, config={"train": {"batch_size": size}})
        metrics = {"accuracy": size / 100, "test_loss": 1 / size}
        (run / "test/default/metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    (tmp_path / "made_V0" / "test/default/metrics.json").unlink()
    return tmp_path


@pytest.mark.parametrize(
    ("where", "sort", "wanted"),
    [
        ("train.batch_size > 16", "accuracy", ["made_V1", "made_V2"]),
        (None, "test_loss", ["made_V1", "made_V2", "made_V0"]),  # the lowest is the best; without a test comes last
        ("run in [made_V0, made_V2]", "train.batch_size", ["made_V2", "made_V0"]),
        ("state == finished and accuracy < 0.5", None, ["made_V2"]),
        ("train.batch_size > 1000", None, []),
    ],
)
def test_runs_are_chosen_and_sorted(three: Path, where: str | None, sort: str | None, wanted: list[str]) -> None:
    assert [run.name for run in list_runs(three, where=where, sort=sort)] == wanted


@pytest.mark.parametrize(
    ("where", "sort", "told"),
    [
        ("train.batchsize > 1", None, "no run has a metric or a setting 'train.batchsize'"),
        (None, "acuracy", "no run has a metric or a setting 'acuracy'"),
        ("train.batch_size > big", None, "cannot be held against"),
        ("train.batch_size", None, "cannot be read"),
    ],
)
def test_what_no_run_has_is_an_error(three: Path, where: str | None, sort: str | None, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        list_runs(three, where=where, sort=sort)


def test_a_thousand_runs_take_less_than_a_second_of_work(tmp_path: Path) -> None:
    facts = {"status": "finished", "packages": {f"package-{at}": "1.2.3" for at in range(200)}, "config": "config.json"}
    config = {"train": {"batch_size": 8}, "data": {f"key{at}": at for at in range(200)}}
    texts = {name: json.dumps(value) for name, value in (("provenance", facts), ("config", config))}
    for version in range(1000):
        for stage, name, text in (
            ("train", "provenance", texts["provenance"]),
            ("train", "config", texts["config"]),
            ("test/t", "provenance", texts["provenance"]),
            ("test/t", "metrics", json.dumps({"accuracy": version / 1000})),
        ):
            path = tmp_path / f"many_V{version}" / stage / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    began = time.process_time()
    runs = list_runs(tmp_path, where="train.batch_size > 4", sort="accuracy")
    rows = list_rows(runs, main_metrics(runs))
    assert time.process_time() - began < 1.0
    assert (len(rows), rows[0][:3]) == (1000, ["many_V999", "finished", 0.999])
