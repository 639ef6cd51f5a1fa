"""What runs inside the tab: called by `pages/worker.mjs`, answers in JSON."""

from __future__ import annotations

import json
from statistics import median

from agents_browser import eventloop
from agents_core import Node, nats
from benchmarks import hosts, loops, suite
from benchmarks.peer import OwnPeer


def settings(scale: float) -> str:
    """The counts for the measures in JavaScript."""
    sizes = [
        {"name": name, "size": size, "count": int(suite.COUNTS[name] * scale)}
        for name, size in suite.SIZES.items()
    ]
    return json.dumps({"sizes": sizes, "roundTrips": int(suite.ROUND_TRIPS * scale)})


async def of_loops(runs: int, scale: float) -> str:
    """All runs of the event loops; Pyodide's own is the one that is left."""
    install, uninstall = eventloop.install, eventloop.uninstall
    return json.dumps(await loops.of_both(install, uninstall, runs, scale))


async def of_own(url: str, scale: float) -> str:
    """One run of our client."""
    found: suite.Results = {}
    peer = OwnPeer("own", await nats.connect(url))
    await suite.of_peer(peer, scale, found)
    await peer.close()
    return json.dumps({what: median(values) for what, values in found["own"].items()})


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
