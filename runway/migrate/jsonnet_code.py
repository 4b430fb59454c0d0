"""Old keys and ops in configs, rewritten word by word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from runway.config.tokens import Token, line_of, tokens
from runway.migrate.edits import Edit, Migrated, Remark, apply, without_line

DEAD = (
    *("cuda", "gpu_device", "platform_type", "ignore_pretrained_weights", "TENSORBOARD_FOLDER", "use_versioning"),
    *("DataPipelineLib", "DataPipelineClass", "inspector_config", "do_inspect", "trainer_fit_paras", "eval_op_name"),
)
"""Keys that nothing of the original's has read, or that runway has something better for."""

RENAMED = {"num_dataloader_workers": "dataloader_workers"}
OPS = {
    "UploadToWandb": "UploadEvalRecorderToWandb",
    "RunwayDisplayEvalResults": "DisplayEvalResults",
    "ComputeBLEU": "runway_for_ml.data_module.data_transforms:RunwayComputeBLEU",
    "RunwayComputeBLEU": "runway_for_ml.data_module.data_transforms:RunwayComputeBLEU",
}


class Field(NamedTuple):
    """A field of an object: its key's word, its value's first and last place, the object's number."""

    name: str
    key: Token
    value: tuple[int, int]
    end: int
    owner: int


def migrate_jsonnet(source: str, code: str) -> Migrated:
    """The new text of a config, and remarks.

    Args:
        source: the file.
        code: the project's Python code: a key that it names stays.
    """
    fields = list(_fields(source))
    siblings: dict[int, set[str]] = {}
    for field in fields:
        siblings.setdefault(field.owner, set()).add(field.name)
    edits, remarks = [], []
    for field in fields:
        line = line_of(source, field.key.start)
        value = source[slice(*field.value)].strip()
        quote = field.key.text[0] if field.key.text[0] in "'\"" else ""
        if field.name in DEAD and field.name not in code:
            edits.append(without_line(source, field.key.start, field.end))
        elif field.name in RENAMED and field.name not in code:
            edits.append(Edit(field.key.start, field.key.end, f"{quote}{RENAMED[field.name]}{quote}"))
        elif field.name == "from_pretrained_kwargs" and siblings[field.owner] & {"version_name", "class_name"}:
            edits.append(Edit(field.key.start, field.key.end, f"{quote}init_kwargs{quote}"))
        elif field.name == "rows_to_display":
            edits.append(Edit(field.key.start, field.key.end, f"{quote}num_rows{quote}"))
        elif field.name == "display_format":
            edits.append(without_line(source, field.key.start, field.end))
        elif field.name == "transform_name" and value[1:-1] in OPS:
            new = OPS[value[1:-1]]
            start = source.index(value, field.value[0])
            edits.append(Edit(start, start + len(value), value[0] + new + value[-1]))
            if ":" in new:
                hint = "ComputeMetrics with 'sacrebleu' gives the corpus's score under runway's names"
                remarks.append(Remark(line, f"{value} stays with the alias package: {hint}"))
        elif field.name == "transform_name" and value[:1] in "'\"" and value[1:-1] in code and "\n" in value:
            remarks.append(Remark(line, f"look at {value}"))
    return Migrated(apply(source, edits), remarks)


def _fields(source: str) -> Iterator[Field]:
    """The fields of all objects, outer ones after those in them."""
    words = list(tokens(source))
    open_: list[tuple[int, str]] = []  # (place of the bracket, which)
    begun: dict[int, tuple[Token, int]] = {}  # object: its field that is not over, and where its value begins
    at = 0
    while at < len(words):
        word = words[at]
        inside = open_[-1] if open_ else (-1, "")
        if inside[1] == "{" and word.text in (",", "}") and inside[0] in begun:
            key, value = begun.pop(inside[0])
            end = word.end if word.text == "," else word.start
            name = key.text[1:-1] if key.kind == "text" else key.text
            yield Field(name, key, (value, word.start), end, inside[0])
        if word.kind == "open":
            open_.append((word.start, word.text))
        elif word.kind == "close" and open_:
            open_.pop()
        elif inside[1] == "{" and words[at - 1].text in ("{", ",") and word.kind in ("word", "text"):
            sign = at + 1
            while sign < len(words) and words[sign].text in ("+", ":"):
                sign += 1
            if sign > at + 1 and words[sign - 1].text == ":":
                begun[inside[0]] = (word, words[sign - 1].end)
                at = sign - 1
        at += 1
