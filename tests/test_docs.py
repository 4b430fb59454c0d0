"""The documentation holds: links lead somewhere, named files exist, every parity row has its place, pages say what
the code has, and examples print what is shown."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runway.cli.app import COMMANDS, _parsers
from runway.cli.mode_form import MODES, parse_mode_form
from runway.config import load_config, schema

if TYPE_CHECKING:
    from tests.conftest import Project

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """The anchors that a page's headings give, as the usual hosts make them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for match in LINK.finditer(FENCE.sub("", page.read_text(encoding="utf-8"))):
        target = match.group(1) or match.group(2)
        if re.match(r"[a-z]+:", target):
            continue  # outside; not asked for in a test that runs offline
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors_of(file)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def test_named_configs_and_scripts_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w/])(?:configs|src|scripts|benchmarks)/[\w/]+\.(?:jsonnet|libsonnet|py|sh)\b", text))
    named -= set(re.findall(r"^```\w+ file=(\S+)$", text, re.MULTILINE))  # the page's own example
    made = ROOT / "runway" / "templates" / "projects" / "blank"  # what `runway init` makes
    common = made.with_name("common")
    missing = [name for name in sorted(named) if not any((root / name).exists() for root in (ROOT, made, common))]
    assert not missing


PROMISED = {"000": 16, "001": 14, "002": 7, "003": 24}  # lines of each seed's list


def test_every_line_of_the_parity_list_has_a_row() -> None:
    rows = re.findall(r"^\| (\d{3}\.\w+) \| .+ \| (.+) \|(.+)\|$", (ROOT / "docs/parity.md").read_text(), re.MULTILINE)
    numbers = [row[0] for row in rows]
    assert len(numbers) == len(set(numbers))
    wanted = {f"{seed}.{line}" for seed, lines in PROMISED.items() for line in range(1, lines + 1)}
    assert wanted <= set(numbers)


def test_tests_that_the_parity_list_names_exist() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)", (ROOT / "docs/parity.md").read_text(encoding="utf-8")))
    missing = [name for name in sorted(named) if not (ROOT / name).is_file()]
    assert named
    assert not missing


# The reference pages hold what the code has, and their examples run.

REFERENCE = (
    "config",
    "pipeline",
    "looking",
    "transforms",
    "executors",
    "translation",
    "evaluation",
    "experiments",
    "cli",
)
BLOCK = re.compile(r"^```([a-z0-9]+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MEASURED = re.compile(r"\d+ min \d+ s|[\d.]+ (?:ms|s|B|kB|MB|GB)\b")  # times, and sizes that a library's version sets
ANYTHING = "…"


def text_of(name: str) -> str:
    """The text of a reference page."""
    return (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")


def cells(name: str, heading: str | None = None) -> set[str]:
    """What stands in backticks in the first cells of a page's tables; of those below a heading, where one is given."""
    text = text_of(name)
    if heading is not None:
        text = re.split(r"^## ", text.split(f"\n## {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| (.+?) \|", FENCE.sub("", text), re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def test_every_page_is_in_the_index() -> None:
    # The list of parity is for those who build runway.
    pages = {file.name for file in (ROOT / "docs").glob("*.md")} - {"README.md", "parity.md"}
    assert set(re.findall(r"^\| \[([\w.]+)\]\(\1\) \|", text_of("README"), re.MULTILINE)) == pages


@pytest.mark.parametrize("name", REFERENCE)
def test_a_reference_page_is_short(name: str) -> None:
    assert len(text_of(name).splitlines()) <= 165


def test_the_ready_made_transforms_are_in_their_page(project: Project) -> None:
    listed = json.loads(project.run("ops", "--json").stdout)  # a project without transforms of its own
    assert cells("transforms", "The ready-made ones") == {found["name"] for found in listed}


def test_every_command_and_option_is_in_its_page() -> None:
    words = set(re.findall(r"`([^`]+)`", FENCE.sub("", text_of("cli"))))
    named = {part for word in words for part in word.split()}
    _, parsers = _parsers(only=None)
    assert set(parsers) == set(COMMANDS)
    assert set(COMMANDS) == {word.split()[1] for word in cells("cli") if word.startswith("runway ")}
    options = {option for parser in parsers.values() for action in parser._actions for option in action.option_strings}
    options -= {"-h", "--help"}
    assert options - named == set()
    assert {cell.split()[0] for cell in cells("cli", "Options")} <= options


def test_every_option_of_the_other_form_is_in_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_mode_form(["--config", "any", "--help"])
    options = set(re.findall(r"^  (--[\w-]+)", capsys.readouterr().out, re.MULTILINE))
    assert {cell.split()[0] for cell in cells("cli", "The other form")} == options
    assert set(MODES) <= set(re.findall(r"`(\w+)`", text_of("cli").split("Modes: ")[1].split("\n")[0]))


def test_every_key_of_the_schema_is_in_the_table_of_its_section() -> None:
    tables = dict(re.findall(r"^\| (.+?) \|.*\n\|-.*\n((?:\|.*\n)+)", text_of("config"), re.MULTILINE))

    def keys_of(section: object) -> set[str]:
        if isinstance(section, schema.Required | schema.Names):
            return keys_of(section.of)
        return set(section).union(*map(keys_of, section.values())) if isinstance(section, dict) else set()

    for name, section in {"top level": schema.CONFIG, **schema.CONFIG}.items():
        if not isinstance(section, dict):
            continue
        # The top level has tables of its sections, and `eval` holds pipelines, which have a table of their own.
        keys = set(section) if name in ("top level", "eval") else keys_of(section)
        rows = next(rows for header, rows in tables.items() if header.startswith((name, f"`{name}.`")))
        assert keys - set(re.findall(r"`([^`]+)`", rows)) == set()
        first_cells = " ".join(re.findall(r"^\| (.+?) \|", rows, re.MULTILINE))
        assert set(re.findall(r"`([^`]+)`", first_cells)) - keys == set()


def test_every_shipped_metric_and_logger_is_in_its_page() -> None:
    from runway.experiment.loggers import LOGGERS
    from runway.metrics import SHIPPED

    assert set(SHIPPED) <= cells("evaluation")
    assert set(LOGGERS) <= cells("experiments")


def blocks(name: str) -> list[tuple[str, str, str]]:
    """The fenced blocks of a page: (language, what follows it, text)."""
    return [(language, rest.strip(), text) for language, rest, text in BLOCK.findall(text_of(name))]


def plain(text: str) -> str:
    """A terminal's text without what differs from run to run: times, sizes, and the width of columns that hold them."""
    return re.sub(r"([ ━─])\1+", r"\1", MEASURED.sub("#", text.rstrip()))


def fits(expected: str, found: str) -> bool:
    """Whether what was printed is what the page shows: a line `…` stands for any lines, a final `…` for any rest."""
    expected, found = plain(expected), plain(found)
    pattern = "".join(
        r"(?:.*\n)*?" if line == ANYTHING else re.escape(line).replace(ANYTHING, ".*") + r"\n"
        for line in expected.splitlines()
    )
    return re.fullmatch(pattern, found + "\n") is not None


WITH_EXAMPLES = [name for name in REFERENCE if re.search(r"^```\w+ run$", text_of(name), re.MULTILINE)]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run_and_print_what_the_page_shows(name: str, project: Project) -> None:
    """`file=PATH` blocks are written, `console run` and `python run` blocks run, in the order of the page."""
    shown: str | None = None
    for language, rest, text in blocks(name):
        if rest.startswith("file="):
            project.write(rest.removeprefix("file="), text)
        elif (language, rest) == ("console", "run"):
            for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                program, *arguments = shlex.split(command)
                assert program == "runway"
                result = project.run(*arguments, check=False)
                assert result.returncode in (0, 1, 2), result.output
                # stderr and stdout come together on a terminal; a page shows them in one order or the other
                both = (result.stderr + result.stdout, result.output)
                assert any(fits(expected, found) for found in both), f"$ {command}\n{both[0]}"
        elif (language, rest) == ("python", "run"):
            shown = project.python("-c", text).stdout
        elif (language, rest) == ("text", "output"):
            assert shown is not None
            assert fits(text, shown), shown


@pytest.mark.parametrize("name", REFERENCE)
def test_jsonnet_examples_evaluate(name: str, tmp_path: Path) -> None:
    for number, (language, rest, text) in enumerate(blocks(name)):
        if language == "jsonnet":
            file = tmp_path / (rest.removeprefix("file=") if rest else f"snippet{number}.jsonnet")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            load_config(file)
        elif language == "python":
            compile(text, f"docs/{name}.md", "exec")
