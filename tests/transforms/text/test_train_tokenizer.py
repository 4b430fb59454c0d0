"""Tokenizers trained on a few hundred verses: what they give back, what a vocabulary must be, how they are kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from datasets import Dataset, DatasetDict

from runway.config import load_config
from runway.errors import ConfigError, DataError
from runway.pipeline import DataPipeline
from runway.pipeline.store import formats
from runway.transforms.text.train_tokenizer import TokenizerPair
from tests.verses import verses_file

if TYPE_CHECKING:
    from tests.conftest import Project

Make = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[3]
VERSES = verses_file()
KINDS = [(algorithm, library) for algorithm in ("bpe", "unigram") for library in ("tokenizers", "sentencepiece")]


@pytest.fixture(scope="module")
def verses() -> DatasetDict:
    rows = [line.split("\t") for line in VERSES.read_text(encoding="utf-8").splitlines()[1:]]
    data = Dataset.from_dict({"source": [row[0] for row in rows], "target": [row[1] for row in rows]})
    return DatasetDict(train=data.select(range(350)), test=data.select(range(350, 400)))


@pytest.mark.parametrize(("algorithm", "library"), KINDS)
def test_what_is_encoded_comes_back(make: Make, verses: DatasetDict, algorithm: str, library: str) -> None:
    tokenizer = make("TrainTokenizer", vocab_size=400, algorithm=algorithm, library=library)(verses)
    assert len(tokenizer) == 400
    assert [tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id] == [
        0,
        1,
        2,
        3,
    ]
    for side in ("source", "target"):
        texts = verses["train"][side][:]
        ids = tokenizer(texts)["input_ids"]
        assert all(row[-1] == 3 and 3 not in row[:-1] for row in ids)
        assert tokenizer.batch_decode(ids, skip_special_tokens=True) == [" ".join(text.split()) for text in texts]
    assert tokenizer.unk_token_id in tokenizer("ein ☃")["input_ids"]
    assert tokenizer("  ein \u00a0 Hund")["input_ids"] == tokenizer("ein Hund")["input_ids"]


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_sentencepiece_gives_the_pieces_of_its_own_model(make: Make, verses: DatasetDict, algorithm: str) -> None:
    import sentencepiece

    node = make("TrainTokenizer", vocab_size=500, algorithm=algorithm, library="sentencepiece")
    tokenizer = node(verses)
    texts = [*verses["train"]["source"][:], *verses["train"]["target"][:]]
    model = sentencepiece.SentencePieceProcessor(model_proto=node._sentencepiece_model(texts, 500))
    for text in texts:
        assert tokenizer(text)["input_ids"] == [*model.encode(text), 3]


@pytest.mark.parametrize(("algorithm", "library"), KINDS)
@pytest.mark.parametrize("form", ["NFD", "NFKD"])
def test_text_in_another_unicode_form(make: Make, verses: DatasetDict, algorithm: str, library: str, form: str) -> None:
    composed, decomposed = (
        make("CleanPairs", unicode_form=one)(verses)["train"].select(range(100)) for one in ("NFC", form)
    )
    assert composed["source"][:] != decomposed["source"][:]
    tokenizer = make("TrainTokenizer", vocab_size=200, algorithm=algorithm, library=library)(decomposed)
    for data in (composed, decomposed):
        ids = tokenizer(data["source"][:])["input_ids"]
        assert not any(tokenizer.unk_token_id in row for row in ids), "accented characters are known"
        assert tokenizer.batch_decode(ids, skip_special_tokens=True) == composed["source"][:]


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_what_is_too_long_for_sentencepiece_is_counted(
    make: Make, verses: DatasetDict, algorithm: str, capsys: pytest.CaptureFixture
) -> None:
    long = Dataset.from_dict({side: ["ä" * 40_000, verses["train"][side][0]] for side in ("source", "target")})
    node = make("TrainTokenizer", vocab_size=30, algorithm=algorithm, library="sentencepiece")
    tokenizer = node(long)
    assert "ä" not in tokenizer.get_vocab()
    assert "2 of 4 texts (source and target) are longer than 65536 bytes" in capsys.readouterr().err
    assert node._runway_reads.notes["texts of source and target too long for sentencepiece"] == 2
    assert node._runway_reads.notes["vocabulary of source and target"]["texts"] == 2
    with pytest.raises(DataError, match=r"2 of 2 texts(.|\n)*library: 'tokenizers'"):
        node(long.select([0]))


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_by_default_the_same_text_gives_the_same_tokenizer(make: Make, verses: DatasetDict, algorithm: str) -> None:
    first, second = (make("TrainTokenizer", vocab_size=500, algorithm=algorithm)(verses) for _ in range(2))
    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()


@pytest.mark.parametrize(("algorithm", "library"), KINDS)
def test_a_vocabulary_larger_than_the_text_supports(
    make: Make, verses: DatasetDict, algorithm: str, library: str
) -> None:
    settings = {"vocab_size": 20000, "algorithm": algorithm, "library": library}
    with pytest.raises(ConfigError, match=r"supports (\d+) entries, not the 20000(.|\n)*set vocab_size to \1 or less"):
        make("TrainTokenizer", **settings)(verses)
    assert len(make("TrainTokenizer", use_dummy_data=True, **settings)(verses)) < 20000


@pytest.mark.parametrize(("algorithm", "library"), KINDS)
def test_a_vocabulary_smaller_than_the_alphabet(make: Make, verses: DatasetDict, algorithm: str, library: str) -> None:
    with pytest.raises(ConfigError, match=r"`vocab_size` 20 is too small"):
        make("TrainTokenizer", vocab_size=20, algorithm=algorithm, library=library)(verses)


def test_the_rarest_characters_are_left_out_where_there_is_no_room(
    make: Make, verses: DatasetDict, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [text for row in verses["train"] for text in (row["source"], row["target"])]
    characters = Counter("".join(texts).replace(" ", ""))
    size = len(characters) + 1 + 4  # the space, and the special tokens
    make("TrainTokenizer", vocab_size=size)(verses)
    assert "no room" not in capsys.readouterr().err
    vocabulary = make("TrainTokenizer", vocab_size=size - 2)(verses).get_vocab()
    assert len(vocabulary) == size - 2
    rarest = {text for text, _ in characters.most_common()[-2:]}
    told = " ".join(capsys.readouterr().err.split())
    assert f"has no room for 2 of {size - 4} characters" in told
    assert f"{size} entries hold all" in told
    left_out = characters.keys() - vocabulary.keys()
    assert sum(characters[text] for text in left_out) == sum(characters[text] for text in rarest)
    with pytest.raises(ConfigError, match=f"alone need {size} entries"):
        make("TrainTokenizer", vocab_size=size - 2, character_coverage=1)(verses)


def test_rare_characters_can_be_left_out(make: Make, verses: DatasetDict) -> None:
    whole, most = (
        make("TrainTokenizer", vocab_size=300, character_coverage=share)(verses).get_vocab() for share in (1.0, 0.98)
    )
    singles = [sum(len(piece) == 1 for piece in vocabulary) for vocabulary in (whole, most)]
    assert singles[0] > singles[1]
    assert {"e", "n"} <= most.keys()


def test_one_tokenizer_for_each_language(make: Make, verses: DatasetDict, tmp_path: Path) -> None:
    both = make("TrainTokenizer", vocab_size=300, joint=False)(verses)
    assert set(both) == {"source", "target"}
    assert "ü" in both["source"].get_vocab()
    assert "ü" not in both["target"].get_vocab()
    name, _ = formats.save(both, tmp_path)
    assert name == "object", "not a pickle"
    loaded = formats.load(name, tmp_path, allow_pickle=False)
    assert isinstance(loaded, TokenizerPair)
    text = verses["test"]["source"][0]
    assert loaded["source"](text)["input_ids"] == both["source"](text)["input_ids"]


def test_a_joint_tokenizer_is_kept_in_its_own_format(make: Make, verses: DatasetDict, tmp_path: Path) -> None:
    tokenizer = make("TrainTokenizer", vocab_size=300)(verses)
    name, _ = formats.save(tokenizer, tmp_path)
    assert name == "pretrained"
    loaded = formats.load(name, tmp_path, allow_pickle=False)
    texts = verses["test"]["target"][:]
    assert loaded(texts)["input_ids"] == tokenizer(texts)["input_ids"]
    assert loaded.decode(loaded(texts[0])["input_ids"], skip_special_tokens=True) == texts[0]


def test_an_empty_side(make: Make) -> None:
    data = DatasetDict(train=Dataset.from_dict({"source": ["a", "b"], "target": ["", " "]}))
    with pytest.raises(DataError, match=r"the target side is empty: 2 rows, none with text"):
        make("TrainTokenizer", vocab_size=10)(data)
    with pytest.raises(DataError, match=r"no split 'train'"):
        make("TrainTokenizer", vocab_size=10)(DatasetDict(test=data["train"]))


@pytest.mark.parametrize(
    "settings",
    [
        {"algorithm": "wordpiece"},
        {"library": "spm"},
        {"vocab_size": 4},
        {"character_coverage": 0},
        {"character_coverage": 0.9, "algorithm": "unigram", "library": "tokenizers"},
        {"special_tokens": {"pad": "<s>"}},
        {"special_tokens": {"mask": "<mask>"}},
        {"special_tokens": {"pad": None}},
        {"special_tokens": {"pad": ""}},
        {"max_texts": 0},
    ],
)
def test_settings_that_cannot_be(make: Make, settings: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        make("TrainTokenizer", **settings)


CONFIG = """
(import 'runway/translation.libsonnet').experiment {
  data_path: 'verses.tsv',
  dataset+: {
    source_lang: 'de',
    target_lang: 'en',
    load: { columns: ['de', 'en'] },
    split: { transform_name: 'SplitHFDatasetByRule', setup_kwargs: { splits: { test: { rows: [-20, null] } } } },
  },
  tokenizer+: { vocab_size: 300 },
}
"""


def test_each_vocab_size_has_its_own_entry(project: Project) -> None:
    project.write("verses.tsv", VERSES.read_text(encoding="utf-8"))
    project.write("config.jsonnet", CONFIG)

    def ran(*overrides: str) -> list[str]:
        config = load_config(project.path / "config.jsonnet", list(overrides), project=project.path)
        pipeline = DataPipeline(config.data_pipeline, global_config=config, project=project.path, quiet=True)
        return pipeline.prepare(["process:EncodePairs"])

    encoding = ["process:TrainTokenizer", "process:EncodePairs"]
    assert ran() == ["input:LoadPairs", "process:CleanPairs", "process:SplitPairs", "process:FilterPairs", *encoding]
    assert ran("tokenizer.vocab_size=400") == encoding
    assert ran() == [], "the first one is still there"
    assert ran("train.optimizer_config.optimizer_params.lr=0.1", "model_config.from_config_kwargs.dropout=0.3") == []
    cleaned = ran("dataset.clean.lowercase=true")
    assert cleaned == ["process:CleanPairs", "process:SplitPairs", "process:FilterPairs", *encoding]
    assert ran("dataset.filter.max_ratio=4") == ["process:FilterPairs"], "the same pairs were kept: they stay cached"

    entries = json.loads(project.run("cache", "ls", "cache", "--json").stdout)
    notes = {entry["node"]: entry.get("notes") for entry in entries}
    assert notes["input:LoadPairs"]["pairs"] == {"train": 400}
    assert set(notes["process:EncodePairs"]["encoded"]) == {"train", "test"}
    assert notes["process:FilterPairs"]["filtered"]["train"]["rows"] == 380
