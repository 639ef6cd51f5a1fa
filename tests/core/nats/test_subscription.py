"""Subscriptions apart from any bus: order, bounds, waiters, and every way to end."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from agents_core.errors import (
    CallbackCancelled,
    ConnectionClosed,
    NotConnected,
    PermissionsViolation,
    RequestTimeout,
    SlowConsumer,
    Unsupported,
)
from agents_core.nats.msg import Msg
from agents_core.nats.subscription import FAIR_MSGS, STATUS_BYTES_MAX, STATUS_MSGS_MAX
from tests.core.nats.scripted import Source, cancelled, until

FACTORIES = [None, getattr(asyncio, "eager_task_factory", None)]
"""How tasks are made: by default they begin later; since Python 3.12 they may begin at once."""


async def test_next_msg_takes_what_is_pending_and_waits_for_what_is_not() -> None:
    source = Source()
    source.deliver(b"1", b"22")
    assert (source.subscription.pending_msgs, source.subscription.pending_bytes) == (2, 3)
    assert (await source.subscription.next_msg()).data == b"1"
    assert (await source.subscription.next_msg()).data == b"22"
    assert (source.subscription.pending_msgs, source.subscription.pending_bytes) == (0, 0)
    waiting = asyncio.create_task(source.subscription.next_msg(None))
    await asyncio.sleep(0)
    source.deliver(b"3")
    assert (await waiting).data == b"3"


async def test_next_msg_gives_up() -> None:
    with pytest.raises(RequestTimeout, match=r"^no message on 'a' within 0\.001 s$"):
        await Source().subscription.next_msg(0.001)


async def test_the_end_of_a_subscription_is_not_called_that_of_the_connection() -> None:
    source = Source()
    await source.subscription.unsubscribe()
    with pytest.raises(ConnectionClosed, match=r"^the subscription to 'a' has ended$"):
        await source.subscription.next_msg()


async def test_several_waiters_are_served_in_turn() -> None:
    source = Source()
    waiting = [asyncio.create_task(source.subscription.next_msg()) for _ in range(3)]
    await asyncio.sleep(0)
    source.deliver(b"1", b"2", b"3")
    assert [(await task).data for task in waiting] == [b"1", b"2", b"3"]


async def test_a_waiter_that_was_cancelled_leaves_its_message_to_the_next() -> None:
    source = Source()
    first, second, third = (asyncio.create_task(source.subscription.next_msg()) for _ in range(3))
    await asyncio.sleep(0)
    first.cancel()  # before anything came
    await asyncio.wait([first])
    source.deliver(b"1")
    second.cancel()  # in the turn in which it was woken
    assert (await third).data == b"1"
    assert first.cancelled()
    assert second.cancelled()


async def test_a_waiter_cancelled_while_all_end_disturbs_nobody() -> None:
    source = Source()
    first, second = (asyncio.create_task(source.subscription.next_msg()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.subscription.end()
    with pytest.raises(ConnectionClosed):
        await second
    assert (await asyncio.wait([first]))[0] == {first}


async def test_a_message_that_was_taken_by_another_is_waited_for_again() -> None:
    source = Source()
    waiting = asyncio.create_task(source.subscription.next_msg())
    await asyncio.sleep(0)
    source.deliver(b"1")
    assert (await source.subscription.next_msg()).data == b"1"
    await asyncio.sleep(0)
    source.deliver(b"2")
    assert (await waiting).data == b"2"


async def test_iteration_ends_behind_what_is_pending() -> None:
    source = Source()
    payloads = [b"%d" % index for index in range(FAIR_MSGS + 2)]
    source.deliver(*payloads)
    source.subscription.end()
    assert [msg.data async for msg in source.subscription] == payloads


async def test_iteration_and_async_callbacks_give_others_a_turn() -> None:
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1

    async def callback(_: Msg) -> None:
        """Never yields by itself."""

    for cb in (None, callback):
        turns = 0
        source = Source(cb)
        source.deliver(*([b""] * FAIR_MSGS))
        if cb is None:
            source.subscription.end()
            asyncio.get_running_loop().call_soon(turn)
            async for _ in source.subscription:
                pass
        else:
            asyncio.get_running_loop().call_soon(turn)
            await source.subscription.drain()
        assert turns == 1


async def test_who_gives_up_waiting_may_go_on_iterating() -> None:
    source = Source()
    messages = aiter(source.subscription)
    for payload in (b"1", b"2"):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(messages), 0.001)
        source.deliver(payload)
        assert (await anext(messages)).data == payload


async def test_iteration_raises_why_the_subscription_was_refused() -> None:
    source = Source()
    source.subscription.end(PermissionsViolation("no", "subscription", "a"))
    with pytest.raises(PermissionsViolation):
        [msg async for msg in source.subscription]


async def test_plain_callbacks_run_at_once_and_what_they_raise_is_reported() -> None:
    seen: list[bytes] = []

    def callback(msg: Msg) -> None:
        seen.append(msg.data)
        raise ValueError(msg.data)

    source = Source(callback)
    source.deliver(b"1", b"2")
    assert seen == [b"1", b"2"]
    assert [type(error) for error in source.errors] == [ValueError] * 2


async def test_async_callbacks_run_in_order_and_what_they_raise_is_reported() -> None:
    seen: list[bytes] = []

    async def callback(msg: Msg) -> None:
        await asyncio.sleep(0)
        seen.append(msg.data)
        raise ValueError(msg.data)

    source = Source(callback)
    source.deliver(b"1", b"2")
    await until(lambda: len(seen) == 2)
    source.deliver(b"3")
    await source.subscription.drain()
    assert seen == [b"1", b"2", b"3"]
    assert [type(error) for error in source.errors] == [ValueError] * 3


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_what_a_callback_waits_for_may_be_cancelled(is_async: bool) -> None:
    seen: list[bytes] = []

    def plain(msg: Msg) -> None:
        seen.append(msg.data)
        cancelled().result()

    async def later(msg: Msg) -> None:
        seen.append(msg.data)
        await cancelled()

    source = Source(later if is_async else plain)
    source.deliver(b"1", b"2")
    await source.subscription.drain()
    assert seen == [b"1", b"2"]
    assert [type(error) for error in source.errors] == [CallbackCancelled] * 2


class Handler:
    """An object that is called like a coroutine function."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    async def __call__(self, msg: Msg) -> None:
        await asyncio.sleep(0)
        self.seen.append(msg.data)


async def test_an_object_may_be_an_async_callback() -> None:
    handler = Handler()
    source = Source(handler)
    source.deliver(b"1", b"2")
    await source.subscription.drain()
    assert (handler.seen, source.errors) == ([b"1", b"2"], [])


async def test_a_coroutine_that_nobody_awaits_is_reported() -> None:
    handler = Handler()
    source = Source(lambda msg: handler(msg) or None, max_msgs=2)
    source.deliver(b"1")
    source.deliver(b"2")  # also of the last one, behind which it has ended
    await source.subscription.drain()
    assert handler.seen == []
    assert [type(error) for error in source.errors] == [Unsupported] * 2
    assert "give a coroutine function" in str(source.errors[0])


async def test_a_plain_callback_may_begin_a_task() -> None:
    handler = Handler()
    tasks: list[asyncio.Task[None]] = []

    @functools.wraps(handler.__call__)
    def begin(msg: Msg) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(handler(msg)))
        return tasks[-1]

    source = Source(begin)
    source.deliver(b"1", b"2")
    await asyncio.gather(*tasks)
    assert (handler.seen, source.errors) == ([b"1", b"2"], [])


async def test_what_can_not_be_called_is_no_callback() -> None:
    with pytest.raises(Unsupported, match=r"a str as a callback.*a function, plain or async"):
        Source("x")

    def plain(_: Msg) -> Iterator[int]:
        yield 1

    async def late(_: Msg) -> AsyncIterator[int]:
        yield 1

    for never in (plain, late):
        with pytest.raises(Unsupported, match=r"a generator as a callback"):
            Source(never)


async def test_nobody_reads_beside_a_callback() -> None:
    seen = []

    async def callback(msg: Msg) -> None:
        seen.append(msg.data)

    source = Source(callback)
    source.deliver(b"1")
    with pytest.raises(Unsupported, match="subscribe without `cb`"):
        await source.subscription.next_msg()
    with pytest.raises(Unsupported, match="subscribe without `cb`"):
        aiter(source.subscription)
    await source.subscription.drain()
    assert seen == [b"1"]


@pytest.mark.parametrize("factory", FACTORIES)
async def test_async_callbacks_go_on_whenever_their_task_begins(factory: Any) -> None:
    loop = asyncio.get_running_loop()
    seen: list[bytes] = []

    async def callback(msg: Msg) -> None:
        if msg.data == b"3":
            source.deliver(b"4")
        seen.append(msg.data)

    source = Source(callback)
    loop.set_task_factory(factory)
    try:
        for payload in (b"1", b"2", b"3"):
            source.deliver(payload)
            await source.subscription.handled()
    finally:
        loop.set_task_factory(None)  # in the browser all tests have one loop
    assert seen == [b"1", b"2", b"3", b"4"]


async def test_an_async_callback_that_is_stopped_is_not_reported() -> None:
    began = asyncio.Event()

    async def callback(_: Msg) -> None:
        began.set()
        await asyncio.sleep(20)

    source = Source(callback)
    source.deliver(b"1", b"2")
    await began.wait()
    source.subscription.stop()
    await source.subscription.handled()
    assert (source.subscription.pending_msgs, source.errors) == (1, [])


@pytest.mark.parametrize(
    ("limits", "kept"),
    [({"pending_msgs_limit": 2}, 2), ({"pending_bytes_limit": 5}, 2)],
)
async def test_a_slow_reader_loses_the_newest(limits: dict[str, int], kept: int) -> None:
    source = Source(**limits)
    source.deliver(b"11", b"22", b"33", b"44")
    assert (source.subscription.pending_msgs, source.subscription.dropped) == (kept, 2)
    assert source.stats.dropped == 2
    assert [type(error) for error in source.errors] == [SlowConsumer]  # once per episode
    assert (await source.subscription.next_msg()).data == b"11"
    source.deliver(b"55", b"66")
    assert len(source.errors) == 2


async def test_headers_count_as_bytes() -> None:
    source = Source(pending_bytes_limit=20)
    source.subscription.deliver([Msg("a", b"123456", raw_headers=b"NATS/1.0\r\nA:b\r\n\r\n")])
    assert source.subscription.dropped == 1


async def test_the_end_after_so_many_messages() -> None:
    source = Source(max_msgs=2)
    source.deliver(b"1", b"2", b"3")
    assert source.subscription.ended
    assert source.asked == ["end"]  # the sender has counted too
    assert [msg.data async for msg in source.subscription] == [b"1", b"2"]


async def test_a_limit_is_a_whole_number() -> None:
    with pytest.raises(TypeError, match="float"):
        Source(max_msgs=2.5)  # type: ignore[arg-type]
    source = Source()
    with pytest.raises(TypeError, match="float"):
        await source.subscription.unsubscribe(2.5)  # type: ignore[arg-type]


async def test_unsubscribe() -> None:
    source = Source()
    source.deliver(b"1")
    await source.subscription.unsubscribe(3)
    source.deliver(b"2")
    assert not source.subscription.ended
    await source.subscription.unsubscribe(2)
    await source.subscription.unsubscribe()
    assert source.asked == [3, 0, "end"]
    source.deliver(b"late")
    assert source.subscription.pending_msgs == 2


async def test_drain_takes_what_is_under_way() -> None:
    source = Source()
    source.flushed.clear()
    draining = asyncio.create_task(source.subscription.drain())
    await asyncio.sleep(0)
    source.deliver(b"1")
    source.flushed.set()
    await draining
    assert source.asked == [0, "end"]
    assert [msg.data async for msg in source.subscription] == [b"1"]
    await source.subscription.drain()


async def test_drain_ends_also_when_the_connection_is_lost() -> None:
    source = Source()

    async def flush() -> None:
        raise NotConnected("x")

    source.subscription._flush = flush
    with pytest.raises(NotConnected):
        await source.subscription.drain()
    assert source.subscription.ended


async def test_a_callback_may_drain_its_own_subscription() -> None:
    done: list[Any] = []

    async def callback(msg: Msg) -> None:
        await source.subscription.drain()
        done.append(msg.data)

    source = Source(callback)
    source.deliver(b"1", b"2")
    await until(lambda: len(done) == 2)


async def test_stop_and_discard() -> None:
    cancelled = asyncio.Event()

    async def callback(_: Msg) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    source = Source(callback)
    source.deliver(b"1", b"2")
    await asyncio.sleep(0)
    source.subscription.end()
    source.subscription.stop()
    assert source.subscription.pending_msgs == 1
    source.subscription.discard()
    assert source.subscription.pending_msgs == source.subscription.pending_bytes == 0
    await cancelled.wait()


async def test_a_callback_may_stop_its_own_subscription() -> None:
    seen: list[bytes] = []

    async def callback(msg: Msg) -> None:
        source.subscription.discard()
        source.subscription.stop()
        await asyncio.sleep(0)
        seen.append(msg.data)

    source = Source(callback)
    source.deliver(b"1", b"2")
    await until(lambda: seen)
    assert seen == [b"1"]


async def test_the_newest_are_kept_where_wanted() -> None:
    source = Source(pending_msgs_limit=2, pending_bytes_limit=5, pending_policy="drop_old")
    source.deliver(b"11", b"22", b"33")
    assert (source.subscription.pending_msgs, source.subscription.dropped) == (2, 1)
    source.deliver(b"4444")  # only alone within the bounds
    assert (source.subscription.pending_bytes, source.subscription.dropped) == (4, 3)
    source.deliver(b"666666")  # never within the bounds
    assert (await source.subscription.next_msg()).data == b"4444"
    assert source.subscription.dropped == source.stats.dropped == 4
    assert len(source.errors) == 1


async def test_a_gap_ends_it_where_wanted() -> None:
    source = Source(pending_msgs_limit=1, pending_policy="error", max_msgs=2)
    source.deliver(b"1", b"2", b"3")
    assert source.asked == [0, "end"]
    assert (await source.subscription.next_msg()).data == b"1"
    with pytest.raises(SlowConsumer, match="1 messages dropped"):
        await source.subscription.next_msg()
    assert source.subscription.dropped == 1  # what came later is of nobody's subscription


async def test_what_can_not_be_done_about_a_slow_reader_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"'block'.*pulls from a stream"):
        Source(pending_policy="block")


STATUS = b"NATS/1.0 100 Idle Heartbeat\r\n\r\n"


@pytest.mark.parametrize("policy", ["drop_new", "drop_old", "error"])
async def test_a_status_is_never_dropped(policy: str) -> None:
    source = Source(pending_msgs_limit=2, pending_policy=policy)
    status = Msg("a", raw_headers=STATUS)
    source.subscription.deliver([status, Msg("a", b"1"), status, Msg("a", b"2"), status])
    waiting = []
    while source.subscription.pending_msgs:
        waiting.append(await source.subscription.next_msg())
    expected = {"drop_new": [100, 0, 100, 100], "drop_old": [100, 100, 100], "error": [100, 0, 100]}
    assert [msg.status for msg in waiting] == expected[policy]


async def test_what_only_looks_like_a_status_is_bounded_too() -> None:
    source = Source(pending_msgs_limit=1)
    source.subscription.deliver([Msg("a", raw_headers=STATUS)] * (STATUS_MSGS_MAX + 2))
    assert source.subscription.pending_msgs == STATUS_MSGS_MAX + 1
    source = Source(pending_bytes_limit=1)
    long = b"NATS/1.0 100\r\nA: %b\r\n\r\n" % bytes(STATUS_BYTES_MAX // 2)
    source.subscription.deliver([Msg("a", raw_headers=long)] * 4)
    assert source.subscription.pending_msgs == 1
    source.subscription.deliver([Msg("a", b"with a payload", raw_headers=STATUS)])
    assert source.subscription.dropped == 1


async def test_a_reader_that_stays_slow_is_reported_once() -> None:
    source = Source(pending_msgs_limit=4)
    source.deliver(*([b""] * 5))
    for _ in range(10):
        await source.subscription.next_msg()
        source.deliver(b"", b"")
    assert len(source.errors) == 1
    for _ in range(2):
        await source.subscription.next_msg()
    source.deliver(*([b""] * 3))
    assert len(source.errors) == 2  # it had caught up, and fell behind again


async def test_to_wait_until_a_callback_has_ended_is_not_to_be_cancelled_with_it() -> None:
    started = asyncio.Event()

    async def hang(_: Msg) -> None:
        started.set()
        await asyncio.Event().wait()

    source = Source(hang)
    source.deliver(b"")
    await started.wait()
    draining = asyncio.create_task(source.subscription.drain())
    await asyncio.sleep(0)
    source.subscription.stop()
    await draining


@pytest.mark.parametrize("limit", [0, -1])
async def test_no_limit_is_a_limit_of_nothing_as_in_nats_py(limit: int) -> None:
    source = Source(pending_msgs_limit=limit, pending_bytes_limit=limit, max_msgs=limit)
    source.deliver(b"1", b"2")
    assert (source.subscription.pending_msgs, source.subscription.dropped) == (2, 0)
    assert (source.subscription.max_msgs, source.subscription.ended) == (0, False)
