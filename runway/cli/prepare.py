"""``runway prepare`` and ``runway plan``: the data pipeline."""

from __future__ import annotations

import argparse
import json
import sys
import time

from runway import registry
from runway.cli.open_config import DATA_CODE, open_config
from runway.errors import ConfigError
from runway.log import human_bytes, human_seconds, info, table


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    started = time.perf_counter()
    config, graphs = open_config(arguments, DATA_CODE)
    if not config.get("data_pipeline"):
        raise ConfigError("the config has no `data_pipeline`", where=arguments.config)
    from runway.pipeline import DataPipeline

    dummy = getattr(arguments, "use_dummy_data", False)
    graph = graphs["data_pipeline"]
    pipeline = DataPipeline(config["data_pipeline"], config, use_dummy_data=dummy or None, graph=graph)
    if arguments.command == "plan":
        return _print_plan(pipeline, arguments)
    ran = pipeline.prepare(arguments.nodes)
    seconds = human_seconds(time.perf_counter() - started)
    if arguments.json:
        sys.stdout.write(json.dumps({"ran": ran}) + "\n")
    info(f"data prepared: {len(ran) or 'no'} node{'' if len(ran) == 1 else 's'} ran, {seconds}")
    return 0


def _print_plan(pipeline: object, arguments: argparse.Namespace) -> int:
    plan = pipeline.plan(arguments.nodes)  # type: ignore[attr-defined]
    steps = [plan.steps[name] for name in plan.order]
    if arguments.json:
        found = [
            {
                "node": step.node.name,
                "status": step.status,
                "why": step.reasons,
                "key": step.entry.key if step.entry else step.base_key,
            }
            for step in steps
        ]
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        return 0
    rows = [[step.node.name, step.status, _shortened(step.reasons), _entry_facts(step)] for step in steps]
    table("", ["node", "status", "why", "entry"], rows)
    counts = {status: plan.count(status) for status in ("cached", "run", "maybe", "not needed")}
    sys.stdout.write(", ".join(f"{count} {status}" for status, count in counts.items() if count) + "\n")
    names = sorted({step.node.transform_name for step in steps})
    own = [name for name in names if registry.transforms.behind(name) is not None]
    if own:
        sys.stdout.write(f"the project's own, in front of the ready-made ones of the same name: {', '.join(own)}\n")
    return 0


def _shortened(reasons: list[str], most: int = 3) -> str:
    rest = [f"and {len(reasons) - most} more"] if len(reasons) > most else []
    return "\n".join([*reasons[:most], *rest])


def _entry_facts(step: object) -> str:
    entry = step.entry  # type: ignore[attr-defined]
    if entry is None:
        return ""
    age = human_seconds(max(0.0, time.time() - entry.meta["created"]))
    return f"{human_bytes(entry.bytes)}, {age} old"
