"""LoRA: what is trained, of which part, and wrong settings."""

from __future__ import annotations

import pytest
import torch

from runway.errors import ConfigError
from runway.executors.text_classification import TextClassificationExecutor
from tests.executors.tiny import (
    build,
    tiny_config,
    trainer,
)


def test_lora_trains_the_adapters_and_the_head_only(tmp_path):
    lora = {"r": 2, "target_modules": ["query", "value"]}
    optimizer_config = {"optimizer_params": {"lr": 0.02}}
    config = tiny_config(tmp_path, train={"use_lora": True, "lora_config": lora, "optimizer_config": optimizer_config})
    torch.manual_seed(1)  # the adapters start from random weights
    executor = build(TextClassificationExecutor, config)
    trained = {name for name, parameter in executor.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or "classifier" in name for name in trained)
    assert any("lora_" in name for name in trained)
    assert any("classifier" in name for name in trained)
    frozen = {name: value.clone() for name, value in executor.state_dict().items() if "base_layer" in name}
    run = trainer(tmp_path, max_epochs=8)
    run.fit(executor)
    assert all(torch.equal(value, executor.state_dict()[name]) for name, value in frozen.items())
    assert run.callback_metrics["val_loss"] < 0.6


def test_lora_of_one_part(tmp_path):
    lora = {"bert.encoder": {"r": 2, "target_modules": ["query"]}}
    executor = build(TextClassificationExecutor, tiny_config(tmp_path, train={"use_lora": True, "lora_config": lora}))
    adapters = [name for name in executor.state_dict() if "lora_" in name]
    assert len(adapters) == 4
    assert all("encoder" in name for name in adapters)


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ({"rank": 4}, "no argument 'rank'"),
        ({"bert.encodr": {"r": 2}}, "no part 'bert.encodr'"),
        ({"r": 2, "target_modules": ["q_proj"]}, "peft cannot adapt 'model'"),
    ],
)
def test_wrong_lora_configs(tmp_path, lora, message):
    with pytest.raises(ConfigError, match=message) as error:
        build(TextClassificationExecutor, tiny_config(tmp_path, train={"use_lora": True, "lora_config": lora}))
    assert error.value.hint
