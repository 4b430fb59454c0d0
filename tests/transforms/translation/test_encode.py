"""Sentence pairs as token ids, and as batches: what is in them, what is too long, what pads."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict

from runway.errors import ConfigError, DataError
from runway.transforms.batching.length_buckets import LengthBucketSampler
from runway.transforms.text.train_tokenizer import TrainTokenizer
from runway.transforms.translation.encode import encode_texts
from tests.verses import verses_file

Make = Callable[..., Any]
VERSES = verses_file()
CONFIG = {"meta": {"seed": 3}, "train": {"batch_size": 16}, "test": {"batch_size": 32}}


@pytest.fixture(scope="module")
def verses() -> DatasetDict:
    rows = [line.split("\t") for line in VERSES.read_text(encoding="utf-8").splitlines()[1:]]
    columns = {"source": 0, "target": 1}
    data = Dataset.from_dict(
        {name: [row[number] for row in rows] for name, number in columns.items()}
        | {"origin": [f"verses.tsv:{line}" for line in range(2, len(rows) + 2)]}
    )
    return DatasetDict(
        train=data.select(range(300)), valid=data.select(range(300, 340)), test=data.select(range(340, 400))
    )


def train(verses: DatasetDict, **settings: Any) -> Any:
    node = TrainTokenizer(name="tokenizer")
    node.setup(vocab_size=400, **settings)
    return node(verses)


@pytest.fixture(scope="module")
def tokenizer(verses: DatasetDict) -> Any:
    return train(verses)


def test_the_columns_of_an_encoded_pair(make: Make, verses: DatasetDict, tokenizer: Any) -> None:
    node = make("EncodePairs", batch_size=70)
    encoded = node([verses, tokenizer])
    assert {name: len(rows) for name, rows in encoded.items()} == {"train": 300, "valid": 40, "test": 60}
    for split in ("train", "test"):
        assert encoded[split]["source"][:] == verses[split]["source"][:]
        for row in encoded[split]:
            assert row["input_ids"] == tokenizer(row["source"])["input_ids"]
            assert row["labels"] == tokenizer(row["target"])["input_ids"]
            assert row["labels"][-1] == tokenizer.eos_token_id
    facts = node._runway_reads.notes["encoded"]["train"]
    assert facts["pairs"] == 300
    assert facts["target tokens"] == sum(map(len, encoded["train"]["labels"]))
    assert facts["longest source"] == max(map(len, encoded["train"]["input_ids"]))
    assert (facts["truncated"], facts["dropped"]) == (0, {})


def test_a_tokenizer_for_each_language(make: Make, verses: DatasetDict) -> None:
    both = train(verses, joint=False)
    row = make("EncodePairs")([verses, both])["test"][0]
    assert row["input_ids"] == both["source"](row["source"])["input_ids"]
    assert row["labels"] == both["target"](row["target"])["input_ids"]
    assert row["labels"] != both["source"](row["target"])["input_ids"]


def test_a_pretrained_tokenizer_by_config(make: Make, verses: DatasetDict, tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path / "mine")
    config = {"tokenizer_config": {"version_name": "mine"}}
    encoded = make("EncodePairs", global_config=config, source_prefix="translate: ")(verses)
    row = encoded["test"][0]
    assert row["input_ids"] == tokenizer("translate: " + row["source"])["input_ids"]
    assert row["labels"] == tokenizer(row["target"])["input_ids"]
    with pytest.raises(ConfigError, match=r"there is no tokenizer"):
        make("EncodePairs")(verses)
    with pytest.raises(DataError, match=r"second input must be a tokenizer"):
        make("EncodePairs")([verses, verses])


def test_a_tokenizer_that_ends_with_nothing_gets_an_end(make: Make, tokenizer_folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder, eos_token="long")
    pairs = Dataset.from_dict({"source": ["a good film"], "target": ["bad"]})
    row = make("EncodePairs")([pairs, tokenizer])[0]
    assert row["labels"] == [*tokenizer("bad")["input_ids"], tokenizer.eos_token_id]


def test_pairs_that_are_too_long(make: Make, verses: DatasetDict, tokenizer: Any) -> None:
    whole = make("EncodePairs")([verses, tokenizer])["train"]
    fits = np.array([max(len(row["input_ids"]), len(row["labels"])) <= 30 for row in whole])
    first = int(np.flatnonzero([len(ids) > 30 for ids in whole["input_ids"]])[0])
    with pytest.raises(DataError, match=rf"the source in row {first} of the split 'train' has \d+ tokens") as caught:
        make("EncodePairs", max_length=30)([verses, tokenizer])
    assert f"verses.tsv:{first + 2}" in str(caught.value)

    node = make("EncodePairs", max_length=30, on_too_long={"train": "drop", "valid": "truncate", "test": "truncate"})
    data = node([verses, tokenizer])
    assert data["train"]["source"][:] == [row["source"] for row, fit in zip(whole, fits, strict=True) if fit]
    assert len(data["test"]) == 60, "a test set stays whole"
    for ids in chain(data["test"]["input_ids"], data["test"]["labels"]):
        assert len(ids) <= 30
        assert ids[-1] == tokenizer.eos_token_id
    notes = node._runway_reads.notes["encoded"]
    assert sum(notes["train"]["dropped"].values()) == int((~fits).sum())
    assert notes["test"]["truncated"] > 0

    with pytest.raises(DataError, match=r"no pair of the split 'train' is left"):
        make("EncodePairs", max_length=2, on_too_long="drop")([verses, tokenizer])
    with pytest.raises(ConfigError, match=r"`on_too_long` must be one of error, truncate, drop"):
        make("EncodePairs", on_too_long={"train": "skip"})


PIECES = [(f"\u2581{word}", -1.0) for word in ("a", "dog", "runs")] + [
    (letter, -5.0) for letter in "\u2581dogruns<>/_X"
]


@pytest.fixture(scope="module")
def mbart() -> Any:
    """A tokenizer of mBART's kind: each text ends with the end of sentence and its language."""
    from transformers import MBartTokenizer

    special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    return MBartTokenizer(vocab=[*special, *PIECES], src_lang="de_DE", tgt_lang="en_XX")


@pytest.mark.parametrize(("limit", "tokens"), [(4, ["\u2581a", "\u2581dog"]), (3, ["\u2581a"]), (2, []), (1, None)])
def test_what_ends_a_sentence_stays_where_it_is_cut(
    make: Make, mbart: Any, limit: int, tokens: list[str] | None
) -> None:
    pairs = Dataset.from_dict({"source": ["a dog runs"], "target": ["a dog runs"]})
    row = make("EncodePairs", max_length=limit, on_too_long="truncate")([pairs, mbart])[0]
    for name, language in (("input_ids", "de_DE"), ("labels", "en_XX")):
        cut = ["</s>"] if tokens is None else [*tokens, "</s>", language]
        assert mbart.convert_ids_to_tokens(row[name]) == cut


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_a_special_token_in_a_text_is_text(make: Make, algorithm: str) -> None:
    texts = ["a dog <s> runs </s> fast <pad>", "a dog runs fast"] * 4
    pairs = Dataset.from_dict({"source": texts, "target": texts})
    tokenizer = make("TrainTokenizer", vocab_size=20, algorithm=algorithm, library="tokenizers")(pairs)
    for ids in make("EncodePairs")([pairs, tokenizer])[0].values():
        if isinstance(ids, list):
            assert not {0, 1, 2, 3} & set(ids[:-1])
            assert tokenizer.decode(ids, skip_special_tokens=True).replace("< ", "<") == texts[0]
    assert encode_texts(tokenizer, texts[1:2]) == tokenizer(texts[1:2])["input_ids"]
    assert encode_texts(tokenizer, []) == []


def test_a_special_token_in_a_prefix_is_the_token(mbart: Any) -> None:
    def tokens(*given: Any) -> list[str]:
        return mbart.convert_ids_to_tokens(encode_texts(mbart, ["a <s>"], *given)[0])

    assert tokens("target") == ["\u2581a", "\u2581", "<", "\u2581", "s", ">", "</s>", "en_XX"]
    assert tokens("source", "<s>")[0] == "<s>"
    assert "<s>" not in tokens("source", "<s>")[1:]


def test_t5_reads_a_prefix_and_no_control_tokens() -> None:
    from transformers import T5Tokenizer

    special = [(token, 0.0) for token in ("<pad>", "</s>", "<unk>")]
    tokenizer = T5Tokenizer(vocab=[*special, *PIECES], extra_ids=2)
    (ids,) = encode_texts(tokenizer, ["a <s> dog </s> runs"], prefix="dog: ")
    assert tokenizer.decode(ids[:-1]) == "dog<unk> a <s> dog < /s> runs"
    assert ids[-1] == tokenizer.eos_token_id


def test_an_empty_side(make: Make, tokenizer: Any) -> None:
    pairs = Dataset.from_dict({"source": ["a", "b"], "target": ["x", " "], "origin": ["a.de:1", "a.de:7"]})
    with pytest.raises(DataError, match=r"the target is empty in row 1(.|\n)*a.de:7(.|\n)*FilterPairs"):
        make("EncodePairs")([pairs, tokenizer])


@pytest.fixture(scope="module")
def encoded(verses: DatasetDict, tokenizer: Any) -> DatasetDict:
    from runway.transforms.translation.encode import EncodePairs

    node = EncodePairs(name="encode")
    node.setup()
    return node([verses, tokenizer])


def loaders(make: Make, data: Any, config: Mapping = CONFIG, **settings: Any) -> dict[str, Any]:
    made = make("MakePairDataloaders", global_config=config, **settings)(data)
    return {role.removesuffix("_dataloaders"): found[0] for role, found in made.items()}


def test_a_batch(make: Make, encoded: DatasetDict, tokenizer: Any) -> None:
    tokenizer.pad_token_id = tokenizer.convert_tokens_to_ids("a")  # not 0, so that it shows
    made = loaders(make, [encoded, tokenizer])
    tokenizer.pad_token_id = 0
    for role, split in (("train", "train"), ("val", "valid"), ("test", "test")):
        seen = []
        for batch in made[role]:
            assert batch["input_ids"].shape == batch["attention_mask"].shape
            assert batch["input_ids"].dtype == batch["labels"].dtype == torch.long
            for place, index in enumerate(batch["index"].tolist()):
                row = encoded[split][index]
                mask = batch["attention_mask"][place].bool()
                assert batch["input_ids"][place][mask].tolist() == row["input_ids"]
                assert set(batch["input_ids"][place][~mask].tolist()) <= {tokenizer.convert_tokens_to_ids("a")}
                labels = batch["labels"][place]
                assert labels[labels != -100].tolist() == row["labels"]
                if role != "train":
                    assert (batch["source"][place], batch["target"][place]) == (row["source"], row["target"])
                seen.append(index)
        assert sorted(seen) == list(range(len(encoded[split])))
    widths = [batch["input_ids"].shape[1] for batch in made["test"]]
    assert widths == sorted(widths, reverse=True)


def test_both_sides_waste_little(make: Make, encoded: DatasetDict) -> None:
    def padding(**settings: Any) -> float:
        empty = total = 0
        for batch in loaders(make, encoded, **settings)["train"]:
            empty += int((batch["attention_mask"] == 0).sum() + (batch["labels"] == -100).sum())
            total += batch["input_ids"].numel() + batch["labels"].numel()
        return empty / total

    assert padding() < 0.16
    assert padding(max_tokens_per_batch=900) < 0.16
    assert padding(length_bucketed=False) > 0.2


def test_batches_filled_by_the_tokens_of_both_sides(make: Make, encoded: DatasetDict) -> None:
    loader = loaders(make, encoded, max_tokens_per_batch=600)["train"]
    counts = set()
    orders = []
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        batches = list(loader)
        counts.add(len(batches))
        orders.append([batch["index"].tolist() for batch in batches])
        assert sorted(chain.from_iterable(orders[-1])) == list(range(300))
        assert max(batch["input_ids"].numel() + batch["labels"].numel() for batch in batches) <= 600
    assert len(counts) == 1, "schedulers count on the number of batches"
    assert orders[0] != orders[1]
    again = loaders(make, encoded, max_tokens_per_batch=600)["train"]
    assert [batch["index"].tolist() for batch in again] == orders[0], "the seed decides"


def _rank(rank: int, port: int, folder: str) -> None:
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    lengths = np.random.default_rng(0).integers(3, 40, (501, 2))
    for name, settings in SAMPLERS.items():
        torch.save(list(LengthBucketSampler(lengths, seed=7, **settings)), f"{folder}/{rank}-{name}.pt")
    dist.destroy_process_group()


SAMPLERS: dict[str, dict] = {"rows": {"batch_size": 16}, "tokens": {"max_tokens_per_batch": 500}}


def test_two_ranks_share_an_epoch(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_rank, (port, str(tmp_path)), nprocs=2)
    for name in SAMPLERS:
        first, second = (torch.load(tmp_path / f"{rank}-{name}.pt") for rank in range(2))
        assert len(first) == len(second)
        assert set(chain.from_iterable(first + second)) == set(range(501))
        assert len(set(map(tuple, first)) & set(map(tuple, second))) <= 1, "at most one batch twice, to come out even"


def test_pairs_that_are_not_encoded(make: Make, verses: DatasetDict) -> None:
    with pytest.raises(DataError, match=r"no column 'input_ids'(.|\n)*EncodePairs"):
        loaders(make, verses)
