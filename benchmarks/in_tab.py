"""What runs inside the tab: called by `pages/worker.mjs`, answers in JSON."""

from __future__ import annotations

import json

from agents_browser import eventloop
from agents_core import Node, nats
from benchmarks import hosts, loops, suite
from benchmarks.peer import OwnPeer


def settings(scale: float) -> str:
    """The names of all measures, their turns, and the counts for those in JavaScript."""
    scale /= suite.TURNS
    sizes = {what: [size, int(count * scale)] for what, (size, count) in suite.THROUGHPUT.items()}
    round_trips = {suite.BACK: int(suite.ROUND_TRIPS * scale)}
    names = [*suite.MEASURES]
    counts = {"sizes": sizes, "roundTrips": round_trips}
    return json.dumps({"names": names, "turns": suite.TURNS, **counts})


async def of_loops(runs: int, scale: float) -> str:
    """All runs of the event loops; Pyodide's own is the one that is left."""
    install, uninstall = eventloop.install, eventloop.uninstall
    return json.dumps(await loops.of_both(install, uninstall, runs, scale))


async def own(url: str) -> OwnPeer:
    """Our client."""
    return OwnPeer("own", await nats.connect(url))


async def measure(peer: OwnPeer, what: str, scale: float) -> float:
    """One figure of it."""
    return await suite.MEASURES[what](peer, scale / suite.TURNS)


async def of_agents(url: str, runs: int, scale: float) -> str:
    """All runs with agents."""
    found = {
        "tab, local, agents": await suite.of_one_node(runs, scale),
        "tab, agents over WebSocket": await suite.of_two_nodes(url, runs, scale),
    }
    return json.dumps(found)


async def of_hosts(place: str, runs: int, scale: float) -> str:
    """All runs with agents in other workers, with the event loop that a page has."""
    eventloop.install()
    return json.dumps(await hosts.of_hosts(place, runs, scale))


async def crowd(count: int) -> Node:
    """A node with so many hosts; to be closed."""
    return await hosts.crowd(count)
