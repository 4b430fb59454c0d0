"""Installed packages count by what their files hold: not by their version, nor by how they were installed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runway.errors import RunwayError
from runway.pipeline.keys import packages
from runway.pipeline.keys.packages import package_content
from tests.pipeline.cached import Cached

if TYPE_CHECKING:
    from tests.conftest import Project

BODY = {"plug/__init__.py": "from plug.ops import Op\n", "plug/ops.py": "class Op: size = 1\n", "_plug.py": "x = 1\n"}


def install(
    site: Path, files: dict[str, str], version: str = "1.0", name: str = "plug-in", record: bool = True
) -> None:
    """Write what an installer would, in place of what it wrote before."""
    for old in site.glob(f"{name.replace('-', '_')}-*.dist-info"):
        for line in (old / "RECORD").read_text().splitlines() if (old / "RECORD").exists() else ():
            (site / line.partition(",")[0]).unlink(missing_ok=True)
        shutil.rmtree(old)
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/entry_points.txt": "[runway.plugins]\nplug = plug\n",
    }
    lines = []
    for file, text in files.items():
        path = site / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        found = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        lines.append(f"{file},sha256={found},{len(text)}\n")
        if file.endswith(".py"):
            lines.append(f"{Path(file).parent}/__pycache__/{Path(file).stem}.cpython-311.pyc,,\n")
    if record:
        (site / info / "RECORD").write_text("".join([*lines, f"{info}/RECORD,,\n"]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site-packages folder that Python looks in, with one package."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    install(folder, BODY)
    return folder


def content(name: str = "plug") -> str:
    """As a new process tells it."""
    package_content.cache_clear()
    return package_content(name)


def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read from here on."""
    names: list[str] = []
    real = packages._hash
    monkeypatch.setattr(packages, "_hash", lambda file: names.append(file.name) or real(file))
    return names


@pytest.mark.parametrize("file", BODY)
def test_another_body_under_the_same_version(site: Path, file: str) -> None:
    before = content()
    assert content() == before
    install(site, {**BODY, file: "class Op: size = 2\n"})
    assert content() != before
    install(site, BODY)
    assert content() == before


def test_files_that_come_and_go(site: Path) -> None:
    seen = {content()}
    install(site, {**BODY, "plug/more.py": ""})
    seen.add(content())
    install(site, {**BODY, "plug/words.txt": "a"})
    seen.add(content())
    (site / "plug" / "words.txt").unlink()
    seen.add(content())
    assert len(seen) == 4


def test_what_is_no_content(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version with the same files, another installer, another environment, and what Python compiles."""
    before = content()
    install(site, {**BODY, "../../bin/plug": f"#!{site}/python\n"}, version="2.0")
    info = site / "plug_in-2.0.dist-info"
    for name in ("INSTALLER", "REQUESTED", "direct_url.json"):
        (info / name).write_text(name)
    (site / "plug" / "__pycache__").mkdir(exist_ok=True)
    (site / "plug" / "__pycache__" / "ops.cpython-311.pyc").write_text("compiled")
    assert content() == before
    other = site.parent / "other" / "site-packages"
    shutil.copytree(site, other)
    monkeypatch.setattr(sys, "path", [str(other), *sys.path])
    assert content() == before


def test_untouched_files_are_not_read(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = hashed(monkeypatch)
    before = content()
    assert names == []
    record = (site / "plug_in-1.0.dist-info" / "RECORD").stat().st_mtime_ns
    os.utime(site / "plug" / "ops.py", ns=(record + 10**9, record + 10**9))
    assert content() == before  # copied by a tool that sets new times
    assert names == ["ops.py"]


def test_a_file_that_was_edited_where_it_is_installed(site: Path) -> None:
    before = content()
    file = site / "plug" / "ops.py"
    file.write_text("class Op: size = 2\n")
    record = (site / "plug_in-1.0.dist-info" / "RECORD").stat().st_mtime_ns
    os.utime(file, ns=(record + 10**9, record + 10**9))
    assert content() != before


@pytest.mark.parametrize("record", [None, "", "__editable__.plug.pth,sha256=x,3\n"], ids=["none", "empty", "editable"])
def test_without_a_record_the_folder_is_read(record: str | None, site: Path) -> None:
    only_folder = {name: text for name, text in BODY.items() if name.startswith("plug/")}
    install(site, only_folder)
    before = content()
    install(site, only_folder, record=False)
    if record is not None:
        (site / "plug_in-1.0.dist-info" / "RECORD").write_text(record)
    assert content() == before  # however it is told
    (site / "plug" / "ops.py").write_text("class Op: size = 2\n")
    assert content() != before


def test_a_package_that_others_stand_beside(site: Path) -> None:
    before, alone = content(), content("_plug")
    install(site, {"plugger/__init__.py": "", "plu.py": ""}, name="plugger")
    install(site, {"other/__init__.py": ""}, name="plug")  # a distribution of its name that does not hold it
    assert (content(), content("_plug")) == (before, alone)
    install(site, {"other/__init__.py": "x = 1"}, name="plug")
    assert content() == before


def test_a_namespace_is_all_that_is_installed_in_it(site: Path) -> None:
    install(site, {"space/one.py": "x = 1\n"}, name="space-one")
    install(site, {"space/two.py": "x = 1\n"}, name="space-two")
    seen = {content("space")}
    for name in ("one", "two"):
        install(site, {f"space/{name}.py": "x = 2\n"}, name=f"space-{name}")
        seen.add(content("space"))
    assert len(seen) == 3


def test_a_file_that_cannot_be_read(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(hashlib, "file_digest", refuse)
    (site / "plug_in-1.0.dist-info" / "RECORD").unlink()
    with pytest.raises(RunwayError, match="an installed package cannot be read"):
        content()


@pytest.mark.parametrize("name", ["sys", "json", "antigravity", "no_such_package"])
def test_what_was_not_installed(name: str) -> None:
    assert content(name) == content(name)


PLUGIN = """
import json
import os

from runway import BaseTransform, register_transform_functor


@register_transform_functor
class FromPlugin(BaseTransform):
    def _call(self, data):
        with open(os.environ["RAN"], "a") as file:
            file.write(json.dumps([self.name, 1]) + "\\n")
        return 1
"""


def rewrite(site: Path) -> None:
    install(site, {"plug/__init__.py": PLUGIN.replace("return 1", "return 2")})


def bump(site: Path) -> None:
    install(site, {"plug/__init__.py": PLUGIN}, version="2.0")


@pytest.mark.parametrize(("change", "runs"), [(rewrite, True), (bump, False)])
def test_a_plugin_that_is_installed_again(project: Project, change: Callable[[Path], None], runs: bool) -> None:
    site = project.path.parent / "lib" / "site-packages"
    install(site, {"plug/__init__.py": PLUGIN})
    project.write(
        "config.jsonnet", "{ data_pipeline: { transforms: { 'output:T': { transform_name: 'FromPlugin' } } } }"
    )
    cached = Cached(project)
    env = {"PYTHONPATH": os.pathsep.join([project.environment()["PYTHONPATH"], str(site)])}
    assert cached.prepare(env=env) == {"output:T": 1}
    assert cached.prepare(env=env) == {}
    change(site)
    printed = project.run("plan", "config.jsonnet", "--json", env={**cached.env, **env}).stdout
    assert [step["status"] for step in json.loads(printed)] == ["run" if runs else "cached"]
    assert cached.prepare(env=env) == ({"output:T": 1} if runs else {})
