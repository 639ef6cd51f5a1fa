"""Which measures are taken of a bus and of agents; it runs on CPython and in the tab."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from agents_core import LocalBus, Node, connect, nats
from agents_core.bus import Bus
from agents_core.ids import unique
from benchmarks import measures

SIZES = {"16 B": 16, "128 B": 128, "4 KiB": 4096}
COUNTS = {"16 B": 50_000, "128 B": 30_000, "4 KiB": 4_000}
ROUND_TRIPS = 500
TELLS = 20_000
ASKS = 500

Figures = dict[str, list[float]]
"""Values of all runs, by what was measured."""


async def of_bus(make: Callable[[], Awaitable[Bus]], runs: int, scale: float) -> Figures:
    """Messages per second for three sizes, and the seconds of a request; a fresh bus per run."""
    found: Figures = {}
    for _ in range(runs):
        bus = await make()
        for name, size in SIZES.items():
            value = await measures.publish_receive(bus, size, int(COUNTS[name] * scale))
            found.setdefault(f"publish and receive {name}, per s", []).append(value)
        value = await measures.round_trip(bus, int(ROUND_TRIPS * scale))
        found.setdefault("request and reply, µs", []).append(value * 1e6)
        await bus.close()
    return found


async def of_agents(asking: Node, hosting: Node, runs: int, scale: float) -> Figures:
    """Messages per second to an agent, and the seconds of an ask."""
    id = f"counter-{unique(6)}"
    await hosting.spawn(measures.Counter, id)
    found: Figures = {"tell, per s": [], "ask, µs": []}
    for _ in range(runs):
        found["tell, per s"].append(await measures.tells(asking, id, int(TELLS * scale)))
        seconds = await measures.ask_time(asking.agent(id), int(ASKS * scale))
        found["ask, µs"].append(seconds * 1e6)
    return found


async def of_one_node(runs: int, scale: float) -> Figures:
    """Agents of one node."""
    async with connect("local://") as node:
        return await of_agents(node, node, runs, scale)


async def of_two_nodes(url: str, runs: int, scale: float) -> Figures:
    """Agents of two nodes that a server connects."""
    space = unique()
    async with connect(url, space=space) as asking, connect(url, space=space) as hosting:
        return await of_agents(asking, hosting, runs, scale)


async def local_bus() -> Bus:
    """The bus of one process."""
    return LocalBus()


async def of_tab(url: str, runs: int, scale: float) -> str:
    """Everything that a tab is measured by, as JSON."""

    async def websocket() -> Bus:
        return await nats.connect(url)

    found: dict[str, Any] = {
        "local, agents": await of_one_node(runs, scale),
        "tab, browser WebSocket": await of_bus(websocket, runs, scale),
        "tab, agents over WebSocket": await of_two_nodes(url, runs, scale),
    }
    return json.dumps(found)
