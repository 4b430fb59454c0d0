"""A tiny translation task: sentences of ten words, translated word by word; a tokenizer, loaders, a model, a config."""

from __future__ import annotations

import functools
import random
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from runway.config.config import Config, LoadedFrom
from runway.executors.seq2seq.executor import Seq2SeqExecutor
from runway.executors.seq2seq.generation import Generation
from runway.registry import register_transform_functor
from runway.transforms.base import BaseTransform
from tests.executors.tiny import build

WORDS = {
    "ein": "a",
    "hund": "dog",
    "rennt": "runs",
    "die": "the",
    "katze": "cat",
    "schläft": "sleeps",
    "am": "at",
    "meer": "sea",
    "und": "and",
    "singt": "sings",
}
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
SIZES = {
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
}
MARIAN = {"model_type": "marian", "d_model": 32, "dropout": 0.0, "scale_embedding": True, "init_std": 0.15, **SIZES}
BART = {"model_type": "bart", "d_model": 32, "dropout": 0.0, "init_std": 0.15, **SIZES}
T5 = {"model_type": "t5", "d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0}


def pairs(count: int, seed: int = 0, most: int = 9) -> list[tuple[str, str]]:
    """Sentences of 1 to ``most`` words and their translations."""
    generator = random.Random(seed)
    sources = [generator.choices(list(WORDS), k=generator.randint(1, most)) for _ in range(count)]
    return [(" ".join(words), " ".join(WORDS[word] for word in words)) for words in sources]


@functools.cache
def tokenizer(side: str = "joint") -> Any:
    """A tokenizer of whole words, of both languages or of one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"joint": [*WORDS, *WORDS.values()], "source": [*WORDS], "target": [*WORDS.values()]}[side]
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *(f"▁{word}" for word in words)])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


class PairRows(Dataset):
    """Encoded pairs."""

    def __init__(self, texts: list[tuple[str, str]], joint: bool = True) -> None:
        self.texts = texts
        source, target = (tokenizer("joint" if joint else side) for side in ("source", "target"))
        self.rows = [
            (source(text)["input_ids"] + [source.eos_token_id], target(right)["input_ids"] + [target.eos_token_id])
            for text, right in texts
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"index": row, "ids": self.rows[row], "texts": self.texts[row]}


def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """As the contract of the pair loaders says."""
    sources, targets = zip(*(row["ids"] for row in rows), strict=True)
    input_ids = _padded(sources, 0)
    return {
        "input_ids": input_ids,
        "attention_mask": (input_ids != 0).long(),
        "labels": _padded(targets, -100),
        "index": torch.tensor([row["index"] for row in rows]),
        "source": [row["texts"][0] for row in rows],
        "target": [row["texts"][1] for row in rows],
    }


def _padded(sequences: Any, value: int) -> torch.Tensor:
    longest = max(map(len, sequences))
    return torch.tensor([[*ids, *[value] * (longest - len(ids))] for ids in sequences])


def batches_of(rows: PairRows, batch_size: int) -> list[list[int]]:
    """Longest first."""
    order = sorted(range(len(rows)), key=lambda row: -len(rows.rows[row][0]))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


@register_transform_functor
class MakeTinyPairs(BaseTransform):
    """Dataloaders over made-up pairs; validation and test from the longest on."""

    def setup(
        self,
        rows: int = 64,
        test_rows: int = 21,
        batch_size: int = 8,
        eval_batch_size: int = 8,
        most: int = 9,
        joint: bool = True,
        **kwargs: Any,
    ) -> None:
        """Take the sizes."""
        super().setup(**kwargs)
        self.rows, self.test_rows, self.most, self.joint = rows, test_rows, most, joint
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size

    def _call(self, data: Any) -> dict[str, list[DataLoader]]:
        train = PairRows(pairs(self.rows, 0, self.most), self.joint)
        held_out = [PairRows(pairs(self.test_rows, seed, self.most), self.joint) for seed in (1, 2)]
        valid, test = (
            DataLoader(rows, batch_sampler=batches_of(rows, self.eval_batch_size), collate_fn=collate)
            for rows in held_out
        )
        return {
            "train_dataloaders": [DataLoader(train, batch_size=self.batch_size, shuffle=True, collate_fn=collate)],
            "val_dataloaders": [valid],
            "test_dataloaders": [test],
        }


@register_transform_functor
class GiveTinyTokenizer(BaseTransform):
    """The tokenizer of the tiny pairs, or one of each side."""

    def setup(self, joint: bool = True, **kwargs: Any) -> None:
        """Take whether one serves both sides."""
        super().setup(**kwargs)
        self.joint = joint

    def _call(self, data: Any) -> Any:
        return tokenizer() if self.joint else {side: tokenizer(side) for side in ("source", "target")}


def translation_config(project: Path, *, joint: bool = True, model: Any = None, **loaders: Any) -> Config:
    """A whole config: loaders and a tokenizer as nodes, a tiny model from scratch, an optimiser."""
    config = Config(
        experiment_name="tiny",
        meta={
            "default_cache_dir": str(project / "cache"),
            "EXPERIMENT_FOLDER": str(project / "experiments"),
            "seed": 1,
            "logger_enable": [],
        },
        data_pipeline={
            "transforms": {
                "output:Loaders": {
                    "transform_name": "MakeTinyPairs",
                    "setup_kwargs": {"joint": joint, **loaders},
                    "cache": False,
                },
                "process:Tokenizer": {
                    "transform_name": "GiveTinyTokenizer",
                    "setup_kwargs": {"joint": joint},
                    "cache": False,
                },
            }
        },
        model_config={"from_config_kwargs": dict(model or MARIAN)},
        executor={
            "ExecutorClass": "Seq2SeqExecutor",
            "init_kwargs": {"use_data_node": "output:Loaders", "tokenizer_node": "process:Tokenizer"},
        },
        train={
            "trainer_paras": {"max_epochs": 1, "accelerator": "cpu", "devices": 1, "enable_progress_bar": False},
            "optimizer_config": {"optimizer_name": "Adam", "optimizer_params": {"lr": 5e-3}},
        },
        test={"trainer_paras": {"accelerator": "cpu", "devices": 1}},
        eval={},
    )
    config.loaded_from = LoadedFrom(project / "config.jsonnet", project)
    return config


NODES = {"tokenizer_node": "process:Tokenizer"}


def make(tmp_path, *, mode="train", joint=True, model=None, loaders=None, **init_kwargs):
    torch.manual_seed(0)
    config = translation_config(tmp_path, joint=joint, model=model, **(loaders or {}))
    return build(Seq2SeqExecutor, config, mode, **{**NODES, **init_kwargs})


def hypotheses(executor, rows, batch_size, num_beams):
    executor.generation = Generation(
        {"num_beams": num_beams}, executor.model.generation_config, positions=executor.positions
    )
    found = {}
    for batch in batches_of(rows, batch_size):
        texts = executor.translate_batch(executor._runway_complete(collate([rows[row] for row in batch])))
        found.update(zip(batch, texts, strict=True))
    return [found[row] for row in range(len(rows))]
