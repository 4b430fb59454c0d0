"""``runway translate`` and ``runway runs``, over a run that was really trained and tested; and what that run left."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import pytest
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import runway
from runway import EvalRecorder, RunwayExperiment
from runway.cli import main
from runway.errors import ExperimentError
from runway.executors.translator import Translator
from tests.executors.tiny_translation import translation_config

EVAL = {
    "transforms": {
        "input:Get": {"transform_name": "GetEvaluationRecorder"},
        "process:Score": {"input_node": "input:Get", "transform_name": "EvaluateTranslations"},
        "output:Sentences": {"input_node": "process:Score", "transform_name": "AddSentenceBleu"},
    }
}


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    """The project's folder and the run's, trained for a few epochs and tested."""
    folder = tmp_path_factory.mktemp("project")
    config = translation_config(folder, rows=256, batch_size=16)
    config.train.trainer_paras["max_epochs"] = 8
    config.eval["test_eval_pipeline_config"] = EVAL
    config.executor.init_kwargs["generate_params"] = {"num_beams": 2, "max_len_b": 5}
    experiment = RunwayExperiment(config)
    experiment.train()
    result = experiment.test()
    return SimpleNamespace(project=folder, run=result.path.parent.parent, metrics=result.metrics, test=result.path)


def test_the_run_has_its_artifacts(tested):
    train = tested.run / "train"
    for name in ("model_summary.txt", "config.json", "metrics_history.json", "provenance.json"):
        assert (train / name).stat().st_size > 0
    statistics = json.loads((train / "data_statistics.json").read_text())
    assert statistics["train"] == {"rows": 256, "batches": 16}
    assert len(AutoTokenizer.from_pretrained(train / "tokenizer")) == 24
    exported = AutoModelForSeq2SeqLM.from_pretrained(tested.test / "export")
    assert exported.generation_config.num_beams == 2
    assert len(AutoTokenizer.from_pretrained(tested.test / "export")) == exported.config.vocab_size
    assert {"sacrebleu", "chrf", "test_loss", "test_perplexity", "length_ratio"} <= tested.metrics.keys()


def test_the_exported_model_gives_the_hypotheses_of_the_test(tested):
    recorder = EvalRecorder.load_from_disk("test-evaluation", tested.test)
    sources = recorder.get_sample_logs_column("source")
    translator = Translator.load(tested.test / "export")
    assert translator.translate(sources, batch_size=5) == recorder.get_sample_logs_column("hypothesis")


def test_translates_texts_files_and_nothing(tested, capsys, tmp_path):
    assert main(["translate", str(tested.run), "ein hund rennt", "die katze"]) == 0
    texts = capsys.readouterr().out.splitlines()
    assert len(texts) == 2
    file = tmp_path / "texts.txt"
    file.write_text("ein hund rennt\n\ndie  katze\n", encoding="utf-8")
    assert main(["translate", str(tested.run), str(file), "--batch_size", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [texts[0], "", texts[1]]
    assert main(["translate", str(tested.test / "export"), "ein hund rennt"]) == 0
    assert capsys.readouterr().out.splitlines() == texts[:1]


def test_translates_standard_input(tested, capsys, monkeypatch):
    lines = io.TextIOWrapper(io.BytesIO(b"ein hund\ndie katze\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", lines)
    assert main(["translate", str(tested.run), "--beams", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--beams", "0", "ein"], "`num_beams` must be a whole number from 1"),
        (["--batch_size", "0", "ein"], "`batch_size` must be at least 1"),
        ([" ".join(["hund"] * 80)], "longer than the model's 64 positions"),
    ],
)
def test_mistakes(tested, capsys, words, message):
    assert main(["translate", str(tested.run), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_run_that_is_not_there_or_has_no_model(tested, capsys, tmp_path):
    (tmp_path / "empty_V0" / "train").mkdir(parents=True)
    assert main(["translate", str(tmp_path / "empty_V0"), "ein"]) == 2
    assert "no exported translation model" in capsys.readouterr().err
    assert main(["translate", str(tmp_path / "no_V0"), "ein"]) == 2
    assert "there is no run" in capsys.readouterr().err
    bad = tmp_path / "latin.txt"
    bad.write_bytes(b"ein hund\nschl\xe4ft\n")
    assert main(["translate", str(tested.run), str(bad)]) == 2
    shown = capsys.readouterr().err
    assert "line 2 is not UTF-8" in shown
    assert "latin.txt" in shown


def test_the_name_of_an_experiment_will_do(tested, capsys, monkeypatch):
    monkeypatch.chdir(tested.project)
    assert main(["translate", "tiny", "ein hund"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert main(["translate", "tinny", "ein hund"]) == 2
    assert "tiny_V0" in capsys.readouterr().err


def test_where_the_last_run_is(tested, capsys, tmp_path):
    root = tested.project / "experiments"
    assert runway.last_run_path(root) == tested.run.resolve()
    assert runway.last_run_path() == tested.run
    assert main(["runs", str(root), "--last"]) == 0
    assert capsys.readouterr().out.strip() == str(tested.run.resolve())
    assert main(["runs", str(root), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["run"], found["status"], found["tests"]) == ("tiny_V0", "finished", ["default_test"])
    assert main(["runs", str(root)]) == 0
    assert "tiny_V0" in capsys.readouterr().out
    with pytest.raises(ExperimentError, match="no run"):
        runway.last_run_path(tmp_path)
