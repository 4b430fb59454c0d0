"""The fuzz driver of configs and commands: ``python -m tests.faults.fuzz_config CASES [SEED]``.

Hypothesis draws overrides, changed configs, names of nodes and words of commands, and the real command takes them, in
this process. Each ends in success or in errors of runway's, within LONGEST seconds; nothing that a text names is run,
and nothing is written outside of the project.
"""

from __future__ import annotations

import collections
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from runway.cli.app import main as runway
from tests.faults.fuzz_files import in_time, run_cases

CANARY = "canary"
HOSTILE = [
    f"__import__('os').system('touch {CANARY}')",
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"!!python/object/apply:os.system ['touch {CANARY}']",
    "(import '/etc/passwd')",
    "importstr '/etc/passwd'",
    "std.extVar('HOME')",
    "error 'x'",
    "std.repeat('x', 1e9)",
    "env:NO_SUCH_VARIABLE",
    "***",
    "[" * 500,
    "{a: " * 300,
    "1e400",
    "-0",
    str(2**80),
    "nan",
    "\0",
    "\ud800",
    "../../outside",
    "/absolute",
    "a" * 3000,
    "",
    " ",
    "~",
    "~meta",
    "os:system",
    "builtins:eval",
    "%s%n{0}",
]
BASE: dict[str, Any] = {
    "experiment_name": "fuzz",
    "test_suffix": "default_test",
    "meta": {"seed": 1, "logger_enable": ["csv"], "cache_versions": [], "user_modules": []},
    "data_pipeline": {
        "transforms": {
            "input:A": {"transform_name": "DummyTransform"},
            "process:B": {"transform_name": "DummyTransform", "input_node": "input:A", "cache": True},
            "output:C": {"transform_name": "InsertBreakpoint", "input_node": ["process:B", "input:A"], "inspect": True},
        },
        "out_ops": ["output:C"],
    },
    "model_config": {"ModelClass": "x", "width": 3},
    "train": {"batch_size": 2, "trainer_paras": {"max_epochs": 1}, "optimizer_config": {"optimizer_name": "AdamW"}},
    "test": {"checkpoint_name": None},
    "eval": {"pipeline_config": {"transforms": {"input:E": {"transform_name": "GetEvaluationRecorder"}}}},
    "mine": {"a": [1, {"b": "x"}], "c": 1.5},
}


def _paths(value: Any, before: tuple = ()) -> list[str]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    own = [".".join(map(str, before))] if before else []
    return own + [path for key, item in inside for path in _paths(item, (*before, key))]


TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=12))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=4,
)
WRITTEN = st.one_of(TEXTS, VALUES.map(lambda value: json.dumps(value, ensure_ascii=False)))
KEYS = st.one_of(st.sampled_from(_paths(BASE)), TEXTS, st.lists(TEXTS, min_size=1, max_size=3).map(".".join))
OVERRIDES = st.one_of(
    st.tuples(KEYS, WRITTEN).map("=".join), KEYS.map(lambda key: f"~{key}"), KEYS.map(lambda key: f"{key}+=1"), TEXTS
)
FLAGS = st.sampled_from(
    ["--json", "--quiet", "--no-check", "--nodes", "--force", "--until", "--runner", "--workers", "--x"]
)
WORDS = st.lists(st.one_of(OVERRIDES, FLAGS), max_size=4)
TAKES = {name: ("c.jsonnet",) for name in ("config", "plan", "prepare")} | {"inspect": ("c.jsonnet", "output:C")}
COMMANDS = st.sampled_from(["config", "plan", "prepare", "show", "ops", "cache", "runs", "jobs", "inspect", "confg"])


@st.composite
def changed_configs(draw: st.DrawFn) -> dict[str, Any]:
    """The config with something in it replaced, removed, added or renamed."""
    config = json.loads(json.dumps(BASE))
    for _ in range(draw(st.integers(1, 3))):
        section: Any = config
        while True:
            places = list(section) if isinstance(section, dict) else list(range(len(section)))
            if not places:
                break
            place = draw(st.sampled_from(places))
            if isinstance(section[place], dict | list) and draw(st.integers(0, 3)):
                section = section[place]
                continue
            way = draw(st.sampled_from(["replace", "remove", "rename"]))
            old = section.pop(place)
            if way == "replace" and isinstance(section, dict):
                section[place] = draw(VALUES)
            elif way == "replace":
                section.insert(place, draw(VALUES))
            elif way == "rename" and isinstance(section, dict):
                section[draw(TEXTS)] = old
            break
    return config


class Fuzz:
    """Runs cases in a project and keeps what went wrong.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.project = folder, folder / "project"
        (self.project / "src").mkdir(parents=True)
        self.cases: collections.Counter[str] = collections.Counter()
        self.longest = 0.0

    def commands(self, cases: int, seed: int | None = None) -> None:
        """So many commands over the config as it is, with drawn words.

        Raises:
            AssertionError: one ended otherwise than it may.
        """

        def case(drawn: tuple[str, list[str]]) -> None:
            self._run(drawn[0], BASE, drawn[1])

        run_cases(case, st.tuples(COMMANDS, WORDS), cases, seed)

    def configs(self, cases: int, seed: int | None = None) -> None:
        """So many changed configs; it raises as ``commands``."""

        def case(drawn: tuple[str, dict[str, Any]]) -> None:
            self._run(drawn[0], drawn[1], [])

        run_cases(case, st.tuples(st.sampled_from(["config", "plan", "prepare"]), changed_configs()), cases, seed)

    def _run(self, command: str, config: dict[str, Any], words: list[str]) -> None:
        self.cases[command] += 1
        text = json.dumps(config, ensure_ascii=True)
        (self.project / "c.jsonnet").write_text(text, encoding="utf-8")
        argv = [command, *TAKES.get(command, ()), *words]
        said = io.StringIO()
        started = time.monotonic()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), in_time():
            code = runway(argv)
        self.longest = max(self.longest, time.monotonic() - started)
        told = f"{argv} of {text if config is not BASE else 'the config'} ended with {code}:\n{said.getvalue()[-3000:]}"
        assert code in (0, 1, 2), told
        assert "Traceback" not in said.getvalue(), told
        assert "The run failed" not in said.getvalue(), told
        assert not list(self.folder.rglob(CANARY)), told
        assert [path.name for path in self.folder.iterdir()] == ["project"], told
        for path in self.project.iterdir():
            if path.name not in ("c.jsonnet", "src"):
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def fuzzing(folder: Path) -> Any:
    """A Fuzz in a folder, which is the current one meanwhile."""
    fuzz, before = Fuzz(folder), os.getcwd()
    os.chdir(fuzz.project)
    try:
        yield fuzz
    finally:
        os.chdir(before)


def main(cases: int, seed: int) -> None:
    """Run them and print the figures."""
    with tempfile.TemporaryDirectory() as folder, fuzzing(Path(folder)) as fuzz:
        started = time.monotonic()
        fuzz.commands(cases // 2, seed)
        fuzz.configs(cases - cases // 2, seed)
        told = ", ".join(f"{what} {count}" for what, count in sorted(fuzz.cases.items()))
        print(f"{sum(fuzz.cases.values())} cases in {time.monotonic() - started:.0f} s, none wrong: {told}")
        print(f"the longest took {fuzz.longest:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
