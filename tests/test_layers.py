"""The floors of the package: who may import whom, what may be loaded when, and how long a file may be."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "runway"

FLOORS = {
    "errors": 0,
    "config": 1,
    "ranks": 0,
    "disk": 2,
    "registry": 1,
    "user_code": 1,
    "log": 1,
    "recorder": 2,
    "metrics": 2,
    "assets": 2,
    "transforms": 3,
    "pipeline": 4,
    "executors": 5,
    "experiment": 6,
    "report": 7,
    "cli": 8,
}
# The doors of the package: `import runway`, whose names load on first use, `python -m runway`, and the place where the
# original kept its transforms, which gives today's.
DOORS = {"__init__", "__main__", "data_module"}

# Loading any of these costs more than a whole cached run may.
HEAVY = {"torch", "lightning", "transformers", "datasets", "evaluate", "pandas", "wandb", "ray", "pyarrow", "numpy"}
HEAVY |= {"sklearn", "scipy", "matplotlib", "peft", "optuna", "tensorboard", "sacrebleu", "tokenizers", "PIL"}

LONGEST_FILE = 400

FILES = sorted(path for path in PACKAGE.rglob("*.py"))
# Modules that `evaluate` copies into a folder of its own and runs there; they are data to the package.
METRIC_MODULES = {
    path for path in PACKAGE.glob("metrics/*.py") if "(evaluate.Metric)" in path.read_text(encoding="utf-8")
}


def room_of(path: Path) -> str:
    """The folder or single-file module that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def each_of(paths: Iterable[Path]) -> pytest.MarkDecorator:
    """Run the test once for each file, named by its path."""
    chosen = list(paths)
    return pytest.mark.parametrize("path", chosen, ids=[path.relative_to(ROOT).as_posix() for path in chosen])


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


@each_of(ON_FLOORS)
def test_a_module_imports_only_from_floors_below(path: Path) -> None:
    own = room_of(path)
    upward = [
        f"line {line}: {module}"
        for module, line, _ in imports_of(path)
        if (parts := module.split("."))[0] == "runway"
        and len(parts) > 1
        and parts[1] != own
        and FLOORS.get(parts[1], -1) >= FLOORS[own]
        # `log` and `registry` are single files of one floor, which `config` stands beside.
        and not (parts[1] in ("log", "registry", "user_code") and FLOORS[own] == FLOORS[parts[1]])
    ]
    assert not upward, f"{own} (floor {FLOORS[own]}) imports from its own height or above: {upward}"


@each_of(LIGHT)
def test_heavy_libraries_are_imported_in_functions_below_the_executors(path: Path) -> None:
    loaded = {f"line {line}: {name}" for name, line, now in imports_of(path) if now and name.split(".")[0] in HEAVY}
    # DESIGN allows the recorder's inner files pyarrow at their top: they load when a recorder is used.
    if room_of(path) == "recorder" and path.name != "__init__.py":
        loaded = {entry for entry in loaded if "pyarrow" not in entry}
    assert not loaded, f"import these where they are used, inside the function: {sorted(loaded)}"


@each_of(FILES)
def test_no_file_is_longer_than_400_lines(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_FILE, f"{lines} lines: it wants to be two rooms"


# The log and the command line are where the terminal is written to; the rest hands them what is to be said.
@each_of(path for path in FILES if room_of(path) not in ("log", "cli"))
def test_nothing_is_printed_but_through_the_log(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not calls, f"print() in lines {calls}: use runway.log"


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
