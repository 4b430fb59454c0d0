"""What Optuna chooses, and what is done for it: duplicates, lists, a changed space, a second sweep; pruning."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna")

from runway.config.config import Config
from runway.errors import ConfigError
from runway.sweep.ledger import PRUNED
from runway.sweep.scores import Outcome
from runway.sweep.settings import SweepSettings
from runway.sweep.space import Point, canonical, read_space
from runway.sweep.study import Pruning, TpeSupply
from runway.sweep.trials import Trial
from tests.sweep.test_scores import run_of

LINE = {"x": {"low": 0.0, "high": 1.0}, "layers": [[1, 2], [3]]}


def asked(section: dict[str, Any], most: int, **others: Any) -> SweepSettings:
    return SweepSettings("tpe", read_space(section, (), None), "loss", "min", "line", max_trials=most, **others)


def supply(folder: Path, section: dict[str, Any], most: int) -> TpeSupply:
    return TpeSupply(
        asked(section, most), folder, lambda point: [Trial(point, None, (), Config({}), key=canonical(point))]
    )


def loss(point: Point) -> float:
    return (point.get("x", 0) - 0.3) ** 2 + len(point.get("layers", [])) / 10


def all_of(found: TpeSupply, status: str = "finished") -> list[Point]:
    """Run what the supply gives."""
    points = []
    while (trial := found.next()) is not None:
        score = loss(trial.setting) if status == "finished" else None
        found.finished(trial, Outcome(trial.setting, None, trial.key, status, score=score))
        points.append(trial.setting)
    return points


def test_it_finds_the_best_and_asks_nothing_twice(tmp_path: Path) -> None:
    points = all_of(supply(tmp_path, LINE, 40))
    assert len({canonical(point) for point in points}) == 40
    assert min(map(loss, points)) < 0.102
    late = [point for point in points[-15:] if len(point["layers"]) == 1]
    assert len(late) > 9  # it knows where the good ones are


def test_a_sweep_that_was_ended_goes_on_with_the_same_points(tmp_path: Path) -> None:
    first = supply(tmp_path, LINE, 6)
    begun = list(itertools.islice(iter(first.next, None), 4))
    assert all_of(supply(tmp_path, LINE, 6))[:4] == [trial.setting for trial in begun]
    again = all_of(supply(tmp_path, LINE, 6))
    assert len(again) == 6
    more = supply(tmp_path, {**LINE, "layers": [[1, 2], [3], [4, 5, 6]]}, 8)  # Optuna alone refuses a value more
    assert all_of(more)[:6] == again
    less = all_of(supply(tmp_path, {**LINE, "layers": [[3]]}, 8))
    assert all(point["layers"] == [3] for point in less)
    assert [point for point in again if point["layers"] == [3]] == less[: sum(p["layers"] == [3] for p in again)]


def test_a_small_space_has_an_end(tmp_path: Path) -> None:
    section = {"n": {"low": 1, "high": 3}, "flag": [True, False]}
    assert len(all_of(supply(tmp_path, section, 100))) == 6


def test_two_sweeps_at_once_share_their_points(tmp_path: Path) -> None:
    one, other = supply(tmp_path, LINE, 6), supply(tmp_path, LINE, 6)
    taken: list[Point] = []
    for each in (one, other, other, one):
        trial = each.next()
        assert trial is not None
        taken.append(trial.setting)
    assert taken[0] == taken[1]
    assert taken[2] == taken[3]


def test_failed_points_are_not_chosen_again_and_the_study_can_be_looked_at(tmp_path: Path) -> None:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    found = supply(tmp_path, LINE, 3)
    assert len(all_of(found, "failed")) == 3
    found.write()
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "optuna.journal")))
    study = optuna.load_study(study_name="line", storage=storage)
    assert [trial.state.name for trial in study.trials] == ["FAIL"] * 3


class TestPruning:
    def test_what_is_worse_than_most_ends(self, tmp_path: Path) -> None:
        pruning = Pruning(asked(LINE, 9, prune={"pruner": "median", "n_startup_trials": 2}))
        for number, values in enumerate(([1.0, 0.5], [1.2, 0.6], [1.1, 0.4])):
            run = run_of(tmp_path / str(number), [{"loss": value} for value in values])
            pruning.finished(Outcome({}, None, str(number), "finished", run, score=min(values)))
        good, bad = (run_of(tmp_path / name, [{"loss": value}]) for name, value in (("good", 0.9), ("bad", 3.0)))
        assert not pruning.is_hopeless("good", good)
        assert pruning.is_hopeless("bad", bad)
        pruning.finished(Outcome({}, None, "bad", PRUNED, bad))
        pruning.finished(Outcome({}, None, "good", "failed", good))

    def test_what_is_no_pruner_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="there is no pruner 'medium'") as error:
            Pruning(asked(LINE, 9, prune={"pruner": "medium"}))
        assert error.value.hint == "did you mean 'median'?"
        with pytest.raises(ConfigError, match="no argument 'startup_trials'"):
            Pruning(asked(LINE, 9, prune={"pruner": "median", "startup_trials": 2}))


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ConfigError, match="which is not installed") as error:
        supply(tmp_path, LINE, 3)
    assert "runway-for-ml[sweep]" in str(error.value.hint)
