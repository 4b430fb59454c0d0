"""Scores of translations: the same as sacreBLEU's own, and tables sorted by the worst."""

from __future__ import annotations

import math
import unicodedata
from urllib.error import URLError

import pytest
import sacrebleu

from runway import EvalRecorder
from runway.errors import ConfigError, DataError
from runway.transforms.evaluation.display import DisplayEvalResults
from runway.transforms.evaluation.translations import AddSentenceBleu, EvaluateTranslations, SaveWorstSamples

ROWS = {
    "source": ["Ein Hund rennt.", "Zwei Männer singen.", "Die Katze schläft am Meer."],
    "reference": ["A dog runs.", "Two men are singing.", "The cat sleeps at the sea."],
    "hypothesis": ["A dog runs.", "A man.", "The cat sleeps by the sea."],
    "loss": [0.5, 3.0, 1.0],
    "target_tokens": [4, 6, 10],
}


def recorder(folder, **columns):
    made = EvalRecorder("test-evaluation", folder)
    made.log_sample_dict_batch({**ROWS, **columns})
    return made


def run(cls, data, **settings):
    transform = cls(name="output:Score")
    transform.setup(**settings)
    return transform(data)


def test_corpus_scores_are_sacrebleus(tmp_path):
    stats = run(EvaluateTranslations, recorder(tmp_path)).get_stats_logs()
    assert stats["sacrebleu"] == sacrebleu.corpus_bleu(ROWS["hypothesis"], [ROWS["reference"]]).score
    assert stats["chrf"] == sacrebleu.corpus_chrf(ROWS["hypothesis"], [ROWS["reference"]]).score
    assert stats["sacrebleu_of_source"] == sacrebleu.corpus_bleu(ROWS["source"], [ROWS["reference"]]).score
    assert "tok:13a" in stats["sacrebleu_signature"]
    assert "nc:6" in stats["chrf_signature"]
    assert stats["length_ratio"] == pytest.approx((4 + 3 + 7) / (4 + 5 + 7))
    mean = (0.5 * 4 + 3.0 * 6 + 1.0 * 10) / 20
    assert stats["loss"] == pytest.approx(mean)
    assert stats["perplexity"] == pytest.approx(math.exp(mean))


def test_case_and_missing_columns(tmp_path):
    lower = recorder(tmp_path, hypothesis=[text.lower() for text in ROWS["reference"]])
    assert run(EvaluateTranslations, lower).get_stats_logs()["sacrebleu"] < 100
    again = run(EvaluateTranslations, lower, lowercase=True, source=None, loss=None).get_stats_logs()
    assert again["sacrebleu"] == pytest.approx(100)
    with pytest.raises(DataError, match="'translation'"):
        run(EvaluateTranslations, recorder(tmp_path), hypothesis="translation")
    with pytest.raises(DataError, match="no text in row 1"):
        run(EvaluateTranslations, recorder(tmp_path, hypothesis=["a", None, "b"]))
    with pytest.raises(DataError, match="empty"):
        run(EvaluateTranslations, EvalRecorder("none", tmp_path))


@pytest.mark.parametrize("scorer", [EvaluateTranslations, AddSentenceBleu])
def test_a_tokenizer_of_sacrebleu_that_cannot_be_had(tmp_path, monkeypatch, scorer):
    with pytest.raises(ConfigError, match=r"'14a' is none of sacreBLEU's tokenizers(.|\n)*did you mean '13a'"):
        run(scorer, recorder(tmp_path), tokenize="14a")

    def offline(name):
        raise URLError(OSError(-2, "Name or service not known"))

    monkeypatch.setattr("sacrebleu.metrics.bleu._get_tokenizer", offline)
    with pytest.raises(ConfigError, match=r"'flores200' cannot be used here(.|\n)*not known(.|\n)*runway eval"):
        run(scorer, recorder(tmp_path), tokenize="flores200")


def test_letters_put_together_in_another_way_are_the_same(tmp_path):
    references = ["Déjà vu, señor Müller.", "Où êtes-vous allé hier ?", "Ça va très bien, là-bas."]
    parts = [unicodedata.normalize("NFD", text) for text in references]
    assert parts != references
    for columns in ({"hypothesis": references, "reference": parts}, {"hypothesis": parts, "reference": references}):
        scored = run(AddSentenceBleu, run(EvaluateTranslations, recorder(tmp_path, **columns)))
        stats = scored.get_stats_logs()
        assert stats["sacrebleu"] == pytest.approx(100)
        assert stats["chrf"] == pytest.approx(100)
        assert scored.get_sample_logs_column("sentence_bleu") == pytest.approx([100] * 3)
        assert scored.get_sample_logs_column("reference") == columns["reference"], (
            "the recorder keeps what it was given"
        )


def test_sentence_bleu_and_the_worst_first(tmp_path, capsys):
    scored = run(AddSentenceBleu, recorder(tmp_path))
    scores = scored.get_sample_logs_column("sentence_bleu")
    assert scores[0] == pytest.approx(100)
    assert scores[1] < scores[2] < 100
    passed = run(SaveWorstSamples, scored, num_rows=2)
    assert passed.get_sample_logs_column("source") == ROWS["source"]  # the data's order stays
    worst = EvalRecorder.load_from_disk("worst-translations", tmp_path)
    assert worst.get_sample_logs_column("row") == [1, 2]
    assert worst.get_sample_logs_column("hypothesis") == ["A man.", "The cat sleeps by the sea."]
    run(DisplayEvalResults, passed, columns=["hypothesis"], num_rows=1, sort_by="sentence_bleu", lowest_first=True)
    shown = capsys.readouterr().out
    assert "lowest sentence_bleu first" in shown
    assert "A man." in shown
    assert "A dog runs." not in shown
    with pytest.raises(DataError, match="'bleu'"):
        run(SaveWorstSamples, scored, sort_by="bleu")


CHINESE = ["他昨天在北京的大学学习中文", "我们今晚一起去公园散步吧", "我喜欢喝茶"]
NEARLY = ["他昨天在北京的大学里学习中文", "我们今天晚上一起去公园散步吧", "我喜欢喝茶"]


def test_the_target_language_chooses_the_tokenizer(tmp_path, capsys):
    chinese = {"reference": CHINESE, "hypothesis": NEARLY}
    scored = run(EvaluateTranslations, recorder(tmp_path, **chinese), target_lang="zh")
    stats = scored.get_stats_logs()
    assert stats["sacrebleu"] == sacrebleu.corpus_bleu(NEARLY, [CHINESE], tokenize="zh").score > 50
    assert "tok:zh" in stats["sacrebleu_signature"]
    sentences = run(AddSentenceBleu, scored, target_lang="zh").get_sample_logs_column("sentence_bleu")
    assert sentences[2] == pytest.approx(100)
    assert min(sentences) > 30
    run(DisplayEvalResults, scored)
    shown = capsys.readouterr()
    assert "tok:zh" in shown.out
    assert "warning" not in shown.err

    transform = EvaluateTranslations(name="output:Score", global_config={"dataset": {"target_lang": "zho_Hans"}})
    transform.setup()
    assert transform(recorder(tmp_path, **chinese)).get_stats_logs()["sacrebleu"] == stats["sacrebleu"]


def test_a_tokenizer_for_words_that_are_not_written_is_told(tmp_path, capsys):
    chinese = {"reference": CHINESE, "hypothesis": NEARLY}
    assert "tok:13a" in run(EvaluateTranslations, recorder(tmp_path, **chinese)).get_stats_logs()["sacrebleu_signature"]
    assert "references are written without spaces between words" in capsys.readouterr().err
    run(EvaluateTranslations, recorder(tmp_path, **chinese), tokenize="char", chrf_word_order=2)
    told = capsys.readouterr().err
    assert "chrf_word_order counts words" in told
    assert "13a" not in told
    run(EvaluateTranslations, recorder(tmp_path), chrf_word_order=2)
    assert "warning" not in capsys.readouterr().err
