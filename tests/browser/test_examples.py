"""The example pages, and the guide to pages of one's own, in a real Chromium."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from agents_server.nats_server import NatsServer
from agents_server.project import Project
from tests.app_fixture import StartApp
from tests.browser import firefox
from tests.browser.page import BOOT_MS
from tests.browser.served import Served, gathered, with_file
from tests.browser.test_page import flags

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "examples" / "page"
PYSCRIPT = ROOT / "examples" / "pyscript"
GUIDE = ROOT / "docs" / "page.md"
BLOCK = re.compile(r"^```js\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAID = re.compile(r"^(?:console\.log.*; )?// (.+)$", re.MULTILINE)
LINES_MAX = 30
COUNT = """
(wanted) => new Promise((resolve) => {
  const [button, output] = document.querySelectorAll("button, output");
  const look = () => {
    if (output.value === wanted || output.value.includes("Error")) resolve(output.value);
    else if (output.value === "0") button.click();
  };
  setInterval(look, 50);
})
"""
"""Press the button when the counter is there; what is shown then."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def static(folder: Path) -> Iterator[str]:
    """Python's own server, as `python3 -m http.server`: it knows nothing of this project."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def export(folder: Path, *arguments: str | Path) -> None:
    """`agents export`."""
    command = [sys.executable, "-m", "agents_server", "export", folder, *arguments]
    subprocess.run(command, stdout=subprocess.PIPE, check=True)


def count(page: Page, url: str, begin: int = 0) -> None:
    """Open the page, and press its button twice."""
    page.goto(url)
    output, button = page.locator("output"), page.get_by_role("button", name="Add 1")
    expect(output).to_have_text(str(begin), timeout=BOOT_MS)
    for n in (1, 2):
        button.click()
        expect(output).to_have_text(str(begin + n))


def test_the_page_is_short() -> None:
    lines = [file.read_text(encoding="utf-8").count("\n") for file in PAGE.iterdir()]
    assert sum(lines) <= LINES_MAX


def test_the_page_counts_on_agents_up(
    page: Page, start_app: StartApp, complaints: list[str], own_nats_server: NatsServer
) -> None:
    app = start_app("--example", "wordcount", "--pages", str(PAGE), *flags(own_nats_server))
    assert app.read_until(f"and {app.url}page/")
    count(page, f"{app.url}page/")
    assert complaints == []


@pytest.mark.parametrize("base", ["/", "/some/where/"])
def test_the_page_counts_on_any_server(
    page: Page, tmp_path: Path, complaints: list[str], base: str
) -> None:
    export(tmp_path / base.strip("/"), "--pages", PAGE, "--base", base)
    with static(tmp_path) as url:
        count(page, f"{url}{base}page/")
        assert complaints == []
        page.goto("about:blank")


def test_the_page_counts_in_firefox_too(tmp_path: Path) -> None:
    export(tmp_path, "--pages", PAGE)
    with static(tmp_path) as url, firefox.start() as browser:
        browser.goto(f"{url}/page/")
        assert browser.evaluate(COUNT, "1") == "1"


def test_the_projects_own_page_works_exported(
    page: Page, tmp_path: Path, own_nats_server: NatsServer
) -> None:
    export(tmp_path, "--nats-websocket", own_nats_server.websocket_url)
    with static(tmp_path) as url:
        page.goto(url)
        html = page.locator("html")
        expect(html).to_have_attribute("data-phase", "running", timeout=BOOT_MS)
        expect(html).to_have_attribute("data-from", "snapshot")
        expect(page.get_by_test_id("connection-status")).to_have_text("connected")
        page.goto("about:blank")


@pytest.mark.parametrize("base", ["/", "/some/where/"])
def test_exported_pages_install_by_name(page: Page, tmp_path: Path, base: str) -> None:
    folder = tmp_path / base.strip("/")
    export(folder, "--pages", PAGE, "--base", base)
    with static(tmp_path) as url:
        page.goto(f"{url}{base}page/")
        installed = page.evaluate("""async () => {
            const { start } = await import(new URL("../agents.mjs", location).href);
            const runtime = start();
            await runtime.install("micropip");
            await runtime.define("see", "import micropip; micropip.install");
            return runtime.install("no-such-project").catch(({ name }) => name);
        }""")
        assert installed == "InstallFailed"
        page.goto("about:blank")


def test_pyscript_counts_by_itself_and_on_nats(
    page: Page, tmp_path: Path, own_nats_server: NatsServer
) -> None:
    core = Path(__file__).parent / "node_modules" / "@pyscript" / "core" / "dist"
    assert core.is_dir(), "PyScript is not installed: run `make test`"
    export(tmp_path, "--pages", PYSCRIPT)
    (tmp_path / "pyscript" / "core").symlink_to(core)
    outside: list[str] = []
    with static(tmp_path) as url:

        def note(request: Any) -> None:
            if not request.url.startswith((url, "data:", "blob:")):
                outside.append(request.url)

        page.on("request", note)
        count(page, f"{url}/pyscript/")
        count(page, f"{url}/pyscript/?nats={own_nats_server.websocket_url}")
        assert outside == []
        page.goto("about:blank")


def test_pyscript_names_the_versions_that_there_are() -> None:
    config = json.loads((PYSCRIPT / "pyscript.json").read_text(encoding="utf-8"))
    project = Project.find()
    assert config["interpreter"] == f"../pyodide/{project.pyodide_version()}/pyodide.mjs"
    assert config["packages"] == [f"../wheels/{project.wheel().name}"]


def test_the_guide_says_what_happens(page: Page, tmp_path: Path) -> None:
    """All its JavaScript as one module; each comment behind a `console.log` is what it writes."""
    code = "\n".join(BLOCK.findall(GUIDE.read_text(encoding="utf-8")))
    expected = [said[1] for said in SAID.finditer(code)]
    assert len(expected) == 13
    heard: list[str] = []

    def take(message: ConsoleMessage) -> None:
        if message.type == "log":
            heard.append(message.text)

    code += 'document.documentElement.dataset.done = "yes";'
    html = (
        '<!doctype html><title>guide</title><script type="module" src="/guide/guide.mjs"></script>'
    )
    site = with_file(gathered(), "/guide/", tmp_path / "index.html", html)
    site = with_file(site, "/guide/guide.mjs", tmp_path / "guide.mjs", code)
    page.on("console", take)
    with Served(site) as served:
        page.goto(f"{served.url}guide/")
        expect(page.locator("html")).to_have_attribute("data-done", "yes", timeout=BOOT_MS)
        page.goto("about:blank")
    assert heard == expected
