"""A whole project in miniature: sixty reviews, a tiny encoder, seed 003's layout and node names."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY, Project, Result, WarmProcess

CONFIG = "configs/imdb_classification/exp_config.jsonnet"
NAME = "distilbert-imdb_classification"

EXPERIMENT = """
local classification = import 'runway/text_classification.libsonnet';
local evaluation = import 'runway/classification_eval.libsonnet';
{
  experiment_name: 'distilbert-imdb_classification',
  test_suffix: 'default_test',
  meta: {
    EXPERIMENT_FOLDER: 'experiments',
    default_cache_dir: 'cache/',
    logger_enable: ['csv'],
    seed: 7,
    WANDB: { CACHE_DIR: 'cache/wandb', project: 'acceptance', tags: ['tiny'] },
  },
  tokenizer_config: classification.tokenizer('models/tiny', max_length=16),
  data_pipeline: {
    transforms: {
      'input:LoadImdbDataset': classification.load({ dataset_path: 'reviews.csv' }),
      'process:SplitValidationFromTrain': classification.split(
        'input:LoadImdbDataset', test_size=9, valid_size=9, split_kwargs={ seed: 1 }
      ),
      'process:TokenizeImdbDataset': classification.tokenize(
        'process:SplitValidationFromTrain', $.tokenizer_config
      ),
      'output:MakeImdbDataloaders': classification.dataloaders('process:TokenizeImdbDataset'),
      'output:InspectImdbDataloaders': {
        input_node: 'process:TokenizeImdbDataset',
        transform_name: 'InsertBreakpoint',
        setup_kwargs: {},
        cache: false,
        regenerate: true,
      },
    },
  },
  model_config: { from_pretrained_kwargs: { pretrained_model_name_or_path: 'models/tiny', num_labels: 2 } },
  executor: {
    ExecutorClass: 'TextClassificationExecutor',
    init_kwargs: { use_data_node: 'output:MakeImdbDataloaders' },
  },
  train: {
    batch_size: 8,
    trainer_paras: { max_epochs: 1, accelerator: 'cpu', devices: 1, log_every_n_steps: 1 },
    model_checkpoint_callback_paras: { monitor: 'accuracy', mode: 'max', save_top_k: 1, save_last: true },
    optimizer_config: {
      optimizer_name: 'AdamW',
      optimizer_params: { lr: 1e-6 * $.train.batch_size },
      scheduler: 'linear',
      scheduler_params: { num_warmup_steps: 1 },
    },
  },
  // Nine rows in batches of four: the last batch has one row.
  test: { batch_size: 4, trainer_paras: { accelerator: 'cpu', devices: 1 } },
  eval: {
    valid_eval_pipeline_config: evaluation.validation(),
    test_eval_pipeline_config: evaluation.test(),
  },
}
"""

# Executors that fail as people's do, each in its own way.
EXECUTORS = '''
from runway import register_executor
from runway.executors.text_classification import TextClassificationExecutor


def divide(a, b):
    return a / b


@register_executor
class RaisesInAStep(TextClassificationExecutor):
    """Its step has a bug."""

    def training_step(self, batch, batch_idx):
        return divide(batch_idx, 0)


@register_executor
class LosesItself(TextClassificationExecutor):
    """Its loss is not a number from the third step on."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss * float("nan") if batch_idx >= 2 else loss


@register_executor
class KeepsItsRates(TextClassificationExecutor):
    """Prints the rate of the first step and the size of its batch."""

    def training_step(self, batch, batch_idx):
        if batch_idx == 0:
            print("rate", self.optimizers().param_groups[0]["lr"], "rows", len(batch["labels"]))
        return super().training_step(batch, batch_idx)
'''

MAKE_MODEL = """
import json
import torch
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

words = ["[PAD]", "[UNK]", *sorted({word for line in open("reviews.csv") for word in line.split(",")[0].split()})]
tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = Whitespace()
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]")
fast.save_pretrained("models/tiny")
torch.manual_seed(3)
sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48)
config = BertConfig(vocab_size=len(words), max_position_embeddings=32, **sizes)
BertForSequenceClassification(config).save_pretrained("models/tiny")
"""


def reviews() -> str:
    """Sixty short reviews as a csv file; the adjective tells the label."""
    lines = ["text,label"]
    for number in range(60):
        label = number % 2
        adjective = (["dull", "bad", "slow"], ["good", "moving", "funny"])[label][number // 2 % 3]
        subject = ("film", "plot", "cast", "music")[number % 4]
        lines.append(f"a {adjective} {subject} and a {adjective} end {'of it ' * (number % 5)},{label}")
    return "\n".join(lines) + "\n"


class WarmProject(Project):
    """A project whose commands run in forks of one process that has loaded torch, Lightning and transformers."""

    def _job(self, check: bool, env: Mapping[str, str | None], stdin: str | None, **job: Any) -> Result:
        environment = self.environment()
        for name, value in env.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        assert self._warm
        result = self._warm.run(self.path, environment, 120, stdin, **job)
        if check and result.returncode != 0:
            told = f"--- stdout\n{result.stdout}\n--- stderr\n{result.stderr}"
            pytest.fail(f"{job.get('argv')} ended with {result.returncode}\n{told}", pytrace=False)
        return result

    def runway(
        self, *args: str, check: bool = True, env: Mapping[str, str | None] | None = None, stdin: str = ""
    ) -> Result:
        """Run `runway ARGS` in a fork.

        Args:
            args: The command's arguments.
            check: Fail the test, showing what was printed, where the exit code is not 0.
            env: Variables to add or replace, or with None to remove.
            stdin: What it gets on standard input.

        Returns:
            Exit code, streams and wall-clock.
        """
        return self._job(check, env or {}, stdin, argv=list(args))

    def script(self, path: Path) -> Result:
        """Run a Python file in a fork.

        Args:
            path: The file.

        Returns:
            Exit code, streams and wall-clock.
        """
        return self._job(True, {}, None, script=str(path))

    def shell(self, text: str, *, check: bool = True) -> Result:
        """Run lines of bash in new processes, as pasted at a prompt; `python` and `runway` are this environment's.

        Args:
            text: The lines.
            check: Fail the test, showing what was printed, where the exit code is not 0.

        Returns:
            Exit code, streams and wall-clock.
        """
        started = time.perf_counter()
        environment = self.environment()
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        done = subprocess.run(
            ["bash"],
            input=text,
            cwd=self.path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode != 0:
            pytest.fail(f"{text}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
        return Result(done.returncode, done.stdout, done.stderr, time.perf_counter() - started)

    def run_folder(self, version: int = 0, name: str = NAME, root: str = "experiments") -> Path:
        """The folder of a version.

        Args:
            version: Its number.
            name: The experiment.
            root: The experiments' folder.

        Returns:
            Its path.
        """
        return self.path / root / f"{name}_V{version}"


def logged(run: Path, column: str) -> list[float]:
    """The values that the csv logger has written in one column of a training.

    Args:
        run: The version's folder.
        column: What was logged.

    Returns:
        The values, in order.
    """
    with (run / "train/logs/csv/metrics.csv").open(encoding="utf-8") as file:
        return [float(row[column]) for row in csv.DictReader(file) if row.get(column)]


@pytest.fixture(scope="session")
def imdb(tmp_path_factory: pytest.TempPathFactory, warm: WarmProcess) -> WarmProject:
    """The project; a test that trains gives its experiment a name of its own."""
    project = WarmProject(tmp_path_factory.mktemp("imdb"), warm)
    project.write(CONFIG, EXPERIMENT)
    project.write("reviews.csv", reviews())
    project.write("src/executors/failing.py", EXECUTORS)
    shutil.copy(REPOSITORY / "src/main.py", project.path / "src/main.py")
    project.script(project.write("make_model.py", MAKE_MODEL))
    return project


@pytest.fixture(scope="session")
def trained(imdb: WarmProject) -> str:
    """The name of an experiment that has been trained and tested once, for the tests that only look or test."""
    imdb.runway("run", CONFIG, "experiment_name=trained", "train.trainer_paras.max_epochs=2")
    return "trained"
