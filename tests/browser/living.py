"""A tab whose agents live through something, and another node that watches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents_core import Node, connect
from agents_server.nats_server import NatsServer
from agents_server.project import Example
from tests.browser.beside import run_beside
from tests.browser.devtools import Browser, Tab
from tests.browser.served import Served, gathered

FOLDER = Path(__file__).parent / "lives"
OUTSIDE_S = 120.0
LEFT_S = 4.0
"""Within which other nodes know; a node that just falls silent is missed after 6 s."""


def lives(nats: str) -> Served:
    """Serves a page with one runtime, and with the agent `diary-<node>`."""
    pages = {"/page.html": FOLDER / "page.html", "/lives.mjs": FOLDER / "lives.mjs"}
    return Served(gathered(Example("lives", FOLDER), pages), nats)


def opened(browser: Browser, served: Served, query: str = "") -> Tab:
    """A tab whose agents run."""
    tab = browser.open(f"{served.url}page.html?{query}")
    running(tab)
    return tab


def running(tab: Tab) -> str:
    """Wait until its agents run; the name of its node."""
    tab.wait_for("self.runtime && runtime.phase === 'running'")
    name: str = tab.evaluate("runtime.node")
    return name


def outside(server: NatsServer, act: Callable[[Node], Any]) -> Any:
    """Act as another node."""

    async def main() -> Any:
        async with asyncio.timeout(OUTSIDE_S), connect(server.url) as node:
            return await act(node)

    return run_beside(main())


async def known(node: Node, name: str, *, there: bool, seconds: float = LEFT_S) -> None:
    """Wait until a node is there, or is not."""
    changed = asyncio.Event()
    forget = node.on_change(changed.set)
    async with asyncio.timeout(seconds):
        while (name in {info.node for info in node.nodes()}) is not there:
            changed.clear()
            await changed.wait()
    forget()
