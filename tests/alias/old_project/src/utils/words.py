VOCABULARY = ["<pad>", "a", "bad", "dull", "film", "fine", "good", "great", "poor", "story", "this", "was"]


def to_ids(text, length=6):
    ids = [VOCABULARY.index(word) for word in text.split()][:length]
    return ids + [0] * (length - len(ids))


def to_text(ids):
    return " ".join(VOCABULARY[i] for i in ids if 0 < i < len(VOCABULARY))
