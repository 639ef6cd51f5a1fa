"""Memory: whether a client that works for long keeps more and more, and what a host takes."""

from __future__ import annotations

import asyncio
import gc
import os
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from agents_core import nats
from agents_core.bus import Status
from agents_core.errors import TransportError
from agents_server.nats_server import free_port
from benchmarks import measures
from benchmarks.hosts import crowd
from benchmarks.peer import DEADLINE_S, OwnPeer

MESSAGES = 1_000_000
RECONNECTS = FAILED_DIALS = 1_000
CROWDS = (1, 8)
"""Hosts at a time, to see what one more takes."""

ONE_MORE_HOST = "memory of one more host, MiB"
WARM_UP = 0.1
"""Share of the work that is done before the first look: pools and caches fill once."""


def of_family(pid: int) -> int:
    """Bytes of a process and those that it started, what they share counted once."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    total, family = 0, [pid]
    while family:
        member = family.pop()
        family += parents.get(member, [])
        rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line[:4] == "Pss:")
    return total * 1024


async def of_one_more_host() -> float:
    """MiB that one more host takes, as a process."""
    sizes = []
    for count in CROWDS:
        node = await crowd(count)
        sizes.append(of_family(os.getpid()))
        await node.close()
    return one_more(CROWDS, sizes)


def one_more(counts: Sequence[int], sizes: Sequence[int]) -> float:
    """MiB for each that the second count has more."""
    return (sizes[1] - sizes[0]) / (counts[1] - counts[0]) / 1024**2


async def _growth(work: Callable[[int], Awaitable[object]], count: int) -> float:
    """KiB that are held after the work and were not before it."""
    await work(max(1, int(count * WARM_UP)))
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    await work(count)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return grown / 1024


async def of_client(url: str, scale: float) -> dict[str, list[float]]:
    """KiB after a million messages, a thousand reconnects, a thousand dials that fail."""
    client = await nats.connect(url, reconnect_time_wait=0.0)
    peer = OwnPeer("own", client)
    nobody = f"nats://127.0.0.1:{free_port()}"

    async def messages(count: int) -> None:
        await measures.publish_receive(peer, 16, count)

    async def reconnects(count: int) -> None:
        for done in range(count):
            before = client.stats.reconnects
            async with asyncio.timeout(DEADLINE_S):
                await client.force_reconnect()
                async for status in client.status_changes():
                    if status is Status.CONNECTED:
                        break
            if client.stats.reconnects != before + 1:
                raise AssertionError(f"reconnect {done} did not happen")

    async def failed_dials(count: int) -> None:
        for _ in range(count):
            try:
                await nats.connect(nobody)
            except TransportError:
                continue
            raise AssertionError("somebody listens where nobody should")

    found = {
        "after messages, KiB": [await _growth(messages, int(MESSAGES * scale))],
        "after reconnects, KiB": [await _growth(reconnects, int(RECONNECTS * scale))],
        "after failed dials, KiB": [await _growth(failed_dials, int(FAILED_DIALS * scale))],
    }
    await client.close()
    return found
