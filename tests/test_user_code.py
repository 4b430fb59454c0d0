"""Projects and their modules: found, imported, and the user's own traceback."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from runway import registry, user_code
from runway.errors import ConfigError, UserCodeError
from runway.user_code import find_project, import_user_module, may_run, user_traceback

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Project


def test_find_project(tmp_path: Path) -> None:
    (tmp_path / "p" / "configs" / "demo").mkdir(parents=True)
    config = tmp_path / "p" / "configs" / "demo" / "c.jsonnet"
    (tmp_path / "p" / "src").mkdir()
    assert find_project(config) == tmp_path / "p"
    (tmp_path / "p" / "configs" / "pyproject.toml").write_text("")
    assert find_project(config) == tmp_path / "p" / "configs"  # the nearest


def test_a_module_that_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "raising_module.py").write_text("x = 1\nimport not_there_at_all\n")
    with pytest.raises(UserCodeError) as caught:
        import_user_module("raising_module", where="test")
    assert caught.value.where == f"{tmp_path / 'raising_module.py'}:2"
    assert caught.value.traceback.count("File ") == 1  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="no module 'raising'"):
        import_user_module("raising", where="test")


def test_a_broken_module_and_a_name_given_twice_concern_only_who_needs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.path", list(sys.path))
    for known in ("broken_modules", "data_modules", "training_modules"):
        monkeypatch.setattr(user_code, known, type(getattr(user_code, known))())
    monkeypatch.setattr(registry.transforms, "levels", {level: {} for level in registry.LEVELS})
    monkeypatch.setattr(registry.transforms, "twins", {})
    ops = tmp_path / "src" / "ops_with_faults"
    ops.mkdir(parents=True)
    good = "from runway import BaseTransform, register_transform_functor\n\n@register_transform_functor\n"
    (ops / "first.py").write_text(f"import src.ops_with_faults\n{good}class Good(BaseTransform): ...\n")
    (ops / "left.py").write_text(f"{good}class Twin(BaseTransform): ...\n")
    (ops / "right.py").write_text(f"{good}class Twin(BaseTransform): ...\n")
    (ops / "faulty.py").write_text(f"import not_there_at_all\n{good}class Bad(BaseTransform): ...\n")
    registry.import_project_code(tmp_path, ["ops_with_faults"])
    assert registry.transforms.get("Good").__name__ == "Good"
    registry.tell_what_is_not_needed()
    told = capsys.readouterr().err
    assert "'ops_with_faults.faulty' cannot be imported: ModuleNotFoundError" in told
    assert "'Twin' is registered twice" in told
    with pytest.raises(UserCodeError, match="not_there_at_all"):
        registry.transforms.get("Bad")
    with pytest.raises(ConfigError, match="'Twin' is registered twice"):
        registry.transforms.get("Twin")


def test_the_users_traceback_has_the_cause_and_not_runways_frames() -> None:
    def user_code() -> None:
        try:
            registry.transforms.get("NothingOfThisName")
        except ConfigError as error:
            raise ValueError("mine") from error

    with pytest.raises(ValueError, match="mine") as caught:
        user_code()
    text = user_traceback(caught.value)
    assert "unknown transform 'NothingOfThisName'" in text
    assert "direct cause" in text
    assert text.endswith("ValueError: mine")
    assert "/runway/registry.py" not in text


NODE = "{ data_pipeline: { transforms: { 'output:A': { transform_name: '%s' } } }, %s }"


def group_package(project: Project, name: str, entry_points: str | None = None) -> dict[str, str]:
    """A package that is installed beside the project, and says when it is imported; the environment that has it."""
    project.write(
        f"site/site-packages/{name}/ops.py",
        f"""
        from runway import BaseTransform

        print("{name} was imported")

        class Two(BaseTransform):
            def _call(self, data):
                return 2
        """,
    )
    project.write(f"site/site-packages/{name}/__init__.py", "")
    if entry_points:
        folder = f"site/site-packages/{name}-1.0.dist-info"
        project.write(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        project.write(f"{folder}/entry_points.txt", entry_points)
    return {"PYTHONPATH": project.environment()["PYTHONPATH"] + f":{project.path / 'site' / 'site-packages'}"}


@pytest.mark.parametrize("name", ["antigravity:x", "subprocess:Popen", "http.server:X", "sys:x", "group_lib.ops:Two"])
def test_a_config_has_nothing_imported_that_merely_happens_to_be_installed(project: Project, name: str) -> None:
    env = group_package(project, "group_lib")
    config = project.write("exp.jsonnet", NODE % (name, ""))
    for command in ("plan", "prepare"):
        done = project.run(command, config, check=False, env=env)
        assert done.returncode == 2
        package = name.partition(":")[0]
        assert f"names the module {package!r}, which is not of the project" in done.output
        assert f"trusted_packages: ['{package.partition('.')[0]}']" in done.output
        assert "was imported" not in done.output


def test_a_package_can_be_trusted_or_be_a_plugin(project: Project) -> None:
    env = group_package(project, "group_lib")
    config = project.write("exp.jsonnet", NODE % ("group_lib.ops:Two", "meta: { trusted_packages: ['group_lib'] }"))
    assert "was imported" in project.run("prepare", config, env=env).output
    config = project.write("part.jsonnet", NODE % ("group_lib.ops:Two", "meta: { trusted_packages: ['group'] }"))
    assert "not of the project" in project.run("plan", config, check=False, env=env).output
    env = group_package(project, "group_plugin", "[runway.plugins]\ngroup = group_plugin\n")
    config = project.write("plugin.jsonnet", NODE % ("group_plugin.ops:Two", ""))
    assert "was imported" in project.run("plan", config, env=env).output


def test_further_modules_are_held_to_the_same_rule(project: Project) -> None:
    project.write("src/data_ops/ops.py", "from runway import BaseTransform\nimport os\nclass A(BaseTransform): pass\n")
    project.write("src/more.py", "print('more was imported')\n")
    config = project.write("exp.jsonnet", NODE % ("data_ops.ops:A", "meta: { user_modules: ['more'] }"))
    assert "more was imported" in project.run("plan", config).output
    assert "'antigravity'" in project.run("plan", config, 'meta.user_modules=["antigravity"]', check=False).output
    # what a module of the project imports is not its own
    config = project.write("os.jsonnet", NODE % ("data_ops.ops:os.PathLike", ""))
    assert "has no class 'os.PathLike'" in project.run("plan", config, check=False).output
    executor = "experiment_name: 'e', executor: { ExecutorClass: 'antigravity:x' }"
    config = project.write("executor.jsonnet", NODE % ("data_ops.ops:A", executor))
    assert "names the module 'antigravity'" in project.run("train", config, check=False).output


def test_files_that_a_config_may_have_run(tmp_path: Path) -> None:
    assert may_run(tmp_path / "metric.py", tmp_path)
    assert not may_run(tmp_path / ".." / "metric.py", tmp_path)
