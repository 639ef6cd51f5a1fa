"""Which measures are taken of a client and of agents; it runs on CPython and in the tab."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from statistics import median

from agents_core import Node, connect
from agents_core.ids import unique
from benchmarks import measures
from benchmarks.peer import Peer

THROUGHPUT = {
    "publish and receive 16 B, per s": (16, 300_000),
    "publish and receive 128 B, per s": (128, 200_000),
    "publish and receive 4 KiB, per s": (4096, 10_000),
}
"""The bytes of each message, and how many of them."""

BACK = "one message there and back, µs"
ROUND_TRIPS = 1_000
REQUESTS = 10_000
TURNS = 5
"""Parts of a measure, of which a run's figure is the median."""

TELLS = 20_000
ASKS = 500

Figures = dict[str, list[float]]
"""Values of all runs, by what was measured."""

Results = dict[str, Figures]
"""Figures by who or where it was."""


Measure = Callable[[Peer, float], Awaitable[float]]
"""Takes one figure of a client; the number is the scale of the counts."""


def note(results: Results, who: str, what: str, value: float) -> None:
    """Add one value."""
    results.setdefault(who, {}).setdefault(what, []).append(value)


def _throughput(size: int, count: int) -> Measure:
    async def measure(peer: Peer, scale: float) -> float:
        return await measures.publish_receive(peer, size, int(count * scale))

    return measure


async def _there_and_back(peer: Peer, scale: float) -> float:
    return 1e6 * await measures.there_and_back(peer, int(ROUND_TRIPS * scale))


async def _request_reply(peer: Peer, scale: float) -> float:
    return 1e6 * await measures.request_reply(peer, int(ROUND_TRIPS * scale))


async def _in_flight(peer: Peer, scale: float) -> float:
    return await measures.requests_in_flight(peer, int(REQUESTS * scale))


MEASURES: dict[str, Measure] = {
    **{what: _throughput(*counts) for what, counts in THROUGHPUT.items()},
    BACK: _there_and_back,
    "request and reply, µs": _request_reply,
    f"requests, {measures.IN_FLIGHT} in flight, per s": _in_flight,
}
"""What every client is measured by."""


async def of_peers(
    makers: Sequence[Callable[[], Awaitable[Peer]]], runs: int, scale: float
) -> Results:
    """All runs of some clients, which take turns at each measure.

    What slows the machine down for a second slows all of them down.
    """
    results: Results = {}
    for _ in range(runs):
        async with AsyncExitStack() as stack:
            peers = []
            for make in makers:
                peers.append(peer := await make())
                stack.push_async_callback(peer.close)
            for what, measure in MEASURES.items():
                values: Figures = {peer.name: [] for peer in peers}
                for _ in range(TURNS):
                    for peer in peers:
                        values[peer.name].append(await measure(peer, scale / TURNS))
                for who, found in values.items():
                    note(results, who, what, median(found))
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
