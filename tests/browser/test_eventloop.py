"""The ready-queue inside Pyodide: in a worker and in a page, in two Pyodides and two browsers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser import firefox, inside

MINUTES_MAX = 3
PROMISES = "tests/contract/eventloop"
TESTS = (PROMISES, "tests/pyodide")
INSTALL = "import agents_browser.eventloop as e; assert e.install()"
DRAWS = "tests/pyodide/test_eventloop.py::test_the_page_is_drawn_while_tasks_never_rest"

ALONE = """
import asyncio, importlib, inspect, json, sys
sys.path[:0] = ["/alone", "/tools", "/project"]
import agents_browser.eventloop
from pyodide.ffi import can_run_sync
assert agents_browser.eventloop.install()
assert not any(name.startswith("agents_core") for name in sys.modules)
passed = []
for name in NAMES:
    module = importlib.import_module(f"tests.contract.eventloop.{name}")
    for test in vars(module).values():
        is_test = inspect.iscoroutinefunction(test) and test.__name__.startswith("test_")
        if is_test and not inspect.signature(test).parameters:
            await asyncio.create_task(test())
            passed.append(test.__name__)
json.dumps({"suspends": can_run_sync(), "passed": passed})
"""

both_pyodides = pytest.mark.parametrize("release", ["pyodide", "pyodide_029"])
everywhere = pytest.mark.parametrize("where", ["worker", "page"])


def skipped(where: inside.Where) -> set[str]:
    return {DRAWS} if where == "worker" else set()


@both_pyodides
@everywhere
def test_it_keeps_what_asyncio_promises(
    page: Page, wheel: Path, release: str, where: inside.Where, request: pytest.FixtureRequest
) -> None:
    page.set_default_timeout(MINUTES_MAX * 60_000)
    folder = request.getfixturevalue(release)
    with inside.site(folder, [wheel], inside.tests(*TESTS)) as site:
        page.goto(site.page)
        page.locator("html[data-ready]").wait_for(state="attached")
        order = site.order(inside.pytest_of(*TESTS, before=INSTALL), where)
        result = inside.Result.read(page.evaluate(inside.RUN, order))
    result.check(inside.functions(*TESTS), skipped(where))


@both_pyodides
@everywhere
def test_it_does_so_in_firefox_too(
    wheel: Path, release: str, where: inside.Where, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(release)
    with (
        inside.site(folder, [wheel], inside.tests(*TESTS)) as site,
        firefox.start(MINUTES_MAX * 60) as browser,
    ):
        browser.goto(site.page)
        order = site.order(inside.pytest_of(*TESTS, before=INSTALL), where)
        result = inside.Result.read(browser.evaluate(inside.RUN, order))
    result.check(inside.functions(*TESTS), skipped(where))


@both_pyodides
@pytest.mark.parametrize("suspends", [True, False])
def test_it_needs_nothing_else_and_no_stack_switching(
    page: Page, release: str, suspends: bool, request: pytest.FixtureRequest
) -> None:
    """The module by itself, in a page that knows nothing of it, also where there is no JSPI."""
    page.set_default_timeout(MINUTES_MAX * 60_000)
    folder = request.getfixturevalue(release)
    package = inside.ROOT / "browser" / "agents_browser"
    names = ("__init__.py", "eventloop.py")
    alone = inside.archive({f"agents_browser/{name}": package / name for name in names})
    promises = {path.stem for path in (inside.ROOT / PROMISES).glob("test_*.py")}
    with inside.site(folder, [], {"alone": alone, **inside.tests(PROMISES)}) as site:
        page.goto(site.page)
        page.locator("html[data-ready]").wait_for(state="attached")
        order = site.order(f"NAMES = {sorted(promises)!r}\n{ALONE}", "page", suspends)
        found = json.loads(page.evaluate(inside.RUN, order))
    assert found["suspends"] == suspends
    assert len(found["passed"]) > 40
