"""``runway translate`` and ``runway runs``, over a run that was really trained and tested; and what that run left."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import json
import sys
from types import SimpleNamespace

import pyarrow as pa
import pytest
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import runway
from runway import EvalRecorder, RunwayExperiment
from runway.cli import main
from runway.cli.translate import find_export
from runway.errors import ExperimentError
from runway.executors.seq2seq.translator import Translator
from runway.experiment.folders.runs import run_named
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
    assert main(["translate", str(tested.run), "--file", str(file), "--batch_size", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [texts[0], "", texts[1]]
    assert main(["translate", str(tested.test / "export"), "ein hund rennt"]) == 0
    assert capsys.readouterr().out.splitlines() == texts[:1]


@pytest.mark.parametrize("words", [[], ["-"]], ids=["no word", "a dash"])
def test_translates_standard_input(tested, capsys, monkeypatch, words):
    lines = io.TextIOWrapper(io.BytesIO(b"ein hund\ndie katze\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", lines)
    assert main(["translate", str(tested.run), "--beams", "1", *words]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_an_empty_word_is_an_empty_text(tested, capsys):
    assert main(["translate", str(tested.run), "", "ein hund"]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == ""
    assert len(lines) == 3


def translated(capsys, tested, *words):
    assert main(["translate", str(tested.run), *map(str, words)]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.de", bytes),
        ("a.de.gz", gzip.compress),
        ("a.de.bz2", bz2.compress),
        ("a.zst", lambda data: pa.compress(data, "zstd", asbytes=True)),
        ("a.de", lambda data: codecs.BOM_UTF8 + data),
        ("a.gz", lambda data: gzip.compress(codecs.BOM_UTF8 + data)),
    ],
    ids=["plain", "gz", "bz2", "zst", "mark", "mark in gz"],
)
def test_files_of_all_kinds(tested, capsys, tmp_path, name, pack):
    expected = translated(capsys, tested, "ein hund", "die katze")
    (tmp_path / name).write_bytes(pack(b"ein hund\r\ndie katze\n"))
    assert translated(capsys, tested, "--file", tmp_path / name) == expected


def test_several_files_and_standard_input_in_their_order(tested, capsys, monkeypatch, tmp_path):
    texts = ["ein hund", "die katze", "singt", "am meer"]
    expected = translated(capsys, tested, *texts)
    for name, text in zip("bd", (texts[1], texts[3]), strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(codecs.BOM_UTF8 + b"singt\n"), encoding="utf-8"))
    files = [word for name in (tmp_path / "b", "-", tmp_path / "d") for word in ("--file", name)]
    assert translated(capsys, tested, texts[0], *files) == expected


def test_every_word_is_a_text(tested, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hund").mkdir()
    sentences = ["und/oder am Meer", "Ende.", "../hund.de", "z.B.", ".", "hund", "e" * 300 + ".de"]
    assert len(translated(capsys, tested, *sentences)) == len(sentences)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["--file", "folder/b"], "there is no file 'folder/b'", "known: a.de"),
        (["--file", "nowhere/b"], "there is no file 'nowhere/b'", "the folder nowhere does not exist"),
        (["ein hund", "--file", "txets.txt"], "there is no file 'txets.txt'", "did you mean 'texts.txt'?"),
        (["--file", "folder"], "folder cannot be read", "Is a directory"),
        (["texts.txt"], "'texts.txt' is a file, and a text is expected", "`--file texts.txt` reads it"),
        (["ein hund", "folder/a.de"], "'folder/a.de' is a file, and a text is expected", "--file"),
        (["ein hund", "-"], "`-` is standard input", "translate"),
        (["--file", "broken.gz"], "broken.gz cannot be read", "compressed as its name says"),
        (["schl\udce4ft"], "text 1 is not UTF-8", "UTF-8"),
        (["--beams", "0", "ein"], "argument --beams: must be a whole number from 1, but is '0'", "--help"),
        (["--beams", "two", "ein"], "argument --beams: must be a whole number from 1, but is 'two'", "--help"),
        (["--batch_size", "0", "ein"], "argument --batch_size: must be a whole number from 1", "--help"),
        (["--on_too_long", "drop", "ein"], "argument --on_too_long: invalid choice: 'drop'", "--help"),
        ([" ".join(["hund"] * 80)], "longer than the model's 64 positions", "on_too_long"),
    ],
)
def test_mistakes(tested, capsys, monkeypatch, tmp_path, words, message, hint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.de").write_text("ein hund\n", encoding="utf-8")
    (tmp_path / "texts.txt").write_text("ein hund\n", encoding="utf-8")
    (tmp_path / "broken.gz").write_bytes(gzip.compress(b"ein hund" * 99)[:-9])
    assert main(["translate", str(tested.run), *words]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert hint in shown.err
    assert not shown.out


def test_without_arguments(capsys):
    assert main(["translate"]) == 2
    assert "required: run\n" in capsys.readouterr().err


def test_a_line_that_is_too_long(tested, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("runway.cli.translate.LINES_AT_A_TIME", 2)
    file = tmp_path / "texts.de"
    file.write_text("ein hund\n" * 4 + "hund " * 80 + "\ndie katze\n", encoding="utf-8")
    assert main(["translate", str(tested.run), "--file", str(file)]) == 2
    shown = capsys.readouterr()
    assert f"where: {file}, line 5\n" in shown.err
    assert "--on_too_long" in shown.err
    assert len(shown.out.splitlines()) == 4
    assert main(["translate", str(tested.run), "--file", str(file), "--on_too_long", "truncate"]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 6
    assert f"warning: {file}, line 5: a text of 81 tokens" in shown.err


def test_a_run_that_is_not_there_or_has_no_model(tested, capsys, tmp_path):
    (tmp_path / "empty_V0" / "train").mkdir(parents=True)
    assert main(["translate", str(tmp_path / "empty_V0"), "ein"]) == 2
    assert "no exported translation model" in capsys.readouterr().err
    assert main(["translate", str(tmp_path / "no_V0"), "ein"]) == 2
    assert "there is no run" in capsys.readouterr().err
    bad = tmp_path / "latin.txt"
    bad.write_bytes(b"ein hund\nschl\xe4ft\n")
    assert main(["translate", str(tested.run), "--file", str(bad)]) == 2
    shown = capsys.readouterr().err
    assert "line 2 is not UTF-8" in shown
    assert "latin.txt" in shown


def test_the_name_of_an_experiment_will_do(tested, capsys, monkeypatch):
    monkeypatch.chdir(tested.project)
    assert main(["translate", "tiny", "ein hund"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert main(["translate", "tinny", "ein hund"]) == 2
    assert "tiny_V0" in capsys.readouterr().err


def test_an_experiments_newest_version_with_an_export(tested, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for version in ("small_V2", "small_V9", "small_V10_tag:a+b", "small_V11", "other_V0"):
        (tmp_path / "experiments" / version / "train").mkdir(parents=True)
        (tmp_path / "experiments" / version / "train" / "provenance.json").write_text("{}", encoding="utf-8")
    assert run_named("small").name == "small_V11"
    for version in ("small_V10_tag:a+b", "small_V2"):  # V2 was tested last
        (tmp_path / "experiments" / version / "test" / "default_test").mkdir(parents=True)
        (tmp_path / "experiments" / version / "test" / "default_test" / "export").symlink_to(tested.test / "export")
    seen = []
    monkeypatch.setattr("runway.cli.translate.find_export", lambda run: seen.append(run.name) or find_export(run))
    assert main(["translate", "small", "ein hund"]) == 0
    assert seen == ["small_V10_tag:a+b"]
    assert main(["translate", "small_V9", "ein hund"]) == 2
    assert "small_V9 has no exported translation model" in capsys.readouterr().err
    assert main(["translate", "other", "ein hund"]) == 2
    shown = capsys.readouterr().err
    assert "the experiment 'other' has no version with an exported model" in shown
    assert "runway test CONFIG" in shown


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
