"""What the tests of agents share: two nodes, an agent that counts, and waiting for events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents_core import Agent, Event, Node, connect, on
from agents_core.connect import Connecting
from agents_core.ids import unique


@dataclass
class Add:
    n: int


@dataclass
class Total:
    value: int


class Counter(Agent):
    async def on_start(self) -> None:
        self.value = await self.state.get("value", 0)

    @on
    async def add(self, m: Add) -> int:
        self.value += m.n
        await self.state.set("value", self.value)
        return self.value

    @on("total")
    def total(self) -> Total:
        return Total(self.value)

    @on("boom")
    def boom(self, payload: Any) -> None:
        raise ValueError(payload.get("why", "boom") if isinstance(payload, dict) else "boom")

    @on("hang")
    async def hang(self) -> None:
        await asyncio.get_running_loop().create_future()

    @on("echo")
    def echo(self, payload: Any) -> Any:
        return payload


class Member(Agent):
    """Writes down what happens to it."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def on_start(self) -> None:
        self.log.append(f"start {self.id}")

    def on_restart(self, reason: Any) -> None:
        self.log.append(f"restart {self.id} {reason.type}")

    def on_stop(self, reason: Any) -> None:
        self.log.append(f"stop {self.id} {reason.kind}")

    @on("crash")
    def crash(self) -> None:
        raise RuntimeError("crash")

    @on("finish")
    def finish(self) -> None:
        self.ctx.stop()

    @on("hang")
    async def hang(self) -> None:
        await asyncio.get_running_loop().create_future()


class Events:
    """Collects a node's events and waits for one."""

    def __init__(self, node: Node) -> None:
        self.seen: list[Event] = []
        self._news = asyncio.Event()
        node.on_event(self._take)

    def _take(self, event: Event) -> None:
        self.seen.append(event)
        self._news.set()

    async def wait(self, kind: str, agent: str = "") -> Event:
        while True:
            for event in self.seen:
                if event.kind == kind and agent in {"", event.agent}:
                    self.seen.remove(event)
                    return event
            self._news.clear()
            await self._news.wait()


def pair() -> tuple[Connecting, Connecting]:
    """Two nodes that share a hub nobody else has."""
    hub = f"local://{unique()}"
    return connect(hub, name="one"), connect(hub, name="two")


async def until(condition: Callable[[], object]) -> None:
    """Wait for what comes in one of the next turns of the loop."""
    while not condition():
        await asyncio.sleep(0)
