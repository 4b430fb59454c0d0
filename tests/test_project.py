"""The project's frame: what is declared in two places agrees, what is shipped is whole, and the scripts hold."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
SCRIPTS = ["run_experiment.sh", "run_tests.sh", "scripts/setup_env.sh", "scripts/check_lowest_versions.sh", ".ci/run"]

# import name -> distribution, where they differ
DISTRIBUTIONS = {
    "_gojsonnet": "gojsonnet",
    "_jsonnet": "jsonnet",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "rouge_score": "rouge-score",
}
# What comes with a library that is declared, and is only ever met as that library's values.
COME_WITH = {"numpy": "pyarrow", "pandas": "datasets", "pillow": "matplotlib", "safetensors": "transformers"}
COME_WITH |= {"markupsafe": "jinja2", "huggingface-hub": "transformers", "httpx": "transformers"}
COME_WITH |= {"scipy": "scikit-learn", "torchmetrics": "lightning", "cloudpickle": "ray"}


def declared() -> list[Requirement]:
    return [Requirement(text) for text in PROJECT["dependencies"]]


def extras() -> dict[str, list[Requirement]]:
    return {name: [Requirement(text) for text in texts] for name, texts in PROJECT["optional-dependencies"].items()}


def constraints() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def setup_extras() -> str:
    found = re.search(r'^extras="(.*)"$', (ROOT / "scripts/setup_env.sh").read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    return found.group(1)


def tracked_files() -> list[Path]:
    """The files that are or would be committed."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [ROOT / name for name in listing.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


class TestTheTwoEnvironmentFilesAgree:
    def test_conda_lists_what_pyproject_lists(self) -> None:
        (pip,) = (entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
        listed = [Requirement(line) for line in pip if not line.startswith("-")]
        assert listed[0].name == "torch"
        # Torch is pinned there, as setup_env.sh pins it; everything else reads the same.
        assert str(listed[0]) == str(constraints()[0])
        wanted = [str(requirement) for requirement in declared() if requirement.name != "torch"]
        assert [str(requirement) for requirement in listed[1:]] == wanted

    def test_conda_uses_the_same_pins_and_extras(self) -> None:
        (pip,) = (entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
        assert "-c constraints.txt" in pip
        assert f"-e .[{setup_extras()}]" in pip

    def test_conda_takes_the_same_python(self) -> None:
        (python,) = (entry for entry in ENVIRONMENT["dependencies"] if str(entry).startswith("python>"))
        assert PROJECT["requires-python"] in python

    def test_the_environment_has_the_name_that_the_walkthrough_activates(self) -> None:
        assert ENVIRONMENT["name"] == "runway_imdb"


class TestConstraints:
    def test_torch_comes_first(self) -> None:
        assert str(constraints()[0]) == "torch==2.13.0"

    def test_every_direct_dependency_is_pinned(self) -> None:
        pinned = {canonicalize_name(requirement.name) for requirement in constraints()}
        wanted = [*declared(), *(one for name in setup_extras().split(",") for one in extras()[name])]
        missing = [one.name for one in wanted if canonicalize_name(one.name) not in pinned]
        assert not missing

    def test_every_pin_is_exact_and_portable(self) -> None:
        for requirement in constraints():
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", requirement
            assert "+" not in specifier.version, f"{requirement}: a local build, which others cannot install"
            assert requirement.url is None

    def test_pins_fit_the_declared_ranges(self) -> None:
        pins = {canonicalize_name(one.name): next(iter(one.specifier)).version for one in constraints()}
        for requirement in [*declared(), *(one for group in extras().values() for one in group)]:
            version = pins.get(canonicalize_name(requirement.name))
            assert version is None or requirement.specifier.contains(version, prereleases=True), requirement

    def test_what_is_said_to_be_installed_is_this_package_and_an_extra_of_it(self) -> None:
        texts = [*(ROOT / "runway").rglob("*.py"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
        said = [
            found for path in texts for found in re.findall(r"['`](runway[\w-]*)\[(\w+)\]['`]", path.read_text("utf-8"))
        ]
        assert said
        assert {name for name, _ in said} == {PROJECT["name"]}
        assert {extra for _, extra in said} <= set(extras())


def test_every_library_that_the_package_imports_is_declared() -> None:
    known = {
        canonicalize_name(one.name) for one in [*declared(), *(one for group in extras().values() for one in group)]
    }
    undeclared = {}
    for path in sorted((ROOT / "runway").rglob("*.py")):
        if path.is_relative_to(ROOT / "runway" / "templates"):  # of projects, which have their own
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module or ""]
            else:
                continue
            for module in modules:
                top = module.split(".")[0]
                if top in sys.stdlib_module_names or top in ("runway", "__future__"):
                    continue
                distribution = canonicalize_name(DISTRIBUTIONS.get(top, top))
                if distribution not in known and COME_WITH.get(distribution) not in known:
                    undeclared[top] = f"{path.relative_to(ROOT)}:{node.lineno}"
    assert not undeclared


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built offline from a copy of the sources: building leaves folders behind."""
    source = tmp_path_factory.mktemp("source")
    for path in tracked_files():
        name = path.relative_to(ROOT)
        if name.parts[0] in ("runway", "pyproject.toml", "README.md", "LICENSE"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(path.read_bytes())
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", str(target), str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("*.whl")
    return zipfile.ZipFile(built)


class TestTheWheel:
    def test_holds_every_file_of_the_package(self, wheel: zipfile.ZipFile) -> None:
        wanted = {path.relative_to(ROOT).as_posix() for path in tracked_files() if ROOT / "runway" in path.parents}
        assert wanted
        assert not wanted - set(wheel.namelist())

    def test_holds_nothing_else(self, wheel: zipfile.ZipFile) -> None:
        tops = {name.split("/")[0] for name in wheel.namelist()}
        assert {top for top in tops if not top.endswith(".dist-info")} == {"runway"}

    def test_installs_the_command(self, wheel: zipfile.ZipFile) -> None:
        (points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
        assert "runway = runway.cli:main" in wheel.read(points).decode()

    def test_carries_the_version_of_the_package(self, wheel: zipfile.ZipFile) -> None:
        import runway

        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        assert f"\nVersion: {runway.__version__}\n" in wheel.read(metadata).decode()


class TestScripts:
    @pytest.mark.parametrize("script", SCRIPTS)
    def test_can_be_run_and_parses(self, script: str) -> None:
        assert os.access(ROOT / script, os.X_OK), f"chmod +x {script}"
        assert subprocess.run(["bash", "-n", str(ROOT / script)], check=False).returncode == 0

    def test_an_unknown_demo_is_named_before_anything_is_installed(self, tmp_path: Path) -> None:
        command = ["bash", str(ROOT / "run_experiment.sh"), "imbd"]
        environment = {**os.environ, "RUNWAY_VENV": str(tmp_path / "none")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "unknown demo 'imbd'" in done.stderr
        assert not (tmp_path / "none").exists()

    def test_setup_names_the_mend_where_there_is_no_python(self, tmp_path: Path) -> None:
        environment = {**os.environ, "RUNWAY_VENV": str(tmp_path / "env"), "RUNWAY_PYTHON": "no-such-python"}
        environment.pop("CONDA_DEFAULT_ENV", None)
        done = subprocess.run([str(ROOT / "scripts/setup_env.sh")], env=environment, capture_output=True, text=True)
        assert done.returncode != 0
        assert "RUNWAY_PYTHON=" in done.stderr
        assert done.stdout == ""

    def test_setup_is_done_in_milliseconds_where_nothing_changed(self, tmp_path: Path) -> None:
        venv = tmp_path / "a folder with spaces"
        (venv / "bin").mkdir(parents=True)
        (venv / "bin" / "python").symlink_to(sys.executable)
        parts = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
        parts += (ROOT / "scripts/setup_env.sh").read_bytes()
        checksum = subprocess.run(["cksum"], input=parts, capture_output=True, check=True).stdout.decode().strip()
        (venv / ".runway-setup").write_text(f"{ROOT} {checksum}\n", encoding="utf-8")
        environment = {**os.environ, "RUNWAY_VENV": str(venv)}
        environment.pop("CONDA_DEFAULT_ENV", None)
        started = time.perf_counter()
        # Started from elsewhere, as a Makefile or a cluster job would.
        done = subprocess.run(
            [str(ROOT / "scripts/setup_env.sh")], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.stdout == f"{venv}/bin/python\n", done.stderr
        assert done.stderr == ""
        assert time.perf_counter() - started < 2.0

    def test_an_activated_conda_environment_is_used_as_it_is(self, tmp_path: Path) -> None:
        environment = {**os.environ, "CONDA_DEFAULT_ENV": "runway_imdb", "CONDA_PREFIX": str(tmp_path)}
        done = subprocess.run([str(ROOT / "scripts/setup_env.sh")], env=environment, capture_output=True, text=True)
        assert done.stdout == f"{tmp_path}/bin/python\n"


def test_no_committed_file_names_a_machine_or_a_registry() -> None:
    # Put together here, so that this file does not hold what it looks for.
    forbidden = [
        re.compile(prefix + rest)
        for prefix, rest in (
            ("/ro", r"ot/"),
            ("/wo", r"rk/(main|shared)"),
            ("/ho", r"me/[a-z]+/"),
            ("pypi\\.", r"org/simple"),
            ("--(extra-)?index-", r"url[ =]http"),
            ("files\\.python", r"hosted\.org"),
        )
    ]
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for pattern in forbidden:
            if match := pattern.search(text):
                found.append(f"{path.relative_to(ROOT)}: {match.group()}")
    assert not found


def test_ruff_checks_what_the_project_says_it_checks() -> None:
    chosen = set(PYPROJECT["tool"]["ruff"]["lint"]["select"])
    # TC is today's name of flake8-type-checking, TCH its old one.
    assert chosen == {"B", "D417", "E", "F", "I", "N", "PT", "RUF", "S", "SIM", "TC", "TID", "UP"}
