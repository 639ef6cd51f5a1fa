"""The core's own tests, inside Pyodide in a Chromium worker, from the built wheel."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser import inside

MINUTES_MAX = 6
TESTS = "tests/core"


@pytest.mark.parametrize("start", ["scratch", "snapshot"])
def test_the_core_passes_its_tests_in_the_browser(
    page: Page, wheel: Path, hypothesis_wheel: Path, pyodide: Path, snapshot: bytes, start: str
) -> None:
    page.set_default_timeout(MINUTES_MAX * 60_000)
    archives, taken = inside.tests(TESTS), snapshot if start == "snapshot" else b""
    with inside.site(pyodide, [wheel, hypothesis_wheel], archives, taken) as site:
        page.goto(site.page)
        page.locator("html[data-ready]").wait_for(state="attached")
        result = inside.Result.read(page.evaluate(inside.RUN, site.order(inside.pytest_of(TESTS))))
    assert not result.failed, "\n\n".join(f"{k}\n{v}" for k, v in result.failed.items())
    assert result.code == 0
    assert len(result.passed) == inside.collected(TESTS)
