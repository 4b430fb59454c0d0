"""The evaluation DataOps: recorder in, recorder out, stats in between."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from runway import EvalRecorder
from runway.config.reads import Reads, RecordedView
from runway.errors import ConfigError, DataError
from runway.registry import transforms


@pytest.fixture
def recorder(tmp_path):
    made = EvalRecorder("validation-step3", tmp_path / "recorders")
    made.log_sample_dict_batch(
        {
            "predicted_class_id": [0, 1, 1, 0],
            "ground_truth_class_id": [0, 1, 0, 0],
            "text": ["a b c d", "e", "f g", "h"],
            "reference": ["a b c d", "e", "f", "x"],
            "loss": [0.5, 1.5, 0.5, 1.5],
            "num_tokens": [1, 1, 1, 1],
        }
    )
    return made


def make(name, project, config=None, **setup_kwargs):
    reads = Reads()
    transform = transforms.get(name)(
        name=f"process:{name}", global_config=RecordedView(config or {}, reads), project=project, reads=reads
    )
    transform.setup(**setup_kwargs)
    return transform, reads


def compute(recorder, project, metrics, pred="predicted_class_id", ref="ground_truth_class_id"):
    transform, _ = make("ComputeMetrics", project, metrics=metrics, pred_field=pred, ref_field=ref)
    return transform(recorder).get_stats_logs()


def test_the_recorder_that_is_given_passes_through(recorder, tmp_path):
    transform, reads = make("GetEvaluationRecorder", tmp_path, {"test_dir": "x"})
    assert transform(recorder) is recorder
    assert not reads.files
    assert not reads.config
    with pytest.raises(DataError, match="takes one EvalRecorder, but is given a dict"):
        transform({"a": 1})


def test_a_saved_recorder_is_loaded_from_the_test_dir(recorder, tmp_path):
    recorder.rename("test-evaluation")
    recorder.save_to_disk()
    transform, reads = make("GetEvaluationRecorder", tmp_path, {"test_dir": str(tmp_path / "recorders")})
    assert transform()["text"] == recorder["text"]
    folder = tmp_path / "recorders/test-evaluation"
    assert reads.files == {("file", str(folder / "eval_recorder-sample_log.parquet"))}
    assert ("test_dir",) in reads.config
    transform, reads = make(
        "GetEvaluationRecorder", tmp_path, base_dir="recorders", recorder_prefix="other", file_format="json",
        eval_record_name="test-evaluation",
    )  # fmt: skip
    with pytest.raises(DataError, match="saved as other") as raised:
        transform()
    assert "eval_recorder (parquet)" in raised.value.hint
    assert len(reads.files) == 3


def test_without_a_test_dir(tmp_path):
    transform, _ = make("GetEvaluationRecorder", tmp_path)
    with pytest.raises(ConfigError, match="base_dir must be given"):
        transform()


def test_metrics_go_to_the_stats(recorder, tmp_path):
    stats = compute(recorder, tmp_path, ["accuracy", "precision", "recall", "f1", "confusion_matrix"])
    assert stats == {
        "accuracy": 0.75,
        "precision": 0.5,
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
        "confusion_matrix": [[2, 1], [0, 1]],
        "confusion_matrix_labels": [0, 1],
    }


def test_names_of_stats(recorder, tmp_path):
    stats = compute(recorder, tmp_path, ["sacrebleu", "chrf", "rouge", "bleu"], "text", "reference")
    assert {"sacrebleu", "sacrebleu_bp", "chrf", "rouge1", "rougeL", "bleu", "bleu_precisions"} <= set(stats)
    assert "score" not in stats
    entries = [
        "precision",
        {"name": "precision", "kwargs": {"average": "macro"}, "prefix": "macro_"},
        {"name": "precision", "kwargs": {"average": "micro"}, "rename": {"precision": "micro"}},
    ]
    recorder = EvalRecorder("x")
    recorder.log_sample_dict_batch({"p": [0, 1, 1, 0], "r": [0, 1, 0, 0]})
    assert compute(recorder, tmp_path, entries, "p", "r") == {"precision": 0.5, "macro_precision": 0.75, "micro": 0.75}


def test_two_metrics_of_one_name(recorder, tmp_path):
    with pytest.raises(DataError, match="two metrics give the stat 'accuracy'") as raised:
        compute(recorder, tmp_path, ["accuracy", {"name": "accuracy", "kwargs": {"normalize": False}}])
    assert "prefix" in raised.value.hint


def test_further_columns_and_no_references(recorder, tmp_path):
    entry = {"name": "perplexity", "columns": {"num_tokens": "num_tokens"}}
    assert compute(recorder, tmp_path, [entry], "loss", None)["perplexity"] == pytest.approx(2.718281828)


def test_a_column_that_is_not_there(recorder, tmp_path):
    with pytest.raises(DataError, match="pred_field names 'predicted_clas_id'") as raised:
        compute(recorder, tmp_path, ["accuracy"], pred="predicted_clas_id")
    assert "'predicted_class_id'" in raised.value.hint
    assert raised.value.where == "node 'process:ComputeMetrics'"


def test_an_empty_recorder(tmp_path):
    with pytest.raises(DataError, match="the recorder 'x' is empty"):
        compute(EvalRecorder("x"), tmp_path, ["accuracy"])


def test_missing_values_and_wrong_types(recorder, tmp_path):
    recorder.log_sample_dict({"text": "last"})
    with pytest.raises(DataError, match="no value in 1 of 5 rows, first in row 4"):
        compute(recorder, tmp_path, ["accuracy"])
    with pytest.raises(DataError, match="the metric 'precision' cannot be computed"):
        compute(recorder, tmp_path, ["precision"], "text", "text")


@pytest.mark.parametrize(
    ("entry", "message"),
    [({"name": "f1", "kwarg": {}}, "unknown key 'kwarg'"), ({"kwargs": {}}, "must be a name"), (3, "must be a name")],
)
def test_wrong_entries(recorder, tmp_path, entry, message):
    with pytest.raises(ConfigError, match=message):
        compute(recorder, tmp_path, [entry])


def test_a_metric_of_the_project(recorder, tmp_path):
    (tmp_path / "twice.py").write_text(
        "import evaluate\n\nclass Twice(evaluate.Metric):\n"
        "    def _info(self):\n        from datasets import Features, Value\n"
        "        features = Features({'predictions': Value('int64'), 'references': Value('int64')})\n"
        "        return evaluate.MetricInfo(description='', citation='', inputs_description='', features=features)\n\n"
        "    def _compute(self, predictions, references):\n        return {'twice': 2 * len(predictions)}\n"
    )
    transform, reads = make(
        "ComputeMetrics", tmp_path, metrics=["twice.py"], pred_field="num_tokens", ref_field="num_tokens"
    )
    assert transform([recorder]).get_stats_logs() == {"twice": 8}
    assert reads.files == {("file", str(tmp_path / "twice.py"))}


def test_merge_and_save_overwrites_one_folder(recorder, tmp_path):
    other = recorder.fork()
    other.log_stats_dict({"accuracy": 0.5})
    other.set_sample_logs_column("extra", [1, 2, 3, 4])
    transform, _ = make("MergeAllEvalRecorderAndSave", tmp_path)
    for _ in range(3):
        merged = transform([recorder.fork(), other.fork()])
        merged = make("MergeAllEvalRecorderAndSave", tmp_path)[0](merged)
    assert merged.name == "merged-validation-step3"
    assert merged.is_saved
    assert [path.name for path in (tmp_path / "recorders").iterdir()] == ["merged-validation-step3"]
    loaded = EvalRecorder.load_from_disk("merged-validation-step3", tmp_path / "recorders")
    assert loaded["extra"] == [1, 2, 3, 4]
    assert loaded.get_stats_logs() == {"accuracy": 0.5}


def test_merge_by_other_names_and_places(recorder, tmp_path):
    settings = {"base_dir": "elsewhere", "eval_record_name": "final", "file_format": "json", "recorder_prefix": "r"}
    make("MergeAllEvalRecorderAndSave", tmp_path, **settings)[0](recorder.fork())
    assert (tmp_path / "elsewhere/final/r-sample_log.json").is_file()
    kept, _ = make("MergeAllEvalRecorderAndSave", tmp_path, eval_recorder_prefix=None, save_recorder=False)
    assert kept(recorder.fork()).name == "validation-step3"
    assert not (tmp_path / "recorders").exists()
    placeless = EvalRecorder("x")
    transform, _ = make("MergeAllEvalRecorderAndSave", tmp_path, {"test_dir": str(tmp_path / "t")})
    assert transform(placeless).save_dir == tmp_path / "t/merged-x"


@pytest.mark.parametrize("data", [[], [1], "text", None])
def test_merge_takes_recorders_only(data, tmp_path):
    with pytest.raises(DataError, match="MergeAllEvalRecorderAndSave takes one EvalRecorder"):
        make("MergeAllEvalRecorderAndSave", tmp_path)[0](data)


def test_upload_without_wandb_is_one_line(recorder, tmp_path, capsys):
    config = {"meta": {"logger_enable": ["csv"]}}
    assert make("UploadEvalRecorderToWandb", tmp_path, config)[0](recorder) is recorder
    assert capsys.readouterr().err == "wandb: not in meta.logger_enable, nothing is uploaded\n"
    config = {"meta": {"logger_enable": ["wandb"]}}
    assert make("UploadEvalRecorderToWandb", tmp_path, config)[0](recorder) is recorder
    assert "no run is active" in capsys.readouterr().err


def test_upload_to_the_active_run(recorder, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    logged = {}
    monkeypatch.setattr(wandb, "run", SimpleNamespace(log=logged.update))
    assert sys.modules["wandb"] is wandb
    recorder.log_stats_dict({"accuracy": 0.75, "matrix": [[1]]})
    settings = {"prefix_to_log": ["te"], "columns_to_log": ["loss"], "wandb_tab_name": "tab"}
    make("UploadEvalRecorderToWandb", tmp_path, **settings)[0](recorder)
    assert logged["tab/accuracy"] == 0.75
    assert logged["tab/matrix"] == "[[1]]"
    assert logged["tab/table"].columns == ["text", "loss"]
    assert logged["tab/table"].data[0] == ["a b c d", 0.5]
    with pytest.raises(DataError, match="columns_to_log names 'los'"):
        make("UploadEvalRecorderToWandb", tmp_path, columns_to_log=["los"])[0](recorder)
