"""A tab whose network is cut: no byte comes through, and no browser says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from agents_core import Agent, Node, on
from agents_core.errors import AskTimeout
from agents_server.nats_server import LOOPBACK, NatsServer
from tests.browser.devtools import Browser, Tab
from tests.browser.living import lives, opened, outside, running
from tests.browser.served import Served
from tests.network import Network

pytestmark = pytest.mark.nats


FILL = """
Promise.all(Array.from({ length: 500 }, () => refusal(runtime.publish("words", "x".repeat(1e5)))))
  .then((refusals) => [...new Set(refusals)].sort())
"""
"""What the page is told, which publishes 50 MB: more than the system's buffers, the browser and the
client take together."""


class Silent(Agent):
    """Answers nobody; tells when it was asked."""

    def __init__(self, asked: asyncio.Event) -> None:
        self.asked = asked

    @on("wait")
    async def wait(self) -> None:
        self.asked.set()
        await asyncio.Event().wait()


@pytest.fixture
def network(own_nats_server: NatsServer) -> Iterator[Network]:
    """Between the tab and the server."""
    with Network(own_nats_server.websocket_port) as found:
        yield found


@pytest.fixture
def served(network: Network) -> Iterator[Served]:
    with lives(f"ws://{LOOPBACK}:{network.port}") as found:
        yield found


@pytest.fixture
def browser(driven: tuple[Browser, int]) -> Browser:
    return driven[0]


def offline(tab: Tab, value: bool) -> None:
    """Have the browser think that there is no network, or that there is."""
    any_speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    tab.send("Network.emulateNetworkConditions", offline=value, **any_speed)


def test_a_cut_is_noticed_and_the_same_agents_answer_again(
    browser: Browser, served: Served, own_nats_server: NatsServer, network: Network
) -> None:
    tab = opened(browser, served, "pingInterval=0.5")
    name = running(tab)

    async def on_page(javascript: str) -> Any:
        """The value once it is true; this node goes on meanwhile."""
        return await asyncio.to_thread(tab.wait_for, javascript)

    async def through(node: Node) -> None:
        words = await node.subscribe(f"{node.root}.words")
        before = await node.agent(f"diary-{name}").ask({"type": "read"})
        for elsewhere in (False, True):
            asked = asyncio.Event()
            await node.spawn(Silent, silent := f"silent-{elsewhere}", asked, shutdown=0)
            ask = f"refusal(runtime.ask('{silent}', 'wait', {{ timeout: 60 }}))"
            tab.evaluate(f"self.asked = {ask}; 0")
            await asked.wait()
            network.cut()
            with pytest.raises(AskTimeout):  # the server does not know it either
                await node.agent(f"diary-{name}").ask({"type": "read"}, timeout=0.2)
            assert await on_page("asked") == "NotConnected"
            assert await on_page(ask) == "NotConnected"
            assert await on_page("statuses.at(-1)") == "reconnecting"
            for n in range(3):
                tab.evaluate(f"runtime.publish('words', {n})")
            network.mend(elsewhere=elsewhere)
            assert [(await words.next_msg(10)).data for _ in range(3)] == [b"0", b"1", b"2"]
            assert await on_page("statuses.at(-1) === 'connected'")
            after = await answer(node, f"diary-{name}")
            assert after["entries"] == []
            assert after["ticks"] > before["ticks"]

    outside(own_nats_server, through)
    tab.close()


async def answer(node: Node, agent: str) -> Any:
    """What the agent has noted.

    Asked again where the server still knows of a connection that is gone, and sends there, too.
    """
    while True:
        try:
            return await node.agent(agent).ask({"type": "read"}, timeout=0.5)
        except AskTimeout:
            continue


def test_a_browser_that_is_offline_has_a_cut_noticed_at_once(
    browser: Browser, served: Served, network: Network
) -> None:
    tab = opened(browser, served, "pingInterval=3600")
    tab.evaluate("statuses.length = 0")
    network.cut()
    assert tab.evaluate(FILL) == ["OutboundBufferFull", "none"]
    offline(tab, True)
    tab.wait_for("statuses.includes('reconnecting')")
    assert tab.evaluate("navigator.onLine") is False
    network.mend()
    offline(tab, False)
    tab.wait_for("statuses.at(-1) === 'connected'")
    assert tab.evaluate("refusal(runtime.publish('words', 'small'))") == "none"
    assert tab.evaluate("read().then(({ entries }) => entries)") == []
    tab.close()
