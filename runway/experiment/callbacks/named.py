"""The callbacks that ``train.callbacks`` names: Lightning's own, and ``package.module:Class``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning
from lightning.pytorch import callbacks as lightnings

from runway.config.signatures import accepted_settings
from runway.errors import ConfigError, must_be_known, told_as_config_error
from runway.executors.optimizers import named_class

WHERE = "train.callbacks"
# What the experiment builds itself: a second one would contradict it.
_OWNED = {"ModelCheckpoint": "model_checkpoint_callback_paras", "EarlyStopping": "early_stopping_callback_paras"}


def named_callbacks(config: Mapping[str, Any]) -> list[lightning.Callback]:
    """The callbacks of a config, made.

    Args:
        config: the whole config; ``train.callbacks`` holds names, or objects ``{name, …}`` with the arguments of each.

    Raises:
        ConfigError: there is no such callback, it takes no such argument, or runway builds it itself.
    """
    made = []
    for number, item in enumerate((config.get("train") or {}).get("callbacks") or ()):
        where = f"{WHERE}[{number}]"
        arguments = dict(item) if isinstance(item, Mapping) else {"name": item}
        name = arguments.pop("name", None)
        if not isinstance(name, str):
            raise ConfigError("the callback has no `name`", where=where, hint="{ name: 'package.module:Class', ... }")
        if name in _OWNED:
            raise ConfigError(f"runway builds {name} itself", where=where, hint=f"say train.{_OWNED[name]}")
        known = [known for known in lightnings.__all__ if known not in _OWNED]
        if ":" not in name:
            hint = "your own: package.module:Class"
            must_be_known([name], known, "Lightning has no callback", where=where, listing=30, hint=hint)
        cls = named_class(name, lightning.Callback, where) if ":" in name else getattr(lightnings, name)
        accepted = accepted_settings(cls, "__init__")
        if not accepted.takes_any:
            must_be_known(arguments, accepted.names, f"{cls.__name__} has no argument", where=where, listing=20)
        with told_as_config_error(f"{cls.__name__} does not take these arguments", TypeError, ValueError, where=where):
            made.append(cls(**arguments))
    return made
