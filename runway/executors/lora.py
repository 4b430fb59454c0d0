"""LoRA through peft: ``train.use_lora`` and ``train.lora_config``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import nn

from runway.errors import ConfigError, did_you_mean, must_be_known, told_as_config_error
from runway.log import info

SECTION = "train.lora_config"


def add_lora(owner: nn.Module, lora_config: Mapping | None, *, task_type: str | None = None) -> None:
    """Replace ``owner.model``, or parts of it, by the same with low-rank adapters; only these are trained.

    Args:
        owner: the executor; ``owner.model`` is there already.
        lora_config: keyword arguments of ``peft.LoraConfig`` for the whole model, or ``{part: {…}}`` with a
            part's path in the model (``encoder``, ``bert.encoder``) or ``model`` itself.
        task_type: peft's task type where the config names none; it decides which head stays trainable.

    Raises:
        ConfigError: peft is not installed, an unknown argument, an unknown part, no layer to adapt.
    """
    config = dict(lora_config or {})
    try:
        from peft import LoraConfig
    except ModuleNotFoundError as error:
        message = "`train.use_lora` needs the package peft, which is not installed"
        hint = "pip install 'runway-for-ml[lora]'"
        raise ConfigError(message, where="train.use_lora", hint=hint) from error
    accepted = [field.name for field in dataclasses.fields(LoraConfig) if field.init]
    by_part = bool(config) and all(isinstance(value, Mapping) and key not in accepted for key, value in config.items())
    for part, settings in (config if by_part else {"model": config}).items():
        _adapt(owner, part, dict(settings), accepted, task_type if part == "model" else None)
    parameters = list(owner.parameters())
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    total = sum(parameter.numel() for parameter in parameters)
    info(f"LoRA: {trained:,} of {total:,} parameters are trained ({trained / max(total, 1):.2%})")


def _adapt(owner: nn.Module, part: str, settings: dict[str, Any], accepted: list[str], task_type: str | None) -> None:
    from peft import LoraConfig, get_peft_model

    section = SECTION if part == "model" else f"{SECTION}.{part}"
    must_be_known(settings, accepted, "peft.LoraConfig has no argument", where=section)
    modules = dict(owner.named_modules())
    path = part if part == "model" or part.startswith("model.") else f"model.{part}"
    if path not in modules:
        parts = [known.removeprefix("model.") for known in modules if known.startswith("model")]
        raise ConfigError(f"the model has no part {part!r}", where=SECTION, hint=did_you_mean(part, parts))
    module = modules[path]
    parent_path, _, name = path.rpartition(".")
    if task_type is not None:
        settings.setdefault("task_type", task_type)
    linear = {path.rsplit(".", 1)[-1] for path, layer in module.named_modules() if isinstance(layer, nn.Linear)}
    hint = f"`target_modules` may be 'all-linear' or some of: {', '.join(sorted(linear))}"
    # peft's own words say which argument or which layer.
    with told_as_config_error(f"peft cannot adapt {part!r}", ValueError, TypeError, where=section, hint=hint):
        setattr(modules[parent_path], name, get_peft_model(module, LoraConfig(**settings)))
