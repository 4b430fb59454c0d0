"""Which languages have no spaces between words, and what BLEU does about it."""

from __future__ import annotations

import importlib.util

import pytest
from sacrebleu.metrics import BLEU

import runway
from runway.metrics import _languages as languages
from runway.metrics._languages import bleu_tokenizer, is_unspaced, is_written_unspaced

CHINESE = ["他昨天在北京的大学学习中文", "我们今晚一起去公园散步吧"]
NEARLY = ["他昨天在北京的大学里学习中文", "我们今天晚上一起去公园散步吧"]


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        *((name, "zh") for name in ("zh", "ZH-cn", "zh_TW", "zho_Hans", "cmn", "yue_Hant", "Chinese")),
        *((name, "char") for name in ("th", "tha_Thai", "km", "lo", "my", "mya_Mymr", "bo", "bod_Tibt", "dz")),
        *((name, "13a") for name in ("en", "de", "zh-Latn", "vi", "hi", "ar", "mine", "", None)),
    ],
)
def test_the_tokenizer_of_a_language(language, expected):
    assert bleu_tokenizer(language) == expected
    assert is_unspaced(language) == (expected != "13a")


@pytest.mark.parametrize(("language", "best", "instead"), [("ja", "ja-mecab", "char"), ("kor_Hang", "ko-mecab", "13a")])
def test_one_that_is_not_installed_is_told(capsys, monkeypatch, language, best, instead):
    monkeypatch.setattr("runway.log._said", set())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert bleu_tokenizer(language) == instead
    told = capsys.readouterr().err
    assert f"{best!r} is not installed, so {instead!r} is taken" in told
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    assert bleu_tokenizer(language) == best
    assert is_unspaced(language) == (language == "ja")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (CHINESE, True),
        (["彼は昨日東京の大学で", "コーヒー"], True),
        (["เขาเรียนภาษา", "ສະບາຍດີ", "ភាសាខ្មែរ", "မြန်မာစာ", "བོད་ཡིག"], True),
        (["나는 차를 좋아한다", "I like tea"], False),
        (["The word 茶 means tea.", ""], False),
        ([], False),
        (["他昨天在北京的大学"] * 30_000 + ["a"] * 5, True),
    ],
)
def test_texts_tell_by_their_script(texts, expected):
    assert is_written_unspaced(texts) is expected


def test_the_shipped_metrics_take_the_language(capsys):
    truth = BLEU(tokenize="zh").corpus_score(NEARLY, [CHINESE]).score
    right = runway.load_metric("sacrebleu").compute(predictions=NEARLY, references=CHINESE, target_lang="zh")
    assert right["score"] == pytest.approx(truth)
    assert right["score"] > 50
    plain = runway.load_metric("bleu").compute(predictions=NEARLY, references=CHINESE, target_lang="zh")
    assert plain["bleu"] * 100 == pytest.approx(truth)
    assert "warning" not in capsys.readouterr().err
    for name, score in (("sacrebleu", "score"), ("bleu", "bleu")):
        wrong = runway.load_metric(name).compute(predictions=NEARLY, references=CHINESE)
        assert wrong[score] == pytest.approx(0, abs=1e-9)
        assert f"warning: {name}: the references are written without spaces" in capsys.readouterr().err


def test_a_tokenizer_that_does_not_suit_the_language(capsys):
    languages.tell_if_unspaced("intl", ["anything"], where="here", language="zh")
    assert "`tokenize: zh`" in capsys.readouterr().err
    languages.tell_if_unspaced("char", CHINESE, where="here", language="zh")
    languages.tell_if_unspaced("13a", ["A dog."], where="here")
    assert capsys.readouterr().err == ""
