"""Scores of a test have intervals, over rows or groups, and slices of which the worse are named."""

from __future__ import annotations

import numpy as np
import pytest

from runway import EvalRecorder
from runway.errors import ConfigError, DataError
from runway.transforms.evaluation.display import worse_slices
from runway.transforms.evaluation.recorders import ComputeMetrics
from runway.transforms.evaluation.slices import make_slices
from runway.transforms.evaluation.translations import EvaluateTranslations

ROWS = 400


@pytest.fixture(scope="module")
def recorder():
    random = np.random.default_rng(0)
    label = random.integers(0, 2, ROWS)
    words = random.integers(0, 40, ROWS)
    is_right = random.random(ROWS) < np.where(words > 30, 0.5, 0.95)
    made = EvalRecorder("test")
    made.log_sample_dict_batch(
        {
            "guess": np.where(is_right, label, 1 - label),
            "label": label,
            "text": ["word " * count for count in words],
            "film": [f"film {number % 25}" for number in range(ROWS)],
            "one": ["all"] * ROWS,
            "tokens": [[0] * count for count in words],
        }
    )
    made.wants_intervals = True
    return made


def computed(recorder, tmp_path, metrics=("accuracy", "f1"), config=None, **settings):
    node = ComputeMetrics(name="process:Metrics", project=tmp_path, global_config=config or {})
    node.setup(metrics=list(metrics), pred_field="guess", ref_field="label", **settings)
    return node(recorder.fork())


def test_intervals_go_with_the_stats_of_a_test_and_not_of_a_validation(recorder, tmp_path):
    found = computed(recorder, tmp_path, prefix="my_")
    accuracy = found.get_intervals()["my_accuracy"]
    assert accuracy["low"] < found.get_stats_logs()["my_accuracy"] < accuracy["high"]
    assert (accuracy["n"], accuracy["method"]) == (ROWS, "wilson")
    assert computed(recorder, tmp_path, intervals=False).get_intervals() == {}
    validation = recorder.fork()
    validation.wants_intervals = False
    assert computed(validation, tmp_path).get_intervals() == {}
    found.log_stats_dict({"my_accuracy": 0.5})  # another value has not this interval
    assert set(found.get_intervals()) == {"my_f1"}


def test_intervals_are_kept_with_the_recorder(recorder, tmp_path):
    found = computed(recorder, tmp_path, slices=["label"])
    for file_format in ("parquet", "json", "csv", "pkl"):
        found.rename("kept", tmp_path)
        found.save_to_disk(file_format=file_format)
        again = EvalRecorder.load_from_disk("kept", tmp_path, file_format=file_format)
        assert again.get_intervals() == found.get_intervals()
        assert again.get_slices() == found.get_slices()
    other = recorder.fork().merge(found)
    assert other.get_intervals() == found.get_intervals()
    assert other.__fingerprint__() != recorder.__fingerprint__()
    other.clear_stats()
    assert (other.get_intervals(), other.get_slices()) == ({}, {})


def test_groups(recorder, tmp_path, capsys):
    accuracy = computed(recorder, tmp_path, group="film").get_intervals()["accuracy"]
    assert (accuracy["n"], accuracy["method"]) == (25, "cluster bootstrap (BCa) over film")
    assert computed(recorder, tmp_path, group="one").get_intervals() == {}
    assert "all rows are of one one" in capsys.readouterr().err
    with pytest.raises(DataError, match="group names 'flim'"):
        computed(recorder, tmp_path, group="flim")
    with pytest.raises(ConfigError, match="must be a column's name"):
        computed(recorder, tmp_path, group=["film"])


def test_the_slices_that_are_worse_are_named(recorder, tmp_path):
    asked = ["label", {"length": "text", "at": [10, 20, 30]}, "label == 1 and text contains 'word'"]
    slices = computed(recorder, tmp_path, config={"eval": {"slices": asked}}).get_slices()
    assert list(slices) == [
        "label = 0",
        "label = 1",
        "length of text, up to 10",
        "length of text, 10 to 20",
        "length of text, 20 to 30",
        "length of text, over 30",
        "label == 1 and text contains 'word'",
    ]
    long = slices["length of text, over 30"]["accuracy"]
    assert long["is_worse"]
    assert long["low"] < long["value"] < long["high"]
    assert sum(slices[f"label = {one}"]["accuracy"]["n"] for one in (0, 1)) == ROWS
    assert [name for name, one in slices.items() if one["accuracy"].get("is_worse")] == ["length of text, over 30"]
    assert worse_slices(slices)[0].startswith("accuracy is worse than on the other rows in: length of text, over 30 (")


def test_slices_of_lists_numbers_and_values(recorder):
    made = make_slices([{"length": "tokens", "name": "tokens"}, {"column": "film", "most": 2}], recorder, "here")
    assert [one.name for one in made][-2:] == ["film = film 0", "film = film 1"]
    assert sum(len(one.rows) for one in made[:-2]) == ROWS


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"column": "labl"}, "no such column"),
        ({"length": "label"}, "neither texts nor lists"),
        ({"column": "tokens"}, "holds lists"),
        ({"colum": "label"}, "unknown key"),
        ({"length": "text", "at": [3, 1]}, "rising numbers"),
        ({"column": "label", "where": "label == 1"}, "a slice has one of"),
        (3, "a text or an object"),
        ("label is 1", "cannot be read"),
        ("labl == 1", "no such column"),
    ],
)
def test_slices_that_cannot_be(recorder, asked, told):
    with pytest.raises((ConfigError, DataError), match=told):
        make_slices([asked], recorder, "eval.slices")


def test_a_metric_of_ones_own_is_resampled(recorder, tmp_path):
    (tmp_path / "share_of_ones.py").write_text(
        "import datasets\nimport evaluate\n"
        "class ShareOfOnes(evaluate.Metric):\n"
        "    def _info(self):\n"
        "        kind = datasets.Value('int64')\n"
        "        return evaluate.MetricInfo(description='', citation='', inputs_description='',\n"
        "            features=datasets.Features({'predictions': kind, 'references': kind}))\n"
        "    def _compute(self, predictions, references):\n"
        "        return {'share_of_ones': sum(predictions) / len(predictions)}\n"
    )
    small = recorder.select_rows(range(60))
    found = computed(small, tmp_path, [str(tmp_path / "share_of_ones.py")], slices=["label"])
    interval = found.get_intervals()["share_of_ones"]
    assert interval["method"] == "bootstrap"
    assert interval["low"] < found.get_stats_logs()["share_of_ones"] < interval["high"]
    assert set(found.get_slices()["label = 1"]["share_of_ones"]) == {"value", "low", "high", "n"}


def test_translations(tmp_path):
    random = np.random.default_rng(0)
    references = [" ".join(random.choice(list("abcdef"), 12)) for _ in range(60)]
    made = EvalRecorder("test")
    made.log_sample_dict_batch(
        {
            "reference": references,
            "hypothesis": [text[:-4] + "a b" for text in references],
            "book": [number // 6 for number in range(60)],
            "loss": random.random(60),
        }
    )
    node = EvaluateTranslations(name="process:Scores", project=tmp_path)
    node.setup(group="book", slices=["book < 5"], intervals=True)
    found = node(made)
    stats = found.get_stats_logs()
    for name in ("sacrebleu", "chrf", "length_ratio", "loss", "perplexity"):
        interval = found.get_intervals()[name]
        assert interval["low"] <= stats[name] <= interval["high"]
        assert interval["n"] == 10
        assert interval["method"].startswith("cluster bootstrap")
        assert interval["method"].endswith(" over book")
    assert found.get_slices()["book < 5"]["sacrebleu"]["groups"] == 5
