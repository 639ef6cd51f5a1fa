"""What an agent sees of the world."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from contextlib import closing
from typing import Any

import pytest

from agents_core import Agent, AgentRef, Message, connect, on
from agents_core.errors import AskTimeout, RemoteError
from agents_core.timers import CANCELLED_MAX
from tests.core.sample import Events, pair, until


class Curious(Agent):
    """Keeps what it saw of the context."""

    seen: list[Any]

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    def on_start(self) -> None:
        self.seen += [self.ctx.message, self.ctx.sender, self.ctx.type]

    @on("look")
    def look(self) -> tuple[str, str]:
        self.seen += [self.ctx.message, self.ctx.message]
        return self.ctx.sender, self.ctx.type

    @on("forward")
    async def forward(self, payload: Any) -> Any:
        return await self.ctx.agent(payload["to"]).ask("look")

    @on("publish")
    async def publish(self) -> None:
        await self.ctx.publish("news.today", {"n": 1})

    @on("later")
    def later(self) -> None:
        self.ctx.after(0.0, lambda: self.seen.append("later"))

    @on("crash later")
    def crash_later(self) -> None:
        self.ctx.after(3600, lambda: self.seen.append("never"))
        self.ctx.after(0.0, self.fail)

    @on("coroutine later")
    async def coroutine_later(self) -> None:
        coroutine: Any = asyncio.sleep(0)
        with closing(coroutine):
            self.ctx.after(0.0, coroutine)

    def fail(self) -> None:
        raise RuntimeError("later")

    @on("debounce")
    def debounce(self) -> None:
        for _ in range(2 * CANCELLED_MAX):
            self.seen.append(weakref.ref(timer := self.ctx.after(3600, self.fail)))
            timer.cancel()

    @on("finish")
    def finish(self) -> None:
        self.ctx.stop()


async def test_of_timers_that_an_agent_cancels_few_are_kept() -> None:
    async with connect("local://") as node:
        seen: list[Any] = []
        ref = await node.spawn(Curious, "a", seen)
        await ref.ask("debounce")
        gc.collect()
        assert sum(timer() is not None for timer in seen[3:]) <= CANCELLED_MAX + 1


async def test_of_an_agent_that_logs_nothing_no_logger_is_kept() -> None:
    async with connect("local://") as node:
        ref = await node.spawn(Curious, "silent", [])
        await ref.ask("look")
        await ref.kill()
        assert "agents.silent" not in logging.Logger.manager.loggerDict


async def test_outside_of_a_handler_there_is_no_message() -> None:
    async with connect("local://") as node:
        seen: list[Any] = []
        await node.spawn(Curious, "a", seen)
        assert seen == [None, "", ""]


async def test_a_handler_sees_its_message_and_its_sender() -> None:
    first, second = pair()
    async with first as one, second as two:
        seen: list[Any] = []
        local = await one.spawn(Curious, "a", seen)
        assert await local.ask("look") == ("one", "look")
        assert await two.agent("a").ask("look") == ["two", "look"]
        message, again = seen[3:5]
        assert isinstance(message, Message)
        assert (message.sender, message.recipient, message.payload) == ("one", "a", "look")
        assert message == again
        assert seen[5].id != message.id
        await two.spawn(Curious, "b", [])
        assert await two.agent("b").ask({"type": "forward", "to": "a"}) == ["b", "look"]


async def test_publish_is_below_the_root_of_the_space() -> None:
    async with connect("local://", root="my.root") as node:
        news = await node.subscribe("my.root.news.*")
        (await node.spawn(Curious, "a", [])).tell("publish")
        msg = await news.next_msg()
        assert (msg.subject, msg.data) == ("my.root.news.today", b'{"n":1}')


async def test_its_own_handle_and_log_carry_its_name() -> None:
    found: list[Any] = []

    class Own(Agent):
        def on_start(self) -> None:
            found.extend((self.ctx.ref, self.ctx.log.name, self.ctx.node.name))

    async with connect("local://", name="n") as node:
        assert await node.spawn(Own, "a") == found[0]
        assert isinstance(found[0], AgentRef)
        assert found[1:] == ["agents.a", "n"]


async def test_after_calls_once_between_two_messages() -> None:
    async with connect("local://") as node:
        seen: list[Any] = []
        agent = await node.spawn(Curious, "a", seen)
        agent.tell("later")
        await until(lambda: "later" in seen)


async def test_what_after_calls_may_crash_the_agent_and_its_timers_end_with_it() -> None:
    async with connect("local://") as node:
        events = Events(node)
        agent = await node.spawn(Curious, "a", [])
        agent.tell("crash later")
        crash = await events.wait("crashed")
        assert crash.reason is not None
        assert crash.reason.message == "later"
        await events.wait("restarted")


async def test_what_can_not_be_called_is_refused_and_not_called_later() -> None:
    async with connect("local://") as node:
        agent = await node.spawn(Curious, "a", [])
        with pytest.raises(RemoteError, match=r"Unsupported: .*coroutine as a call for later"):
            await agent.ask("coroutine later")
        assert await agent.ask("look") is not None


async def test_stop_ends_when_the_handler_is_done() -> None:
    async with connect("local://") as node:
        events = Events(node)
        agent = await node.spawn(Curious, "a", [], restart="temporary")
        assert await agent.ask("finish") is None
        stopped = await events.wait("stopped")
        assert stopped.reason is not None
        assert stopped.reason.kind == "normal"


async def test_a_task_that_outlives_its_instance_can_not_touch_the_next_one() -> None:
    async with connect("local://") as node:
        events, seen = Events(node), []
        agent = await node.spawn(Curious, "a", seen)
        old = node.router.cells["a"]._instance.ctx
        await agent.kill()
        old.after(0.0, lambda: seen.append("from before"))
        await events.wait("restarted")
        old.stop()
        old.after(0.0, lambda: seen.append("from before"))
        agent.tell("later")
        await until(lambda: "later" in seen)
        assert "from before" not in seen
        assert not [event for event in events.seen if event.kind == "stopped"]


async def test_stop_in_on_start_ends_an_agent_that_has_started() -> None:
    class Brief(Agent):
        def on_start(self) -> None:
            self.ctx.stop()

    async with connect("local://") as node:
        events = Events(node)
        await node.spawn(Brief, "a", restart="temporary")
        await events.wait("started")
        await events.wait("stopped")
        await until(lambda: not node.agents())


async def test_an_agent_that_asks_itself_waits_in_vain() -> None:
    class Selfish(Agent):
        @on("ask")
        async def ask(self) -> str:
            try:
                return str(await self.ctx.ref.ask("x", timeout=0.01))
            except AskTimeout:
                return "timeout"

    async with connect("local://") as node:
        selfish = await node.spawn(Selfish, "s")
        assert await selfish.ask("ask") == "timeout"
        await asyncio.sleep(0)
