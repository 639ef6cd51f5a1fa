"""What an event loop costs: CPython's, Pyodide's, and ours in the tab."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter

from benchmarks.suite import Figures, Results, note

SLEEP = "sleep(0), per s"
PING_PONG = "ping-pong over two queues, per s"
SPAWN = "tasks made and gathered, per s"


async def sleeps(count: int) -> float:
    """Turns of the loop per second."""
    began = perf_counter()
    for _ in range(count):
        await asyncio.sleep(0)
    return count / (perf_counter() - began)


async def ping_pong(count: int) -> float:
    """Round trips per second between two tasks."""
    there: asyncio.Queue[int] = asyncio.Queue()
    back: asyncio.Queue[int] = asyncio.Queue()

    async def answer() -> None:
        for _ in range(count):
            back.put_nowait(await there.get())

    began = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answer())
        for number in range(count):
            there.put_nowait(number)
            await back.get()
    return count / (perf_counter() - began)


async def spawns(count: int) -> float:
    """Tasks per second that are made, run and awaited together."""

    async def nothing() -> None:
        pass

    began = perf_counter()
    await asyncio.gather(*(nothing() for _ in range(count)))
    return count / (perf_counter() - began)


MEASURES: tuple[tuple[str, Callable[[int], Awaitable[float]], int], ...] = (
    (SLEEP, sleeps, 20_000),
    (PING_PONG, ping_pong, 4_000),
    (SPAWN, spawns, 4_000),
)


async def _once(who: str, scale: float, results: Results) -> None:
    for what, measure, count in MEASURES:
        note(results, who, what, await measure(int(count * scale)))


async def of_own(runs: int, scale: float) -> Figures:
    """All runs on the loop that is running."""
    results: Results = {}
    for _ in range(runs):
        await _once("own", scale, results)
    return results["own"]


async def of_both(
    install: Callable[[], bool], uninstall: Callable[[], None], runs: int, scale: float
) -> Results:
    """All runs in Pyodide, of its own loop and of our ready-queue in turns."""
    results: Results = {}
    for _ in range(runs):
        await _once("tab, Pyodide's event loop", scale / 4, results)
        if not install():
            raise RuntimeError("the ready-queue is not in place")
        await asyncio.sleep(0)
        await _once("tab, our event loop", scale, results)
        uninstall()
        await asyncio.sleep(0)
    return results
