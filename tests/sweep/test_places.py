"""What each of several trials gets of the machine."""

from __future__ import annotations

import pytest

from runway.errors import ConfigError
from runway.pipeline.runners import resources
from runway.sweep.places import places_here


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,4,GPU-7")
    monkeypatch.setattr(resources, "_gpu_count", lambda: 4)  # what the driver says
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def dealt(places: list[dict[str, str]]) -> list[str | None]:
    return [place.get("CUDA_VISIBLE_DEVICES") for place in places]


def test_gpus_and_threads_are_dealt_out_evenly(four_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runway.sweep.places.cpus", lambda: 16)
    places = places_here(None, {})
    assert dealt(places) == ["0", "1", "4", "GPU-7"]
    assert {place["OMP_NUM_THREADS"] for place in places} == {"4"}
    assert dealt(places_here(6, {})) == ["0", "1", "4", "GPU-7", "0", "1"]  # seed 000's balanced list
    assert dealt(places_here(None, {"num_gpus": 2})) == ["0,1", "4,GPU-7"]
    assert places_here(2, {"num_cpus": 3})[0]["OMP_NUM_THREADS"] == "3"
    with pytest.raises(ConfigError, match="must be a whole number"):
        places_here(2, {"num_gpus": 0.5})


def test_without_a_gpu_there_is_one_place_and_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert places_here(None, {}) == [{}]
    assert places_here(3, {}) == [{}, {}, {}]
    with pytest.raises(ConfigError, match="this machine has none"):
        places_here(None, {"num_gpus": 1})
