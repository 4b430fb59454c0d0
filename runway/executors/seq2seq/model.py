"""Makes the encoder-decoder of a Seq2SeqExecutor: pretrained, or from scratch in the tokenizer's sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForSeq2SeqLM

from runway.errors import ConfigError, did_you_mean, must_be, must_be_known, told_as_config_error
from runway.executors.pretrained import load_pretrained
from runway.executors.seq2seq.cpu_attention import use_fast_attention
from runway.library_internals import encoder_decoder_types
from runway.log import warning
from runway.pretrained import open_pretrained

if TYPE_CHECKING:
    from runway.config.config import Config

SECTION = "model_config"
SCRATCH_SECTION = f"{SECTION}.from_config_kwargs"


class Tokenizers(NamedTuple):
    """The tokenizer of each side; the same object twice where it is one for both."""

    source: Any
    target: Any

    @property
    def joint(self) -> bool:
        """Whether one tokenizer serves both sides."""
        return self.source is self.target

    @classmethod
    def of(cls, value: Any, where: str) -> Tokenizers:
        """What a tokenizer node gives: a tokenizer, or ``{source: …, target: …}``.

        Raises:
            ConfigError: it is neither, or a tokenizer lacks what a sequence must end or be padded with.
        """
        is_pair = isinstance(value, Mapping) and {"source", "target"} <= value.keys()
        pair = (
            cls(value["source"], value["target"])
            if is_pair and not hasattr(value, "batch_decode")
            else cls(value, value)
        )
        for side, tokenizer in zip(("source", "target"), pair, strict=True):
            if not hasattr(tokenizer, "batch_decode"):
                kind = type(tokenizer).__name__
                message = f"the {side} tokenizer must be a tokenizer of transformers, but is a {kind}"
                hint = "name the node that gives one (TrainTokenizer), or {source: …, target: …} of two"
                raise ConfigError(message, where=where, hint=hint)
            for token in ("pad_token", "eos_token"):
                if getattr(tokenizer, f"{token}_id", None) is None:
                    hint = "sequences are padded and end with one; give it in the tokenizer's `init_kwargs`"
                    raise ConfigError(f"the {side} tokenizer has no {token}", where=where, hint=hint)
        return pair


def make_model(model_config: Config, tokenizers: Tokenizers) -> Any:
    """The model that ``model_config`` describes.

    Args:
        model_config: ``from_pretrained_kwargs`` for trained weights. For random ones ``from_config_kwargs``
            (``model_type`` and an architecture's sizes), or ``from_pretrained_kwargs`` with
            ``train_from_scratch: true``, which takes a pretrained model's architecture without its weights.
        tokenizers: a model from scratch has as many embeddings as they have tokens, and their special tokens.

    Raises:
        ConfigError: sizes that do not fit each other or the tokenizer; a tokenizer that is not the pretrained model's.
    """
    sizes, pretrained = model_config.get("from_config_kwargs"), model_config.get("from_pretrained_kwargs")
    if sizes and pretrained and not model_config.get("train_from_scratch"):
        raise ConfigError(
            "`from_pretrained_kwargs` asks for trained weights, `from_config_kwargs` for a model from scratch",
            where=SECTION,
            hint="leave one out: `~model_config.from_config_kwargs`, or `model_config:` (not `+:`) over a template; "
            "`train_from_scratch: true` takes the pretrained architecture with these changes",
        )
    if sizes or model_config.get("train_from_scratch"):
        model = _from_scratch(model_config, tokenizers)
    else:
        model = load_pretrained(AutoModelForSeq2SeqLM, model_config)
        _check_pretrained(model, tokenizers)
    _settle_start(model)
    use_fast_attention(model)
    return model


def max_positions(model: Any) -> int | None:
    """How many positions both sides of the model have; None where they are relative."""
    found = [getattr(model.config, f"max_{side}position_embeddings", None) for side in ("", "encoder_", "decoder_")]
    return min((count for count in found if isinstance(count, int) and count > 0), default=None)


def _from_scratch(model_config: Config, tokenizers: Tokenizers) -> Any:
    given = dict(model_config.get("from_config_kwargs") or {})
    source, target = tokenizers
    name = (model_config.get("from_pretrained_kwargs") or {}).get("pretrained_model_name_or_path")
    special = {
        "pad_token_id": target.pad_token_id,
        "eos_token_id": target.eos_token_id,
        "bos_token_id": target.bos_token_id,
        "decoder_start_token_id": target.pad_token_id if target.bos_token_id is None else target.bos_token_id,
        "forced_eos_token_id": None,
    }
    sizes: dict[str, Any] = {"vocab_size": len(source)}
    if not tokenizers.joint:
        sizes |= {"decoder_vocab_size": len(target), "share_encoder_decoder_embeddings": False}
    model_type = given.pop("model_type", None)
    attention = given.pop("attn_implementation", None)
    if name and not model_type:
        kwargs = {**model_config["from_pretrained_kwargs"]}
        kwargs.pop("pretrained_model_name_or_path")
        config = open_pretrained(AutoConfig, name, where=f"{SECTION}.from_pretrained_kwargs", **kwargs)
        model_type = config.model_type
        if hasattr(config, "decoder_vocab_size"):
            sizes["decoder_vocab_size"] = len(target)
        _check_settings(model_type, given)
        config.update({**sizes, **special, **given})  # over what the checkpoint says, old keys of transformers included
    elif not model_type:
        hint = "or name a model to take the architecture of: from_pretrained_kwargs and train_from_scratch"
        message = "`model_type` must name an encoder-decoder, such as 'marian' or 'bart'"
        raise ConfigError(message, where=SCRATCH_SECTION, hint=hint)
    else:
        _check_settings(model_type, given)
        what = f"a {model_type!r} model has no such settings"
        with told_as_config_error(what, TypeError, ValueError, where=SCRATCH_SECTION):
            config = AutoConfig.for_model(model_type, **{**sizes, **special, **given})
    if not tokenizers.joint and not hasattr(AutoConfig.for_model(model_type), "decoder_vocab_size"):
        message = f"a {model_type!r} model has one vocabulary for both sides, but there are two tokenizers"
        hint = "train one tokenizer for both (`joint: true`), or take model_type 'marian'"
        raise ConfigError(message, where=SCRATCH_SECTION, hint=hint)
    _check_sizes(config, tokenizers)
    kwargs = {"attn_implementation": attention} if attention else {}
    kinds = (TypeError, ValueError, AssertionError)
    with told_as_config_error(f"a {model_type!r} model cannot be made", *kinds, where=SCRATCH_SECTION):
        model = AutoModelForSeq2SeqLM.from_config(config, trust_remote_code=False, **kwargs)
    if config.pad_token_id not in (None, config.eos_token_id):  # neither is ever a target, so it was never learnt
        unused = {config.pad_token_id, config.decoder_start_token_id} - {None, config.eos_token_id}
        model.generation_config.bad_words_ids = [[token] for token in sorted(unused)]
    return model


def _check_settings(model_type: str, given: Mapping[str, Any]) -> None:
    """Raise for what the user has written and the architecture does not have."""
    where = f"{SCRATCH_SECTION}.model_type"
    if model_type not in CONFIG_MAPPING:
        hint = did_you_mean(str(model_type), encoder_decoder_types())
        raise ConfigError(f"there is no model of type {model_type!r}", where=where, hint=hint)
    defaults = AutoConfig.for_model(model_type)
    if not getattr(defaults, "is_encoder_decoder", False):
        message = f"`model_type` must name an encoder-decoder, but {model_type!r} is none"
        raise ConfigError(message, where=where, hint="such as marian, bart, t5, pegasus, mbart")
    known = defaults.to_dict().keys() | set(getattr(defaults, "attribute_map", None) or {})
    known |= {"bos_token_id", "forced_eos_token_id", "decoder_start_token_id", "decoder_vocab_size"}
    known |= {"share_encoder_decoder_embeddings"}
    replace = "to leave out what a template sets, write `model_config:`, not `model_config+:`"
    must_be_known(given, known, f"a {model_type!r} model has no setting", where=SCRATCH_SECTION, hint=replace)


def _check_sizes(config: Any, tokenizers: Tokenizers) -> None:
    decoder_size = getattr(config, "decoder_vocab_size", None) or config.vocab_size
    for key, size, tokenizer in (
        ("vocab_size", config.vocab_size, tokenizers.source),
        ("decoder_vocab_size", decoder_size, tokenizers.target),
    ):
        must, hint = f"at least the tokenizer's {len(tokenizer)} tokens", "leave it out: it follows from the tokenizer"
        must_be(size >= len(tokenizer), key, must, size, where=SCRATCH_SECTION, hint=hint)
    width = getattr(config, "d_model", None)
    for key in ("encoder_attention_heads", "decoder_attention_heads"):
        heads = getattr(config, key, None)
        if isinstance(width, int) and isinstance(heads, int) and heads and config.model_type != "t5" and width % heads:
            message = f"`d_model` must be a multiple of `{key}`, but is {width} with {heads} heads instead"
            raise ConfigError(message, where=SCRATCH_SECTION)


def _check_pretrained(model: Any, tokenizers: Tokenizers) -> None:
    """Raise where tokenizer and weights cannot belong together: the ids of the one mean nothing to the other."""
    where = f"{SECTION}.from_pretrained_kwargs"
    own = "use the tokenizer that belongs to the model (`tokenizer_config: { version_name: … }`), or train from scratch"
    size = getattr(model.get_input_embeddings(), "num_embeddings", None)
    for side, tokenizer in zip(("source", "target"), tokenizers, strict=True):
        sizes = f"the {side} tokenizer has {len(tokenizer)} tokens, but the model has {size}"
        if size is not None and len(tokenizer) > size:
            raise ConfigError(sizes, where=where, hint=own)
        for name in ("pad_token_id", "eos_token_id"):
            ours, theirs = getattr(tokenizer, name), getattr(model.config, name, None)
            if theirs is not None and ours not in (theirs if isinstance(theirs, list | tuple) else [theirs]):
                message = f"the {side} tokenizer's {name} is {ours}, but the model was trained with {theirs}"
                raise ConfigError(message, where=where, hint=own)
        if size is not None and len(tokenizer) < size // 2:
            warning(f"{sizes}: does it belong to it?")


def _settle_start(model: Any) -> None:
    """Let training start the decoder with the token that ``generate`` starts it with."""
    generation, config = model.generation_config, model.config
    for found in (generation.decoder_start_token_id, config.decoder_start_token_id, generation.bos_token_id):
        if found is not None:
            config.decoder_start_token_id = generation.decoder_start_token_id = found
            return
