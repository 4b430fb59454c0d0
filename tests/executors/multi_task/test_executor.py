"""MultiTaskExecutor, from the config to the numbers of a test."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from runway.errors import ConfigError, DataError, RunwayError
from runway.executors.multi_task.executor import MultiTaskExecutor
from runway.experiment import Interrupted
from runway.recorder import EvalRecorder
from runway.registry import register_executor
from tests.executors.multi_task.tiny_tasks import CLASSES, NUMBERS, TEXTS, executor_of, experiment, node, tasks_config
from tests.experiment.tiny import names, same_weights, weights


def logged(run: Path, column: str) -> list[float]:
    """A metric's values, of the csv log."""
    with next(run.rglob("metrics.csv")).open(encoding="utf-8") as file:
        return [float(row[column]) for row in csv.DictReader(file) if row.get(column)]


def test_two_tasks_from_numbers_to_a_table(tmp_path: Path) -> None:
    monitor = "train.model_checkpoint_callback_paras={monitor: val_mean_loss}"
    result = experiment(tmp_path, monitor).train()
    expected = {f"val_{name}" for name in ("loss", "mean_loss", "sum_loss", "sum_mse", "sign_loss", "sign_accuracy")}
    assert expected | {"val_mean_mse", "val_mean_accuracy"} <= result.metrics.keys()
    assert {"train_loss_step", "train_loss_epoch", "train_sum_loss", "train_sign_loss"} <= result.metrics.keys()
    assert result.metrics["val_loss"] == pytest.approx(
        result.metrics["val_sum_loss"] + result.metrics["val_sign_loss"], rel=1e-5
    )
    tested = experiment(tmp_path).test()
    recorder = EvalRecorder.load_from_disk("test-evaluation", tested.path)
    assert recorder["task"] == ["sign"] * 5 + ["sum"] * 5
    rows = recorder.get_sample_logs("list")
    assert rows[0]["predicted_class_label"] in ("below", "above")
    assert rows[0]["prediction"] is None
    assert rows[9]["predicted_class_id"] is None
    own = [row for row in rows if row["task"] == "sum"]
    error = sum((row["prediction"] - row["target"]) ** 2 for row in own) / len(own)
    assert tested.metrics["test_sum_mse"] == pytest.approx(error, rel=1e-5)
    assert tested.metrics["test_sum_loss"] == pytest.approx(error, rel=1e-5)
    assert set(tested.metrics) == {name.replace("val_", "test_") for name in result.metrics if name.startswith("val_")}


def test_a_learning_rate_of_a_task_reaches_its_parameters(tmp_path: Path) -> None:
    rates = {"shared": 0.001, "sum": 0.1, "sign": 0.02}
    params = {"lr": rates, "weight_decay": {"shared": 0, "sum": 0.5}}
    override = f"train.optimizer_config.optimizer_params={json.dumps(params)}"
    executor = executor_of(tasks_config(tmp_path, override))
    executor.trainer = type("NoTrainer", (), {"gradient_clip_val": None, "estimated_stepping_batches": 1})()
    optimizer = executor.configure_optimizers()
    found: dict[int, dict[str, Any]] = {
        id(weight): group for group in optimizer.param_groups for weight in group["params"]
    }
    parts = {
        "shared": executor.model.encoders["shared"],
        "sum": executor.model.heads["sum"],
        "sign": executor.model.heads["sign"],
    }
    for name, module in parts.items():
        assert {found[id(weight)]["lr"] for weight in module.parameters()} == {rates[name]}
    decays = {name: found[id(next(module.parameters()))]["weight_decay"] for name, module in parts.items()}
    assert decays == {"shared": 0, "sum": 0.5, "sign": 0.01}  # left out: the optimiser's default
    assert found.keys() == {id(weight) for weight in executor.parameters()}
    biases = [found[id(module.layer.bias)]["weight_decay"] for module in (parts["sum"], parts["sign"])]
    assert biases == [0, 0]


def test_the_rates_are_followed_and_logged(tmp_path: Path) -> None:
    changed = "train.optimizer_config={optimizer_name: SGD, optimizer_params: {lr: {shared: 0.0, sum: 0.0, sign: 0.1}}}"
    before = executor_of(tasks_config(tmp_path, changed)).model.state_dict()
    run = experiment(tmp_path, changed).train()
    after = weights(run.path / "saved_models/last.ckpt")
    moved = {key for key, value in before.items() if not torch.equal(value, after[f"model.{key}"])}
    assert moved == {"heads.sign.layer.weight", "heads.sign.layer.bias"}
    assert logged(run.path, "lr_sign") == pytest.approx([0.1] * 8)
    assert set(logged(run.path, "lr_shared")) == {0.0}


def test_weights_add_the_losses_up(tmp_path: Path) -> None:
    executor = executor_of(tasks_config(tmp_path, "train.weight={sum: 3}"))
    losses = {"sum": torch.tensor(2.0), "sign": torch.tensor(5.0)}
    assert float(executor.combine_losses(losses)) == 11.0  # a task that is left out has the default, 1
    assert executor_of(tasks_config(tmp_path, "tasks.sum.weight=0.5")).tasks["sum"].weight == 0.5


@pytest.mark.parametrize("shared", [True, False])
def test_texts_with_one_encoder_or_one_each(tmp_path: Path, shared: bool) -> None:
    model = {**TEXTS["model_config"], "shared": shared}
    experiment(tmp_path, changed={**TEXTS, "model_config": model}).train()
    tested = experiment(tmp_path, changed={**TEXTS, "model_config": model}).test()
    assert {"test_first_accuracy", "test_second_accuracy", "test_mean_accuracy"} <= tested.metrics.keys()
    parts = {key.split(".")[2] for key in weights(next(tmp_path.rglob("last.ckpt"))) if ".encoders." in key}
    assert parts == ({"shared"} if shared else {"first", "second"})


def test_a_model_for_each_task_by_the_config(tmp_path: Path) -> None:
    models = {
        "sum": {"encoder": "mlp", "encoder_kwargs": {"hidden": [5]}},
        "sign": {"encoder": "mlp", "encoder_kwargs": {"hidden": [7]}},
    }
    nodes = {"output:Sum": node(width=2), "output:Sign": node(width=4, classes=True)}
    changed = {"model_config": models, "data_pipeline": {"transforms": nodes}}
    executor = executor_of(tasks_config(tmp_path, **changed))
    assert executor.heads["sum"].layer.weight.shape == (1, 5)
    assert executor.heads["sign"].layer.weight.shape == (2, 7)
    assert executor.parameter_parts().keys() == {"sum", "sign"}
    with pytest.raises(ConfigError, match="different widths: sign 4, sum 2"):
        executor_of(tasks_config(tmp_path, data_pipeline={"transforms": nodes}))


@register_executor
class TasksThatStop(MultiTaskExecutor):
    """Sends its process Ctrl-C at one step, once."""

    stop_at = 0

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """Ctrl-C, as a terminal sends it."""
        if self.trainer.fit_loop.total_batch_idx + 1 == type(self).stop_at:
            type(self).stop_at = 0
            signal.raise_signal(signal.SIGINT)
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize(
    ("at", "mixing"),
    [
        (6, "{batches: mixed, sampling: proportional}"),
        (9, "{batches: alternating, sampling: temperature, temperature: 2, steps_per_epoch: 5}"),
        pytest.param(7, "{batches: alternating, sampling: uniform}", marks=pytest.mark.slow),
        pytest.param(3, "{batches: mixed, sampling: round_robin}", marks=pytest.mark.slow),
    ],
)
def test_a_resumed_training_is_the_one_that_was_never_stopped(tmp_path: Path, at: int, mixing: str) -> None:
    overrides = (
        f"train.mixing={mixing}",
        "meta.logger_enable=[csv,metrics_history]",
        "executor.ExecutorClass=TasksThatStop",
        "train.trainer_paras.max_epochs=3",
    )
    whole = experiment(tmp_path / "whole", *overrides).train()
    TasksThatStop.stop_at = at
    with pytest.raises(Interrupted):
        experiment(tmp_path / "parts", *overrides).train()
    resumed = experiment(tmp_path / "parts", *overrides, resume=True).train()
    last = [result.path / "saved_models" / "last.ckpt" for result in (whole, resumed)]
    assert same_weights(weights(last[0]), weights(last[1]))
    assert names(whole.path / "recorders") == names(resumed.path / "recorders")
    histories = [json.loads((result.path / "metrics_history.json").read_text()) for result in (whole, resumed)]
    assert histories[0] == histories[1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tasks": {"sum": {**NUMBERS, "data_node": "output:Sun"}}}, "the data pipeline has no node 'output:Sun'"),
        ({"tasks": {"sum": {**NUMBERS, "data_node": "output:Sum", "metrics": ["accuracy"]}}}, "not over fractions"),
        ({"tasks": {"sign": {**CLASSES, "data_node": "output:Sign", "metrics": ["acuracy"]}}}, "acuracy"),
        ({"tasks": {"sign": {**CLASSES, "data_node": "output:Sign", "metrics": ["perplexity"]}}}, "perplexity"),
        ({"tasks": {"sign": {**CLASSES, "data_node": "output:Sum"}}}, "how many classes there are is not known"),
        ({"tasks": {"sum": {**NUMBERS, "data_node": "output:Sum", "head": "regresion"}}}, "unknown head 'regresion'"),
        ({"tasks": {"sum": {**NUMBERS, "data_node": "output:Sum", "loss": "mse_los"}}}, "there is no loss 'mse_los'"),
        (
            {
                "tasks": {
                    "sum": {**NUMBERS, "data_node": "output:Sum", "loss": {"name": "mse_loss", "kwargs": {"b": 1}}}
                }
            },
            "the loss mse_loss has no argument 'b'",
        ),
        (
            {"tasks": {"sum": {**NUMBERS, "data_node": "output:Sum", "head": {"name": "regression", "width_": 1}}}},
            "RegressionHead has no setting 'width_'",
        ),
        ({"tasks": {"mean": {**NUMBERS, "data_node": "output:Sum"}}}, "a task cannot be called 'mean'"),
        ({"tasks": {"a.b": {**NUMBERS, "data_node": "output:Sum"}}}, "must be a word"),
        ({"model_config": {"encoder": "mpl"}}, "unknown encoder 'mpl'"),
        ({"model_config": {"encoder": "mlp", "pooling": "mean"}}, "`pooling` does not go with `encoder`"),
        ({"model_config": {}}, "must name one model, but names none"),
        ({"model_config": {"encoder": "mlp", "encoder_kwargs": {"hiden": [3]}}}, "Mlp has no argument 'hiden'"),
        (
            {"executor": {"ExecutorClass": "MultiTaskExecutor", "init_kwargs": {"use_data_node": "output:Sum"}}},
            "names its own",
        ),
        ({"executor": {"ExecutorClass": "TextClassificationExecutor"}}, "does not train several"),
    ],
)
def test_what_does_not_fit_is_told_before_a_version_is_made(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunwayError, match=message) as caught:
        experiment(tmp_path, changed=changed).train()
    assert caught.value.exit_code == 2
    assert not list((tmp_path / "runs").glob("tasks_V*"))


def test_optimiser_settings_of_tasks_that_are_none(tmp_path: Path) -> None:
    section = "train.optimizer_config.optimizer_params.lr"
    with pytest.raises(ConfigError, match="there is no task 'sun'"):
        experiment(tmp_path, f"{section}={{shared: 1, sun: 2}}").train()
    with pytest.raises(ConfigError, match="none for the encoder that they share"):
        experiment(tmp_path, f"{section}={{sum: 1, sign: 2}}").train()
    executor_of(tasks_config(tmp_path, f"{section}={{sum: 1, sign: 2}}", "model_config.shared=false"))


def test_a_task_without_rows(tmp_path: Path) -> None:
    def nodes(**sign: int) -> dict[str, Any]:
        pipeline = {"transforms": {"output:Sum": node(), "output:Sign": node(classes=True, **sign)}}
        return {"data_pipeline": pipeline}

    with pytest.raises(DataError, match="empty"):
        experiment(tmp_path, changed=nodes(train=0)).train()
    with pytest.raises(DataError, match="the task 'sign' has no training data"):
        experiment(tmp_path, changed=nodes(train=-1)).train()


def test_a_task_without_validation_rows_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pipeline = {"transforms": {"output:Sum": node(), "output:Sign": node(classes=True, valid=-1)}}
    result = experiment(tmp_path, changed={"data_pipeline": pipeline}).train()
    assert "the task 'sign' has no validation rows" in capfd.readouterr().err
    assert "val_sum_mse" in result.metrics
    assert "val_sign_accuracy" not in result.metrics


def test_one_task_is_a_training_too(tmp_path: Path) -> None:
    result = experiment(tmp_path, "~tasks.sign", "train.mixing={steps_per_epoch: 9}").train()
    assert result.metrics["val_mean_mse"] == result.metrics["val_sum_mse"]
    assert torch.load(result.path / "saved_models/last.ckpt", weights_only=True)["global_step"] == 18


def test_lora_leaves_the_heads_to_be_trained(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    lora = "train.lora_config={encoders.shared.net: {target_modules: [query, value]}}"
    executor = executor_of(tasks_config(tmp_path, "train.use_lora=true", lora, **TEXTS))
    trained = {name for name, weight in executor.model.named_parameters() if weight.requires_grad}
    assert {name for name in trained if name.startswith("heads.")} == {
        f"heads.{task}.layer.{part}" for task in ("first", "second") for part in ("weight", "bias")
    }
    assert all("lora_" in name for name in trained if name.startswith("encoders."))
    assert any(name.startswith("encoders.") for name in trained)
