"""`python -m benchmarks`: measure, print a table, write JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agents_core import LocalBus, nats
from agents_core.nats.options import Options
from agents_server.nats_py import NatsPyBus
from agents_server.nats_server import NatsServer
from benchmarks import hosts, jetstream, loops, memory, natives, objects, report, suite, targets
from benchmarks.peer import OwnPeer, Peer
from benchmarks.suite import Results

ROOT = Path(__file__).parents[1]
RUNS = 5
PARTS = ("local", "native", "jetstream", "python313", "memory", "tab", "hosts", "boot")
PYTHON_313 = ROOT / ".venv-3.13" / "bin" / "python"


async def _local(runs: int, scale: float) -> Results:
    async def local() -> Peer:
        return OwnPeer("local, LocalBus", LocalBus())

    results = await suite.of_peers([local], runs, scale)
    results["local, agents"] = await suite.of_one_node(runs, scale)
    results["local, event loop"] = await loops.of_own(runs, scale)
    return results


async def _native(server: NatsServer, runs: int, scale: float) -> Results:
    async def tcp() -> Peer:
        return OwnPeer("our client over TCP", await nats.connect(server.url))

    async def websocket() -> Peer:
        return OwnPeer("our client over WebSocket", await nats.connect(server.websocket_url))

    async def over_nats_py() -> Peer:
        bus = NatsPyBus(Options(servers=[server.url]))
        await bus.connect()
        return OwnPeer("our bus over nats-py", bus)

    makers = [tcp, websocket, over_nats_py, *natives.others(server.url)]
    results = await suite.of_peers(makers, runs, scale)
    results["agents over nats://"] = await suite.of_two_nodes(server.url, runs, scale)
    results["agents over ws://"] = await suite.of_two_nodes(server.websocket_url, runs, scale)
    return {f"native, {where}": figures for where, figures in results.items()}


def _hosts(runs: int, scale: float) -> Results:
    from benchmarks import workers  # noqa: PLC0415 - needs what only one venv has

    results = asyncio.run(hosts.of_hosts(targets.PROCESSES, runs, scale))
    one_more = asyncio.run(memory.of_one_more_host())
    results[targets.PROCESSES][memory.ONE_MORE_HOST] = [one_more]
    return results | workers.of_hosts(runs, scale)


def _python313(runs: int, scale: float) -> Results:
    """The native part once more, by the Python that natsio and nats-core need."""
    if not PYTHON_313.exists():
        print("no .venv-3.13: natsio and nats-core are not measured", file=sys.stderr)
        return {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        flags = ["--only", "native", "--runs", str(runs), "--scale", str(scale)]
        command = [str(PYTHON_313), "-m", "benchmarks", *flags, "--json", str(file)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return report.from_json(json.loads(file.read_text(encoding="utf-8")), "Python 3.13, ")


def measure(parts: Sequence[str], runs: int, scale: float) -> Results:
    """Take the figures of these parts, one after the other."""
    results: Results = {}
    if "local" in parts:
        results |= asyncio.run(_local(runs, scale))
    if "python313" in parts:
        results |= _python313(runs, scale)
    if "hosts" in parts:
        results |= _hosts(runs, scale)
    with tempfile.TemporaryDirectory() as folder:
        server = NatsServer(Path(folder))
        server.start()
        try:
            if "native" in parts:
                results |= asyncio.run(_native(server, runs, scale))
            if "jetstream" in parts:
                results |= asyncio.run(jetstream.of_clients(server.url, runs, scale))
                urls = server.url, server.websocket_url
                results |= asyncio.run(objects.of_clients(*urls, runs, scale))
            if "memory" in parts:
                results["memory, our client"] = asyncio.run(memory.of_client(server.url, scale))
            if "tab" in parts:
                from benchmarks import tab  # noqa: PLC0415 - needs what only one venv has

                results |= tab.of_tab(server.websocket_url, runs, scale)
            if "boot" in parts:
                from benchmarks import boot  # noqa: PLC0415 - as above

                results |= boot.of_boot(server.websocket_url, runs)
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
    if ratios := targets.table(results):
        print(f"\n{ratios}")
    path = Path(flags.json)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.as_json(results, flags.runs), indent=1), encoding="utf-8")
    print(f"\nmedians of {flags.runs}; all values are in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
