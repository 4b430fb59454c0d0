"""Fixtures of the transforms' tests: a node as the runner makes it, and a tokenizer of a few words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from runway.registry import transforms

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "good", "bad", "film", "the", "is", "very", "long", "."]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Any]:
    """``make('SelectRows', num_rows=2)`` is the node, set up as the runner does it, in a project at tmp_path."""

    def make_node(
        transform: str, *, global_config: Mapping[str, Any] | None = None, use_dummy_data: bool = False, **settings: Any
    ) -> Any:
        functor = transforms.get(f"runway.transforms.{transform}" if ":" in transform else transform)(
            name=f"process:{transform}", global_config=global_config, use_dummy_data=use_dummy_data, project=tmp_path
        )
        functor.setup(**settings)
        return functor

    return make_node


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A word-level BERT tokenizer, saved."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    return folder


def node(cls: type, **settings: Any) -> Any:
    made = cls(name="process:X")
    made.setup(**settings)
    return made
