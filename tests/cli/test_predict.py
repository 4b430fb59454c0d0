"""`runway.load_run`, `runway predict` and `runway export`, on a classifier that was trained here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import runway
from runway.cli import main
from runway.errors import ConfigError
from runway.experiment.prepared_as_trained import preparation
from runway.testing import Run, run_config
from tests.transforms.conftest import tokenizer_folder  # noqa: F401 (a fixture)

CONFIG = """local tc = import 'runway/text_classification.libsonnet';
local pipeline = import 'runway/pipeline.libsonnet';
tc.experiment(name='tiny', dataset='rows.jsonl', model='%s', valid_size=4, test_size=4, epochs=1, batch_size=4) {
  model_config: {
    from_config_kwargs: {
      model_type: 'bert', vocab_size: 30, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 1,
      intermediate_size: 8,
    },
  },
  tokenizer_config+: { version_name: '%s' },
}
"""


@pytest.fixture(scope="module")
def trained(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:  # noqa: F811
    project = tmp_path_factory.mktemp("project")
    (project / "src").mkdir()
    rows = [{"text": text, "label": label} for text, label in (("good film", "yes"), ("bad film", "no")) * 8]
    (project / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (project / "exp.jsonnet").write_text(CONFIG % (tokenizer_folder, tokenizer_folder))
    return run_config(project / "exp.jsonnet", project, dummy_data=False)


def test_a_run_is_loaded_for_use(trained: Run) -> None:
    executor = runway.load_run(trained.path)
    assert not executor.training
    assert executor.id2label == {0: "no", 1: "yes"}
    assert executor.tokenizer("good film")["input_ids"]
    assert executor.global_config["experiment_name"] == "tiny"


def test_rows_are_predicted_with_labels_and_without(
    trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plain.csv").write_text("id,text\n7,good film\n8,bad film\n9,film\n")
    assert main(["predict", str(trained.path), str(tmp_path / "plain.csv")]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [(row["id"], row["text"]) for row in rows] == [(7, "good film"), (8, "bad film"), (9, "film")]
    assert {row["predicted_class_label"] for row in rows} <= {"no", "yes"}
    assert not any(name.startswith(("ground", "loss", "label")) for name in rows[0])
    (tmp_path / "labelled.csv").write_text("text,label\ngood film,yes\nbad film,no\n")
    target = tmp_path / "out" / "rows.jsonl"
    assert main(["predict", str(trained.path), str(tmp_path / "labelled.csv"), "--output", str(target)]) == 0
    labelled = [json.loads(line) for line in target.read_text().splitlines()]
    assert [row["ground_truth_class_label"] for row in labelled] == ["yes", "no"]
    capsys.readouterr()
    (tmp_path / "wrong.csv").write_text("text,label\ngood film,yess\n")
    assert main(["predict", str(trained.path), str(tmp_path / "wrong.csv")]) == 2
    assert "did you mean 'yes'?" in capsys.readouterr().err
    assert main(["predict", str(trained.path), str(tmp_path / "plain.csv"), "--output", "rows.txt"]) == 2


def test_a_model_is_exported_with_a_card(trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = tmp_path / "model"
    assert main(["export", str(trained.path), str(folder)]) == 0
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.config.id2label == {0: "no", 1: "yes"}
    assert AutoTokenizer.from_pretrained(folder)("good film")["input_ids"]
    card = (folder / "README.md").read_text()
    assert all(word in card for word in ("# tiny_V0", "| accuracy |", "LoadHFDataset", "trained from scratch", "torch"))
    capsys.readouterr()
    assert main(["export", str(trained.path), str(folder)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_where_rows_begin() -> None:
    nodes = {
        "input:Load": {"transform_name": "LoadHFDataset"},
        "process:Mine": {"transform_name": "my_own", "input_node": "input:Load"},
        "process:Split": {"transform_name": "SplitHFDataset", "input_node": "process:Mine"},
        "process:Clean": {"transform_name": "my_clean", "input_node": "process:Split"},
        "output:Load": {"transform_name": "MakeDataloaders", "inputs": {"data": "process:Clean"}},
    }
    config = {"data_pipeline": {"transforms": nodes}}
    found = preparation(config, "output:Load")
    assert found == ("process:Clean", ("process:Clean", "output:Load"), ("process:Mine",), "label")
    assert preparation(config, "output:Load", "process:Mine").left_out == ()
    with pytest.raises(ConfigError, match="is not on the way"):
        preparation(config, "process:Split", "process:Clean")
