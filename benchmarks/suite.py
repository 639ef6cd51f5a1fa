"""Which measures are taken of a client and of agents; it runs on CPython and in the tab."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from agents_core import Node, connect
from agents_core.ids import unique
from benchmarks import measures
from benchmarks.peer import Peer

SIZES = {"16 B": 16, "128 B": 128, "4 KiB": 4096}
COUNTS = {"16 B": 300_000, "128 B": 200_000, "4 KiB": 10_000}
ROUND_TRIPS = 1_000
REQUESTS = 10_000
TELLS = 20_000
ASKS = 500

Figures = dict[str, list[float]]
"""Values of all runs, by what was measured."""

Results = dict[str, Figures]
"""Figures by who or where it was."""


def note(results: Results, who: str, what: str, value: float) -> None:
    """Add one value."""
    results.setdefault(who, {}).setdefault(what, []).append(value)


async def of_peer(peer: Peer, scale: float, results: Results) -> None:
    """One run of one client: what every client is measured by."""
    for name, size in SIZES.items():
        rate = await measures.publish_receive(peer, size, int(COUNTS[name] * scale))
        note(results, peer.name, f"publish and receive {name}, per s", rate)
    seconds = await measures.there_and_back(peer, int(ROUND_TRIPS * scale))
    note(results, peer.name, "one message there and back, µs", seconds * 1e6)
    seconds = await measures.request_reply(peer, int(ROUND_TRIPS * scale))
    note(results, peer.name, "request and reply, µs", seconds * 1e6)
    rate = await measures.requests_in_flight(peer, int(REQUESTS * scale))
    note(results, peer.name, f"requests, {measures.IN_FLIGHT} in flight, per s", rate)


async def of_peers(
    makers: Sequence[Callable[[], Awaitable[Peer]]], runs: int, scale: float
) -> Results:
    """All runs of some clients, in turns: whatever slows the machine down slows all of them."""
    results: Results = {}
    for _ in range(runs):
        for make in makers:
            peer = await make()
            try:
                await of_peer(peer, scale, results)
            finally:
                await peer.close()
    return results


async def of_agents(asking: Node, hosting: Node, runs: int, scale: float) -> Figures:
    """Messages per second to an agent, and the seconds of an ask."""
    id = f"adder-{unique(6)}"
    await hosting.spawn(measures.Adder, id)
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
