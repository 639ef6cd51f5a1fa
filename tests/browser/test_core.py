"""The core's own tests, inside Pyodide in a Chromium worker, from a snapshot as a page has it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

from tests.browser import inside

MINUTES_MAX = 6
TESTS = "tests/core"


def test_the_core_passes_its_tests_in_the_browser(
    page: Page, wheel: Path, hypothesis_wheel: Path, pyodide: Path, snapshot: bytes
) -> None:
    page.set_default_timeout(MINUTES_MAX * 60_000)
    archives = inside.tests(TESTS)
    with inside.site(pyodide, [wheel, hypothesis_wheel], archives, snapshot) as site:
        page.goto(site.page)
        page.locator("html[data-ready]").wait_for(state="attached")
        result = inside.Result.read(page.evaluate(inside.RUN, site.order(inside.pytest_of(TESTS))))
    assert not result.failed, "\n\n".join(f"{k}\n{v}" for k, v in result.failed.items())
    assert result.code == 0
    assert len(result.passed) == inside.collected(TESTS)
