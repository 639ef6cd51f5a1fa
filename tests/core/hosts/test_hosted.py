"""Agents in other interpreters, by hosts that a test can freeze, fill and kill."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from agents_core import Agent, Child, Store, Supervisor, jsonvalue, on
from agents_core.codec import register
from agents_core.errors import (
    AgentStopped,
    EncodeError,
    HostFull,
    InvalidMessage,
    InvalidSpec,
    MailboxFull,
    MaxPayloadExceeded,
    RemoteError,
)
from agents_core.exit import Exit, Kind
from agents_core.hosts import channel, frames, passage
from agents_core.hosts.host import Host
from agents_core.hosts.interpreter import Interpreter
from agents_core.testing.hosts.agents import Adder, Caller, Diary, Increase, Reached
from agents_core.testing.hosts.fake import FakeKit
from tests.core.sample import until


@pytest.mark.parametrize(
    ("args", "error"), [((object(),), EncodeError), ((float("nan"),), EncodeError)]
)
async def test_arguments_are_json(args: Any, error: type[Exception]) -> None:
    async with FakeKit.made() as kit:
        with pytest.raises(error):
            await kit.spawn(Adder, *args)
        assert kit.hosts.opened == 0
        assert not kit.node.router.cells
        assert not kit.node.hosts.info()


async def test_a_class_needs_a_name() -> None:
    class Local(Agent):
        pass

    async with FakeKit.made() as kit:
        with pytest.raises(InvalidSpec):
            await kit.spawn(Local)
        assert not kit.node.hosts.info()


async def test_a_full_host_takes_nobody_and_stays_as_it_is() -> None:
    async with FakeKit.made() as kit:
        small = Host("small", agents=1)
        children = [Child(Adder, name, host=small) for name in "ab"]
        with pytest.raises(HostFull):
            await kit.node.supervise(Supervisor([*children]))
        assert not kit.node.router.cells
        assert not kit.node.hosts.info()
        await kit.node.spawn(Adder, "a", host=small)
        with pytest.raises(HostFull):
            await kit.node.spawn(Adder, "b", host=small)
        assert kit.node.hosts.info()["small"]["agents"] == ["a"]


async def test_the_hooks_of_a_host_that_does_not_keep_up_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with FakeKit.made() as kit:
        diary = await kit.spawn(Diary)
        with monkeypatch.context() as patch:
            patch.setattr(channel, "UNREAD_BYTES_MAX", 0)
            await kit.node.suspend("hidden")
        await kit.node.resume(2.0)
        assert await diary.ask("read") == [2.0]


async def test_a_host_that_dies_in_a_hook_is_not_waited_for() -> None:
    async with FakeKit.made() as kit:
        diary = await kit.spawn(Diary, restart="temporary")
        kit.hosts.of(diary.id).frozen = True
        suspending = asyncio.create_task(kit.node.suspend("hidden"))
        await asyncio.sleep(0)
        kit.hosts.of(diary.id).die("struck by lightning")
        await suspending
        assert diary.id not in kit.node.router.cells


async def test_agents_of_one_name_share_an_interpreter_and_its_end() -> None:
    async with FakeKit.made() as kit:
        one, two = await kit.spawn(Adder), await kit.spawn(Adder)
        own = await kit.spawn(Adder, host="own")
        assert kit.hosts.of(one.id) is kit.hosts.of(two.id)
        assert kit.hosts.of(own.id) is not kit.hosts.of(one.id)
        assert kit.hosts.opened == 2
        await one.stop()
        assert len(kit.hosts.running) == 2
        await two.stop()
        await own.stop()
        await until(lambda: not kit.hosts.running)
        assert not kit.node.hosts.info()


async def test_starts_at_the_same_time_open_one_interpreter() -> None:
    async with FakeKit.made() as kit:
        await asyncio.gather(*(kit.spawn(Adder) for _ in range(5)))
        assert kit.hosts.opened == 1


async def test_what_dies_by_itself_has_its_reason() -> None:
    async with FakeKit.made() as kit:
        adder = await kit.spawn(Adder)
        kit.hosts.of(adder.id).die("struck by lightning")
        crash = await kit.event("crashed", adder)
        assert crash.reason == Exit(Kind.KILLED, "Killed", "struck by lightning")
        await kit.event("restarted", adder)
        assert await adder.ask("before") == ["killed", "Killed", "struck by lightning"]


async def test_an_agent_that_runs_out_of_memory_ends_its_host() -> None:
    async with FakeKit.made() as kit:
        greedy, beside = await kit.spawn(Greedy), await kit.spawn(Adder)
        with pytest.raises(RemoteError, match="MemoryError"):
            await greedy.ask("too much")
        for ref in (greedy, beside):
            crash = await kit.event("crashed", ref)
            assert crash.reason is not None
            assert crash.reason.message.startswith("heap ceiling")
            await kit.event("restarted", ref)
        with pytest.raises(RemoteError, match="Killed: heap ceiling"):
            await kit.spawn(Greedy, at_once=True, max_restarts=0)


class Greedy(Agent):
    def __init__(self, at_once: bool = False) -> None:
        if at_once:
            raise MemoryError

    @on("too much")
    def too_much(self) -> None:
        raise MemoryError


async def test_one_that_says_nonsense_is_replaced() -> None:
    async with FakeKit.made() as kit:
        adder = await kit.spawn(Adder)
        kit.hosts.of(adder.id).guest._channel.post("nonsense")
        crash = await kit.event("crashed", adder)
        assert crash.reason is not None
        assert "makes no sense" in crash.reason.message
        await kit.event("restarted", adder)


async def test_what_it_sends_when_it_does_not_listen_waits() -> None:
    async with FakeKit.made() as kit:
        adder = await kit.spawn(Adder)
        host = kit.hosts.of(adder.id)
        host.frozen = True
        asking = asyncio.create_task(adder.ask(Increase(1)))
        await asyncio.sleep(0)
        host.thaw()
        assert await asking == 1


@pytest.mark.parametrize("host", ["own", "a"])
async def test_a_kill_while_it_starts(host: str) -> None:
    async with FakeKit.made() as kit:
        await kit.spawn(Adder)
        cells = kit.node.router.cells
        starting = asyncio.create_task(kit.spawn(Sleeper, host=host, max_restarts=0))
        await until(lambda: len(cells) == 2)
        cell = list(cells.values())[1]
        await until(lambda: cell._killed)
        await kit.node.agent(cell.id).kill("not today")
        with pytest.raises(RemoteError, match="not today"):
            await starting
        assert len(cells) == 1


class Sleeper(Agent):
    async def on_start(self) -> None:
        await asyncio.get_running_loop().create_future()


async def test_closing_the_node_while_a_host_starts() -> None:
    async with FakeKit.made() as kit:
        starting = asyncio.create_task(kit.spawn(Sleeper))
        await until(lambda: kit.hosts.opened)
        await kit.node.close()
        with pytest.raises(RemoteError):
            await starting
        assert not kit.hosts.running


async def test_a_host_that_dies_before_it_is_welcomed_is_a_start_that_failed() -> None:
    async with FakeKit.made() as kit:
        starting = asyncio.create_task(kit.spawn(Adder))
        await until(lambda: kit.hosts.running)
        kit.hosts.running[0].die("gone")
        with pytest.raises(RemoteError, match="gone"):
            await starting
        assert not kit.node.hosts.info()


async def test_a_host_that_dies_before_a_start_has_been_noticed_is_replaced() -> None:
    async with FakeKit.made() as kit:
        starting = asyncio.create_task(kit.spawn(Adder))
        await until(lambda: kit.node.router.cells)
        (cell,) = kit.node.router.cells.values()
        await until(lambda: cell._starting and cell._starting.done())
        kit.hosts.of(cell.id).die("struck by lightning")
        adder = await starting
        await kit.event("restarted", adder)
        assert await adder.ask(Increase(1)) == 1


@pytest.mark.parametrize("field", ["id", "from"])
async def test_a_message_whose_names_are_no_names_does_not_end_the_host(field: str) -> None:
    async with FakeKit.made() as kit:
        adder = await kit.spawn(Adder)
        subject, body = f"{kit.node.root}.to.{adder.id}.somebody", {field: "x" * 300_000}
        reply = await kit.node.request(subject, jsonvalue.dumps({"payload": "total", **body}))
        assert b"InvalidMessage" in reply.data
        assert await adder.ask(Increase(1)) == 1
        assert (await adder.info())["restarts"] == 0


async def test_a_kill_before_the_host_has_heard_of_a_restart_ends_that_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def opened() -> Interpreter:
        patch.undo()
        interpreter = await cell._host._open()
        cell.kill("at once")
        return interpreter

    async with FakeKit.made() as kit:
        several.clear()
        one, _ = await kit.spawn(One), await kit.spawn(Adder)
        cell: Any = kit.node.router.cells[one.id]
        with monkeypatch.context() as patch:
            patch.setattr(cell._host, "_open", opened)
            await one.kill()
            await kit.event("restarted", one)
        assert await one.ask("instances") > 1
        *earlier, last = several
        await last.state.set("key", "last")
        for instance in earlier:
            with pytest.raises(AgentStopped):
                await instance.state.set("key", "earlier")


class One(Agent):
    def on_start(self) -> None:
        several.append(self)

    @on("instances")
    def count(self) -> int:
        return len(several)


several: list[One] = []


async def test_a_long_reason_for_a_kill_ends_one_agent() -> None:
    async with FakeKit.made() as kit:
        adder, beside = await kit.spawn(Adder), await kit.spawn(Adder)
        await adder.kill("x" * 300_000)
        await kit.event("restarted", adder)
        assert await adder.ask(Increase(1)) == 1
        assert (await beside.info())["restarts"] == 0


async def test_a_state_action_that_is_too_large_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with FakeKit.made() as kit:
        adder = await kit.spawn(Adder)
        with monkeypatch.context() as patch:
            patch.setattr(frames, "PAYLOAD_BYTES_MAX", 1000)
            with pytest.raises(MaxPayloadExceeded):
                await adder.state(Store("key", "x" * 1000))
        cell: Any = kit.node.router.cells[adder.id]
        assert not cell._flights
        assert await adder.ask(Increase(1)) == 1


async def test_a_kill_of_one_that_has_ended_does_nothing() -> None:
    async with FakeKit.made() as kit:
        adder = await kit.spawn(Adder)
        cell = kit.node.router.cells[adder.id]
        await adder.stop()
        cell.kill("late")
        assert cell.phase == "stopped"


async def test_an_exit_of_an_instance_that_was_given_up_is_not_the_next_one_s() -> None:
    async with FakeKit.made() as kit:
        adder = await kit.spawn(Adder)
        await kit.spawn(Adder)
        cell: Any = kit.node.router.cells[adder.id]
        cell.exited(0, Exit(Kind.NORMAL))
        assert cell.phase == "running"
        assert await adder.ask(Increase(1)) == 1


async def test_an_exit_that_comes_before_the_start_has_been_noticed() -> None:
    async with FakeKit.made() as kit:
        brief = await kit.spawn(Brief, restart="temporary")
        await kit.event("started", brief)
        stopped = await kit.event("stopped", brief)
        assert stopped.reason == Exit(Kind.NORMAL)


class Brief(Agent):
    def on_start(self) -> None:
        self.ctx.stop()


async def test_a_mailbox_beside_it_has_a_bound() -> None:
    async with FakeKit.made() as kit:
        adder = await kit.spawn(Adder, 0, False, mailbox=5)
        await kit.spawn(Caller)
        router = kit.hosts.of(adder.id).guest.router
        for _ in range(5):
            router.tell(adder.id, Increase(1), "x")
        with pytest.raises(MailboxFull, match="5 messages"):
            router.tell(adder.id, Increase(1), "x")
        with pytest.raises(MailboxFull):
            await router.ask(adder.id, Increase(1), "x", 1.0)
        for _ in range(passage.WINDOW):  # what comes from the parent has a place of its own
            adder.tell(Increase(1))
        assert await adder.ask("total") == Reached(5 + passage.WINDOW)


async def test_a_reply_of_another_version_of_its_type_is_told() -> None:
    async with FakeKit.made() as kit:
        adder = await kit.spawn(Adder)

        @dataclass
        class Reached2:
            other: str

        place = {"__module__": Reached.__module__, "__qualname__": "Reached"}
        register(type("Reached", (Reached2,), place))
        try:
            with pytest.raises(InvalidMessage):
                await adder.ask("total")
        finally:
            register(Reached)


class Sized(Protocol):
    size: int


@dataclass
class Parcel:
    content: Sized


class Sender(Agent):
    @on("parcel")
    def parcel(self) -> Parcel:
        return Parcel({"size": 1})  # type: ignore[arg-type]


async def test_a_reply_that_can_not_be_made_is_told_and_the_host_goes_on() -> None:
    async with FakeKit.made() as kit:
        sender = await kit.spawn(Sender)
        for _ in range(2):
            with pytest.raises(InvalidMessage, match="can't be made"):
                await sender.ask("parcel")
        assert kit.node.hosts.info()["a"]["waiting"] == 0
        assert (await sender.info())["restarts"] == 0


async def test_a_reply_that_is_no_json_is_not_waited_for_any_more() -> None:
    async with FakeKit.made() as kit:
        adder = await kit.spawn(Adder)
        asking = await kit.waiting(adder)
        host: Any = kit.node.hosts._running["a"]
        number = max(host._interpreter.channel._calls)
        kit.hosts.of(adder.id).guest._channel.post("=", "", number=number, payload=b"\xff")
        await kit.event("restarted", adder)
        assert kit.node.hosts.info()["a"]["waiting"] == 0
        asking.cancel()


async def test_who_waits_is_told_when_the_agent_goes() -> None:
    async with FakeKit.made() as kit:
        adder = await kit.spawn(Adder, shutdown=0.01)
        await kit.spawn(Adder)
        await kit.waiting(adder)
        asks = [asyncio.create_task(adder.ask(Increase(1))) for _ in range(2 * passage.WINDOW)]
        await asyncio.sleep(0)
        await adder.stop()
        results = await asyncio.gather(*asks, return_exceptions=True)
        assert {type(result) for result in results} == {AgentStopped}
        assert kit.node.hosts.info()["a"]["waiting"] == 0
