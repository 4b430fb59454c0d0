"""``runway new transform|executor|experiment NAME``: a documented stub, with a test that calls it."""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from pathlib import Path

from runway.cli.init import filled
from runway.errors import ConfigError, did_you_mean
from runway.user_code import find_project

TEMPLATES = Path(__file__).resolve().parents[1] / "templates" / "new"
DATA_OPS, EXECUTORS = "src/data_ops", "src/executors"
RUNS = """def test_it_trains_and_is_tested(tmp_path: Path) -> None:
    run = run_config(CONFIG, tmp_path)
    assert run.metrics["test_loss"] > 0
"""
IS_WHOLE = """def test_the_config_is_whole() -> None:
    assert "output:MakeDataloaders" in check_config(CONFIG)
"""
# kind: {template's file: where it goes}; then what its test calls
EXPERIMENTS: dict[str, tuple[dict[str, str], str, str]] = {
    "text": (
        {"experiment_text.jsonnet": "configs/{name}.jsonnet", "experiment_text.csv": "configs/{name}.csv"},
        "check_config",
        IS_WHOLE,
    ),
    "image": (
        {
            "experiment_image.jsonnet": "configs/{name}.jsonnet",
            "experiment_image_pictures.py": f"{DATA_OPS}/{{name}}_pictures.py",
        },
        "run_config",
        RUNS,
    ),
    "tabular": (
        {
            "experiment_tabular.jsonnet": "configs/{name}.jsonnet",
            "experiment_tabular.csv": "configs/{name}.csv",
            "experiment_tabular_features.py": f"{DATA_OPS}/{{name}}_features.py",
            "executor.py": f"{EXECUTORS}/{{name}}_executor.py",
        },
        "run_config",
        RUNS,
    ),
    "language_model": (
        {
            "experiment_language_model.jsonnet": "configs/{name}.jsonnet",
            "experiment_language_model.txt": "configs/{name}.txt",
            "experiment_language_model_blocks.py": f"{DATA_OPS}/{{name}}_blocks.py",
            "experiment_language_model_executor.py": f"{EXECUTORS}/{{name}}_executor.py",
        },
        "run_config",
        RUNS,
    ),
}


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    project = Path(arguments.project) if arguments.project else find_project(Path.cwd() / "here")
    for file in make(project, arguments.what, arguments.name, arguments.kind):
        sys.stdout.write(f"{file.relative_to(project)}\n")
    return 0


def make(project: Path, what: str, name: str, kind: str = "text") -> list[Path]:
    """Write a stub and its test into a project; gives the files.

    Args:
        project: its folder.
        what: ``transform``, ``executor`` or ``experiment``.
        name: in words, snake_case or CamelCase.
        kind: of an experiment.

    Raises:
        ConfigError: the name is none that Python takes, or one of the files is there already.
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-\s]+", "_", name.strip()).lower()
    if not snake.isidentifier() or keyword.iskeyword(snake):
        raise ConfigError(
            f"{name!r} is no name for a module", where="runway new", hint="letters, digits and _: clean_texts"
        )
    camel = "".join(part.capitalize() for part in snake.split("_"))
    values = {"__Title__": snake.replace("_", " ").capitalize(), "__name__": snake, "__Class__": camel}
    if what == "transform":
        files = {"transform.py": f"{DATA_OPS}/{snake}.py", "test_transform.py": f"tests/test_{snake}.py"}
    elif what == "executor":
        files = {"executor.py": f"{EXECUTORS}/{snake}.py", "test_executor.py": f"tests/test_{snake}.py"}
    else:
        if kind not in EXPERIMENTS:
            raise ConfigError(
                f"there is no kind of experiment {kind!r}", where="--kind", hint=did_you_mean(kind, EXPERIMENTS)
            )
        files, values["__check__"], values["__test__"] = EXPERIMENTS[kind]
        files = {**{source: place.format(name=snake) for source, place in files.items()}}
        files["test_experiment.py"] = f"tests/test_{snake}_experiment.py"
    taken = [place for place in files.values() if (project / place).exists()]
    if taken:
        raise ConfigError(f"{taken[0]} is there already", where="runway new", hint="choose another name")
    made = []
    for source, place in files.items():
        text = (TEMPLATES / source).read_text(encoding="utf-8")
        named = values | ({"__Class__": f"{camel}Executor"} if source == "executor.py" and what == "experiment" else {})
        target = project / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(filled(text, named).rstrip() + "\n", encoding="utf-8")
        made.append(target)
    return made
