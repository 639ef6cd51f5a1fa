"""Workers that are ended from outside: what the page and other nodes notice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from agents_core import Node
from agents_core.errors import AgentNotFound, AskTimeout
from agents_server.nats_server import NatsServer
from tests.browser.devtools import Browser, Tab
from tests.browser.living import known, lives, opened, outside, running
from tests.browser.served import Served

pytestmark = pytest.mark.nats

GONE_S_MAX = 20.0

CLOSE = "self.close()"
THROW = """setTimeout(() => {
  throw Object.assign(new Error('struck by lightning'), { pyodide_fatal_error: true });
})"""
"""As when Python itself has failed: every call of it throws then."""

COUNTER = """
from agents_core import Agent, on

class Counter(Agent):
    async def on_start(self):
        self.count = await self.state.get("count", 0)

    @on("count")
    async def more(self):
        self.count += 1
        await self.state.set("count", self.count)
        return self.count

    @on("wait")
    async def wait(self):
        import asyncio
        await self.ctx.publish("waiting", True)
        await asyncio.Event().wait()
"""


@pytest.fixture
def browser(driven: tuple[Browser, int]) -> Browser:
    return driven[0]


@pytest.fixture
def served(own_nats_server: NatsServer) -> Iterator[Served]:
    with lives(own_nats_server.websocket_url) as found:
        yield found


def counting(tab: Tab, id: str, host: str) -> None:
    """Start a counter, and count 1."""
    tab.evaluate(
        f"""(async () => {{
          self.heard ??= runtime.subscribe("waiting", (value) => {{ self.waiting = value; }});
          await heard;
          await runtime.define("counters", `{COUNTER}`);
          const options = {{ host: "{host}" }};
          const counter = await runtime.spawn("counters:Counter", "{id}", options);
          await counter.ask("count");
          return null;
        }})()"""
    )


def count(tab: Tab, id: str) -> int:
    """What the counter has counted, with this time."""
    found: int = tab.evaluate(f"runtime.ask('{id}', 'count', {{ timeout: 30 }})")
    return found


def workers_alive(tab: Tab) -> int:
    """Workers of the page and of its workers that are in memory."""
    tab.send("HeapProfiler.collectGarbage")
    found = {
        metric["name"]: metric["value"] for metric in tab.send("Performance.getMetrics")["metrics"]
    }
    return int(found["WorkerGlobalScopes"])


def test_of_runtimes_that_were_stopped_no_worker_stays(browser: Browser, served: Served) -> None:
    """Chrome may keep a worker that is ended while one of its own still ends: some of six, then."""
    tab = opened(browser, served)
    tab.send("Performance.enable")
    for _ in range(6):
        for host in ("one", "two"):
            counting(tab, host, "worker")
        tab.evaluate("runtime.stop()")
        tab.evaluate("delete self.heard; restart(); runtime.running")
    tab.evaluate("runtime.stop()")
    until = time.monotonic() + GONE_S_MAX
    while workers_alive(tab):
        assert time.monotonic() < until
    tab.close()


def test_a_page_whose_worker_has_ended_is_told_and_starts_another(
    browser: Browser, served: Served, own_nats_server: NatsServer
) -> None:
    tab = opened(browser, served, "patience=5&name=kiosk")
    counting(tab, "counter", "inline")
    failed = "runtime.addEventListener('failed', ({ detail }) => { self.failed = detail.message; })"
    tab.evaluate(f"{failed}; self.asked = refusal(runtime.ask('counter', 'wait')); 0")
    tab.wait_for("self.waiting")

    async def through(node: Node) -> None:
        await known(node, "kiosk", there=True)
        (worker,) = tab.workers()
        worker.begin("Runtime.evaluate", expression=CLOSE)
        with pytest.raises(AgentNotFound):  # the server knows at once
            while True:
                with suppress(AskTimeout):  # sent before
                    await node.agent("diary-kiosk").ask({"type": "read"}, timeout=0.5)

    outside(own_nats_server, through)
    assert tab.wait_for("self.failed") == "nothing happened for 5 s"
    assert tab.evaluate("asked") == "Stalled"
    assert tab.evaluate("refusal(runtime.ask('counter', 'count'))") == "Stalled"
    assert tab.evaluate("runtime.phase") == "failed"
    tab.evaluate("restart(); 0")
    assert running(tab) == "kiosk"
    assert tab.evaluate("read().then(({ entries }) => entries)") == []
    tab.close()


@pytest.mark.parametrize(
    ("script", "reason"), [(CLOSE, "no answer for 2.0 s"), (THROW, "struck by lightning")]
)
def test_a_host_whose_worker_has_ended_is_replaced(
    browser: Browser, served: Served, script: str, reason: str
) -> None:
    tab = opened(browser, served)
    counting(tab, "inside", "inline")
    counting(tab, "apart", "worker")
    crashed = "({ detail }) => { if (detail.kind === 'crashed') self.reason = detail.reason; }"
    tab.evaluate(f"runtime.addEventListener('event', {crashed}); 0")
    tab.evaluate("self.asked = refusal(runtime.ask('apart', 'wait', { timeout: 60 })); 0")
    tab.wait_for("self.waiting")
    ((host,),) = (worker.workers() for worker in tab.workers())
    host.begin("Runtime.evaluate", expression=script)
    assert count(tab, "inside") == 2
    assert tab.evaluate("asked") == "RemoteError"
    assert count(tab, "apart") == 2
    assert reason in str(tab.wait_for("self.reason"))
    assert tab.evaluate("runtime.agent('apart').info().then(({ restarts }) => restarts)") == 1
    assert count(tab, "inside") == 3
    tab.close()
