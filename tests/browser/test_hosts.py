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


ODD = """
import asyncio, json, logging
from agents_core import Host, connect
from agents_core.errors import RemoteError
from agents_core.modules import define
from agents_browser.worker import open_host

agents = define("agents_of_text", '''
from asyncio import create_task, get_running_loop
from js import setTimeout
from pyodide.ffi import create_once_callable
from agents_core import Agent, on

class Odd(Agent):
    count = 0

    @on("raise")
    async def raise_in_callback(self):
        self.count += 1
        done = get_running_loop().create_future()
        for callback in (lambda: 1 / 0, lambda: done.set_result(None)):
            setTimeout(create_once_callable(callback), 0)
        await done
        return self.count

    @on("task")
    def raise_in_task(self):
        async def work():
            return [][0]

        self.task = create_task(work())

    @on("exit")
    def exit(self):
        raise SystemExit(3)
''')
found, heard = {}, asyncio.Queue()

class Ear(logging.Handler):
    def emit(self, record):
        heard.put_nowait([record.host, record.levelname, record.getMessage().splitlines()[-1]])

class Receiver:
    def __init__(self):
        self.gone = asyncio.get_running_loop().create_future()

    def arrived(self, data):
        pass

    def lost(self, reason):
        self.gone.set_result(reason)

async with connect("local://") as node:
    ref = await node.spawn(agents.Odd, "odd", host="worker")
    found["callback"] = [await ref.ask("raise") for _ in range(2)]
    logging.getLogger("asyncio").addHandler(Ear())
    await ref.ask("task")
    found["task"] = await asyncio.wait_for(heard.get(), 10)
    try:
        await ref.ask("exit", timeout=10)
    except RemoteError as error:
        found["exit"] = str(error)
    found["after"] = await ref.ask("raise", timeout=30)
receiver = Receiver()
pipe = await open_host(Host(), receiver)
pipe.post(bytes([255] * 8))
found["garbage"] = await asyncio.wait_for(receiver.gone, 30)
json.dumps(found)
"""


def test_what_an_agent_raises_outside_of_its_handlers(run: Any) -> None:
    """In a callback or a task it harms nobody; what would end a process ends its host."""
    assert run(ODD) == {
        "callback": [1, 2],
        "task": ["worker of odd", "ERROR", "IndexError: list index out of range"],
        "exit": "agent 'odd' raised Killed: SystemExit: 3",
        "after": 1,
        "garbage": "InvalidMessage: invalid message: a frame of 4294967295 and 4294967295 bytes",
    }


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
    row(page, "inline").get_by_test_id("message").click()
    page.get_by_test_id("message-ask").click()
    result = page.get_by_test_id("message-result")
    expect(result).to_have_text("6")
    crash = page.locator('[data-kind="crashed"][data-agent="hosted"]')
    expect(crash).to_contain_text("no answer for 2.0 s")
    expect(row(page, "hosted")).to_have_attribute("data-state", "running")
    expect(result).to_have_text("6")  # the other question's error belongs to nothing that is open
    page.keyboard.press("Escape")
    assert ask(page, "hosted", "count") == "2"
    row(page, "hosted").get_by_test_id("crash").click()
    expect(row(page, "hosted")).to_have_attribute("data-restarts", "2")
    assert ask(page, "hosted", "count") == "3"
    assert [text for text in complaints if "lost" not in text and "crashed" not in text] == []
