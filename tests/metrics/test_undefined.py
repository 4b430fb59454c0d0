"""A metric that is undefined is NaN, with a warning that says which, why and over how many; never an error, nor a 0."""

from __future__ import annotations

import json
import math

import pytest

import runway
from runway.metrics import SHIPPED
from runway.recorder import EvalRecorder
from runway.transforms.evaluation.recorders import ComputeMetrics

NAN = math.nan
CASES = {
    "precision, nobody is predicted so": ("precision", [0, 0], [0, 1], {}, "of 1 there are 1 in the references and 0"),
    "recall, nobody is so": ("recall", [0, 1], [0, 0], {}, "no sample is positive"),
    "f1, one class": ("f1", [0, 0], [0, 0], {}, "nothing was counted in 2 samples"),
    "f1, a pattern of labels": ("f1", [0, 1], [0, 1], {"average": "micro", "labels": [5]}, "nothing was counted"),
    "mae of NaN": ("mae", [1.0, NAN, 2.0], [1.0, 1.0, 1.0], {}, "1 of 3 predictions are NaN"),
    "mse of lists": ("mse", [[1.0, NAN]], [[1.0, 1.0]], {}, "1 of 1 predictions are NaN"),
    "no variance": ("r_squared", [1.0, 2.0], [3.0, 3.0], {}, "all 2 references are the same"),
    "no variance in a column": ("r_squared", [[1.0, 2.0]] * 2, [[3.0, 1.0], [3.0, 2.0]], {}, "in 1 of their columns"),
    "one sample": ("r_squared", [1.0], [3.0], {}, "at least two samples"),
    "no tokens": ("perplexity", [NAN, 1.0], None, {"num_tokens": [0, 0]}, "none of the 2 samples has a token"),
    "NaN loss": ("perplexity", [NAN, 1.0], None, {}, "1 of 2 losses are NaN"),
    "no weight": ("accuracy", [0, 1], [0, 1], {"sample_weight": [0, 0]}, "the weight 0"),
    "empty references": ("chrf", ["a", "b"], ["", " "], {}, "the references of all 2 samples are empty"),
    "no reference": ("rouge", ["a", "b"], [["a"], []], {}, "1 of 2 samples have no reference"),
    "bleu": ("bleu", ["a"], [[""]], {}, "empty"),
    "sacrebleu": ("sacrebleu", ["a"], [""], {}, "empty"),
}


def _all_nan(result):
    return all(isinstance(value, float) and math.isnan(value) for value in result.values())


@pytest.mark.parametrize("case", CASES)
def test_it_is_told(case, capsys):
    name, predictions, references, settings, told = CASES[case]
    given = {"predictions": predictions} | ({"references": references} if references is not None else {})
    result = runway.load_metric(name).compute(**given, **settings)
    assert result
    assert _all_nan(result)
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_is_no_score(name, capsys):
    references = {} if name == "perplexity" else {"references": []}
    assert _all_nan(runway.load_metric(name).compute(predictions=[], **references))
    assert "there are no" in capsys.readouterr().err


def test_what_is_defined_stays_as_it_was(capsys):
    f1 = runway.load_metric("f1")
    assert f1.compute(predictions=[0, 0], references=[0, 1]) == {"f1": 0.0}  # one was missed
    assert f1.compute(predictions=[0, 0], references=[0, 0], zero_division=0.0) == {"f1": 0.0}  # as asked for
    weighted = runway.load_metric("perplexity").compute(predictions=[NAN, 1.0], num_tokens=[0, 2])
    assert weighted == {"perplexity": pytest.approx(math.e), "mean_perplexity": pytest.approx(math.e)}
    assert capsys.readouterr().err == ""
    macro = runway.load_metric("precision").compute(predictions=[0, 0, 1], references=[0, 2, 1], average="macro")
    assert macro["precision"] == pytest.approx(0.5)  # as scikit-learn's
    assert "precision counts as 0 for 1 of 3 classes" in capsys.readouterr().err
    assert runway.load_metric("sacrebleu").compute(predictions=["", ""], references=["a", "b"])["score"] == 0
    assert "all 2 predicted texts are empty" in capsys.readouterr().err


OWN = """
import warnings
import evaluate
from datasets import Features, Value
from sklearn.exceptions import UndefinedMetricWarning

class Own(evaluate.Metric):
    def _info(self):
        features = Features({"predictions": Value("int64"), "references": Value("int64")})
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, predictions, references):
        warnings.warn("only one class is there", UndefinedMetricWarning)
        return {"own": float("nan")}
"""


def test_a_metric_of_anybodys_is_told_too_and_null_in_json(tmp_path, capsys):
    from runway.experiment.evaluation import write_metrics

    (tmp_path / "src").mkdir()
    (tmp_path / "src/own.py").write_text(OWN)
    recorder = EvalRecorder("test")
    recorder.log_sample_dict_batch({"p": [1, 0], "r": [1, 1]})
    transform = ComputeMetrics(name="metrics", project=tmp_path)
    transform.setup(metrics=["src/own.py", "r_squared"], pred_field="p", ref_field="r")
    stats = transform(recorder).get_stats_logs()
    assert _all_nan(stats)
    told = capsys.readouterr().err
    assert "only one class is there" in told
    assert "2 references, which are all 1" in told
    write_metrics(tmp_path, stats)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"own": None, "r_squared": None}
