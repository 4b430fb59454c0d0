"""Encoders: from a batch to ``[B, width]``. A pretrained model of texts, a small MLP, or a module of the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from runway.errors import ConfigError, DataError, must_be, must_be_known, told_as_config_error
from runway.executors.pretrained import check_tokens, load_pretrained
from runway.registry import register_encoder

POOLING = ("mean", "first")


class TextEncoder(nn.Module):
    """A model of transformers, and one vector for each text.

    Args:
        model_config: see ``load_pretrained``; and ``pooling``: the ``mean`` over a text's tokens (the default), or the
            ``first`` token's.
        where: the config's section.
    """

    def __init__(self, model_config: Any, where: str) -> None:
        super().__init__()
        self.pooling = model_config.get("pooling") or "mean"
        must_be_known([self.pooling], POOLING, "there is no pooling", where=f"{where}.pooling")
        self.net = load_pretrained(_WithoutPooler, model_config)
        if getattr(self.net.config, "is_encoder_decoder", False):
            message = f"{type(self.net).__name__} is an encoder with a decoder, which gives no vector for a text"
            raise ConfigError(message, where=where, hint="take an encoder, such as BERT's or MiniLM's")
        self.width = int(self.net.config.hidden_size)
        self.input_names = [*inspect.signature(self.net.forward).parameters]

    def forward(self, batch: Mapping[str, Any], inputs: Sequence[str] | None) -> torch.Tensor:
        """The texts' vectors, ``[B, width]``."""
        chosen = {name: batch[name] for name in self.input_names if name in batch and name != "labels"}
        hidden = self.net(**chosen).last_hidden_state  # [B, T, width]
        if self.pooling == "first":
            return hidden[:, 0]
        mask = batch.get("attention_mask")
        if mask is None:
            return hidden.mean(1)
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)

    def check(self, batch: Mapping[str, Any], where: str) -> None:
        """The texts are tokenised, with the model's own tokens."""
        if "input_ids" not in batch:
            message = f"the batches have no 'input_ids' (they have: {', '.join(map(str, batch))})"
            hint = "tokenise the texts before (HFDatasetTokenizeTransform), or use the node that does"
            raise DataError(message, where=where, hint=hint)
        check_tokens(batch["input_ids"], self.net, where)


class _WithoutPooler:
    """AutoModel, without the layer that pools for BERT's own pretraining: it would be trained by nothing."""

    @staticmethod
    def from_pretrained(name: str, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        from transformers import AutoModel

        model, report = AutoModel.from_pretrained(name, **arguments)
        if _drop_pooler(model):
            report = {
                key: [name for name in names if not str(name).startswith("pooler.")] for key, names in report.items()
            }
        return model, report

    @staticmethod
    def from_config(config: Any, **arguments: Any) -> Any:
        from transformers import AutoModel

        model = AutoModel.from_config(config, **arguments)
        _drop_pooler(model)
        return model


def _drop_pooler(model: Any) -> bool:
    """Whether the model can do without its pooler, which then is gone."""
    optional = "add_pooling_layer" in inspect.signature(type(model).__init__).parameters
    if optional:
        model.pooler = None
    return optional


class FeatureEncoder(nn.Module):
    """A module over tensors: it gets what its ``forward`` names of the batch, or else the inputs side by side.

    Args:
        net: the module.
        width: of what it gives.
        where: the config's section.
    """

    def __init__(self, net: nn.Module, width: int, where: str) -> None:
        super().__init__()
        self.net, self.width, self.where = net, width, where
        parameters = [
            one for one in inspect.signature(net.forward).parameters.values() if one.kind is not one.VAR_KEYWORD
        ]
        self.names = [one.name for one in parameters]
        self.required = [
            one.name for one in parameters if one.default is one.empty and one.kind is not one.VAR_POSITIONAL
        ]

    def forward(self, batch: Mapping[str, Any], inputs: Sequence[str] | None) -> torch.Tensor:
        """What the module gives, ``[B, width]``."""
        if self.takes_names_of(batch):
            encoded = self.net(**{name: batch[name] for name in self.names if name in batch})
        else:
            encoded = self.net(features_of(batch, inputs))
        if encoded.ndim == 1:
            encoded = encoded.unsqueeze(-1)
        if encoded.ndim != 2 or encoded.shape[1] != self.width:
            message = f"{type(self.net).__name__} must give [B, {self.width}], but gives {list(encoded.shape)} instead"
            raise ConfigError(message, where=self.where, hint="its `out_features` says how wide its output is")
        return encoded

    def check(self, batch: Mapping[str, Any], where: str) -> None:
        """The module can be given what it takes."""
        missing = [name for name in self.required if name not in batch]
        if missing and len(self.required) > 1:
            message = f"{type(self.net).__name__} takes {', '.join(map(repr, missing))}, which the batches do not have"
            raise DataError(message, where=where, hint=f"they have: {', '.join(map(str, batch))}")

    def takes_names_of(self, batch: Mapping[str, Any]) -> bool:
        """Whether the batch has all that the module's ``forward`` names."""
        return bool(self.required) and all(name in batch for name in self.required)


def features_of(batch: Mapping[str, Any], inputs: Sequence[str] | None) -> torch.Tensor:
    """The inputs of a batch side by side, ``[B, features]``.

    Args:
        batch: tensors by name.
        inputs: their names; None takes every tensor of numbers but ``labels`` and ``index``.

    Raises:
        DataError: one is not there, or is no tensor.
    """
    known = [
        name for name, value in batch.items() if isinstance(value, torch.Tensor) and name not in ("labels", "index")
    ]
    names = known if inputs is None else inputs
    must_be_known(names, known, "the batches have no tensor", where="the inputs of a task", error=DataError)
    if not names:
        raise DataError("the batches have no tensor but the labels", where="the inputs of a task")
    return torch.cat(
        [
            batch[name].float().flatten(1) if batch[name].ndim > 1 else batch[name].float().unsqueeze(1)
            for name in names
        ],
        dim=1,
    )


@register_encoder("mlp")
class Mlp(nn.Module):
    """Linear layers with an activation after each.

    Args:
        in_features: numbers of a row; from the data where it is not given.
        hidden: the widths of the layers.
        activation: a class of ``torch.nn``.
        dropout: after each activation.
    """

    def __init__(
        self, in_features: int, hidden: Sequence[int] = (64, 64), activation: str = "ReLU", dropout: float = 0.0
    ) -> None:
        super().__init__()
        where = "model_config.encoder_kwargs"
        known = [
            name
            for name, cls in vars(nn.modules.activation).items()
            if isinstance(cls, type) and issubclass(cls, nn.Module)
        ]
        must_be_known([activation], known, "there is no activation", where=f"{where}.activation", listing=12)
        fits = all(isinstance(width, int) and width > 0 for width in hidden) and len(hidden) > 0
        must_be(fits, "hidden", "a list of whole numbers from 1", list(hidden), where=where)
        layers: list[nn.Module] = []
        for before, after in zip([in_features, *hidden], hidden, strict=False):
            layers += [nn.Linear(before, after), getattr(nn, activation)(), *([nn.Dropout(dropout)] if dropout else [])]
        self.layers = nn.Sequential(*layers)
        self.out_features = hidden[-1]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """``[B, in_features]`` to ``[B, hidden[-1]]``."""
        return self.layers(features)


def feature_encoder(
    cls: type, kwargs: Mapping[str, Any], example: Mapping[str, Any], inputs: Any, where: str
) -> FeatureEncoder:
    """A module that a config names, made for the data at hand.

    Args:
        cls: the module's class.
        kwargs: ``encoder_kwargs``.
        example: a batch of one row.
        inputs: the names of the task's inputs.
        where: the config's section.

    Raises:
        ConfigError: it does not take the arguments, or does not say how wide its output is.
    """
    if not issubclass(cls, nn.Module):
        raise ConfigError(
            f"the encoder {cls.__name__!r} must be a torch.nn.Module, but is not", where=f"{where}.encoder"
        )
    arguments = dict(kwargs)
    parameters = inspect.signature(cls).parameters
    section = f"{where}.encoder_kwargs"
    if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        must_be_known(arguments, parameters, f"{cls.__name__} has no argument", where=section, listing=12)
    if "in_features" in parameters and "in_features" not in arguments:
        if not example:
            message = "`in_features` is not known: the data gives no row to look at"
            raise ConfigError(message, where=section, hint="write it into `encoder_kwargs`")
        arguments["in_features"] = features_of(example, inputs).shape[1]
    with told_as_config_error(f"{cls.__name__} cannot be made", TypeError, ValueError, where=section):
        net = cls(**arguments)
    width = getattr(net, "out_features", None)
    if not isinstance(width, int):
        message = f"how wide the output of {cls.__name__} is is not known"
        raise ConfigError(message, where=f"{where}.encoder", hint="set `self.out_features` in its constructor")
    return FeatureEncoder(net, width, where)
