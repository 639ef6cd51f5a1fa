"""What a tab goes through, as its agents and other nodes see it: hidden, frozen, left, closed, …"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from agents_core import Node
from agents_core.errors import AgentNotFound, AskTimeout
from agents_server.nats_server import NatsServer
from tests.browser.devtools import Browser, Tab
from tests.browser.living import LEFT_S, known, lives, opened, outside, running
from tests.browser.served import Served

pytestmark = pytest.mark.nats

BUSY = """
from asyncio import sleep
from agents_core import Agent, on

class Busy(Agent):
    @on("wait")
    async def wait(self):
        await self.ctx.publish("begun", True)
        await sleep(3600)

    def on_suspend(self, why):
        pass
"""
WAITS = "navigator.locks.query().then(({ pending }) => pending.length === 1)"


@pytest.fixture
def browser(driven: tuple[Browser, int]) -> Browser:
    return driven[0]


@pytest.fixture
def served(own_nats_server: NatsServer) -> Iterator[Served]:
    with lives(own_nats_server.websocket_url) as found:
        yield found


def in_front(browser: Browser, served: Served) -> Tab:
    """Another tab, so that those before are hidden."""
    return browser.open(f"{served.url}favicon.svg")


def entries(tab: Tab) -> list[Any]:
    """What the tab's agent has noted."""
    found: list[Any] = tab.evaluate("read().then(({ entries }) => entries)")
    return found


def noted(tab: Tab, count: int) -> list[Any]:
    """The same, once there are so many."""
    tab.wait_for(f"read().then(({{ entries }}) => entries.length >= {count})")
    return entries(tab)


def test_agents_of_a_hidden_tab_run_on(browser: Browser, served: Served) -> None:
    tab = opened(browser, served)
    other = in_front(browser, served)
    assert noted(tab, 1) == ["hidden"]
    before = tab.evaluate("read()")
    tab.wait_for(f"Date.now() / 1000 > {before['at'] + 3}")
    after = tab.evaluate("read()")
    rate = (after["ticks"] - before["ticks"]) / (after["at"] - before["at"])
    assert rate > 5, "a timer of the page itself would be called once per second"
    tab.show()
    assert noted(tab, 2) == ["hidden", 0]
    other.close()
    tab.close()


def test_a_frozen_tab_has_left_and_comes_back(
    browser: Browser, served: Served, own_nats_server: NatsServer
) -> None:
    tab = opened(browser, served)
    name = running(tab)
    other = in_front(browser, served)
    noted(tab, 1)

    async def through(node: Node) -> None:
        await known(node, name, there=True)
        assert await node.agent(f"diary-{name}").ask({"type": "read"})
        tab.freeze()
        await known(node, name, there=False)
        with pytest.raises(AgentNotFound):  # at once, and not by its time running out
            await node.agent(f"diary-{name}").ask({"type": "read"}, timeout=60)
        tab.thaw()
        await known(node, name, there=True)
        found = await node.agent(f"diary-{name}").ask({"type": "read"})
        hidden, frozen, slept = found["entries"]
        assert (hidden, frozen) == ("hidden", "frozen")
        assert slept > 0

    outside(own_nats_server, through)
    other.close()
    tab.close()


@pytest.mark.parametrize("hidden_ms", [0, 1500])
def test_a_frozen_tab_has_left_although_a_handler_is_at_work(
    browser: Browser, served: Served, own_nats_server: NatsServer, hidden_ms: int
) -> None:
    tab = opened(browser, served, "awake=false")
    name = running(tab)
    tab.evaluate(
        f"""(async () => {{
          await runtime.subscribe("begun", () => {{ self.begun = true; }});
          await runtime.define("busy", `{BUSY}`);
          await (await runtime.spawn("busy:Busy", "busy")).tell("wait");
        }})()"""
    )
    tab.wait_for("self.begun")
    other = in_front(browser, served)
    noted(tab, 1)

    async def through(node: Node) -> None:
        await known(node, name, there=True)
        tab.wait_for(f"Date.now() > {time.time() * 1000 + hidden_ms}")  # 1 s later it was told
        tab.freeze()
        await known(node, name, there=False)
        with pytest.raises(AgentNotFound):
            await node.agent("busy").ask("wait", timeout=60)
        tab.thaw()
        await known(node, name, there=True)

    outside(own_nats_server, through)
    other.close()
    tab.close()


@pytest.mark.parametrize("query", ["", "name=kiosk"])
def test_a_page_that_is_left_comes_back_with_its_agents(
    browser: Browser, served: Served, own_nats_server: NatsServer, query: str
) -> None:
    tab = opened(browser, served, query)
    name = running(tab)

    async def through(node: Node) -> None:
        await known(node, name, there=True)
        tab.send("Page.navigate", url=f"{served.url}favicon.svg")
        await known(node, name, there=False)
        tab.evaluate("history.back()")
        await known(node, name, there=True, seconds=60)

    outside(own_nats_server, through)
    navigation = "performance.getEntriesByType('navigation')[0]"
    assert tab.evaluate(f"{navigation}.notRestoredReasons") is None, "it was loaded anew"
    assert running(tab) == name
    found = noted(tab, 2)
    assert "cached" in found
    assert found[-1] > 0
    assert held(tab) == [f"agents-core node default {name}"] * (query != "") + ["awake"]
    tab.close()


def test_a_tab_that_is_closed_has_left(
    browser: Browser, served: Served, own_nats_server: NatsServer
) -> None:
    tab = opened(browser, served)
    name = running(tab)

    async def through(node: Node) -> None:
        await known(node, name, there=True)
        tab.close()
        await known(node, name, there=False)

    outside(own_nats_server, through)


def test_a_tab_that_crashes_is_not_waited_for(
    browser: Browser, served: Served, own_nats_server: NatsServer
) -> None:
    tab = opened(browser, served)
    name = running(tab)

    async def through(node: Node) -> None:
        assert await node.agent(f"diary-{name}").ask({"type": "read"})
        tab.crash()
        async with asyncio.timeout(LEFT_S):
            while True:
                try:
                    await node.agent(f"diary-{name}").ask({"type": "read"}, timeout=0.5)
                except AskTimeout:  # sent before the server knew
                    continue
                except AgentNotFound:
                    return

    outside(own_nats_server, through)


def test_a_hint_has_a_dead_connection_noticed(
    browser: Browser, served: Served, own_nats_server: NatsServer
) -> None:
    tab = opened(browser, served)
    pid = int(own_nats_server.pid_path.read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        tab.evaluate("statuses.length = 0")
        for left in reversed(range(4)):  # what was on its way counts as an answer
            tab.evaluate("dispatchEvent(new Event('online'))")
            try:
                tab.wait_for("statuses.includes('reconnecting')", seconds=5)
                break
            except AssertionError:
                assert left, "four hints in 20 s were not enough: by itself it asks after 25"
    finally:
        os.kill(pid, signal.SIGCONT)
    tab.wait_for("statuses.at(-1) === 'connected'")
    tab.close()


def test_a_sleep_that_nobody_announced(
    browser: Browser, driven: tuple[Browser, int], served: Served
) -> None:
    tab = opened(browser, served)
    group = os.getpgid(driven[1])
    os.killpg(group, signal.SIGSTOP)
    time.sleep(8)  # what is tested is that time passes
    os.killpg(group, signal.SIGCONT)
    (slept,) = noted(tab, 1)
    assert 6 < slept < 60
    assert tab.evaluate("statuses.at(-1)") == "connected"
    tab.close()


def held(tab: Tab) -> list[str]:
    """The Web Locks of the page's origin, the names of those that keep it awake cut short."""
    names = tab.evaluate("navigator.locks.query().then((q) => q.held.map(({ name }) => name))")
    return sorted("awake" if " awake " in name else name for name in names)


def test_a_page_stays_awake_while_its_agents_run(browser: Browser, served: Served) -> None:
    tab = opened(browser, served)
    assert held(tab) == ["awake"]
    waits = "navigator.locks.query().then(({ held, pending }) => held[0].name === pending[0].name)"
    assert tab.evaluate(waits), "Chrome looks for a lock that somebody waits for"
    tab.evaluate("runtime.stop()")
    tab.wait_for("navigator.locks.query().then(({ held }) => held.length === 0)")
    tab.close()
    polite = opened(browser, served, "awake=false")
    assert held(polite) == []
    polite.close()


def test_of_two_tabs_with_one_name_the_second_waits(
    browser: Browser, served: Served, own_nats_server: NatsServer
) -> None:
    first = opened(browser, served, "name=kiosk")
    second = browser.open(f"{served.url}page.html?name=kiosk")
    second.wait_for("self.runtime && runtime.phase === 'waiting'")
    assert running(first) == "kiosk"
    first.close()
    assert running(second) == "kiosk"
    assert second.evaluate("phases").index("loading") > 0
    second.close()


def test_a_tab_that_was_discarded_asks_for_its_name(browser: Browser, served: Served) -> None:
    """All that is left of one is its address: when somebody looks again, the page is loaded."""
    first = opened(browser, served, "name=kiosk")
    other = in_front(browser, served)
    assert noted(first, 1) == ["hidden"]
    first.close()
    again = opened(browser, served, "name=kiosk")
    assert running(again) == "kiosk"
    assert entries(again) == [], "another life of its agents"
    assert again.evaluate("phases")[0] == "waiting"
    other.close()
    again.close()


def test_a_frozen_tab_gives_up_its_name_and_waits_for_it(browser: Browser, served: Served) -> None:
    first = opened(browser, served, "name=kiosk&awake=false")
    second = browser.open(f"{served.url}page.html?name=kiosk")
    second.wait_for("self.runtime && runtime.phase === 'waiting'")
    noted(first, 1)
    first.freeze()
    assert running(second) == "kiosk"
    first.thaw()
    first.wait_for("navigator.locks.query().then(({ pending }) => pending.length === 2)")
    assert entries(first) == ["hidden", "frozen"]
    assert first.evaluate("statuses.at(-1)") == "reconnecting"
    first.freeze()  # in which nobody may be given the name
    first.thaw()
    second.close()
    found = noted(first, 3)
    assert found[2] > 0
    first.wait_for("statuses.at(-1) === 'connected'")
    first.close()


def test_a_tab_that_stands_still_while_it_waits_is_not_given_the_name(
    browser: Browser, served: Served
) -> None:
    first = opened(browser, served, "name=kiosk&awake=false")
    waiting = browser.open(f"{served.url}page.html?name=kiosk&awake=false")
    waiting.wait_for("self.runtime && runtime.phase === 'waiting'")
    first.show()
    waiting.wait_for("document.visibilityState === 'hidden'")
    waiting.freeze()
    third = browser.open(f"{served.url}page.html?name=kiosk&awake=false")
    third.wait_for("self.runtime && runtime.phase === 'waiting'")
    first.close()
    assert running(third) == "kiosk"
    waiting.thaw()
    waiting.wait_for(WAITS)
    third.close()
    assert running(waiting) == "kiosk"
    waiting.close()


def test_a_tab_that_came_back_and_waits_for_its_name_may_be_frozen(
    browser: Browser, served: Served
) -> None:
    first = opened(browser, served, "name=kiosk&awake=false")
    first.send("Page.navigate", url=f"{served.url}favicon.svg")
    second = opened(browser, served, "name=kiosk&awake=false")
    first.evaluate("history.back()")
    running(first)
    first.wait_for(WAITS)
    second.show()
    first.wait_for("document.visibilityState === 'hidden'")
    first.freeze()
    first.thaw()
    second.close()
    first.wait_for("statuses.at(-1) === 'connected'", seconds=20)
    first.close()


def test_a_stop_at_once_leaves_no_lock(browser: Browser, served: Served) -> None:
    tab = browser.open(f"{served.url}page.html?name=kiosk")
    stop = "runtime.running.then(() => runtime.stop())"
    tab.wait_for("!!self.runtime")
    tab.evaluate(stop)
    tab.wait_for(
        "navigator.locks.query().then(({ held, pending }) => !held.length && !pending.length)", 5
    )
    tab.close()


def test_a_duplicate_of_a_tab_is_another_node(browser: Browser, served: Served) -> None:
    tab = opened(browser, served)
    tab.evaluate("sessionStorage.setItem('node', runtime.node)")
    tab.evaluate("self.twin = open(location.href); twin !== null")
    tab.wait_for("twin.runtime && twin.runtime.phase === 'running'")
    names = tab.evaluate("[runtime.node, twin.runtime.node, twin.sessionStorage.getItem('node')]")
    assert names[0] == names[2] != names[1]
    tab.evaluate("twin.close()")
    tab.close()


def test_a_name_that_is_none_is_refused(browser: Browser, served: Served) -> None:
    tab = browser.open(f"{served.url}page.html?name=two words")
    tab.wait_for("self.runtime && runtime.phase === 'failed'")
    assert "InvalidAgentId" in tab.evaluate("runtime.running.catch((error) => error.message)")
    assert held(tab) == []
    tab.close()
