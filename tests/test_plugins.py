"""A group's package, installed: its templates, transforms, runner, logger and format; and broken ones beside it."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runway import DataPipeline, load_config, registry
from runway.errors import ConfigError
from runway.experiment.loggers import build_loggers, check_loggers
from runway.pipeline.runners import choose

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "lab_templates"
MINE = "(import 'lab_templates/reviews.libsonnet') + {\n  rows: 3,\n  data_pipeline+: { transforms+: { 'output:Tidy'+: "
MINE += "{ setup_kwargs+: { upper: true } } } },\n}"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, installed into a folder of its own by pip; and two packages that are broken."""
    source = tmp_path_factory.mktemp("source") / "lab_templates"
    shutil.copytree(EXAMPLE, source)
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target"]
    subprocess.run([*pip, str(folder), str(source)], check=True, timeout=120)
    for name, group in (("broken_lab", "runway.plugins"), ("broken_texts.inner", "runway.templates")):
        package = name.partition(".")[0]
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text("raise RuntimeError('out of order')\n")
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\nbad = {name}\n")
    return folder


@pytest.fixture
def lab(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(installed))
    importlib.invalidate_caches()
    monkeypatch.setattr(registry, "_plugins", set())
    yield installed
    for level in registry.LEVELS:
        for name in ("lab_reviews", "lab_tidy"):
            registry.transforms.levels[level].pop(name, None)
    for kind, name in (("runner", "lab_serial"), ("logger", "lab_csv"), ("format", "lab_vocabulary")):
        registry.EXTENSIONS[kind].pop(name, None)
    for name in ("lab_templates", "lab_templates.plugin"):
        sys.modules.pop(name, None)


def test_a_config_of_the_lab_is_imported_by_name_and_overridden(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "exp.jsonnet").write_text(MINE)
    config = load_config(tmp_path / "exp.jsonnet")
    assert (config.experiment_name, config.rows) == ("lab_reviews", 3)
    for _ in range(2):
        pipeline = DataPipeline(config.data_pipeline, global_config=config, project=tmp_path, cache_dir=tmp_path / "c")
        words = pipeline.get_data(["output:Tidy"], explode=True)
        assert words == {"A FINE FILM, NO. 0", "A FINE FILM, NO. 1", "A FINE FILM, NO. 2"}
        assert type(words).__name__ == "Vocabulary"
    assert pipeline.plan().steps["output:Tidy"].status == "cached"
    kept = [file.read_text() for file in (tmp_path / "c").rglob("words.txt")]
    assert kept == ["A FINE FILM, NO. 0\nA FINE FILM, NO. 1\nA FINE FILM, NO. 2"], "kept by the lab's format"
    told = capsys.readouterr().err
    assert "the plugin 'bad' (broken_lab, of broken_lab) does not import: RuntimeError('out of order')" in told
    assert "the templates of 'bad' (broken_texts.inner, of broken_texts) cannot be looked up" in told


def test_its_runner_and_logger_are_known_by_name(lab: Path, tmp_path: Path) -> None:
    assert choose("lab_serial").runner.__name__ == "LabRunner"
    assert check_loggers(["csv", "lab_csv"]) == ["csv", "lab_csv"]
    logged: Any = SimpleNamespace(logs=tmp_path)
    assert build_loggers(["lab_csv"], logged)[0].version == "lab"
    with pytest.raises(ConfigError) as caught:
        check_loggers(["lab_csw"])
    assert "did you mean 'lab_csv'" in str(caught.value.hint)
    with pytest.raises(ConfigError, match="there is no runner 'lab_serail'"):
        choose("lab_serail")


def test_a_logger_by_its_place_gets_what_it_takes(tmp_path: Path) -> None:
    name = "lightning.pytorch.loggers:CSVLogger"
    with pytest.raises(ConfigError, match="is not of the project"):
        build_loggers([name], SimpleNamespace(logs=tmp_path))  # type: ignore[arg-type]
    (logger,) = build_loggers([f"{__name__}:Mine"], SimpleNamespace(logs=tmp_path))  # type: ignore[arg-type]
    assert (logger.save_dir, logger.version) == (tmp_path, "Mine")


class Mine:
    """A logger as far as its making goes."""

    def __init__(self, save_dir: Path, version: str) -> None:
        self.save_dir, self.version = save_dir, version


def test_a_name_belongs_to_one_place() -> None:
    registry.register_runner("twice")(Mine)
    try:
        registry.register_runner("twice")(Mine)  # a module that is loaded again
        with pytest.raises(ConfigError, match="the runner name 'twice' is registered twice"):
            registry.register_runner("twice")(dict)
    finally:
        registry.EXTENSIONS["runner"].pop("twice")
