"""Names to classes: levels, clashes, and plugins."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from runway import registry
from runway.errors import ConfigError
from runway.registry import Registry

if TYPE_CHECKING:
    from tests.conftest import Project


class Mine:
    pass


class Other:
    pass


def test_names() -> None:
    executors = Registry("executor")
    assert executors.register(Mine) is Mine
    assert executors.register(Mine) is Mine  # a module that is loaded again
    executors.register(Mine, "Again")
    assert executors.get("Mine") is executors.get("Again") is Mine
    assert executors.register(Other, "Mine") is Other, "no concern of a run that does not ask for it"
    with pytest.raises(ConfigError, match="'Mine' is registered twice") as caught:
        executors.get("Mine")
    assert executors.get("Again") is Mine
    assert "Mine and " in str(caught.value.where)
    assert str(caught.value.where).endswith(":Other")
    with pytest.raises(ConfigError, match="unknown executor 'mine'") as caught:
        executors.get("mine")
    assert caught.value.hint == "did you mean 'Mine'?"
    with pytest.raises(ConfigError, match="must be text"):
        executors.get(5)  # type: ignore[arg-type]


def test_classes_by_their_place() -> None:
    executors = Registry("executor")
    assert executors.get("runway.errors:ConfigError") is ConfigError
    assert executors.get(f"{__name__}:Mine") is sys.modules[__name__].Mine
    with pytest.raises(ConfigError, match="has no class 'ConfigErorr'") as caught:
        executors.get("runway.errors:ConfigErorr")
    assert "'ConfigError'" in str(caught.value.hint)
    with pytest.raises(ConfigError, match=r"no module 'runway\.nothing'"):
        executors.get("runway.nothing:X")
    with pytest.raises(ConfigError, match="has no class 'did_you_mean'"):
        executors.get("runway.errors:did_you_mean")


def test_ready_made_names_are_all_there() -> None:
    known = registry.transforms.names()
    assert {"LoadHFDataset", "HFDatasetTokenizeTransform", "DummyTransform", "SplitHFDataset"} <= known.keys()
    assert list(known) == sorted(known)


def test_a_plugin_that_fails_does_not_stop_others(project: Project) -> None:
    for name, code in (("good", GOOD_PLUGIN), ("bad", "raise ValueError('broken plugin')\n")):
        project.write(f"site/site-packages/{name}_plugin.py", code)
        folder = f"site/site-packages/{name}_plugin-1.0.dist-info"
        project.write(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1.0\n")
        project.write(f"{folder}/entry_points.txt", f"[runway.plugins]\n{name} = {name}_plugin\n")
    path = str(project.path / "site" / "site-packages")
    code = (
        f"import sys; sys.path.insert(0, {path!r}); from runway.cli import main; sys.exit(main(['show', 'FromPlugin']))"
    )
    result = project.python("-c", code)
    assert "From a plugin." in result.stdout
    assert (
        "warning: the plugin 'bad' (bad_plugin, of bad-plugin) does not import: ValueError('broken plugin')"
        in result.stderr
    )


GOOD_PLUGIN = '''
from runway import BaseTransform, register_transform_functor


@register_transform_functor
class FromPlugin(BaseTransform):
    """From a plugin."""
'''


def test_scripts_written_for_0_1_0_find_what_they_import(project: Project) -> None:
    project.write(
        "src/data_ops/ops.py",
        """
        from runway.registry import register_transform_functor
        from runway.transforms.base import BaseTransform

        @register_transform_functor
        class Two(BaseTransform):
            def _call(self, data):
                return 2
        """,
    )
    project.write("exp.jsonnet", "{ data_pipeline: { transforms: { 'output:T': { transform_name: 'Two' } } } }")
    project.write(
        "script.py",
        """
        from runway import DataPipeline, load_config
        from runway.registry import import_project_code

        config = load_config("exp.jsonnet")
        import_project_code(config.project, ["data_ops"])
        pipeline = DataPipeline(config["data_pipeline"], global_config=config)
        print(pipeline.get_data(["output:T"], explode=True))
        """,
    )
    assert project.python("script.py").stdout.splitlines()[-1] == "2"
