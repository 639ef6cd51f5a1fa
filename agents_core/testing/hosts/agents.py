"""Agents for the checks; a host imports them from here."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from agents_core import Agent, Exit, Get, every, on
from agents_core.errors import AgentsError


@dataclass
class Increase:
    n: int


@dataclass
class Reached:
    value: int


class Adder(Agent):
    """Adds up, in its state if `kept`."""

    def __init__(self, first: int = 0, kept: bool = True) -> None:
        self.total = first
        self.kept = kept
        self.seen: list[int] = []

    async def on_start(self) -> None:
        self.total = await self.state.get("total", self.total)

    async def on_stop(self, reason: Exit) -> None:
        await self.state.set("stopped", str(reason.kind))

    async def on_restart(self, reason: Exit) -> None:
        await self.state.set("before", [str(reason.kind), reason.type, reason.message])

    @on
    async def add(self, m: Increase) -> int:
        self.seen.append(m.n)
        self.total += m.n
        if self.kept:
            await self.state.set("total", self.total)
        return self.total

    @on("total")
    def answer(self) -> Reached:
        return Reached(self.total)

    @on("seen")
    def in_order(self) -> list[int]:
        return self.seen

    @on("before")
    async def why(self) -> Any:
        return await self.state.get("before")

    @on("fail")
    def fail(self, payload: dict[str, str]) -> None:
        raise ValueError(payload["why"])

    @on("odd")
    def odd(self) -> object:
        return object()

    @on("wait")
    async def wait(self) -> None:
        await self.state.set("waits", True)
        await asyncio.get_running_loop().create_future()

    @on("leave")
    def leave(self) -> None:
        self.ctx.stop()

    @on("stop yourself")
    async def stop_yourself(self) -> None:
        await self.ctx.ref.stop()

    @on("read yourself")
    async def read_yourself(self) -> Any:
        return await self.ctx.ref.state(Get("total"))

    @on("spin")
    def spin(self) -> None:  # pragma: no cover - only in an interpreter of its own
        while True:
            pass

    @on("exhaust")
    def exhaust(self) -> None:  # pragma: no cover - as above
        kept = []
        while True:
            kept.append(bytes(4 * 1024 * 1024))


class Caller(Agent):
    """Does with the world what its messages say."""

    @on("who")
    def who(self) -> list[str]:
        message = self.ctx.message
        assert message is not None
        return [self.ctx.sender, self.ctx.type, message.recipient, self.ctx.node.name]

    @on("ask")
    async def ask(self, payload: dict[str, Any]) -> Any:
        ref = self.ctx.agent(payload["to"])
        try:
            return await ref.ask(payload["what"], timeout=payload.get("timeout", 20.0))
        except AgentsError as error:
            return [type(error).__name__, str(error)]

    @on("add")
    async def add(self, payload: dict[str, Any]) -> Any:
        return (await self.ctx.agent(payload["to"]).ask(Increase(payload["n"]))) + 0

    @on("tell")
    def tell(self, payload: dict[str, Any]) -> None:
        for n in payload["numbers"]:
            self.ctx.agent(payload["to"]).tell(Increase(n))

    @on("flood")
    def flood(self, payload: dict[str, Any]) -> str:
        message, found = {"type": "take", "text": "x" * 100_000}, "no bound"
        try:
            list(map(self.ctx.agent(payload["to"]).tell, [message] * 1000))
        except AgentsError as error:
            found = type(error).__name__
        return found

    @on("publish")
    async def publish(self, payload: dict[str, Any]) -> str:
        try:
            await self.ctx.publish(payload["subject"], payload["value"])
        except AgentsError as error:
            return type(error).__name__
        return ""

    @on("node")
    def node(self, payload: dict[str, Any]) -> str:
        try:
            return str(getattr(self.ctx.node, payload["name"]))
        except AgentsError as error:
            return type(error).__name__

    @on("log")
    def log(self, payload: dict[str, Any]) -> None:
        try:
            raise KeyError("a reason")
        except KeyError:
            self.ctx.log.warning("%s \ud800", payload["text"], exc_info=True)


class Clock(Agent):
    """Counts its ticks."""

    def on_start(self) -> None:
        self.ticks = 0
        self.later = 0
        self.ctx.after(0.01, self.once)

    @every(0.01)
    def tick(self) -> None:
        self.ticks += 1

    def once(self) -> None:
        self.later += 1

    @on("ticks")
    def answer(self) -> list[int]:
        return [self.ticks, self.later]


class Diary(Agent):
    """Notes when it is suspended, and for how long it slept."""

    def on_start(self) -> None:
        self.entries: list[object] = []

    async def on_suspend(self, why: str) -> None:
        self.entries.append(why)

    def on_resume(self, slept: float) -> None:
        self.entries.append(slept)

    @on("read")
    def read(self) -> list[object]:
        return self.entries


class Refuses(Agent):
    """Does not start."""

    def __init__(self, where: str) -> None:
        self.where = where
        if where == "class":
            raise ValueError("no instance")

    def on_start(self) -> None:
        raise ValueError("no start")


class Sink(Agent):
    """Takes everything."""

    def __init__(self) -> None:
        self.count = 0

    @on("take")
    def take(self, payload: Any) -> int:
        self.count += 1
        return self.count
