"""CPython's own tests of asyncio, on the ready-queue in a Chromium worker.

They come from a CPython 3.13 on this machine, if it has its `test` package: Debian splits it off,
pyenv and python.org have it. tests/contract/eventloop is our own list, which runs everywhere.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser import inside
from tests.pyodide.asyncio_left_out import LEFT_OUT, LEFT_OUT_ON_314

MINUTES_MAX = 4
PYTHON = """
import asyncio, json, sys
sys.path[:0] = ["/suite", "/project"]
from agents_browser import eventloop
assert eventloop.install()
from pyodide.ffi import create_proxy
from pyodide.webloop import scheduleCallback
from tests.pyodide import asyncio_suite

loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

def run():
    try:
        found = asyncio_suite.run(set(LEFT_OUT))
        done.set_result({"passed": found.passed, "left": found.left, "bad": found.bad})
    except BaseException as error:
        asyncio._set_running_loop(loop)
        done.set_exception(error)

proxy = create_proxy(run)
scheduleCallback(proxy.callPromising.bind(proxy), 0)  # from the browser, so that no task is current
json.dumps(await done)
"""


def library() -> Path | None:
    """The standard library of a CPython 3.13 that has its tests with it."""
    found = shutil.which("python3.13")
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.13.*/bin/python"))
    for python in ([found] if found else []) + [str(path) for path in pyenv]:
        ask = "import sysconfig; print(sysconfig.get_path('stdlib'))"
        answer = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
        path = Path(answer.stdout.strip())
        if answer.returncode == 0 and (path / "test" / "test_asyncio").is_dir():
            return path
    return None


def suite(stdlib: Path) -> bytes:
    """The tests and what they import."""
    files = [stdlib / "test" / "__init__.py"]
    for folder in ("test_asyncio", "support", "certdata"):
        files += [path for path in (stdlib / "test" / folder).rglob("*") if path.is_file()]
    return inside.archive(
        {str(file.relative_to(stdlib)): file for file in files if file.suffix != ".pyc"}
    )


@pytest.mark.skipif(library() is None, reason="no CPython 3.13 with its test package here")
@pytest.mark.parametrize(
    ("release", "left_out"),
    [("pyodide", LEFT_OUT | LEFT_OUT_ON_314), ("pyodide_029", LEFT_OUT)],
)
def test_cpythons_own_tests_pass(
    page: Page,
    wheel: Path,
    release: str,
    left_out: dict[str, str],
    request: pytest.FixtureRequest,
) -> None:
    page.set_default_timeout(MINUTES_MAX * 60_000)
    stdlib = library()
    assert stdlib is not None
    archives = {"suite": suite(stdlib), **inside.tests("tests/pyodide")}
    with inside.site(request.getfixturevalue(release), [wheel], archives) as site:
        page.goto(site.page)
        page.locator("html[data-ready]").wait_for(state="attached")
        order = site.order(f"LEFT_OUT = {sorted(left_out)!r}\n{PYTHON}")
        found = json.loads(page.evaluate(inside.RUN, order))
    assert not found["bad"], "\n\n".join(f"{k}\n{v}" for k, v in found["bad"].items())
    assert len(found["passed"]) > 1100
    # No name of the list has gone stale.
    names = {test.rpartition(".")[2] for test in found["left"]}
    assert {name.partition(".")[2] for name in left_out} <= names
