"""How every test runs, on CPython and inside Pyodide alike."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Generator
from typing import Any

import pytest

if sys.platform != "emscripten":
    pytest_plugins = ["tests.app_fixture", "tests.nats_fixture"]

TEST_SECONDS_MAX = 30.0
"""A test that waits longer waits for something that will not come."""


async def _run(function: Any, arguments: dict[str, Any]) -> None:
    """Run an async test with a deadline, and fail it for tasks that it leaves behind."""
    before = asyncio.all_tasks()
    async with asyncio.timeout(TEST_SECONDS_MAX):
        await function(**arguments)
    for _ in range(10):  # tasks that were just cancelled or completed may need a few turns to end
        left = asyncio.all_tasks() - before
        if not left:
            return
        await asyncio.sleep(0)
    for task in left:
        task.cancel()
    raise AssertionError(f"tasks left running: {left}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a browser run last: Playwright keeps an event loop running until they are done."""
    items.sort(key=lambda item: "browser" in item.path.parts)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Spell out halves of surrogate pairs that a test has logged: reports travel as UTF-8."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests: a fresh loop on CPython, the page's one loop (by JSPI) in Pyodide."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    coroutine = _run(pyfuncitem.obj, {name: pyfuncitem.funcargs[name] for name in names})
    if sys.platform == "emscripten":
        from pyodide.ffi import run_sync

        run_sync(coroutine)
    else:
        asyncio.run(coroutine)
    return True
