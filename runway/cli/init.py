"""``runway init DIR``: a project that runs at once, from a template; it asks nothing."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from runway.errors import ConfigError, did_you_mean

TEMPLATES = Path(__file__).resolve().parents[1] / "templates" / "projects"
COMMON = "common"
ABOUT = "about.txt"


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    folder = Path(arguments.folder)
    files = make_project(folder, arguments.template)
    sys.stdout.write(f"{folder}: {len(files)} files of the template {arguments.template}\n")
    lines = [f"cd {folder}"] if folder.resolve() != Path.cwd() else []
    sys.stdout.write("\n".join([*lines, "runway run configs/exp_config.jsonnet", ""]))
    return 0


def templates() -> list[str]:
    """The names of the templates."""
    return sorted(path.name for path in TEMPLATES.iterdir() if path.is_dir() and path.name != COMMON)


def make_project(folder: Path, template: str) -> list[Path]:
    """Write the files of a template into a new or empty folder; gives them.

    Raises:
        ConfigError: there is no such template, or something stands in the folder.
    """
    if template not in templates():
        raise ConfigError(
            f"there is no template {template!r}", where="--template", hint=did_you_mean(template, templates())
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        hint = "name a new folder; runway init changes nothing that is there"
        raise ConfigError(f"{str(folder)!r} is not empty", where="runway init", hint=hint)
    name = re.sub(r"[^a-z0-9_]+", "_", folder.resolve().name.lower()).strip("_") or "project"
    values = {"__NAME__": name, "__ABOUT__": (TEMPLATES / template / ABOUT).read_text(encoding="utf-8").strip()}
    made = []
    for source in (TEMPLATES / COMMON, TEMPLATES / template):
        for file in sorted(source.rglob("*")):
            if file.is_dir() or file.name == ABOUT or "__pycache__" in file.parts:
                continue
            relative = file.relative_to(source)
            target = folder / relative.with_name(".gitignore" if file.name == "gitignore" else file.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(filled(file.read_text(encoding="utf-8"), values), encoding="utf-8")
            if target.suffix == ".sh":
                target.chmod(0o755)
            made.append(target)
    return made


def filled(text: str, values: dict[str, str]) -> str:
    """A template's text with its placeholders replaced."""
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text
