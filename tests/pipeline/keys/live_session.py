"""A live session of many random steps: edits, reloads, runs. Prints each run whose value is not what the code gives.

    python live_session.py SEED STEPS

In the folder of a project; the first lines of ``main`` write it.
"""

from __future__ import annotations

import importlib
import json
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

HELPER = """
LIMIT = {limit}
TABLE = {{"a": {table}}}


def shift(x):
    return x + {shift}


class Scale:
    factor = {factor}

    def of(self, x):
        return x * self.factor + {added}
"""
OPS = """
import helper
from helper import Scale, shift
from runway import BaseTransform, register_transform_functor


@register_transform_functor
class Live(BaseTransform):
    def _call(self, data):
        return [shift(1), helper.shift(2), helper.LIMIT, helper.TABLE["a"], Scale().of(3), {own}]
"""
CONFIG = {
    "data_pipeline": {
        "transforms": {"output:Live": {"transform_name": "Live"}, "output:Again": {"transform_name": "Live"}}
    }
}
NEW_PROCESS = """
import json, sys
from runway import DataPipeline, load_config
config = load_config("c.jsonnet")
value = DataPipeline(config["data_pipeline"], global_config=config, quiet=True).get_data("output:Live", explode=True)
from runway.registry import transforms
print(json.dumps([value, transforms.get("Live")(name="x")._call(None)]))
"""


def main(seed: int, steps: int) -> int:
    """Returns how many values were wrong."""
    chance = random.Random(seed)
    source = Path("src/data_ops")
    source.mkdir(parents=True, exist_ok=True)
    Path("c.jsonnet").write_text(json.dumps(CONFIG))
    texts: dict[Path, list[str]] = {Path("src/helper.py"): [], source / "ops.py": []}

    def edit(path: Path) -> None:
        numbers = {name: chance.randrange(3) for name in ("limit", "table", "shift", "factor", "added", "own")}
        texts[path].append((HELPER if path.name == "helper.py" else OPS).format(**numbers))
        path.write_text(texts[path][-1])

    for path in texts:
        edit(path)

    from runway import DataPipeline, load_config
    from runway.errors import RunwayError
    from runway.registry import transforms

    config = load_config("c.jsonnet")
    DataPipeline(config["data_pipeline"], global_config=config, quiet=True)
    counts = dict.fromkeys(("runs", "stopped", "new processes", "wrong"), 0)
    for step in range(steps):
        action = chance.choice(
            [
                "edit",
                "edit",
                "restore",
                "reload",
                "reload all",
                "reload all",
                "reload all",
                "run",
                "run",
                "run",
                "set",
                "forced",
            ]
        )
        path = chance.choice(list(texts))
        if action == "edit":
            edit(path)
        elif action == "restore":
            path.write_text(chance.choice(texts[path]))
        elif action == "reload":
            importlib.reload(_module(path))
        elif action == "reload all":
            for every in texts:
                importlib.reload(_module(every))
        elif action == "set":
            chance.choice([_set_limit, _change_table, _patch])(chance.randrange(3))
        if action in ("run", "forced"):
            config.data_pipeline.regenerate = action == "forced"
            pipeline = DataPipeline(config["data_pipeline"], global_config=config, quiet=True)
            counts["runs"] += 1
            try:
                value = pipeline.get_data("output:Live", explode=True)
            except RunwayError as error:
                if "was edited after" not in str(error):
                    raise
                counts["stopped"] += 1
                value = right = None
            else:
                right = transforms.get("Live")(name="x")._call(None)
            if value != right:
                counts["wrong"] += 1
                print(f"step {step}: {value} instead of {right}")
        if step % 50 == 49:
            done = subprocess.run([sys.executable, "-c", NEW_PROCESS], capture_output=True, text=True, check=True)
            value, right = json.loads(done.stdout.splitlines()[-1])
            counts["new processes"] += 1
            if value != right:
                counts["wrong"] += 1
                print(f"after step {step}, in a new process: {value} instead of {right}")
    print(json.dumps(counts))
    return counts["wrong"]


def _module(path: Path) -> ModuleType:
    return sys.modules["helper" if path.name == "helper.py" else "data_ops.ops"]


def _set_limit(number: int) -> None:
    sys.modules["helper"].LIMIT = number  # type: ignore[attr-defined]


def _change_table(number: int) -> None:
    sys.modules["helper"].TABLE["a"] = number


def _patch(number: int) -> None:
    sys.modules["helper"].Scale.of = lambda self, x: x - number


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])) > 0)
