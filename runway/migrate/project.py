"""A project's files, as they are and as they would be."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from runway.disk import replace_text
from runway.errors import ConfigError
from runway.migrate.edits import Migrated, Remark
from runway.migrate.jsonnet_code import migrate_jsonnet
from runway.migrate.python_code import migrate_python
from runway.walk import is_cache

LEFT_OUT = ("experiments", "site-packages", "node_modules", "third_party", "runway_for_ml")


class Change(NamedTuple):
    """One file, its text of before and after, and what is said about it."""

    file: Path
    before: str
    after: str
    remarks: list[Remark]

    def diff(self, root: Path) -> str:
        """The change as a unified diff."""
        name = self.file.relative_to(root).as_posix()
        lines = (self.before.splitlines(keepends=True), self.after.splitlines(keepends=True))
        return "".join(difflib.unified_diff(*lines, f"a/{name}", f"b/{name}"))


def changes(root: Path) -> list[Change]:
    """What would change in a project; nothing is written.

    Raises:
        ConfigError: there is no such folder.
    """
    if not root.is_dir():
        raise ConfigError(f"there is no folder {str(root)!r}", where="runway migrate")
    files = sorted(_files(root))
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    code = "\n".join(text for file, text in texts.items() if file.suffix == ".py")
    found = []
    for file, text in texts.items():
        try:
            migrated = migrate_python(text) if file.suffix == ".py" else migrate_jsonnet(text, code)
        except SyntaxError as error:
            migrated = Migrated(text, [Remark(error.lineno or 1, f"it is no Python of today: {error.msg}")])
        if migrated.text != text or migrated.remarks:
            found.append(Change(file, text, migrated.text, migrated.remarks))
    return found


def write(found: list[Change]) -> None:
    """Write the files that change, each whole or not at all."""
    for change in found:
        if change.after != change.before:
            replace_text(change.file, change.after)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            if path.name not in LEFT_OUT and not is_cache(path):
                yield from _files(path)
        elif path.suffix in (".py", ".jsonnet", ".libsonnet"):
            yield path
