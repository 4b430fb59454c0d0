"""BaseExecutor: an executor written as the walkthrough shows, its data, its settings."""

from __future__ import annotations

import lightning
import pytest

from runway.errors import ConfigError, DataError
from runway.executors.base_executor import BaseExecutor
from tests.executors.tiny import ACCURACY_PIPELINE, BERT, MakeTinyLoaders, TokenRows, build, tiny_config, trainer
from tests.executors.walkthrough import WalkthroughExecutor


def test_an_executor_written_as_in_the_walkthrough_trains_validates_and_tests(tmp_path):
    config = tiny_config(tmp_path, valid_pipeline=ACCURACY_PIPELINE)
    executor = build(WalkthroughExecutor, config)
    executor.recorders_dir = tmp_path / "recorders"
    run = trainer(tmp_path, max_epochs=6)
    run.fit(executor)

    assert {"train_loss", "val_loss", "accuracy"} <= run.callback_metrics.keys()
    assert run.callback_metrics["accuracy"] > 0.8
    assert sorted(folder.name for folder in executor.recorders_dir.iterdir()) == sorted(
        f"validation-step{step}" for step in (4, 8, 12, 16, 20, 24)
    )
    run.test(executor, verbose=False)
    expected = TokenRows(9, seed=2).labels
    assert list(executor.test_eval_recorder.get_sample_logs_column("ground_truth_class_id")) == expected


def test_the_model_starts_in_training_mode(tmp_path):
    executor = build(WalkthroughExecutor, tiny_config(tmp_path))  # its _init_model leaves the model in eval mode
    assert all(module.training for module in executor.modules())


def test_the_learning_rate_is_logged(tmp_path):
    schedule = {"scheduler": "linear", "scheduler_params": {"warmup_ratio": 0.5}}
    optimizer_config = {"optimizer_name": "SGD", "optimizer_params": {"lr": 1.0}, **schedule}
    executor = build(WalkthroughExecutor, tiny_config(tmp_path, train={"optimizer_config": optimizer_config}))
    rates = []

    class Watch(lightning.Callback):
        def on_train_batch_end(self, trainer, *args):
            rates.append(float(trainer.callback_metrics["lr"]))

    trainer(tmp_path, log_every_n_steps=1, callbacks=[Watch()], limit_val_batches=0).fit(executor)
    assert rates == pytest.approx([0, 0.5, 1, 0.5])


class DefaultsExecutor(WalkthroughExecutor):
    """Uses the dataloader hooks of the base class."""

    def setup(self, stage):
        BaseExecutor.setup(self, stage)


def test_dataloaders_come_from_the_data_node(tmp_path):
    executor = build(DefaultsExecutor, tiny_config(tmp_path))
    run = trainer(tmp_path)
    run.fit(executor)
    run.test(executor, verbose=False)
    assert run.num_training_batches == 4
    assert len(executor.test_eval_recorder) == 9


def test_a_data_node_that_is_not_named_is_an_error(tmp_path):
    executor = build(DefaultsExecutor, tiny_config(tmp_path), use_data_node=None)
    with pytest.raises(ConfigError, match="does not know which node"):
        executor.train_dataloader()


def test_a_data_node_of_the_wrong_kind_is_an_error(tmp_path):
    config = tiny_config(tmp_path)
    config.data_pipeline.transforms["output:Loaders"].transform_name = "GiveANumber"
    with pytest.raises(DataError, match="int instead"):
        build(DefaultsExecutor, config).val_dataloader()


def test_unknown_settings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no setting 'use_datanode'") as error:
        build(WalkthroughExecutor, tiny_config(tmp_path), use_datanode="output:Loaders")
    assert "use_data_node" in error.value.hint
    assert error.value.where == "executor.init_kwargs"


def test_compile_keeps_the_names_of_the_weights(tmp_path):
    config = tiny_config(tmp_path)
    plain = build(WalkthroughExecutor, config).state_dict().keys()
    config.train.compile = {"backend": "eager", "dynamic": True}
    compiled = build(WalkthroughExecutor, config)
    assert compiled.state_dict().keys() == plain
    trainer(tmp_path, limit_train_batches=1).fit(compiled)


def test_importing_the_package_does_not_import_torch():
    import subprocess
    import sys

    code = "import sys, runway.executors; print(sorted({'torch', 'lightning', 'transformers'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_tiny_things_are_what_these_tests_think():
    assert BERT["model_type"] == "bert"
    loaders = MakeTinyLoaders()
    loaders.setup()
    batches = [batch["index"].tolist() for batch in loaders(None)["val_dataloaders"][0]]
    order = [row for batch in batches for row in batch]
    assert order != sorted(order)
    assert [len(batch) for batch in batches] == [8, 1]


def test_no_private_name_of_an_executor_is_one_that_a_user_may_choose():
    """``_evaluate`` and ``_loaders`` of a user's were taken for the framework's."""
    import ast
    import inspect

    import lightning

    from runway.executors.multi_task.executor import MultiTaskExecutor
    from runway.executors.seq2seq.executor import Seq2SeqExecutor
    from runway.executors.text_classification import TextClassificationExecutor

    taken = set()
    for cls in (BaseExecutor, TextClassificationExecutor, Seq2SeqExecutor, MultiTaskExecutor):
        for part in ast.walk(ast.parse(inspect.getsource(cls))):
            if isinstance(part, ast.FunctionDef):
                taken.add(part.name)
            elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "self":
                taken.add(part.attr)
    own = {name for name in taken if name[0] == "_" and name[:2] != "__" and name not in dir(lightning.LightningModule)}
    assert {name for name in own - {"_init_model"} if not name.startswith("_runway_")} == set()
