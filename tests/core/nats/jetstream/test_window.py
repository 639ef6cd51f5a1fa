"""Publishing with a window: room, retries, deadlines, and the end of the bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agents_core.bus import Bus, Status
from agents_core.errors import (
    ConnectionClosed,
    InvalidSubject,
    OutboundBufferFull,
    PermissionsViolation,
    RequestTimeout,
)
from agents_core.localbus import LocalBus
from agents_core.nats.jetstream import JetStreamContext, PubAck, window
from agents_core.nats.jetstream.errors import (
    InvalidAnswer,
    InvalidOption,
    NoStreamResponse,
    TooManyStalledMsgs,
    WrongLastSequence,
)
from agents_core.nats.msg import Msg
from tests.core.nats.jetstream.fake import deafen, refuse, set_status, settle


class Stream:
    """Stores nothing, and acknowledges when the test says so."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.asked: list[Msg] = []

    async def open(self, subject: str = "a") -> None:
        await self.bus.subscribe(subject, cb=self.asked.append)

    def answer(self, data: bytes | None = None, index: int = 0) -> None:
        msg = self.asked.pop(index)
        self.bus.publish(msg.reply, data or b'{"stream":"s","seq":%b}' % (msg.data or b"0"))


@asynccontextmanager
async def stream(**options: Any) -> AsyncIterator[tuple[JetStreamContext, Stream]]:
    bus = LocalBus()
    answering = Stream(bus)
    await answering.open()
    try:
        yield JetStreamContext(bus, **options), answering
    finally:
        await bus.close()


@pytest.mark.parametrize("wrong", [0, -1, None, "5"])
async def test_a_window_has_room_for_one(wrong: Any) -> None:
    with pytest.raises(InvalidOption, match="publish_async_max_pending: at least 1"):
        async with stream(publish_async_max_pending=wrong):
            pass


@pytest.mark.parametrize("wrong", [None, "5", float("nan")])
async def test_a_timeout_is_a_number_of_seconds(wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"timeout: {wrong!r} is not a number"):
        async with stream(timeout=wrong):
            pass


async def test_acknowledgements_find_their_messages_in_any_order() -> None:
    async with stream() as (js, answering):
        one = await js.publish_async("a", b"1", headers={"K": "v"})
        two = await js.publish_async("a", b"2")
        await settle(js.bus)
        assert js.publish_async_pending() == 2
        assert answering.asked[0].headers["K"] == "v"
        answering.answer(index=1)
        assert await two == PubAck("s", 2)
        answering.answer()
        assert await one == PubAck("s", 1)
        assert js.publish_async_pending() == 0
        await js.publish_async_completed()


async def test_a_refusal_and_what_is_no_answer() -> None:
    async with stream() as (js, answering):
        one, two = [await js.publish_async("a") for _ in range(2)]
        await settle(js.bus)
        answering.answer(b'{"error":{"code":400,"err_code":10164,"description":"wrong"}}')
        answering.answer(b"what?")
        with pytest.raises(WrongLastSequence):
            await one
        with pytest.raises(InvalidAnswer):
            await two


async def test_a_full_window_waits_for_room() -> None:
    async with stream(publish_async_max_pending=2) as (js, answering):
        for number in (b"1", b"2"):
            await js.publish_async("a", number)
        waiting = [asyncio.create_task(js.publish_async("a", b"%d" % n)) for n in (3, 4, 5)]
        await settle(js.bus)
        assert [msg.data for msg in answering.asked] == [b"1", b"2"]
        with pytest.raises(TooManyStalledMsgs, match="2 published messages"):
            await js.publish_async("a", wait_stall=0.001)
        completed = asyncio.create_task(js.publish_async_completed())
        for number in range(1, 6):
            await settle(js.bus)
            assert (answering.asked[0].data, js.publish_async_pending() <= 2) == (
                b"%d" % number,
                True,
            )
            assert not completed.done()
            answering.answer()
        assert [(await (await task)).seq for task in waiting] == [3, 4, 5]
        await completed


async def test_room_that_nobody_takes_is_for_the_next() -> None:
    async with stream(publish_async_max_pending=1) as (js, answering):
        await js.publish_async("a", b"1")
        first = asyncio.create_task(js.publish_async("a", b"2"))
        second = asyncio.create_task(js.publish_async("a", b"3"))
        await settle(js.bus)
        inbox = answering.asked[0].reply.rpartition(".")[0]
        after = await js.bus.subscribe(f"{inbox}.*", cb=lambda _: first.cancel())
        answering.answer()  # so it is woken and cancelled in one turn
        await second
        with pytest.raises(asyncio.CancelledError):
            await first
        after.end()
        await settle(js.bus)
        third = asyncio.create_task(js.publish_async("a", b"4"))
        await settle(js.bus)
        third.cancel()  # cancelled before there was room
        await asyncio.wait([third])
        answering.answer()
        await js.publish_async_completed()


async def test_no_stream_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "RETRY_WAIT_S", 0.001)
    async with stream() as (js, answering):
        future = await js.publish_async("b", b"7")
        with pytest.raises(NoStreamResponse, match="'b'"):
            await future
        future = await js.publish_async("b", b"7")
        await answering.open("b")
        while not answering.asked:
            await asyncio.sleep(0)
        answering.answer()
        assert (await future).seq == 7


async def test_a_retry_that_comes_too_late_or_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "RETRY_WAIT_S", 0.002)
    async with stream(timeout=0.001) as (js, _):
        with pytest.raises(RequestTimeout):
            await (await js.publish_async("b"))
        await asyncio.sleep(0.004)  # the retry finds nothing that waits
    async with stream() as (js, _):
        future = await js.publish_async("b")
        await settle(js.bus)
        js.bus.publish = full  # type: ignore[method-assign]
        with pytest.raises(OutboundBufferFull):
            await future


def full(*_: object) -> None:
    raise OutboundBufferFull(7)


async def test_an_acknowledgement_that_does_not_come() -> None:
    async with stream(timeout=0.2) as (js, answering):
        first = await js.publish_async("a", b"1")
        await asyncio.sleep(0.1)
        second = await js.publish_async("a", b"2")
        with pytest.raises(RequestTimeout, match="the outcome is unknown"):
            await first
        assert not second.done()
        with pytest.raises(RequestTimeout):
            await second
        answering.answer()
        await settle(js.bus)
        cancelled, dropped = [await js.publish_async("a") for _ in range(2)]
        cancelled.cancel()
        dropped.cancel()
        await settle(js.bus)
        answering.answer(index=1)
        answering.answer()
        await js.publish_async_completed()


async def test_a_bus_without_room_is_waited_for() -> None:
    async with stream() as (js, answering):
        await js.publish_async("a", b"1")
        await settle(js.bus)
        publish = js.bus.publish
        js.bus.publish = full  # type: ignore[method-assign]
        waiting = asyncio.create_task(js.publish_async("a", b"2"))
        await settle(js.bus)
        js.bus.publish = publish  # type: ignore[method-assign]
        answering.answer()
        await waiting
        await settle(js.bus)
        answering.answer()
        await js.publish_async_completed()
        js.bus.publish = full  # type: ignore[method-assign]
        with pytest.raises(OutboundBufferFull):  # as nothing under way will make room
            await js.publish_async("a", b"3")


async def test_those_with_an_id_are_published_again_on_the_next_connection() -> None:
    async with stream() as (js, answering):
        await js.publish_async("a", b"1")
        future = await js.publish_async("a", b"2", msg_id="two")
        await settle(js.bus)
        set_status(js, Status.RECONNECTING)
        set_status(js, Status.CONNECTED)
        await settle(js.bus)
        assert [msg.data for msg in answering.asked] == [b"1", b"2", b"2"]
        answering.answer(index=2)
        assert (await future).seq == 2
        answering.answer()
        await js.publish_async_completed()


async def test_the_bus_is_closed() -> None:
    async with stream(publish_async_max_pending=1) as (js, _):
        future = await js.publish_async("a")
        waiting = asyncio.create_task(js.publish_async("a"))
        completed = asyncio.create_task(js.publish_async_completed())
        await settle(js.bus)
        await js.bus.close()
        with pytest.raises(ConnectionClosed):
            await future
        with pytest.raises(ConnectionClosed):
            await waiting
        await completed


async def test_who_cannot_take_the_room_leaves_it_to_the_next() -> None:
    async with stream(publish_async_max_pending=1) as (js, answering):
        await js.publish_async("a", b"1")
        wrong = asyncio.create_task(js.publish_async("a b", b"2"))
        right = asyncio.create_task(js.publish_async("a", b"3"))
        await settle(js.bus)
        answering.answer()
        with pytest.raises(InvalidSubject):
            await wrong
        await right
        waiting = [asyncio.create_task(js.publish_async("a")) for _ in range(3)]
        await settle(js.bus)
        await js.bus.close()
        for task in waiting:
            with pytest.raises(ConnectionClosed):
                await task


async def test_who_comes_first_takes_the_room() -> None:
    async with stream(publish_async_max_pending=1) as (js, answering):
        await js.publish_async("a", b"1")
        waiting = asyncio.create_task(js.publish_async("a", b"3"))
        await settle(js.bus)

        def push_in(_: Msg) -> None:
            after.end()
            with pytest.raises(StopIteration):  # it does not wait
                js.publish_async("a", b"2").send(None)

        inbox = answering.asked[0].reply.rpartition(".")[0]
        after = await js.bus.subscribe(f"{inbox}.*", cb=push_in)
        answering.answer()
        await settle(js.bus)
        assert ([msg.data for msg in answering.asked], waiting.done()) == ([b"2"], False)
        answering.answer()
        await waiting
        await settle(js.bus)
        answering.answer()
        await js.publish_async_completed()


async def test_the_first_two_share_one_subscription() -> None:
    async with stream() as (js, answering):
        subscribe = js.bus.subscribe

        async def slowly(*arguments: Any, **options: Any) -> Any:
            await asyncio.sleep(0)
            return await subscribe(*arguments, **options)

        js.bus.subscribe = slowly  # type: ignore[method-assign]
        await asyncio.gather(*(js.publish_async("a") for _ in range(2)))
        await settle(js.bus)
        prefixes = {msg.reply.rpartition(".")[0] for msg in answering.asked}
        assert len(prefixes) == 1
        answering.answer()
        answering.answer()
        await js.publish_async_completed()


async def test_who_may_not_publish_or_hear_is_told_so() -> None:
    async with stream() as (js, answering):
        one, other = await js.publish_async("a"), await js.publish_async("b")
        await settle(js.bus)
        refuse(js.bus, "a")
        with pytest.raises(PermissionsViolation):
            await one
        assert not other.done()
        inbox = answering.asked.pop().reply.rpartition(".")[0]
        refuse(js.bus, f"{inbox}.*", "subscription")
        with pytest.raises(PermissionsViolation):
            await other
        again = await js.publish_async("a", b"3")  # it may have been allowed meanwhile
        await settle(js.bus)
        answering.answer()
        assert await again == PubAck("s", 3)


async def test_refused_before_it_publishes() -> None:
    async with stream() as (js, answering):
        deafen(js.bus)
        for _ in range(2):
            with pytest.raises(PermissionsViolation):
                await js.publish_async("a")
        assert not answering.asked
