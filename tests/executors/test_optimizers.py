"""Optimisers and schedules by name: the right class, the right steps, and errors that list what is accepted."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from runway.errors import ConfigError
from runway.executors.optimizers import (
    build_optimizer,
    build_scheduler,
    check_optimizer_config,
    classes_named,
    known_optimizers,
)


@pytest.fixture
def model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2))


def optimizer_for(model: nn.Module, **config: object) -> torch.optim.Optimizer:
    return build_optimizer(model, config)


def learning_rates(model: nn.Module, steps: int, **config: object) -> list[float]:
    """The learning rate of each of ``steps`` steps, the peak being 1."""
    optimizer = build_optimizer(model, {"optimizer_name": "SGD", "optimizer_params": {"lr": 1.0}})
    schedule = build_scheduler(optimizer, config, lambda: steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule["scheduler"].step()
    return rates


@pytest.mark.parametrize("name", ["AdamW", "Adam", "SGD", "RMSprop", "NAdam", "Adagrad", "LBFGS"])
def test_takes_any_optimizer_of_torch(model, name):
    optimizer = optimizer_for(model, optimizer_name=name, optimizer_params={"lr": 0.01})
    assert type(optimizer) is getattr(torch.optim, name)
    assert optimizer.param_groups[0]["lr"] == 0.01


def test_every_listed_optimizer_is_one():
    known = known_optimizers()
    assert {"AdamW", "Adafactor", "SGD"} <= known.keys()
    assert "Optimizer" not in known
    assert known["Adafactor"].__module__.startswith("transformers")


def test_adamw_is_the_default(model):
    assert type(build_optimizer(model, None)) is torch.optim.AdamW


def test_adafactor_with_its_own_steps_and_with_a_rate(model):
    assert optimizer_for(model, optimizer_name="Adafactor").param_groups[0]["lr"] is None
    fixed = optimizer_for(model, optimizer_name="Adafactor", optimizer_params={"lr": 0.1, "relative_step": False})
    assert fixed.param_groups[0]["lr"] == 0.1
    with pytest.raises(ConfigError, match="relative_step: false"):
        optimizer_for(model, optimizer_name="Adafactor", optimizer_params={"lr": 0.1})
    own = optimizer_for(model, optimizer_name="Adafactor")
    with pytest.raises(ConfigError, match="sets its own"):
        build_scheduler(own, {"scheduler": "linear"}, lambda: 10)


def test_weight_decay_spares_biases_and_norms(model):
    config = {"optimizer_params": {"lr": 0.1, "weight_decay": 0.5}}
    decayed, spared = build_optimizer(model, config).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.5, 0.0)
    assert [parameter.ndim for parameter in decayed["params"]] == [2, 2]
    assert [parameter.ndim for parameter in spared["params"]] == [1, 1, 1, 1]
    (everything,) = build_optimizer(model, {**config, "decay_biases_and_norms": True}).param_groups
    assert len(everything["params"]) == 6


def test_frozen_parameters_are_left_out(model):
    model[0].requires_grad_(False)
    assert sum(len(group["params"]) for group in build_optimizer(model, None).param_groups) == 4
    model.requires_grad_(False)
    with pytest.raises(ConfigError, match="no parameter to train"):
        build_optimizer(model, None)


def test_unknown_optimizer_has_a_suggestion(model):
    with pytest.raises(ConfigError, match="unknown optimiser 'AdamWW'") as error:
        optimizer_for(model, optimizer_name="AdamWW")
    assert "'AdamW'" in error.value.hint
    assert error.value.where == "train.optimizer_config.optimizer_name"


def test_wrong_optimizer_params_list_the_accepted(model):
    with pytest.raises(ConfigError, match="no argument 'learning_rate'") as error:
        optimizer_for(model, optimizer_params={"learning_rate": 0.1})
    assert "lr" in error.value.hint
    assert "weight_decay" in error.value.hint
    with pytest.raises(ConfigError, match="Invalid learning rate"):
        optimizer_for(model, optimizer_params={"lr": -1.0})


def test_lists_become_tuples(model):
    assert optimizer_for(model, optimizer_params={"lr": 0.1, "betas": [0.8, 0.9]}).param_groups[0]["betas"] == (
        0.8,
        0.9,
    )


def test_linear_with_absolute_warmup(model):
    rates = learning_rates(model, 10, scheduler="linear", scheduler_params={"num_warmup_steps": 5})
    assert rates == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 0.8, 0.6, 0.4, 0.2])


def test_warmup_ratio_is_a_part_of_all_steps(model):
    absolute = learning_rates(model, 20, scheduler="cosine", scheduler_params={"num_warmup_steps": 5})
    assert learning_rates(model, 20, scheduler="cosine", scheduler_params={"warmup_ratio": 0.25}) == absolute
    # the seed's command sets num_warmup_steps over a config that says warmup_ratio: what is absolute counts
    both = learning_rates(model, 20, scheduler="cosine", scheduler_params={"warmup_ratio": 0.9, "num_warmup_steps": 5})
    assert both == absolute


def test_constant_keeps_the_warmup_it_is_given(model):
    rates = learning_rates(model, 5, scheduler="constant", scheduler_params={"num_warmup_steps": 2})
    assert rates == pytest.approx([0, 0.5, 1, 1, 1])
    assert learning_rates(model, 3, scheduler="constant") == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("inverse_sqrt", {"num_warmup_steps": 2}),
        ("polynomial", {"power": 2.0, "lr_end": 1e-8}),
        ("cosine_with_restarts", {"num_cycles": 2}),
        ("cosine_with_min_lr", {"min_lr_rate": 0.1}),
        ("warmup_stable_decay", {"num_warmup_steps": 2, "num_decay_steps": 4}),
    ],
)
def test_takes_the_schedules_of_transformers(model, name, params):
    rates = learning_rates(model, 12, scheduler=name, scheduler_params=params)
    assert min(rates) >= 0
    assert len(set(rates)) > 2


def test_takes_the_schedules_of_torch(model):
    optimizer = optimizer_for(model, optimizer_name="SGD", optimizer_params={"lr": 1.0})
    step = {"scheduler": "StepLR", "scheduler_params": {"step_size": 2, "gamma": 0.1}}
    schedule = build_scheduler(optimizer, step, lambda: 10)
    assert type(schedule["scheduler"]) is torch.optim.lr_scheduler.StepLR
    assert schedule["interval"] == "epoch"
    one_cycle = build_scheduler(optimizer, {"scheduler": "OneCycleLR"}, lambda: 30)
    assert (one_cycle["scheduler"].total_steps, one_cycle["interval"]) == (30, "step")


def test_a_plateau_watches_a_metric(model):
    optimizer = build_optimizer(model, None)
    config = {
        "scheduler": "ReduceLROnPlateau",
        "scheduler_params": {"patience": 1, "mode": "max", "monitor": "accuracy"},
    }
    schedule = build_scheduler(optimizer, config, lambda: 10)
    assert (schedule["monitor"], schedule["scheduler"].mode) == ("accuracy", "max")
    assert build_scheduler(optimizer, {"scheduler": "reduce_lr_on_plateau"}, lambda: 10)["monitor"] == "val_loss"


def test_parameters_without_a_scheduler_are_told(model, capsys):
    optimizer = optimizer_for(model)
    with pytest.raises(ConfigError, match="no `scheduler` is named that could take num_warmup_steps") as error:
        build_scheduler(optimizer, {"scheduler_params": {"num_warmup_steps": 100}}, lambda: 10)
    assert "constant_with_warmup" in error.value.hint
    with pytest.raises(ConfigError, match="warmup_ratio"):
        check_optimizer_config({"scheduler_params": {"warmup_ratio": 0.1}})
    assert build_scheduler(optimizer, {"scheduler_params": {"num_warmup_steps": 0}}, lambda: 10) is None
    assert capsys.readouterr().err == ""
    switched_off = {"scheduler": None, "scheduler_params": {"num_warmup_steps": 77}}
    assert build_scheduler(optimizer, switched_off, lambda: 10) is None
    assert "scheduler_params is not used (num_warmup_steps)" in capsys.readouterr().err


def test_no_scheduler(model):
    optimizer = build_optimizer(model, None)
    assert build_scheduler(optimizer, {"scheduler": None}, lambda: 10) is None
    assert build_scheduler(optimizer, {"scheduler": "none"}, lambda: 10) is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"scheduler": "cosin"}, "unknown scheduler 'cosin'"),
        ({"scheduler": "linear", "scheduler_params": {"num_warmup_step": 3}}, "no argument 'num_warmup_step'"),
        ({"scheduler": "linear", "scheduler_params": {"num_warmup_steps": 0.1}}, "must be a whole number"),
        ({"scheduler": "linear", "scheduler_params": {"warmup_ratio": 10}}, "between 0 and 1"),
        ({"scheduler": "StepLR", "scheduler_params": {"gamma": 0.1}}, "step_size"),
        ({"scheduler": "LambdaLR"}, "unknown scheduler"),
    ],
)
def test_wrong_schedules_are_config_errors(model, config, message):
    with pytest.raises(ConfigError, match=message) as error:
        build_scheduler(build_optimizer(model, None), config, lambda: 10)
    assert error.value.where.startswith("train.optimizer_config.scheduler")


def test_a_training_without_end_cannot_decay(model):
    optimizer = build_optimizer(model, None)
    with pytest.raises(ConfigError, match="no end"):
        build_scheduler(optimizer, {"scheduler": "linear"}, lambda: float("inf"))
    with pytest.raises(ConfigError, match="no end"):
        build_scheduler(
            optimizer,
            {"scheduler": "constant_with_warmup", "scheduler_params": {"warmup_ratio": 0.1}},
            lambda: float("inf"),
        )
    endless = {"scheduler": "constant_with_warmup", "scheduler_params": {"num_warmup_steps": 3}}
    assert build_scheduler(optimizer, endless, lambda: float("inf"))["interval"] == "step"


@pytest.mark.parametrize("name", sorted(known_optimizers()))
def test_the_early_check_lets_every_optimizer_pass(name):
    check_optimizer_config({"optimizer_name": name})


@pytest.mark.parametrize(
    ("scheduler", "params"),
    [
        ("linear", {"warmup_ratio": 0.1}),
        ("cosine", {"num_warmup_steps": 3, "num_training_steps": 10}),
        ("polynomial", {"power": 2.0}),
        ("inverse_sqrt", {"num_warmup_steps": 3}),
        ("warmup_stable_decay", {"num_warmup_steps": 3, "num_decay_steps": 4}),
        ("reduce_lr_on_plateau", {"monitor": "accuracy"}),
        ("StepLR", {"step_size": 3, "interval": "epoch", "frequency": 2}),
        ("OneCycleLR", {}),
        ("ReduceLROnPlateau", {"factor": 0.5}),
        ("none", {}),
    ],
)
def test_the_early_check_lets_schedules_pass(scheduler, params):
    check_optimizer_config(
        {"optimizer_params": {"lr": 0.1}, "scheduler": scheduler, "scheduler_params": params},
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("AdamW", "must be a mapping"),
        ({"optimizer_name": ["AdamW"]}, "must be a name"),
        ({"optimizer_params": 3}, "must be a mapping"),
        ({"optimizer_params": {"fused": True, "foreach": True}}, "does not take these arguments"),
        ({"scheduler": "linear", "scheduler_params": {"num_training_steps": "all"}}, "num_training_steps"),
        ({"scheduler": "linear", "scheduler_params": {"interval": "batch"}}, "'step' or 'epoch'"),
        ({"scheduler": "linear", "scheduler_params": {"frequency": 0}}, "`frequency` must be"),
        ({"scheduler": "ReduceLROnPlateau", "scheduler_params": {"patience": "a"}}, "does not take these arguments"),
    ],
)
def test_the_early_check_tells_wrong_types(config, message):
    with pytest.raises(ConfigError, match=message):
        check_optimizer_config(config)


def test_takes_the_fused_kernel_of_adam(model):
    def fused(**config):
        return bool(build_optimizer(model, config, fused=True).param_groups[0].get("fused"))

    assert fused()
    assert fused(optimizer_name="Adam", optimizer_params={"lr": 1e-3})
    assert not fused(optimizer_name="SGD", optimizer_params={"lr": 1e-3})
    assert not fused(optimizer_params={"fused": False})
    assert not fused(optimizer_params={"foreach": False})
    model.to("meta")
    assert not fused()


def test_a_warm_up_longer_than_the_training_is_told(model, capsys):
    learning_rates(model, 5, scheduler="linear", scheduler_params={"num_warmup_steps": 300})
    assert "takes 300 steps, but the training has 5" in capsys.readouterr().err
    learning_rates(model, 5, scheduler="linear", scheduler_params={"num_warmup_steps": 2})
    assert not capsys.readouterr().err


class Careful(torch.optim.SGD):
    """An optimiser of a user's own."""


class Halves(torch.optim.lr_scheduler.StepLR):
    """A schedule of a user's own."""


def test_a_users_own_by_its_place(model):
    config = {
        "optimizer_name": f"{__name__}:Careful",
        "optimizer_params": {"lr": 1.0},
        "scheduler": f"{__name__}:Halves",
        "scheduler_params": {"step_size": 1},
    }
    check_optimizer_config(config)
    optimizer = build_optimizer(model, config)
    schedule = build_scheduler(optimizer, config, lambda: 10)
    assert (type(optimizer), type(schedule["scheduler"]), schedule["interval"]) == (Careful, Halves, "epoch")
    assert classes_named({"optimizer_config": config}) == [Careful, Halves]
    with pytest.raises(ConfigError, match="has no argument 'rate'"):
        build_optimizer(model, {**config, "optimizer_params": {"rate": 1}})
    with pytest.raises(ConfigError, match="Halves is no Optimizer") as caught:
        build_optimizer(model, {"optimizer_name": f"{__name__}:Halves"})
    assert caught.value.where == "train.optimizer_config.optimizer_name"
