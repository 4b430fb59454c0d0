"""Loads a Hugging Face tokenizer: from the hub, from a folder, from an asset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.assets import assets_cache, fetch, hub_is_reachable, is_asset
from runway.disk import expanded
from runway.errors import AssetError, ConfigError, did_you_mean, must_be
from runway.log import warning
from runway.pretrained import open_pretrained

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runway.transforms.base import BaseTransform

TOKENIZER_KEYS = (
    "version_name",
    "class_name",
    "tokenize_kwargs",
    "sha256",
    "revision",
    "init_kwargs",
    "from_pretrained_kwargs",
    "additional_tokens",
)
"""What a ``tokenizer_config`` may hold."""


def check_keys(tokenizer_config: Mapping[str, Any], where: str = "tokenizer_config") -> None:
    """Warn of keys that nothing reads."""
    for key in tokenizer_config:
        if key not in TOKENIZER_KEYS:
            warning(f"{where}.{key} is not used ({did_you_mean(key, TOKENIZER_KEYS)})", once=True)


def load_tokenizer(
    tokenizer_config: Mapping[str, Any], project: Path | None = None, cache_dir: Path | str = "cache"
) -> Any:
    """The tokenizer that a ``tokenizer_config`` describes.

    Args:
        tokenizer_config: ``version_name`` (a name on the hub, a path relative to the project, or an asset),
            ``class_name`` (a class of transformers, by default AutoTokenizer), and where needed ``sha256`` (pins an
            asset), ``revision`` (of the hub), ``init_kwargs`` or ``from_pretrained_kwargs`` (further arguments of
            ``from_pretrained``), ``additional_tokens`` (texts, each of which becomes one token).
        project: the project's folder; None is the current one.
        cache_dir: where assets are kept, relative to the project.

    Raises:
        ConfigError: the config lacks ``version_name``, ``class_name`` is not a tokenizer of transformers, or another
            value is not of the kind that it must be.
        AssetError: the files cannot be had.
    """
    where = "tokenizer_config"
    check_keys(tokenizer_config)
    added = tokenizer_config.get("additional_tokens") or []
    are_texts = isinstance(added, list | tuple) and all(isinstance(token, str) and token for token in added)
    must_be(are_texts, "additional_tokens", "a list of texts", added, where=where)
    name = tokenizer_config.get("version_name")
    hint = "for example version_name: 'distilbert-base-uncased'"
    is_text = isinstance(name, str) and name != ""
    must_be(is_text, "version_name", "a hub name, a path or an asset", name, where=where, hint=hint)
    name = str(name)
    root = Path(project or Path.cwd())
    local = root / expanded(name)
    if is_asset(name):
        local = fetch(name, tokenizer_config.get("sha256"), cache_dir, root)
    elif not local.exists() and name.startswith(("/", ".", "~")):
        raise AssetError(f"there is no tokenizer at {name!r}", where=f"{where}, {local}")

    import transformers

    class_name = tokenizer_config.get("class_name") or "AutoTokenizer"
    cls = getattr(transformers, class_name, None)
    if cls is None or not hasattr(cls, "from_pretrained"):
        known = [known_name for known_name in dir(transformers) if "Tokenizer" in known_name]
        raise ConfigError(
            f"`class_name` must be a tokenizer class of transformers, but is {class_name!r} instead",
            where=where,
            hint=did_you_mean(class_name, known),
        )
    kwargs = _from_pretrained_kwargs(tokenizer_config)
    if tokenizer_config.get("revision"):
        kwargs["revision"] = tokenizer_config.get("revision")
    on_hub = not local.exists()
    if on_hub and not hub_is_reachable():
        kwargs["local_files_only"] = True  # what was downloaded before, without a minute of retries
    try:
        tokenizer = open_pretrained(cls, name if on_hub else local, where=where, **kwargs)
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # TypeError: a folder without a tokenizer's files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(":")
        if kwargs.get("local_files_only"):
            reason = "it is neither a local path nor in the hub's cache, and the hub is not reachable"
        raise AssetError(
            f"the tokenizer {name!r} cannot be loaded: {reason}",
            where=where,
            hint="check version_name and the network (and HF_HUB_OFFLINE), or give the path of a folder of your own",
        ) from error
    tokenizer.add_tokens(list(added))
    return tokenizer


def _from_pretrained_kwargs(tokenizer_config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``from_pretrained``, under either name."""
    one, other = (dict(tokenizer_config.get(name) or {}) for name in ("init_kwargs", "from_pretrained_kwargs"))
    both = sorted(name for name in one.keys() & other.keys() if one[name] != other[name])
    if both:
        message = f"`init_kwargs` and `from_pretrained_kwargs` give different values to {', '.join(both)}"
        raise ConfigError(message, where="tokenizer_config", hint="they are one: give each argument once")
    return one | other


def tokenizer_of_node(transform: BaseTransform, tokenizer_config: Mapping[str, Any]) -> Any:
    """The tokenizer that a ``tokenizer_config`` describes, for a transform whose output then depends on its files."""
    name = str(tokenizer_config.get("version_name"))
    if not is_asset(name) and transform.resolve_path(name).exists():
        transform.track_file(name)
    return load_tokenizer(tokenizer_config, transform.project, assets_cache(transform.global_config, transform.project))


def apart_from_tokenizer(data: Any) -> tuple[Any, Any]:
    """The two parts of an input ``[rows, tokenizer]``; of rows alone, the rows and None."""
    if isinstance(data, list | tuple) and len(data) in (1, 2):
        return data[0], data[1] if len(data) == 2 else None
    return data, None


def padding_of(tokenizer: Any) -> int:
    """The id that pads ``input_ids``: the padding token's, else that of the end of sentence."""
    token = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return token or 0
