"""Which of two values of a metric is the better one, where that is known from its name."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

from runway.metrics import SHIPPED

_LOWER = re.compile(r"\w*(loss|losses|perplexity|error|errors)|wer")
_LOADER = re.compile(r"/dataloader_idx_\d+$")
_BETWEEN_WORDS = re.compile(r"[^a-zA-Z0-9]+")
# With one of these, a name says something else than its other words do (scikit-learn has neg_mean_squared_error).
_OTHER_QUANTITY = {"neg", "negative", "minus", "inverse", "reduction", "gain", "drop", "gap", "diff", "delta", "std"}


def direction(name: str) -> str | None:
    """``max`` or ``min``, as Lightning's ``mode``: what the best value of a metric is.

    Known are the metrics that runway ships, each of which says so beside its formula (``accuracy``, ``val_f1``,
    ``rouge2``), and what is a loss, a perplexity, an error or a word error rate (``wer``) by one of its words.

    Args:
        name: as it is logged, also with a prefix (``val_accuracy``) or of one loader (``loss/dataloader_idx_1``).

    Returns:
        None where it is not known, or where two words of the name say the opposite of each other.
    """
    name = _LOADER.sub("", name)
    words = [word for word in _BETWEEN_WORDS.split(name) if word]
    if _OTHER_QUANTITY.intersection(map(str.lower, words)):
        return None
    found = {"min"} if any(_LOWER.fullmatch(word.lower()) for word in words) else set()
    for shipped in SHIPPED:
        ending = "_".join(words[-len(shipped.split("_")) :])
        better = _shipped_direction(shipped, ending)
        if better is not None:
            found.add(better)
    return found.pop() if len(found) == 1 else None


def _shipped_direction(metric: str, score: str) -> str | None:
    if not score.lower().startswith(metric) and not score.lower().endswith(metric):
        return None
    said = _said_of_itself(metric, SHIPPED[metric])
    if said.get("higher_is_better") is None:
        return None
    if not re.fullmatch(said.get("scores") or re.escape(metric), score, re.IGNORECASE):
        return None
    return "max" if said["higher_is_better"] else "min"


@cache
def _said_of_itself(module: str, name: str) -> dict[str, Any]:
    """The plain values in a metric's class and its bases, read from the text: to import it takes seconds."""
    tree = ast.parse(Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8"))
    (cls,) = (one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == name)
    said: dict[str, Any] = {}
    for base in cls.bases:
        if isinstance(base, ast.Name):
            said |= _said_of_itself(module, base.id)
        elif isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name) and base.value.id == "_base":
            said |= _said_of_itself("_base", base.attr)
    for one in cls.body:
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.Constant):
            said |= {target.id: one.value.value for target in one.targets if isinstance(target, ast.Name)}
    return said
