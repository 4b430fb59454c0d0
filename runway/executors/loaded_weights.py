"""Whether the weights that were loaded are the model's: what is missing, what is left over, what is tied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from runway.errors import ConfigError, ExperimentError, must_be, must_be_known
from runway.library_internals import weights_not_saved
from runway.log import info, warning

ALLOWED = "model_config.allow_random"


def check_loaded(model: Any, report: Mapping[str, Any], *, where: str, allow_random: Sequence[str] = ()) -> None:
    """Tell which weights start at random and which of the file are not used; raise where it is more than a head.

    Args:
        model: as ``from_pretrained`` gives it.
        report: its ``output_loading_info``.
        where: what names the model in the config, for errors.
        allow_random: names of weights, or of modules that hold them, that may be missing beside a head.

    Raises:
        ConfigError: others are.
    """
    fits = not isinstance(allow_random, str) and all(isinstance(name, str) for name in allow_random)
    must_be(fits, "allow_random", "a list of names of weights or modules", allow_random, where=ALLOWED)
    known = [*(name for name, _ in model.named_modules() if name), *model.state_dict()]
    must_be_known(allow_random, known, "the model has no weight or module", where=ALLOWED)
    resized = {key if isinstance(key, str) else key[0] for key in report["mismatched_keys"]}
    new, unused = sorted({*report["missing_keys"]} | resized), sorted({*report["unexpected_keys"]} - resized)
    permitted = [*_head(model), *allow_random]
    body = [key for key in new if not any(key == name or key.startswith(f"{name}.") for name in permitted)]
    if body:
        raise ConfigError(
            f"{len(body)} of the model's {len(model.state_dict())} weights are not in the file, or of another size: "
            f"more than a head would start at random: {_few(body)}" + _other_names(body, unused),
            where=where,
            hint="the file must have the architecture's names, as `save_pretrained` writes them; what may start at "
            f"random goes into `{ALLOWED}: {_modules_of(body)}`",
        )
    if new:
        info(f"weights that start at random, to be trained: {_few(new)}")
    if unused:
        of_the_body = [key for key in unused if key.startswith(f"{_body(model)}.") and key.split(".")[1] != "pooler"]
        tell = warning if of_the_body else info  # a head for another task is left over as a rule
        names = _few(of_the_body or unused)
        tell(f"{len(unused)} weights of the file have no place in the model, and are unused: {names}")


def _body(model: Any) -> str:
    """The name of the pretrained body, which heads of all kinds stand on; empty where all is the body."""
    name = getattr(model, "base_model_prefix", "")
    return name if name and hasattr(model, name) else ""


def _head(model: Any) -> list[str]:
    """The modules outside of the pretrained body, and the pooler, which serves them alone."""
    body = _body(model)
    outside = {key.partition(".")[0] for key in model.state_dict()} - {body}
    return [*outside, f"{body}.pooler"] if body else []


def _few(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _other_names(missing: Sequence[str], unused: Sequence[str]) -> str:
    """What the file holds in their place, as the end of a sentence."""
    if not unused:
        return ""
    before = {key[: -len(own)] for own in missing for key in unused if key.endswith(f".{own}")}
    told = f"; the file has {len(unused)} weights that the model has no place for: {_few(unused)}"
    return told + (f", as if {before.pop()!r} stood before each name" if len(before) == 1 else "")


def _modules_of(keys: Sequence[str], most: int = 8) -> list[str]:
    """The outermost modules that say it in few names."""
    depth = next((depth for depth in range(4, 0, -1) if len({*_cut(keys, depth)}) <= most), 1)
    return sorted({*_cut(keys, depth)})


def _cut(keys: Sequence[str], depth: int) -> list[str]:
    return [".".join(key.split(".")[:depth]) for key in keys]


def with_tied_weights(state: Mapping[str, torch.Tensor], model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A file's weights under each name that ``load_state_dict`` asks for.

    ``save_pretrained`` writes a weight that several layers share (embeddings and output layer) under one of its names,
    and leaves out what the architecture computes (sinusoidal positions).

    Args:
        state: ``{name: weight}`` of a file.
        model: whose names they are; its weights stay as they are.

    Raises:
        ExperimentError: the file has two weights for one of the model's.
    """
    own = model.state_dict(keep_vars=True)
    shared: dict[Any, list[str]] = {}
    for name, weight in own.items():
        if weight.data_ptr():  # it is 0 where there is no memory yet
            shared.setdefault((weight.data_ptr(), weight.shape, weight.stride()), []).append(name)
    found = dict(state)
    for names in shared.values():
        given = [name for name in names if name in state]
        for name in given[1:]:
            first, other = state[given[0]], state[name]
            if first.shape == other.shape and not torch.equal(first, other):
                message = f"the model has one weight for {given[0]!r} and {name!r}, but the file has two that differ"
                raise ExperimentError(message, hint="`tie_word_embeddings: false` in the model's settings unties them")
        if given:
            found |= {name: state[given[0]] for name in names if name not in state}
    computed = weights_not_saved(model)
    return found | {name: own[name] for name in computed if name in own and name not in state}
