"""``runway plan`` and ``runway graph``: what prepare would run, why, and how long that takes; and the picture of it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway import log, registry
from runway.cli.open_config import open_data_pipeline
from runway.errors import ConfigError
from runway.pipeline import drawing, plan_table

if TYPE_CHECKING:
    from runway.pipeline.plan import Plan, Step

MOST_DRAWN = 1000
"""Nodes: more make a picture that no program opens."""
FORMATS = ("text", "mermaid", "dot", "svg", "png")


def run(arguments: argparse.Namespace) -> int:
    """Run one of the commands."""
    opened = open_data_pipeline(arguments)
    plan = opened.pipeline.plan(opened.nodes)
    if arguments.command == "graph":
        _draw(plan, arguments)
    elif arguments.json:
        found = [_plain(plan, plan.steps[name]) for name in plan.order]
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    else:
        _print_plan(plan)
    return 0


# -- plan


def _plain(plan: Plan, step: Step) -> dict[str, Any]:
    return {
        "node": step.node.name,
        "inputs": list(step.node.inputs),
        "status": step.status,
        "why": step.reasons,
        "key": step.entry.key if step.entry else step.base_key,
        "bytes": step.entry.bytes if step.entry else None,
        "created": step.entry.meta["created"] if step.entry else None,
        "seconds": plan.last_seconds(step),
    }


def _print_plan(plan: Plan) -> None:
    rows = plan_table.rows(plan)
    if sys.stdout.isatty() and len(rows) <= log.MOST_ROWS:
        from rich.text import Text

        looks = drawing.LOOKS
        log.table("", plan_table.COLUMNS, [[row[0], Text(row[1], looks[row[1]].style), *row[2:]] for row in rows])
    else:
        log.plain_columns([plan_table.COLUMNS, *rows])
    sys.stdout.write(plan_table.closing(plan) + "\n")
    names = sorted({plan.steps[name].node.transform_name for name in plan.order})
    own = [name for name in names if registry.transforms.behind(name) is not None]
    if own:
        sys.stdout.write(f"the project's own, in front of the ready-made ones of the same name: {', '.join(own)}\n")


# -- graph


def _draw(plan: Plan, arguments: argparse.Namespace) -> None:
    out = Path(arguments.out) if arguments.out else None
    suffix = out.suffix.removeprefix(".").lower() if out else ""
    form = arguments.format or {"mmd": "mermaid", "gv": "dot"}.get(suffix, suffix) or "text"
    if form not in FORMATS:
        raise ConfigError(
            f"there is no format {form!r}", where="--out", hint=f"--format is one of {', '.join(FORMATS)}"
        )
    drawn = drawing.drawing_of(plan, code=arguments.functions)
    if form in ("svg", "png"):
        from runway.pipeline.picture import picture

        if out is None and sys.stdout.isatty():
            raise ConfigError(f"a terminal does not show {form}", where="--format", hint=f"--out pipeline.{form}")
        if len(plan.order) > MOST_DRAWN:
            hint = "draw a part (--nodes NODE), or take --format dot"
            raise ConfigError(f"{len(plan.order):,} nodes are too many for a picture", where="--format", hint=hint)
        content = picture(drawn, form)
    else:
        content = {"text": _text, "mermaid": drawing.mermaid, "dot": drawing.dot}[form](drawn).encode()
    if out is not None:
        try:
            out.write_bytes(content)
        except OSError as error:
            raise ConfigError(f"it cannot be written: {error.strerror}", where=f"--out {out}") from error
        log.info(f"written: {log.shown(out)}")
    elif form == "text" and sys.stdout.isatty():
        _print_coloured(drawn)
    else:
        sys.stdout.buffer.write(content)


def _text(drawn: drawing.Drawing) -> str:
    return "".join(f"{before}{line.node}  {state}{after}\n" for line, before, state, after in _text_lines(drawn))


def _text_lines(drawn: drawing.Drawing) -> list[tuple[drawing.Line, str, str, str]]:
    """(line, what stands before its node, its state, what stands behind)."""
    found = []
    for line in drawing.tree(drawn.states, drawn.edges):
        code = "".join(f"\n{' ' * (len(line.rails) + 4)}{name}" for name in drawn.code.get(line.node, ()))
        found.append((line, line.rails, drawn.states[line.node], line.also + code))
    return found


def _print_coloured(drawn: drawing.Drawing) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for line, before, state, after in _text_lines(drawn):
        style = drawing.LOOKS[state].style
        console.print(Text.assemble(before, (line.node, style), f"  {state}", (after, "dim")), soft_wrap=True)
