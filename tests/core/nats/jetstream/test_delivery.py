"""Handing messages over: by iteration, by a plain callback, by an async one."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from agents_core.errors import CallbackCancelled, Unsupported
from agents_core.nats.jetstream import JSMsg
from agents_core.nats.jetstream.delivery import Delivery
from agents_core.nats.jetstream.errors import JetStreamError, NoHeartbeat
from agents_core.nats.msg import Msg
from agents_core.nats.subscription import FAIR_MSGS
from tests.core.nats.scripted import cancelled


class Hands:
    """A delivery, and what it tells."""

    def __init__(self, cb: Any = None) -> None:
        self.taken: list[bytes] = []
        self.errors: list[Exception] = []
        self.delivery = Delivery(cb, lambda msg: self.taken.append(msg.data), self.errors.append)
        self.delivery.start()

    def put(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.delivery.put(JSMsg(Msg("a", payload)))


async def test_iteration_ends_behind_the_last_message() -> None:
    hands = Hands()
    hands.put(b"1", b"2")
    hands.delivery.end()
    assert len(hands.delivery) == 2
    assert [msg.data async for msg in hands.delivery] == [b"1", b"2"]
    assert hands.taken == [b"1", b"2"]
    assert hands.delivery.ended
    await hands.delivery.wait()


async def test_iteration_raises_what_ended_it_behind_the_last_message() -> None:
    hands = Hands()
    hands.put(b"1")
    hands.delivery.end(NoHeartbeat("c", 1))
    hands.delivery.end()  # the first one counts
    seen = []
    with pytest.raises(NoHeartbeat):
        async for msg in hands.delivery:
            seen.append(msg.data)
    assert seen == [b"1"]
    with pytest.raises(NoHeartbeat):
        await hands.delivery.wait()
    assert hands.errors == []


async def test_messages_are_taken_one_by_one_until_the_end() -> None:
    hands = Hands()
    hands.put(b"1")
    first = await hands.delivery.take()
    assert first is not None
    assert first.data == b"1"
    waiting = asyncio.create_task(hands.delivery.take())
    await asyncio.sleep(0)
    hands.put(b"2")
    second = await waiting
    assert second is not None
    assert second.data == b"2"
    assert hands.taken == [b"1", b"2"]
    hands.delivery.end()
    assert await hands.delivery.take() is None
    failed = Hands()
    failed.delivery.end(NoHeartbeat("c", 1))
    with pytest.raises(NoHeartbeat):
        await failed.delivery.take()


async def test_who_gives_up_waiting_may_go_on_iterating() -> None:
    hands = Hands()
    messages = aiter(hands.delivery)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(messages), 0.001)
    hands.put(b"1")
    assert (await anext(messages)).data == b"1"


async def test_several_iterations_share_the_messages() -> None:
    hands = Hands()

    async def first() -> bytes:
        async for msg in hands.delivery:
            return msg.data
        return b""

    one, two, three = (asyncio.create_task(first()) for _ in range(3))
    await asyncio.sleep(0)
    hands.put(b"1", b"2")
    assert [await one, await two] == [b"1", b"2"]
    hands.delivery.end()
    assert await three == b""


async def test_a_message_for_one_that_was_cancelled_is_for_the_next() -> None:
    hands = Hands()

    async def first() -> bytes:
        async for msg in hands.delivery:
            return msg.data
        return b""

    one, two, three = (asyncio.create_task(first()) for _ in range(3))
    await asyncio.sleep(0)
    three.cancel()  # while it waits
    hands.put(b"1")
    one.cancel()  # woken and cancelled in one turn
    assert await two == b"1"
    await asyncio.wait([one, three])
    assert (one.cancelled(), three.cancelled()) == (True, True)
    hands.put(b"2")
    assert await first() == b"2"


async def test_a_long_iteration_gives_others_a_turn() -> None:
    hands = Hands()
    hands.put(*[b""] * (FAIR_MSGS + 1))
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: turns.append(len(hands.taken)))
    hands.delivery.end()
    assert len([msg async for msg in hands.delivery]) == FAIR_MSGS + 1
    assert turns == [FAIR_MSGS]


async def test_a_plain_callback_is_called_at_once() -> None:
    seen: list[bytes] = []

    def take(msg: JSMsg) -> None:
        seen.append(msg.data)
        if msg.data == b"2":
            raise ValueError

    hands = Hands(take)
    hands.put(b"1", b"2", b"3")
    assert seen == hands.taken == [b"1", b"2", b"3"]
    assert [type(error) for error in hands.errors] == [ValueError]
    hands.delivery.end(JetStreamError("gone"))
    assert [str(error) for error in hands.errors[1:]] == ["gone"]
    with pytest.raises(JetStreamError):
        await hands.delivery.wait()


async def test_an_async_callback_is_called_in_order() -> None:
    seen: list[bytes] = []

    async def take(msg: JSMsg) -> None:
        await asyncio.sleep(0)
        seen.append(msg.data)
        if msg.data == b"1":
            raise ValueError

    hands = Hands(take)
    hands.put(b"1", b"2", b"3")
    assert seen == []
    hands.delivery.end()
    await hands.delivery.wait()
    assert seen == hands.taken == [b"1", b"2", b"3"]
    assert [type(error) for error in hands.errors] == [ValueError]


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_what_a_callback_waits_for_may_be_cancelled(is_async: bool) -> None:
    async def later(_: JSMsg) -> None:
        await cancelled()

    hands = Hands(later if is_async else lambda _: cancelled().result())
    hands.put(b"1", b"2")
    hands.delivery.end()
    await hands.delivery.wait()
    assert hands.taken == [b"1", b"2"]
    assert [type(error) for error in hands.errors] == [CallbackCancelled] * 2


async def test_an_object_may_be_an_async_callback() -> None:
    class Take:
        seen: ClassVar[list[bytes]] = []

        async def __call__(self, msg: JSMsg) -> None:
            self.seen.append(msg.data)

    take = Take()
    hands = Hands(take)
    hands.put(b"1", b"2")
    hands.delivery.end()
    await hands.delivery.wait()
    assert take.seen == [b"1", b"2"]
    plain = Hands(lambda msg: take(msg) or None)
    plain.put(b"3")
    assert take.seen == [b"1", b"2"]
    assert [type(error) for error in plain.errors] == [Unsupported]


async def test_an_async_callback_and_an_error() -> None:
    async def take(msg: JSMsg) -> None:
        await asyncio.sleep(0)

    hands = Hands(take)
    hands.put(b"1")
    hands.delivery.end(JetStreamError("gone"))
    with pytest.raises(JetStreamError):
        await hands.delivery.wait()
    assert [str(error) for error in hands.errors] == ["gone"]


async def test_dropping_ends_an_async_callback_unless_it_asked() -> None:
    reached = asyncio.Event()

    async def hang(_: JSMsg) -> None:
        reached.set()
        await asyncio.get_running_loop().create_future()

    hands = Hands(hang)
    hands.put(b"1", b"2")
    await reached.wait()
    hands.delivery.end()
    hands.delivery.drop()
    await hands.delivery.wait()
    assert hands.taken == [b"1"]

    async def leave(_: JSMsg) -> None:
        own.delivery.end()
        own.delivery.drop()
        await own.delivery.settle()  # does not wait for itself

    own = Hands(leave)
    own.put(b"1", b"2")
    await own.delivery.wait()
    assert own.taken == [b"1"]
