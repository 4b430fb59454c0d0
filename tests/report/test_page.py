"""Pages in a real browser, started once: they work, show text as text, and neither ask a network nor complain."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from runway.report.board import board_page
from runway.report.compare import compare
from runway.report.compare_page import comparison_page
from runway.report.run_list import list_runs
from runway.report.run_report import write_report
from tests.report.made import HOSTILE, made_run

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("bokeh", "itables")), reason="the extra `report` is missing"
)
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def test_in_a_browser_pages_sort_filter_and_open_a_sample(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed")
    paths = [made_run(tmp_path / "runs", f"made_V{seed}", rows=60, seed=seed) for seed in range(2)]
    report = write_report(paths[0])
    comparison_page(compare(paths)).write(tmp_path / "compare.html")
    board_page(tmp_path / "runs", list_runs(tmp_path / "runs")).write(tmp_path / "board.html")
    said: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=SWITCHES)
        page = browser.new_page(color_scheme="dark")
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
        cells = page.locator("table.samples tbody tr td:first-child")

        def opened(path: Path) -> None:
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready]", timeout=60_000)
            assert page.evaluate("window.hit") is None

        def rows() -> list[int]:
            return [int(text) for text in cells.all_inner_texts()]

        opened(report)
        assert page.locator(".chart canvas").count() >= 5
        worst = rows()
        assert len(worst) == 10
        page.locator("table.samples thead .dtcc-button_order").first.click()
        assert rows() in (list(range(10)), list(range(59, 49, -1)))
        assert rows() != worst
        page.locator(".dt-search input").fill("window.hit")
        page.wait_for_function("document.querySelectorAll('table.samples tbody tr').length === 1")
        assert rows() == [3]
        cells.first.click()
        assert page.locator("#sample").is_visible()
        assert HOSTILE in page.locator("#sample-text").inner_text()
        page.emulate_media(color_scheme="light")
        assert page.evaluate("document.documentElement.classList.contains('dark')") is False

        opened(tmp_path / "compare.html")
        assert "right to wrong" in page.locator("main").inner_text()
        assert cells.count() > 0
        opened(tmp_path / "board.html")
        assert sorted(cells.all_inner_texts()) == ["made_V0", "made_V1"]
        browser.close()
    assert not said
