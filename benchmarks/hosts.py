"""Agents in other interpreters: what they cost, and how fast one is replaced.

It runs on CPython, where a host is a process, and in the tab, where it is a worker.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from statistics import quantiles
from time import perf_counter
from typing import Any

from agents_core import Agent, AgentRef, Node, connect, on
from agents_core.errors import RemoteError
from agents_core.hosts.host import Host
from benchmarks import measures, suite
from benchmarks.measures import BATCH, DEADLINE_S, Add, Adder
from benchmarks.suite import Figures, Results, note

RESTARTS = 1_000_000
"""As many as it takes: hosts are killed by hand here."""

ANSWER_S = 2.0
"""Seconds after which a host that hangs is replaced; the default."""

CALM_ASKS = 5_000
"""Asks of a neighbour while nothing happens, to compare with."""

AT_ONCE = f"ask {{}}, {measures.IN_FLIGHT} at once, per s"
NEIGHBOUR = "ask of another host, p99, µs"


class Prober(Agent):
    """Measures from inside of a host, and hangs."""

    @on("tells")
    async def tells(self, payload: dict[str, Any]) -> float:
        ref, count = self.ctx.agent(payload["to"]), payload["count"]
        began = perf_counter()
        for done in range(0, count, BATCH):
            for _ in range(min(BATCH, count - done)):
                ref.tell(Add(1))
            await ref.ask(Add(0), timeout=DEADLINE_S)
        return count / (perf_counter() - began)

    @on("asks")
    async def asks(self, payload: dict[str, Any]) -> float:
        return await measures.ask_time(self.ctx.agent(payload["to"]), payload["count"])

    @on("asks at once")
    async def asks_at_once(self, payload: dict[str, Any]) -> float:
        return await _asks_at_once(self.ctx.agent(payload["to"]), payload["count"])

    @on("ping")
    def ping(self) -> None:
        pass

    @on("spin")
    def spin(self) -> None:
        while True:
            pass


async def of_hosts(place: str, runs: int, scale: float) -> Results:
    """All runs: what they do when all is well, and a neighbour of one that hangs."""
    results: Results = {}
    async with connect("local://") as node:
        for run in range(runs):
            adder, prober = await _two(node, run, results.setdefault(place, {}))
            await _messages(node, adder, prober, scale, results[place])
            await _ends(adder, prober, scale, results, place)
            for ref in (adder, prober):
                await ref.stop()
            await node.hosts.close()
    return results


def hanging(place: str) -> str:
    """What the figures are called that are taken while a host hangs."""
    return f"{place}, while one hangs"


async def crowd(count: int) -> Node:
    """A node with an agent in each of so many hosts; to be closed."""
    node = await connect("local://")
    for number in range(count):
        await _spawn(node, Adder, f"adder-{number}")
    return node


async def _two(node: Node, run: int, figures: Figures) -> tuple[AgentRef, AgentRef]:
    """Two agents in hosts of their own; the second one starts when all is warm."""
    adder = await _spawn(node, Adder, f"adder-{run}")
    began = perf_counter()
    prober = await _spawn(node, Prober, f"prober-{run}")
    await prober.ask("ping", timeout=DEADLINE_S)
    _add(figures, "a new host and its first answer, µs", (perf_counter() - began) * 1e6)
    return adder, prober


async def _messages(
    node: Node, adder: AgentRef, prober: AgentRef, scale: float, figures: Figures
) -> None:
    """One at a time and many at once, to a host and between two of them."""

    async def probe(what: str, count: int) -> float:
        order = {"type": what, "to": adder.id, "count": count}
        found: float = await prober.ask(order, timeout=DEADLINE_S)
        return found

    tells, asks = int(suite.TELLS * scale), int(suite.ASKS * scale)
    many = asks * measures.IN_FLIGHT // 8
    _add(figures, "ask of a host, µs", await measures.ask_time(adder, asks) * 1e6)
    _add(figures, AT_ONCE.format("of a host"), await _asks_at_once(adder, many))
    _add(figures, "tell to a host, per s", await measures.tells(node, adder.id, tells))
    _add(figures, "ask from host to host, µs", await probe("asks", asks) * 1e6)
    _add(figures, AT_ONCE.format("from host to host"), await probe("asks at once", many))
    _add(figures, "tell from host to host, per s", await probe("tells", tells))


async def _ends(
    adder: AgentRef, prober: AgentRef, scale: float, results: Results, place: str
) -> None:
    """A kill, and a hang, with the asks of a neighbour meanwhile."""
    note(results, place, "from a kill to an answer, µs", await _killed(prober) * 1e6)
    calm = await _asks(adder, int(CALM_ASKS * scale))
    meanwhile, seconds = await _hung(prober, adder)
    note(results, place, "from a hang to an answer, µs", seconds * 1e6)
    note(results, place, NEIGHBOUR, _p99(calm) * 1e6)
    note(results, hanging(place), NEIGHBOUR, _p99(meanwhile) * 1e6)


async def _spawn(node: Node, cls: type[Agent], id: str) -> AgentRef:
    host = Host(answer=ANSWER_S)
    return await node.spawn(cls, id, host=host, max_restarts=RESTARTS)


async def _killed(ref: AgentRef) -> float:
    """Seconds until there is another instance that handles messages."""
    began = perf_counter()
    await ref.kill()
    await ref.ask("ping", timeout=DEADLINE_S)
    return perf_counter() - began


async def _hung(ref: AgentRef, neighbour: AgentRef) -> tuple[list[float], float]:
    """The neighbour's asks meanwhile, and the seconds until its host is replaced."""
    began = perf_counter()
    hanging = asyncio.create_task(ref.ask("spin", timeout=DEADLINE_S))
    waiting = asyncio.create_task(ref.ask("ping", timeout=DEADLINE_S))
    meanwhile: list[float] = []
    while not hanging.done():
        meanwhile += await _asks(neighbour, 10)
    for task in (hanging, waiting):
        with suppress(RemoteError):  # of both it had been told, and did not answer
            await task
    await ref.ask("ping", timeout=DEADLINE_S)
    return meanwhile, perf_counter() - began


async def _asks_at_once(ref: AgentRef, count: int) -> float:
    """Asks per second with so many under way."""
    each = max(1, count // measures.IN_FLIGHT)

    async def one_after_the_other() -> None:
        for _ in range(each):
            await ref.ask(Add(1), timeout=DEADLINE_S)

    began = perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(measures.IN_FLIGHT)))
    return each * measures.IN_FLIGHT / (perf_counter() - began)


def _add(figures: Figures, what: str, value: float) -> None:
    figures.setdefault(what, []).append(value)


def _p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100)[-1]


async def _asks(ref: AgentRef, count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        began = perf_counter()
        await ref.ask(Add(1), timeout=DEADLINE_S)
        seconds.append(perf_counter() - began)
    return seconds
