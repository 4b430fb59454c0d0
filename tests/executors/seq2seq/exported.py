"""A tiny model as an export."""

from __future__ import annotations

import torch

from runway.config.config import Config
from runway.executors.seq2seq.export import export_translator
from runway.executors.seq2seq.generation import Generation
from runway.executors.seq2seq.model import Tokenizers, make_model, max_positions
from tests.executors.tiny_translation import MARIAN, tokenizer

TOKENIZERS = Tokenizers(tokenizer(), tokenizer())
WEIGHTS = "model.safetensors"


def make(sizes=MARIAN):
    torch.manual_seed(0)
    return make_model(Config(from_config_kwargs=dict(sizes)), TOKENIZERS).eval()


def exported(folder, model=None, params=None, **settings):
    model = model or make()
    generation = Generation(params or {}, model.generation_config, positions=max_positions(model))
    export_translator(folder, model, TOKENIZERS, generation, **settings)
    return folder
