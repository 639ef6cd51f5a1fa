"""What a developer sees in the browser's tools: measures, logs, tracebacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.browser.blank import RUNNING, SHOP, run
from tests.browser.page import wait_until
from tests.browser.served import Served, with_file

CARELESS = """
import asyncio
from functools import partial
import js
from pyodide.ffi import create_proxy
from agents_core import Agent, on

def fail(why, *_):
    raise KeyError(why)

async def fail_later(why):
    fail(why)

class Careless(Agent):
    raised = False

    @on("all")
    def all(self):
        loop = asyncio.get_running_loop()
        loop.call_soon(fail, "call_soon")
        self.task = loop.create_task(fail_later("task"))
        js.setTimeout(create_proxy(partial(fail, "setTimeout")), 1)
        js.Promise.new(create_proxy(partial(fail, "promise")))
        js.setTimeout(create_proxy(lambda: setattr(self, "raised", True)), 50)

    @on("done")
    def done(self):
        return self.raised
"""
BROKEN = """
from agents_core import Child

class Broken(Agent):
    def on_start(self):
        return self.missing

def tab(name):
    return [Child(Broken, "b")]
"""


def test_the_start_and_slow_handlers_are_measured(browser: Browser, blank: Page) -> None:
    browser.start_tracing(page=blank, categories=["blink.user_timing"])
    run(blank, RUNNING)
    phases = blank.evaluate(
        "performance.getEntriesByType('measure').map((m) => [m.name, m.detail.devtools.trackGroup])"
    )
    names = ("loading", "starting", "connecting", "spawning")
    assert phases == [[f"agents-core: {name}", "agents-core"] for name in names]
    blank.workers[0].evaluate("""() => {
        self.measured = [];
        const take = (list) => self.measured.push(...list.getEntries());
        new PerformanceObserver(take).observe({ type: "measure" });
    }""")
    told = run(
        blank,
        """
        const told = [];
        runtime.addEventListener("slow", ({ detail }) => told.push(detail));
        await runtime.ask("counter", { type: "busy", seconds: 0.01 });
        await runtime.ask("counter", { type: "busy", seconds: 0.15 });
        return told;""",
    )
    assert [(slow["agent"], slow["message"], slow["messages"]) for slow in told] == [
        ("counter", "busy", 1)
    ]
    assert 0.15 <= told[0]["seconds"] < 2
    measured = blank.workers[0].evaluate(
        "() => self.measured.map(({ name, duration, detail }) => ({ name, duration, detail }))"
    )
    assert [measure["name"] for measure in measured] == ["counter: busy"]
    assert measured[0]["duration"] == pytest.approx(told[0]["seconds"] * 1000, abs=1)
    assert measured[0]["detail"]["agent"] == "counter"
    assert blank.workers[0].evaluate("performance.getEntriesByType('measure').length") == 0
    recorded = {event["name"] for event in json.loads(browser.stop_tracing())["traceEvents"]}
    assert {*(name for name, _ in phases), "counter: busy"} <= recorded


def test_no_more_slow_handlers_are_measured_than_a_recording_can_show(blank: Page) -> None:
    told = run(
        blank,
        f"""{RUNNING}
        const told = [];
        runtime.addEventListener("slow", ({{ detail }}) => told.push(detail));
        await runtime.define("flood", `
from agents_core import Agent, on
from agents_core.events import Slow
class Flood(Agent):
    @on("flood")
    def flood(self):
        for _ in range(100):
            self.ctx.node.slow(Slow(self.id, "flood", 0.06, 1, False))
`);
        const flood = await runtime.spawn("flood:Flood", "flood");
        await flood.ask("flood");
        return told.length;""",
    )
    assert told in {20, 40}  # 40 if a second began in the middle


def test_logs_reach_the_console_with_level_and_agent_and_tracebacks_in_one_piece(
    blank: Page,
) -> None:
    messages: list[ConsoleMessage] = []

    def take(message: ConsoleMessage) -> None:
        messages.append(message)

    blank.on("console", take)
    run(blank, f"{RUNNING} await counter.ask('log'); await named(counter.ask('boom'));")
    wait_until(blank, lambda: any("counter crashed:" in m.text for m in messages))
    agents = [(m.type, m.text) for m in messages if m.text.startswith("agents.counter: ")]
    assert agents[:4] == [
        (kind, "agents.counter: a word") for kind in ("debug", "info", "warning", "error")
    ]
    caught = agents[4][1].splitlines()
    assert agents[4][0] == "error"
    assert caught[:2] == ["agents.counter: caught", "Traceback (most recent call last):"]
    assert caught[2].startswith('  File "shop.py", line ')
    printed = [m.text for m in messages if m.text.startswith("Traceback")]
    assert len(printed) == 1
    assert printed[0].endswith("ZeroDivisionError: division by zero")
    crash = [m.text for m in messages if "counter crashed:" in m.text]
    assert len(crash) == 1
    lines = crash[0].splitlines()
    assert lines[2].startswith('  File "shop.py", line ')
    assert lines[3].strip() == 'return {}["nothing"]'
    assert lines[-1] == "KeyError: 'nothing'"
    assert all("ZeroDivisionError" not in m.text for m in messages if m.text == caught[-1])


def test_a_record_that_is_wrong_is_a_complaint_and_no_crash(
    blank: Page, complaints: list[str]
) -> None:
    answer = run(
        blank,
        """
        const runtime = start();
        await runtime.define("sloppy", source);
        const agent = await runtime.spawn("sloppy:Sloppy", "sloppy");
        return await agent.ask("log");""",
        """
from agents_core import Agent, on
class Sloppy(Agent):
    @on("log")
    def log(self):
        self.ctx.log.warning("%s of %s", 1)
        return "went on"
""",
    )
    assert answer == "went on"
    wait_until(blank, lambda: any("not enough arguments" in text for text in complaints))


def test_what_nobody_catches_is_one_message_and_harms_nobody(blank: Page) -> None:
    found: list[tuple[str, str]] = []

    def take(message: ConsoleMessage) -> None:
        if "Traceback" in message.text:
            found.append((message.type, message.text))

    blank.on("console", take)
    answer = run(
        blank,
        """
        const runtime = start();
        await runtime.define("careless", source);
        const agent = await runtime.spawn("careless:Careless", "careless");
        await agent.ask("all");
        while (!(await agent.ask("done"))) await new Promise((resolve) => setTimeout(resolve, 10));
        return agent.ask("done");""",
        CARELESS,
    )
    assert answer is True
    wait_until(blank, lambda: len(found) >= 4)
    where = '  File "careless.py", line 9, in fail\n    raise KeyError(why)\nKeyError: '
    begins = [text.partition("Traceback")[0] for _, text in found]
    assert [kind for kind, _ in found] == ["error"] * 4
    assert begins[0].startswith("asyncio: Exception in callback fail(")
    assert sorted(begins[1:]) == ["", "", "asyncio: Unhandled exception in event loop\n"]
    for why in ("call_soon", "task", "setTimeout", "promise"):
        assert [text for _, text in found if text.endswith(f"{where}'{why}'")], found


def test_what_is_written_to_stderr_becomes_messages_of_a_bounded_size(blank: Page) -> None:
    written: list[str] = []

    def take(message: ConsoleMessage) -> None:
        if message.type == "warning":
            written.append(message.text)

    flood = "x" * 130 * 1024 + "y" * 100_000
    blank.on("console", take)
    run(blank, f"{RUNNING} await counter.ask('flood');")
    wait_until(blank, lambda: sum(map(len, written)) >= len(flood))
    assert "".join(written) == flood
    assert max(map(len, written)) == 64 * 1024


def test_a_start_that_fails_says_where_in_the_agents_code(
    page: Page, served_pages: Served, tmp_path: Path
) -> None:
    text = SHOP + "\n\nclass Broken(Agent):\n    def on_start(self):\n        return self.missing\n"
    text += (
        "\n\ndef tab(name):\n    from agents_core import Child\n    return [Child(Broken, 'b')]\n"
    )
    site = served_pages.site
    served_pages.show(with_file(site, "/broken.py", tmp_path / "broken.py", text))
    page.goto(f"{served_pages.url}blank/")
    error = run(
        page,
        """
        const config = await (await fetch("/config.json")).json();
        const example = { module: "broken", files: ["/broken.py"] };
        return named(start({ config: { ...config, example } }).running);""",
    )
    served_pages.show(site)
    assert error["name"] == "Failed"
    assert error["message"].startswith("RemoteError: agent 'b' raised AttributeError")
    assert error["data"]["phase"] == "spawning"
    lines = error["data"]["detail"].splitlines()
    assert 'broken.py", line' in lines[1]
    assert "on_start" in lines[1]
    assert not [line for line in lines if "agents_core/" in line or "wasm" in line]
