"""The floors of the package: who may import whom, and what may be loaded when."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "runway"

SPINE = [
    {"errors", "ranks", "library_internals", "project_modules"},
    {"masking"},
    {"log", "notebook", "status_line"},
    {"disk", "walk"},
    {"downloads", "archives", "pretrained"},
    {"uncertainty"},
    {"recorder", "metrics", "assets", "snapshot"},
    {"user_code"},
    {"registry"},
    {"config"},
    {"transforms"},
    {"pipeline"},
    {"executors"},
    {"experiment"},
    {"report", "sweep", "launch", "migrate", "testing"},
    {"cli"},
]
"""The floors, from the ground up: a module imports from its own room and from floors below."""
FLOORS = {room: floor for floor, rooms in enumerate(SPINE) for room in rooms}
# The doors of the package: `import runway`, whose names load on first use, `python -m runway`, and the place where the
# original kept its transforms, which gives today's.
DOORS = {"__init__", "__main__", "data_module"}

# Loading any of these costs more than a whole cached run may.
HEAVY = {"torch", "lightning", "transformers", "datasets", "evaluate", "pandas", "wandb", "ray", "pyarrow", "numpy"}
HEAVY |= {"sklearn", "scipy", "matplotlib", "peft", "optuna", "tensorboard", "sacrebleu", "tokenizers", "PIL"}

FILES = sorted(path for path in PACKAGE.rglob("*.py") if "templates" not in path.parts)  # those are of projects
# Modules that `evaluate` copies into a folder of its own and runs there; they are data to the package.
METRIC_MODULES = {
    path for path in PACKAGE.glob("metrics/*.py") if "(evaluate.Metric)" in path.read_text(encoding="utf-8")
}


def room_of(path: Path) -> str:
    """The folder or single-file module that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


ON_FLOORS = [path for path in FILES if room_of(path) in FLOORS]
# The executors need torch, and so does what stands on them; the command line must start without it.
LIGHT = [
    path
    for path in FILES
    if path not in METRIC_MODULES and (FLOORS.get(room_of(path), 0) < FLOORS["executors"] or room_of(path) == "cli")
]


def imports_of(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Every module that a file imports: its name, the line, and whether that runs when the file is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])

    def walk(node: ast.AST, at_import: bool) -> Iterator[tuple[str, int, bool]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, at_import
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module, node.lineno, at_import
            for alias in node.names:  # `from runway import log` names a module too
                yield f"{module}.{alias.name}", node.lineno, at_import
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_type_checking(node)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, at_import and not later)

    yield from walk(tree, True)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not node.orelse


def test_every_file_stands_on_a_floor() -> None:
    rooms = {room_of(path) for path in FILES} - DOORS - {"templates"}
    assert rooms <= set(FLOORS), f"no floor is given for {sorted(rooms - set(FLOORS))}"


def test_a_module_imports_only_from_floors_below() -> None:
    upward = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in ON_FLOORS
        for module, line, _ in imports_of(path)
        if (parts := module.split("."))[0] == "runway"
        and len(parts) > 1
        and parts[1] != room_of(path)
        and FLOORS.get(parts[1], -1) >= FLOORS[room_of(path)]
    ]
    assert not upward, "imports from their own height or above:\n" + "\n".join(upward)


def test_heavy_libraries_are_imported_in_functions_below_the_executors() -> None:
    loaded = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in LIGHT
        for name, line, now in imports_of(path)
        if now
        and (top := name.split(".")[0]) in HEAVY
        # The recorder's inner files load when a recorder is used, and may have pyarrow at their top.
        and not (top == "pyarrow" and room_of(path) == "recorder" and path.name != "__init__.py")
        # The same goes for arrays, of which intervals are made.
        and not (top == "numpy" and room_of(path) == "uncertainty" and path.name != "__init__.py")
        # Metrics compute on arrays.
        and not (top == "numpy" and path == PACKAGE / "metrics" / "_columns.py")
    ]
    assert not loaded, "import these where they are used, inside the function:\n" + "\n".join(loaded)


def test_nothing_is_printed_but_through_the_log() -> None:
    """The log and the command line are where the terminal is written to; the rest hands them what is to be said."""
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        if room_of(path) not in ("log", "cli")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not calls, "print(): use runway.log\n" + "\n".join(calls)


@pytest.mark.parametrize(
    "statement",
    [
        "import runway, runway.cli",
        "import runway.config, runway.registry, runway.recorder, runway.metrics, runway.assets",
        "import runway.transforms, runway.pipeline, runway.executors, runway.experiment",
    ],
)
def test_importing_the_package_loads_nothing_heavy(statement: str) -> None:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = {name for name in json.loads(done.stdout) if name in HEAVY}
    assert not loaded, f"`{statement}` loads {sorted(loaded)}"
