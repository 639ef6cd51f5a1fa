"""Hosts that are workers of the runtime's worker, in a real Chromium."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from agents_core.testing.hosts import suite
from tests.app_fixture import StartApp
from tests.browser.page import ask, open_page, row
from tests.browser.tab import run_python

WEB = Path(__file__).parents[2] / "web"
SCRIPTS = [path for path in WEB.glob("*.mjs") if path.name != "worker.mjs"]
SNAPSHOT = "/snapshot.bin"

SUITE = """
import json, time, traceback
from agents_browser import eventloop
from agents_core.testing.hosts import suite
from agents_core.testing.hosts.agents import Adder
from agents_core.testing.hosts.kit import Kit

eventloop.install()
failed, seconds = {}, {}
async with Kit.over("local://", answer=1.0) as kit:
    for name in ("a", "b"):  # else each check would wait for a Python to start
        await kit.node.spawn(Adder, f"keeper-{name}", host=kit.host(name), max_restarts=1000)
    for check in suite.CHECKS:
        began = time.perf_counter()
        try:
            await check(kit)
        except BaseException:
            failed[check.__name__] = traceback.format_exc()
        await kit.clean()
        seconds[check.__name__] = time.perf_counter() - began
json.dumps({"failed": failed, "seconds": seconds})
"""


@pytest.fixture
def run(page: Page, wheel: Path, pyodide: Path, snapshot: bytes) -> Any:
    """Runs Python in a worker that can start hosts."""
    names = {"pyodide": "/pyodide/", "wheel": f"/{wheel.name}", "snapshot": SNAPSHOT}
    config = json.dumps({**names, "files": {SNAPSHOT: ""}})
    hosts = f'import {{ hosts }} from "/hosts.mjs";\nexport const {{ open }} = hosts({config});'
    modules = {"agents_hosts": hosts.encode(), "agents_pump": (WEB / "pump.mjs").read_bytes()}
    pages = {SNAPSHOT: snapshot, **{f"/{path.name}": path for path in SCRIPTS}}

    def run(python: str, more: dict[str, bytes] | None = None, **values: Any) -> Any:
        return run_python(
            page,
            python,
            wheel=wheel,
            pyodide=pyodide,
            modules=modules,
            pages={**pages, **(more or {})},
            values=values,
        )

    return run


def test_keeps_every_promise(run: Any) -> None:
    found = run(SUITE)
    print(found["seconds"])
    assert not found["failed"], "\n\n".join(f"{k}\n{v}" for k, v in found["failed"].items())
    assert set(found["seconds"]) == {check.__name__ for check in suite.CHECKS}


PACKAGES = """
import json
from agents_core import Host, connect
from agents_core.modules import define
from js import location

agents = define("agents_of_text", '''
from agents_core import Agent, on

class Extra(Agent):
    @on("where")
    def where(self):
        import extra
        return extra.WHERE
''')
async with connect("local://") as node:
    found = {}
    packages = {"there": location.origin + values["wheel"], "not there": "nothing"}
    for name, package in packages.items():
        try:
            ref = await node.spawn(agents.Extra, "extra", host=Host(packages=(package,)))
            found[name] = await ref.ask("where")
            await ref.stop()
        except Exception as error:
            found[name] = str(error)
json.dumps(found)
"""


def test_packages_are_loaded_or_named(run: Any) -> None:
    name = "extra-1.0.dist-info"
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as target:
        target.writestr("extra.py", "WHERE = 'in the wheel'")
        target.writestr(f"{name}/METADATA", "Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
        target.writestr(f"{name}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        target.writestr(f"{name}/RECORD", "")
    path = "/extra-1.0-py3-none-any.whl"
    found = run(PACKAGES, {path: wheel.getvalue()}, wheel=path)
    assert found["there"] == "in the wheel"
    assert "No known package with name 'nothing'" in found["not there"]


NOWHERE = """
import json
from agents_core import connect
from agents_core.errors import RemoteError
from agents_core.testing.hosts.agents import Adder

async with connect("local://") as node:
    try:
        await node.spawn(Adder, "adder", host="worker")
    except RemoteError as error:
        found = str(error)
json.dumps(found)
"""


def test_a_worker_that_can_start_none_says_so(page: Page, wheel: Path, pyodide: Path) -> None:
    found = run_python(page, NOWHERE, wheel=wheel, pyodide=pyodide)
    assert "register web/hosts.mjs as the module agents_hosts" in found


TROUBLE = """
import asyncio
from agents_core import Agent, Child, on

class Trouble(Agent):
    async def on_start(self):
        self.count = await self.state.get("count", 0)

    @on("count")
    async def more(self):
        self.count += 1
        await self.state.set("count", self.count)
        return self.count

    @on("spin")
    def spin(self):
        while True:
            pass

def tab(node_name):
    return [Child(Trouble, "inline"), Child(Trouble, "hosted", host="worker")]
"""


def test_an_agent_of_the_page_in_a_worker_of_its_own(
    page: Page, start_app: StartApp, complaints: list[str]
) -> None:
    """Under the page's own policy: an endless loop in it, and everybody else goes on."""
    app = start_app("--example", "hello")

    def other(route: Route) -> None:
        route.fulfill(body=TROUBLE, content_type="text/x-python")

    page.context.route("**/hello.py", other)
    open_page(page, app.url)
    assert ask(page, "hosted", "count") == "1"
    row(page, "hosted").get_by_test_id("message").click()
    page.get_by_test_id("message-input").fill('"spin"')
    page.get_by_test_id("message-ask").click()
    page.keyboard.press("Escape")
    for n in range(5):
        assert ask(page, "inline", "count") == str(n + 1)
    crash = page.locator('[data-kind="crashed"][data-agent="hosted"]')
    expect(crash).to_contain_text("no answer for 2.0 s", timeout=20_000)
    expect(row(page, "hosted")).to_have_attribute("data-state", "running", timeout=20_000)
    assert ask(page, "hosted", "count") == "2"
    row(page, "hosted").get_by_test_id("crash").click()
    expect(row(page, "hosted")).to_have_attribute("data-restarts", "2", timeout=20_000)
    assert ask(page, "hosted", "count") == "3"
    assert [text for text in complaints if "lost" not in text and "crashed" not in text] == []
