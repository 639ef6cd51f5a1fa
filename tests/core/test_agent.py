"""What a user's class does: handlers, hooks, and what happens when they raise."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_core import Agent, Exit, Message, connect, every, on
from agents_core.agent import TYPE_CHARS_MAX
from agents_core.errors import UnhandledMessage
from tests.core.sample import Add, Counter, Events, Member, until


async def test_hooks_run_in_this_order() -> None:
    async with connect("local://") as node:
        events, log = Events(node), []
        member = await node.spawn(Member, "m", log)
        member.tell("crash")
        await events.wait("restarted")
        await member.stop()
        assert log == ["start m", "restart m RuntimeError", "start m", "stop m shutdown"]


async def test_hooks_and_handlers_may_be_coroutine_functions() -> None:
    log = []

    class Slow(Agent):
        async def on_start(self) -> None:
            await asyncio.sleep(0)
            log.append("start")

        async def on_stop(self, reason: Exit) -> None:
            await asyncio.sleep(0)
            log.append("stop")

        async def on_message(self, message: Message) -> Any:
            await asyncio.sleep(0)
            return message.payload

    async with connect("local://") as node:
        slow = await node.spawn(Slow, "s")
        assert await slow.ask(5) == 5
    assert log == ["start", "stop"]


async def test_an_agent_may_have_handlers_of_its_own() -> None:
    class Shelf(Agent):
        def __init__(self) -> None:
            self.handlers = ["left", "right"]

        @on("count")
        def count(self) -> int:
            return len(self.handlers)

    async with connect("local://") as node:
        assert await (await node.spawn(Shelf, "s")).ask("count") == 2


async def test_messages_are_handled_one_at_a_time_in_order() -> None:
    log: list[str] = []

    class Slow(Agent):
        @on("slow")
        async def slow(self, payload: Any) -> None:
            log.append(f"begin {payload['n']}")
            await asyncio.sleep(0)
            log.append(f"end {payload['n']}")

        @on("quick")
        def quick(self) -> None:
            log.append("quick")

    async with connect("local://") as node:
        slow = await node.spawn(Slow, "s")
        for n in range(3):
            slow.tell({"type": "slow", "n": n})
        slow.tell("quick")
        await slow.ask("quick")
    assert log == [f"{what} {n}" for n in range(3) for what in ("begin", "end")] + ["quick"] * 2


async def test_what_no_handler_takes_is_answered_and_the_agent_goes_on() -> None:
    async with connect("local://") as node:
        events = Events(node)
        counter = await node.spawn(Counter, "c")
        await counter.ask(Add(1))
        with pytest.raises(UnhandledMessage) as caught:
            await counter.ask({"type": "nope"})
        assert caught.value.data() == {"agent": "c", "type": "nope"}
        with pytest.raises(UnhandledMessage) as caught:
            await counter.ask("x" * 5000)
        assert caught.value.type == "x" * TYPE_CHARS_MAX
        with pytest.raises(UnhandledMessage, match="object"):
            await counter.ask(object())
        assert await counter.ask(Add(1)) == 2
        assert (await events.wait("unhandled")).agent == "c"
        assert (await counter.info())["restarts"] == 0


async def test_an_unhandled_message_of_another_agent_is_a_crash_here() -> None:
    class Asker(Agent):
        @on("ask")
        async def ask(self) -> Any:
            return await self.ctx.agent("c").ask("nope")

    async with connect("local://") as node:
        events = Events(node)
        await node.spawn(Counter, "c")
        (await node.spawn(Asker, "a")).tell("ask")
        crash = await events.wait("crashed", "a")
        assert crash.reason is not None
        assert crash.reason.type == "UnhandledMessage"
        await events.wait("restarted", "a")


async def test_every_calls_again_and_again_and_what_it_raises_is_a_crash() -> None:
    ticks: list[int] = []

    class Ticker(Agent):
        @every(0.001)
        async def tick(self) -> None:
            await asyncio.sleep(0)
            ticks.append(len(ticks))
            if len(ticks) == 3:
                raise RuntimeError("third")

        @every(0.001)
        def tock(self) -> None: ...

    async with connect("local://") as node:
        events = Events(node)
        ticker = await node.spawn(Ticker, "t")
        crash = await events.wait("crashed", "t")
        assert crash.reason is not None
        assert crash.reason.message == "third"
        await events.wait("restarted", "t")
        await until(lambda: len(ticks) >= 5)
        assert (await ticker.info())["restarts"] == 1
