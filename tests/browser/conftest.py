"""Fixtures of the tests that drive a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from agents_server.index import Index, Wheel
from agents_server.project import Project
from agents_server.site import Site
from agents_server.snapshot import Snapshot
from tests.app import App
from tests.app_fixture import StartApp
from tests.browser import chromium, devtools
from tests.browser.blank import PAGE, wheel_of
from tests.browser.served import Served, gathered, with_file

ROOT = Path(__file__).parents[2]

expect.set_options(timeout=20_000)  # Playwright's own 5 s are too few where others use the machine


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """What pytest-playwright starts the browser with."""
    return {"executable_path": chromium.executable(), "args": chromium.ARGUMENTS}


@pytest.fixture(scope="module")
def driven() -> Iterator[tuple[devtools.Browser, int]]:
    """A Chromium that is driven by its DevTools, and its process id."""
    with devtools.started() as found:
        yield found


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The built wheel; `make test` builds it."""
    found = sorted((ROOT / "dist").glob("agents_core-*-py3-none-any.whl"))
    assert found, "no wheel in dist/: run `make wheel`"
    return found[-1]


@pytest.fixture(scope="session")
def pyodide() -> Path:
    """Pyodide's files; `make test` installs them."""
    folder = ROOT / "web" / "node_modules" / "pyodide"
    assert folder.is_dir(), "Pyodide is not installed: run `make test`, or npm install in web/"
    return folder


@pytest.fixture(scope="session")
def pyodide_029() -> Path:
    """The files of the Pyodide before, with CPython 3.13; `make test` installs them."""
    folder = ROOT / "build" / "pyodide-0.29" / "node_modules" / "pyodide"
    assert folder.is_dir(), "Pyodide 0.29 is not installed: run `make test`"
    return folder


@pytest.fixture(scope="session")
def snapshot() -> bytes:
    """The snapshot that the project was built with; `make test` takes it."""
    path = Snapshot.of(Project(ROOT)).path
    assert path.is_file(), "no snapshot of this build: run `make wheel`, with Node on the PATH"
    return path.read_bytes()


@pytest.fixture(scope="session")
def hypothesis_wheel() -> Path:
    """Hypothesis for Pyodide, as it has a part in machine code; `make test` downloads it."""
    found = sorted((ROOT / "build" / "pyodide").glob("hypothesis-*wasm32.whl"))
    assert found, "Hypothesis for Pyodide is not there: run `make test`"
    return found[-1]


@pytest.fixture
def app(start_app: StartApp) -> App:
    """`agents up` with everything by default, and an example."""
    return start_app("--example", "hello")


@pytest.fixture
def served(site: Site) -> Iterator[Served]:
    """The page's server, with what the test's file has as `site`."""
    with Served(site) as found:
        yield found


@pytest.fixture
def complaints(context: BrowserContext) -> list[str]:
    """What the browser's console has to complain about: errors, and violations of the policy."""
    found: list[str] = []
    context.on("console", lambda m: m.type in {"error", "warning"} and found.append(m.text))
    context.on("weberror", lambda error: found.append(str(error.error)))
    return found


@pytest.fixture(scope="session")
def served_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The project's files, a page without anything, and three wheels, two of them in the index."""
    folder = tmp_path_factory.mktemp("pages")
    wheels = []
    for name, requires in (("tea", ""), ("teapot", "tea"), ("lonely", "nobody_has_this")):
        wheels.append(folder / f"{name}-1.0-py3-none-any.whl")
        wheels[-1].write_bytes(wheel_of(name, requires))
    site = with_file(gathered(), "/blank/", folder / "index.html", PAGE)
    files = {f"/wheels/{path.name}": path for path in wheels}
    index = Index([*site.index.wheels, *map(Wheel.read, wheels[:2])])
    with Served(replace(site, index=index, files={**site.files, **files})) as found:
        yield found


@pytest.fixture
def blank(page: Page, served_pages: Served) -> Page:
    """The page without anything."""
    page.goto(f"{served_pages.url}blank/")
    return page
