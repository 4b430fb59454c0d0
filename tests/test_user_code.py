"""Projects and their modules: found, imported, and the user's own traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runway import registry
from runway.errors import ConfigError, UserCodeError
from runway.user_code import find_project, import_user_module, user_traceback

if TYPE_CHECKING:
    from pathlib import Path


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
