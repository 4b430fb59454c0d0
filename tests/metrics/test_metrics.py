"""The shipped metrics: known results, the hub's signatures, no network, several processes at once."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import runway
from runway.errors import AssetError, ConfigError
from runway.metrics import SHIPPED

ROOT = Path(runway.metrics.__file__).parent

PREDICTED = [0, 1, 1, 0, 1, 1]
TRUE = [0, 1, 0, 0, 1, 0]
CAT = {
    "predictions": ["the cat sat on the mat", "hello there my friend"],
    "references": ["the cat sat on a mat", "hello there my friend"],
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("accuracy", 4 / 6), ("precision", 0.5), ("recall", 1.0), ("f1", 2 / 3)],
)
def test_classification(name, expected):
    result = runway.load_metric(name).compute(predictions=PREDICTED, references=TRUE)
    assert result == {name: pytest.approx(expected)}
    assert type(result[name]) is float


def test_text_labels_and_averages():
    text = [["no", "yes"][label] for label in PREDICTED], [["no", "yes"][label] for label in TRUE]
    f1 = runway.load_metric("f1")
    assert f1.compute(predictions=text[0], references=text[1], pos_label="yes")["f1"] == pytest.approx(2 / 3)
    macro = f1.compute(predictions=text[0], references=text[1], average="macro")["f1"]
    assert macro == pytest.approx((2 / 3 + 2 / 3) / 2)
    each = runway.load_metric("precision").compute(predictions=PREDICTED, references=TRUE, average=None)["precision"]
    assert each.tolist() == [1.0, 0.5]


def test_zero_division_and_weights():
    precision = runway.load_metric("precision")
    assert precision.compute(predictions=[0, 0], references=[0, 1], zero_division=1)["precision"] == 1.0
    accuracy = runway.load_metric("accuracy")
    assert accuracy.compute(predictions=[0, 1], references=[0, 0], sample_weight=[3, 1])["accuracy"] == 0.75
    assert accuracy.compute(predictions=[0, 1], references=[0, 0], normalize=False)["accuracy"] == 1.0
    several = runway.load_metric("accuracy", config_name="multilabel")
    assert several.compute(predictions=[[0, 1], [1, 1]], references=[[0, 1], [1, 0]])["accuracy"] == 0.5


def test_confusion_matrix():
    matrix = runway.load_metric("confusion_matrix")
    assert matrix.compute(predictions=PREDICTED, references=TRUE)["confusion_matrix"].tolist() == [[2, 2], [0, 2]]
    part = matrix.compute(predictions=PREDICTED, references=TRUE, normalize="true", labels=[1, 0])["confusion_matrix"]
    np.testing.assert_allclose(part, [[1, 0], [0.5, 0.5]])


def test_sacrebleu_is_sacrebleu():
    import sacrebleu

    result = runway.load_metric("sacrebleu").compute(**CAT)
    assert result["score"] == sacrebleu.corpus_bleu(CAT["predictions"], [CAT["references"]]).score
    assert set(result) == {"score", "counts", "totals", "precisions", "bp", "sys_len", "ref_len"}
    several = [[text, "something else"] for text in CAT["references"]]
    of_several = runway.load_metric("sacrebleu").compute(predictions=CAT["predictions"], references=several)
    assert of_several["score"] == pytest.approx(result["score"])
    with pytest.raises(ValueError, match="the same number of references"):
        runway.load_metric("sacrebleu").compute(predictions=["a", "b"], references=[["a"], ["b", "c"]])


def test_bleu_of_unsmoothed_text_is_that_of_sacrebleu():
    result = runway.load_metric("bleu").compute(**CAT)
    assert 100 * result["bleu"] == pytest.approx(runway.load_metric("sacrebleu").compute(**CAT)["score"])
    assert (result["translation_length"], result["reference_length"], result["length_ratio"]) == (10, 10, 1.0)


def test_bleu_by_hand():
    bleu = runway.load_metric("bleu")
    short = bleu.compute(predictions=["a b"], references=[["a b c d", "x y z"]], max_order=2, tokenizer=str.split)
    assert short["precisions"] == [1.0, 1.0]
    assert short["brevity_penalty"] == pytest.approx(math.exp(1 - 3 / 2))
    assert short["bleu"] == pytest.approx(math.exp(-0.5))
    clipped = bleu.compute(predictions=["the the the"], references=["the cat"], max_order=1)
    assert clipped["bleu"] == pytest.approx(1 / 3)
    assert bleu.compute(predictions=["x"], references=["y"])["bleu"] == 0.0
    smooth = bleu.compute(predictions=["x y"], references=["x z"], max_order=2, smooth=True)
    assert smooth["precisions"] == [2 / 3, 1 / 2]


def test_chrf():
    result = runway.load_metric("chrf").compute(**CAT, word_order=2)
    assert 80 < result["score"] < 100
    assert (result["char_order"], result["word_order"], result["beta"]) == (6, 2, 2)


def test_rouge():
    rouge = runway.load_metric("rouge")
    result = rouge.compute(**CAT)
    assert result["rouge1"] == pytest.approx((5 / 6 + 1) / 2)
    assert set(result) == {"rouge1", "rouge2", "rougeL", "rougeLsum"}
    assert rouge.compute(**CAT, rouge_types=["rougeL"], use_aggregator=False) == {"rougeL": [pytest.approx(5 / 6), 1.0]}
    assert rouge.compute(predictions=["running"], references=["runs"], use_stemmer=True)["rouge1"] == 1.0
    split = rouge.compute(predictions=["a-b"], references=["a-b c"], tokenizer=str.split)
    assert split["rouge1"] == pytest.approx(2 / 3)


def test_exact_match():
    match = runway.load_metric("exact_match")
    assert match.compute(predictions=["A", "b"], references=["a", "b"]) == {"exact_match": 0.5}
    loose = {"ignore_case": True, "ignore_punctuation": True, "ignore_numbers": True, "regexes_to_ignore": ["the "]}
    assert match.compute(predictions=["the A!7"], references=["a"], **loose) == {"exact_match": 1.0}


def test_perplexity_from_losses():
    perplexity = runway.load_metric("perplexity")
    assert perplexity.compute(predictions=[1.0, 2.0])["perplexity"] == pytest.approx(math.exp(1.5))
    weighted = perplexity.compute(predictions=[1.0, 2.0], num_tokens=[3, 1])
    assert weighted["perplexity"] == pytest.approx(math.exp(1.25))
    assert weighted["mean_perplexity"] == pytest.approx((math.exp(1) + math.exp(2)) / 2)
    assert perplexity.compute(predictions=[1000.0])["perplexity"] == math.inf


def test_batches_add_up():
    accuracy = runway.load_metric("accuracy")
    accuracy.add_batch(predictions=[0, 1], references=[0, 0])
    accuracy.add_batch(predictions=[1, 1], references=[1, 1])
    assert accuracy.compute() == {"accuracy": 0.75}


@pytest.mark.parametrize("name", SHIPPED)
def test_evaluate_itself_loads_the_modules(name, tmp_path, monkeypatch):
    import evaluate

    metric = evaluate.load(str(ROOT / f"{name}.py"), cache_dir=str(tmp_path), keep_in_memory=True)
    assert type(metric).__name__ == SHIPPED[name]
    assert metric.description
    assert "Args:" in metric.inputs_description


def test_every_module_is_listed():
    assert {path.stem for path in ROOT.glob("[a-z]*.py")} == set(SHIPPED)


def test_a_module_by_its_path(tmp_path):
    (tmp_path / "always_one.py").write_text(
        "import evaluate\nfrom datasets import Features\nfrom datasets import Value\n\n"
        "class AlwaysOne(evaluate.Metric):\n"
        "    def _info(self):\n"
        "        features = Features({'predictions': Value('int64'), 'references': Value('int64')})\n"
        "        return evaluate.MetricInfo(description='', citation='', inputs_description='', features=features)\n\n"
        "    def _compute(self, predictions, references):\n        return {'always_one': 1.0}\n"
    )
    metric = runway.load_metric(tmp_path / "always_one.py")
    assert metric.compute(predictions=[1], references=[2]) == {"always_one": 1.0}
    with pytest.raises(ConfigError, match="no metric module"):
        runway.load_metric(str(tmp_path / "never.py"))
    with pytest.raises(ConfigError, match="the folder has no metric module"):
        runway.load_metric(tmp_path)


def test_an_unknown_name_offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match="code is not fetched and run unasked") as raised:
        runway.load_metric("acuracy")
    assert "'accuracy'" in raised.value.hint
    assert "trust_remote_code" in raised.value.hint
    with pytest.raises(AssetError, match="HF_HUB_OFFLINE is set"):
        runway.load_metric("acuracy", trust_remote_code=True)


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs the package rouge-score") as raised:
        runway.load_metric("rouge")
    assert raised.value.hint == "pip install rouge-score"


def test_two_processes_at_once_and_quietly(tmp_path):
    code = (
        "import runway\n"
        "for _ in range(20):\n"
        "    metric = runway.load_metric('accuracy')\n"
        "    assert metric.compute(predictions=[0, 1], references=[0, 0]) == {'accuracy': 0.5}\n"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code]
    settings = {"cwd": ROOT.parents[1], "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    runs = [subprocess.Popen(command, text=True, **settings) for _ in range(2)]
    assert [(run.communicate(timeout=120)[0], run.returncode) for run in runs] == [("", 0), ("", 0)]
    assert not list(tmp_path.rglob("*.arrow"))


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    metric = runway.load_metric("accuracy", cache_dir=str(tmp_path / "file" / "cache"))
    assert metric.compute(predictions=[1], references=[1]) == {"accuracy": 1.0}
