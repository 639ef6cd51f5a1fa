"""`python -m benchmarks`: measure, print a table, write JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agents_core import nats
from agents_core.bus import Bus
from agents_core.nats.options import Options
from agents_server.nats_py import NatsPyBus
from agents_server.nats_server import NatsServer
from benchmarks import peers, report, suite, tab

RUNS = 5
PARTS = ("local", "native", "tab")
OWN, PEER = "native, our client over TCP", "native, nats-py by itself"


async def _local(runs: int, scale: float) -> report.Results:
    return {
        "local, LocalBus": await suite.of_bus(suite.local_bus, runs, scale),
        "local, agents": await suite.of_one_node(runs, scale),
    }


async def _native(server: NatsServer, runs: int, scale: float) -> report.Results:
    async def tcp() -> Bus:
        return await nats.connect(server.url)

    async def websocket() -> Bus:
        return await nats.connect(server.websocket_url)

    async def nats_py_bus() -> Bus:
        bus = NatsPyBus(Options(servers=[server.url]))
        await bus.connect()
        return bus

    return {
        OWN: await suite.of_bus(tcp, runs, scale),
        "native, our client over WebSocket": await suite.of_bus(websocket, runs, scale),
        PEER: await peers.of_nats_py(server.url, runs, scale),
        "native, our bus over nats-py": await suite.of_bus(nats_py_bus, runs, scale),
        "native, agents over nats://": await suite.of_two_nodes(server.url, runs, scale),
        "native, agents over ws://": await suite.of_two_nodes(server.websocket_url, runs, scale),
    }


def measure(parts: Sequence[str], runs: int, scale: float) -> report.Results:
    """Take the figures of these parts, one after the other."""
    results: report.Results = {}
    if "local" in parts:
        results |= asyncio.run(_local(runs, scale))
    with tempfile.TemporaryDirectory() as folder:
        server = NatsServer(Path(folder))
        server.start()
        try:
            if "native" in parts:
                results |= asyncio.run(_native(server, runs, scale))
            if "tab" in parts:
                found = tab.of_tab(server.websocket_url, runs, scale)
                results |= {f"tab, {where.removeprefix('tab, ')}": f for where, f in found.items()}
        finally:
            server.stop()
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="leave the others out")
    parser.add_argument("--runs", type=int, default=RUNS, help="medians of so many (%(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="of all counts (%(default)s)")
    parser.add_argument("--json", default="build/benchmarks.json", help="default %(default)s")
    flags = parser.parse_args(arguments)
    results = measure(flags.only or PARTS, flags.runs, flags.scale)
    print(report.table(results))
    if OWN in results:
        print(f"\n{report.ratios(results, OWN, PEER)}")
    path = Path(flags.json)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.as_json(results, flags.runs), indent=1), encoding="utf-8")
    print(f"\nmedians of {flags.runs}; all values are in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
