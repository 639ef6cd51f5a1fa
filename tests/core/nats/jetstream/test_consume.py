"""Consuming: what is asked and when, every status, silence, and lost connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from agents_core.bus import Status
from agents_core.errors import (
    OutboundBufferFull,
    PermissionsViolation,
    SubscriptionEnded,
    Unsupported,
)
from agents_core.nats.jetstream import Consume, JetStreamContext, JSMsg, consume
from agents_core.nats.jetstream.errors import (
    APIError,
    ApiLevelRequired,
    BadRequest,
    ConsumerDeleted,
    ConsumerIsPush,
    ConsumerNotFound,
    FetchTimeout,
    MaxBytesExceeded,
    NoHeartbeat,
    PullRefused,
    ServiceUnavailable,
)
from agents_core.nats.jetstream.flow import Flow
from agents_core.nats.jetstream.pull import Pins, PullOptions, size_of
from tests.core.nats.jetstream.fake import (
    CONSUMER,
    FLOW,
    NOT_FOUND,
    Server,
    deafen,
    jetstream,
    refuse,
    set_status,
    settle,
)

SHORT = replace(FLOW, heartbeat=0.005)


class Reader:
    """A consumption of consumer `c`, what it reports, and its server."""

    messages: Consume

    def __init__(self, js: JetStreamContext, server: Server) -> None:
        self.js, self.server = js, server
        self.errors: list[Exception] = []
        self.told = asyncio.Event()

    def tell(self, error: Exception) -> None:
        self.errors.append(error)
        self.told.set()

    async def next(self, count: int = 1) -> list[bytes]:
        found: list[bytes] = []
        async for msg in self.messages:
            found.append(msg.data)
            if len(found) == count:
                break
        return found


@asynccontextmanager
async def reader(
    flow: Flow = FLOW, cb: Any = None, group: str | None = None
) -> AsyncIterator[Reader]:
    async with jetstream() as (js, server):
        options = PullOptions(group=group)
        made = Reader(js, server)
        messages = Consume(js, "s", "c", flow, options, Pins(), cb, made.tell)
        made.messages = messages
        async with await messages.open():
            yield made


async def test_more_is_asked_for_when_half_is_used_up() -> None:
    async with reader() as it:
        request = await it.server.pull()
        assert request.operation == "CONSUMER.MSG.NEXT.s.c"
        assert request.body == {
            "batch": 10,
            "expires": 30_000_000_000,
            "idle_heartbeat": 10_000_000_000,
        }
        for number in range(1, 11):
            it.server.deliver(request, number, b"%d" % number)
        await settle(it.js.bus)
        assert it.messages.pending_msgs == 10
        assert len(await it.next(4)) == 4
        assert await it.server.none("CONSUMER.MSG.NEXT")
        assert await it.next(1) == [b"5"]
        assert (await it.server.pull()).body["batch"] == 5
        assert len(await it.next(4)) == 4
        assert await it.server.none("CONSUMER.MSG.NEXT")


async def test_one_message_at_a_time() -> None:
    async with reader(replace(FLOW, limit=1, threshold=0)) as it:
        for number in range(1, 4):
            request = await it.server.pull()
            assert request.body["batch"] == 1
            it.server.deliver(request, number, b"%d" % number)
            assert await it.next() == [b"%d" % number]


async def test_the_next_message_or_why_there_is_none() -> None:
    async with reader() as it:
        request = await it.server.pull()
        it.server.deliver(request, 1, b"1")
        assert (await it.messages.next_msg(5)).data == b"1"
        with pytest.raises(FetchTimeout, match=r"within 0\.01 s"):
            await it.messages.next_msg(0.01)
        waiting = asyncio.create_task(it.messages.next_msg())
        it.server.deliver(request, 2, b"2")
        assert (await waiting).data == b"2"
        it.messages.stop()
        with pytest.raises(SubscriptionEnded, match="'c' has ended"):
            await it.messages.next_msg()


async def test_bytes_are_counted_as_the_server_does() -> None:
    async with reader(Flow(1000, by_count=False, threshold=500, expires=30, heartbeat=10)) as it:
        request = await it.server.pull()
        assert (request.body["batch"], request.body["max_bytes"]) == (1_000_000, 1000)
        it.server.deliver(request, 1, bytes(300))
        it.server.deliver(request, 2, bytes(200))
        await settle(it.js.bus)
        sizes = []
        async for msg in it.messages:
            sizes.append(size_of(msg))
            if len(sizes) == 2:
                break
        assert (await it.server.pull()).body["max_bytes"] == sum(sizes)
        it.server.say(request, 409, "Message Size Exceeds MaxBytes", pending_bytes=200)
        it.server.say(request, 408, "Request Timeout", pending_bytes=400)
        assert (await it.server.pull()).body["max_bytes"] == 600


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (404, "No Messages"),
        (408, "Request Timeout"),
        (408, "Interest Expired"),
        (409, "Batch Completed"),
    ],
)
async def test_a_request_that_is_over_is_made_again(code: int, words: str) -> None:
    async with reader() as it:
        request = await it.server.pull()
        it.server.deliver(request, 1, b"1")
        it.server.say(request, code, words, pending=9)
        assert (await it.server.pull()).body["batch"] == 9
        assert (await it.next(), it.errors) == ([b"1"], [])


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (400, "Bad Request - no", BadRequest),
        (409, "Consumer Deleted", ConsumerDeleted),
        (409, "Consumer is push based", ConsumerIsPush),
        (412, "Required Api Level", ApiLevelRequired),
    ],
)
async def test_statuses_that_end_it(code: int, words: str, kind: type[APIError]) -> None:
    async with reader() as it:
        request = await it.server.pull()
        it.server.deliver(request, 1, b"1")
        it.server.say(request, code, words)
        assert await it.next() == [b"1"]
        with pytest.raises(kind):
            await it.next()
        assert it.messages.ended
        with pytest.raises(kind):
            await it.messages.wait()
        assert await it.server.none("CONSUMER.MSG.NEXT")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (409, "Leadership Change"),
        (409, "Exceeded MaxWaiting"),
        (409, "Exceeded MaxRequestBatch of 5"),
        (409, "Something New"),
        (500, "broken"),
    ],
)
async def test_statuses_after_which_it_pauses(code: int, words: str) -> None:
    async with reader() as it:
        first = await it.server.pull()
        it.server.say(first, code, words)
        second = await it.server.pull()
        assert second.body["batch"] == 10
        assert second.reply != first.reply
        assert [type(error) for error in it.errors] == [
            PullRefused if code == 409 and "New" not in words else type(it.errors[0])
        ]
        it.server.say(first, 408, "Request Timeout", pending=10)  # does not count any more
        it.server.deliver(first, 1, b"1")  # but its messages do
        it.server.deliver(second, 2, b"2")
        assert await it.next(2) == [b"1", b"2"]


async def test_a_status_with_what_is_left_counts_down() -> None:
    async with reader() as it:
        request = await it.server.pull()
        it.server.deliver(request, 1, b"1")
        it.server.say(request, 409, "Server Shutdown", pending=9)
        it.server.say(request, 409, "Server Shutdown", pending=9)
        again = await it.server.pull()
        assert (again.body["batch"], again.reply) == (9, request.reply)


async def test_nobody_takes_the_request() -> None:
    async with reader() as it:
        it.server.answers["CONSUMER.INFO"] = [CONSUMER, b"nonsense", NOT_FOUND]
        for _ in range(3):  # no leader; no sensible answer; no consumer
            it.server.say(await it.server.pull(), 503)
        with pytest.raises(ConsumerNotFound):
            await it.next()
        assert [type(error).__name__ for error in it.errors] == [
            ServiceUnavailable.__name__,
            "InvalidAnswer",
        ]


async def test_the_next_message_does_not_fit() -> None:
    async with reader(Flow(1000, by_count=False, threshold=500, expires=30, heartbeat=10)) as it:
        request = await it.server.pull()
        it.server.deliver(request, 1, bytes(500))
        await settle(it.js.bus)
        left = 1000 - it.messages._held
        it.server.say(request, 409, "Message Size Exceeds MaxBytes", pending_bytes=left)
        await settle(it.js.bus)
        await it.next()
        request = await it.server.pull()
        assert request.body["max_bytes"] == 1000  # there is more room now
        it.server.say(request, 409, "Message Size Exceeds MaxBytes", pending_bytes=1000)
        with pytest.raises(MaxBytesExceeded):
            await it.next()


async def test_what_does_not_fit_beside_what_is_held_is_not_asked_for_before_that_is_taken() -> (
    None
):
    async with reader(Flow(1000, by_count=False, threshold=500, expires=30, heartbeat=10)) as it:
        request = await it.server.pull()
        it.server.deliver(request, 1, bytes(300))
        await settle(it.js.bus)
        left = 1000 - it.messages._held
        it.server.say(request, 409, "Message Size Exceeds MaxBytes", pending_bytes=left)
        assert await it.server.none("CONSUMER.MSG.NEXT")
        await it.next()
        assert (await it.server.pull()).body["max_bytes"] == 1000


async def test_a_pin_is_sent_until_another_client_has_it() -> None:
    async with reader(replace(FLOW, limit=1, threshold=0), group="g") as it:
        request = await it.server.pull()
        assert (request.body["group"], "id" in request.body) == ("g", False)
        it.server.deliver(request, 1, headers={"Nats-Pin-Id": "one"})
        await it.next()
        request = await it.server.pull()
        assert request.body["id"] == "one"
        it.server.say(request, 423, "Nats-Wrong-Pin-Id", pending=1)
        assert "id" not in (await it.server.pull()).body


async def test_silence_is_noticed_after_two_heartbeats() -> None:
    async with reader(SHORT) as it:
        first = await it.server.pull()
        second = await it.server.pull()
        assert [type(error) for error in it.errors] == [NoHeartbeat]
        assert second.body["batch"] == 10
        assert second.reply != first.reply


async def test_no_silence_while_heartbeats_come_or_nothing_is_owed() -> None:
    async with reader(SHORT) as it:
        request = await it.server.pull()
        for _ in range(4):
            it.server.say(request, 100, "Idle Heartbeat")
            await asyncio.sleep(0.003)
        assert it.errors == []
        for number in range(10):
            it.server.deliver(request, number + 1)
        await settle(it.js.bus)
        await asyncio.sleep(0.02)
        set_status(it.js, Status.RECONNECTING)
        await it.next(10)
        await asyncio.sleep(0.02)
        assert it.errors == []


async def test_the_server_takes_the_subscription_away() -> None:
    async with reader(SHORT) as it:
        assert it.messages._subscription is not None
        it.messages._subscription.end()
        with pytest.raises(PullRefused, match="ended the subscription"):
            await it.next()


@pytest.mark.parametrize("operation", ["publish", "subscription"])
async def test_who_may_not_ask_or_hear_is_told_so(operation: str) -> None:
    async with reader() as it:
        request = await it.server.pull()
        refuse(it.js.bus, "else")
        refuse(it.js.bus, "else", "subscription")
        assert not it.messages.ended
        inbox = request.reply.rpartition(".")[0]
        refused = f"{inbox}.*" if operation == "subscription" else "$JS.API.CONSUMER.MSG.NEXT.s.c"
        refuse(it.js.bus, refused, operation)
        with pytest.raises(PermissionsViolation):
            await it.next()


async def test_refused_before_it_asks() -> None:
    async with jetstream() as (js, _):
        deafen(js.bus)
        subscription = await js.pull_subscribe_bind("c", "s")
        with pytest.raises(PermissionsViolation):
            await (await subscription.consume()).next_msg()


async def test_after_a_lost_connection_it_asks_again() -> None:
    async with reader() as it:
        request = await it.server.pull()
        it.server.deliver(request, 1, b"1")
        await settle(it.js.bus)
        set_status(it.js, Status.RECONNECTING)
        assert await it.next() == [b"1"]
        assert await it.server.none("CONSUMER.MSG.NEXT")
        set_status(it.js, Status.CONNECTED)
        again = await it.server.pull()
        assert again.body["batch"] == 10
        it.server.answers["CONSUMER.INFO"] = CONSUMER
        it.server.say(again, 503)
        await it.server.expect("CONSUMER.INFO")
        set_status(it.js, Status.RECONNECTING)
        set_status(it.js, Status.CONNECTED)  # what it was about to find out does not matter
        await it.server.pull()


async def test_a_bus_without_room() -> None:
    async with reader() as it:
        request = await it.server.pull()
        publish = it.js.bus.publish

        def full(*_: object) -> None:
            raise OutboundBufferFull(7)

        it.js.bus.publish = full  # type: ignore[method-assign]
        it.server.say(request, 408, "Request Timeout", pending=10)
        await it.told.wait()
        assert [type(error) for error in it.errors] == [OutboundBufferFull]
        it.js.bus.publish = publish  # type: ignore[method-assign]
        await it.server.pull()


async def test_more_than_was_asked_for_has_a_bound() -> None:
    async with reader(replace(FLOW, limit=2, threshold=1)) as it:
        request = await it.server.pull()
        for number in range(1, 20):
            it.server.deliver(request, number)
        await settle(it.js.bus)
        assert it.messages.pending_msgs == consume.OVERRUN * 2 + 1


async def test_a_plain_callback() -> None:
    seen: list[bytes] = []

    def take(msg: JSMsg) -> None:
        seen.append(msg.data)
        raise ValueError

    async with reader(replace(FLOW, limit=2, threshold=1), cb=take) as it:
        it.server.deliver(await it.server.pull(), 1, b"1")
        it.server.deliver(await it.server.pull(), 2, b"2")
        await settle(it.js.bus)
        assert seen == [b"1", b"2"]
        assert [type(error) for error in it.errors] == [ValueError, ValueError]


async def test_nobody_reads_beside_a_callback() -> None:
    async with reader(cb=print) as it:
        with pytest.raises(Unsupported, match="subscribe without `cb`"):
            await it.messages.next_msg()
        with pytest.raises(Unsupported, match="subscribe without `cb`"):
            aiter(it.messages)


async def test_an_async_callback_and_the_end() -> None:
    seen: list[bytes] = []

    async def take(msg: JSMsg) -> None:
        await asyncio.sleep(0)
        seen.append(msg.data)

    async with reader(cb=take) as it:
        request = await it.server.pull()
        for number in range(1, 4):
            it.server.deliver(request, number, b"%d" % number)
        it.server.say(request, 409, "Consumer Deleted")
        with pytest.raises(ConsumerDeleted):
            await it.messages.wait()
        assert seen == [b"1", b"2", b"3"]
        assert [type(error) for error in it.errors] == [ConsumerDeleted]


async def test_drain_hands_over_what_is_on_its_way() -> None:
    async with reader() as it:
        request = await it.server.pull()
        for number in range(1, 8):
            it.server.deliver(request, number, b"%d" % number)
        await it.messages.drain()
        assert [msg.data async for msg in it.messages] == [b"%d" % n for n in range(1, 8)]
        assert await it.server.none("CONSUMER.MSG.NEXT")
        await it.messages.drain()


async def test_who_gives_up_waiting_for_the_drain_has_it_ended_all_the_same() -> None:
    async with reader() as it:
        request = await it.server.pull()
        draining = asyncio.create_task(it.messages.drain())
        it.server.deliver(request, 1, b"1")
        await asyncio.sleep(0)  # now it waits for what is under way
        draining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await draining
        assert [msg.data async for msg in it.messages] == [b"1"]


async def test_the_bus_is_drained() -> None:
    seen: list[bytes] = []

    async def take(msg: JSMsg) -> None:
        await settle(it.js.bus)
        seen.append(msg.data)

    async with reader(cb=take) as it:
        request = await it.server.pull()
        for number in range(1, 8):
            it.server.deliver(request, number, b"%d" % number)
        await it.js.bus.drain()
        assert seen == [b"%d" % number for number in range(1, 8)]
        assert it.js.bus.status is Status.CLOSED
        await it.messages.wait()
    async with reader() as it:
        await it.js.bus.drain()
        assert await it.next() == []


async def test_drain_during_a_pause() -> None:
    async with reader() as it:
        it.server.say(await it.server.pull(), 409, "Leadership Change")
        await it.told.wait()
        await it.messages.drain()
        assert it.messages.ended
        never = Consume(it.js, "s", "c", FLOW, PullOptions(), Pins())
        await never.drain()
        never.stop()


async def test_stop_drops_what_was_not_taken() -> None:
    async with reader() as it:
        it.server.deliver(await it.server.pull(), 1)
        await settle(it.js.bus)
        it.messages.stop()
        assert [msg async for msg in it.messages] == []
        it.messages.stop()


async def test_the_bus_is_closed() -> None:
    async with reader() as it:
        it.server.deliver(await it.server.pull(), 1)
        waiting = asyncio.create_task(it.next(2))
        await settle(it.js.bus)
        await it.js.bus.close()
        assert await waiting == [b""]
        await it.messages.wait()


async def test_errors_are_logged_unless_somebody_listens(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with jetstream() as (js, server):
        messages = Consume(js, "s", "c", FLOW, PullOptions(), Pins())
        async with await messages.open():
            with caplog.at_level(logging.WARNING):
                server.say(await server.pull(), 409, "Leadership Change")
                await server.pull()
    assert "consumer c of s: Leadership Change" in caplog.text


async def test_the_log_tells_where_a_callback_raised(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: JSMsg) -> None:
        raise ValueError("in the callback")

    async with jetstream() as (js, server):
        messages = Consume(js, "s", "c", FLOW, PullOptions(), Pins(), fail)
        async with await messages.open():
            server.deliver(await server.pull(), 1, b"1")
            await settle(js.bus)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert (record.exc_info[0], "in the callback" in record.getMessage()) == (ValueError, True)
