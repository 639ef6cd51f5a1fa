"""The ordered consumer: in order, each message once, whatever happens to the consumer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from agents_core.bus import Status
from agents_core.errors import PermissionsViolation
from agents_core.nats.jetstream import (
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    JetStreamContext,
    OrderedConsumer,
)
from agents_core.nats.jetstream.errors import (
    BadRequest,
    ConsumerDeleted,
    ConsumerIsPush,
    NoHeartbeat,
    SequenceGap,
    StreamNotFound,
)
from tests.core.nats.jetstream.fake import (
    CONSUMER,
    FLOW,
    Request,
    Server,
    jetstream,
    refuse,
    set_status,
)

NO_STREAM = {"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}
REFUSED = {"error": {"code": 400, "err_code": 10012, "description": "can't be"}}
BUSY = {"error": {"code": 503, "err_code": 10008, "description": "busy"}}


class Reader:
    """An ordered consumer of stream `s`, what it tells, and its server."""

    def __init__(self, js: JetStreamContext, server: Server, flow: Any, **config: Any) -> None:
        self.js, self.server = js, server
        self.errors: list[Exception] = []
        self.made: list[ConsumerInfo] = []
        self.messages = OrderedConsumer(
            js,
            "s",
            ConsumerConfig(**config),
            flow,
            error_cb=self.errors.append,
            created_cb=self.made.append,
        )

    @property
    def name(self) -> str:
        """Of the consumer behind it now."""
        return self.messages._consumer

    def deliver(self, to: Request, sequence: int, stream_seq: int, pending: int = 0) -> None:
        self.server.deliver(
            to,
            sequence,
            b"%d" % stream_seq,
            stream_seq=stream_seq,
            pending=pending,
            consumer=self.name,
        )

    async def next(self, count: int = 1) -> list[bytes]:
        found: list[bytes] = []
        async for msg in self.messages:
            found.append(msg.data)
            if len(found) == count:
                break
        return found


def info(stream_seq: int = 0, pending: int = 0) -> dict[str, Any]:
    delivered = {"consumer_seq": 0, "stream_seq": stream_seq}
    return {**CONSUMER, "delivered": delivered, "num_pending": pending}


@asynccontextmanager
async def reader(flow: Any = FLOW, answer: Any = None, **config: Any) -> AsyncIterator[Reader]:
    async with jetstream(timeout=1) as (js, server):
        server.answers["CONSUMER.CREATE"] = answer or info()
        it = Reader(js, server, flow, **config)
        async with await it.messages.open():
            yield it


async def test_messages_in_order_and_how_many_are_left() -> None:
    async with reader(answer=info(pending=3)) as it:
        created = await it.server.expect("CONSUMER.CREATE")
        assert created.operation == f"CONSUMER.CREATE.s.{it.name}"
        assert created.body["action"] == "create"
        assert it.messages.num_pending == 3
        assert [made.num_pending for made in it.made] == [3]
        request = await it.server.pull()
        assert request.operation == f"CONSUMER.MSG.NEXT.s.{it.name}"
        for sequence, stream_seq, pending in ((1, 4, 2), (2, 7, 1), (3, 9, 0)):
            it.deliver(request, sequence, stream_seq, pending)
        seen = []
        async for msg in it.messages:
            seen.append((msg.data, it.messages.num_pending))
            if not it.messages.num_pending:
                break
        assert seen == [(b"4", 2), (b"7", 1), (b"9", 0)]
        name = it.name
        it.messages.stop()
        await it.server.expect(f"CONSUMER.DELETE.s.{name}")


async def replaced(it: Reader, old: str) -> Request:
    """Wait until a consumer has taken the place of `old`; returns its first request."""
    await it.server.expect(f"CONSUMER.DELETE.s.{old}")
    await it.server.expect("CONSUMER.CREATE")
    request = await it.server.pull()
    assert request.operation == f"CONSUMER.MSG.NEXT.s.{it.name}"
    assert it.name != old
    return request


async def test_a_gap_makes_a_new_consumer_behind_the_last_message() -> None:
    async with reader() as it:
        old, request = it.name, await it.server.pull()
        it.deliver(request, 1, 4)
        it.deliver(request, 3, 6)  # the second was lost
        it.deliver(request, 4, 7)
        await it.server.expect(f"CONSUMER.DELETE.s.{old}")
        created = await it.server.expect("CONSUMER.CREATE")
        assert created.body["config"]["deliver_policy"] == "by_start_sequence"
        assert created.body["config"]["opt_start_seq"] == 5
        again = await it.server.pull()
        it.server.deliver(again, 5, b"8", stream_seq=8, consumer=old)  # of the one that is gone
        it.server.bus.publish(again.reply, b"no message of JetStream", reply="elsewhere")
        it.deliver(again, 1, 5)
        it.deliver(again, 2, 6)
        assert await it.next(3) == [b"4", b"5", b"6"]
        assert [str(error) for error in it.errors] == [f"consumer {old!r}: message 3 follows 1"]
        assert isinstance(it.errors[0], SequenceGap)
        assert len(it.made) == 2


async def test_more_than_was_asked_for_is_dropped_and_comes_again() -> None:
    async with reader(replace(FLOW, limit=1, threshold=0)) as it:
        old, request = it.name, await it.server.pull()
        for number in range(1, 6):
            it.deliver(request, number, number)
        assert await it.next(3) == [b"1", b"2", b"3"]
        it.deliver(request, 6, 6)
        again = await replaced(it, old)
        it.deliver(again, 1, 4)
        assert await it.next() == [b"4"]


async def test_a_consumer_that_was_deleted() -> None:
    async with reader(answer=info(stream_seq=7), deliver_policy=DeliverPolicy.NEW) as it:
        old = it.name
        created = await it.server.expect("CONSUMER.CREATE")
        assert created.body["config"]["deliver_policy"] == "new"
        it.server.say(await it.server.pull(), 409, "Consumer Deleted")
        created = await it.server.expect("CONSUMER.CREATE")
        assert created.body["config"]["opt_start_seq"] == 8  # what was new then
        assert [type(error) for error in it.errors] == [ConsumerDeleted]
        assert it.name != old


async def test_a_consumer_that_nobody_serves() -> None:
    """The server that had it is down: another one gets the next, without asking about the first."""
    async with reader() as it:
        old = it.name
        it.server.say(await it.server.pull(), 503)
        again = await replaced(it, old)
        assert [error.code for error in it.errors] == [503]
        it.deliver(again, 1, 1)
        assert await it.next() == [b"1"]
        assert await it.server.none("CONSUMER.INFO")


@pytest.mark.parametrize("policy", [DeliverPolicy.LAST_PER_SUBJECT, "last_per_subject"])
async def test_the_last_of_each_subject_is_asked_for_until_there_was_one(policy: Any) -> None:
    answer = info(stream_seq=8, pending=1)
    async with reader(answer=answer, deliver_policy=policy, opt_start_time=None) as it:
        await it.server.expect("CONSUMER.CREATE")
        it.server.say(await it.server.pull(), 409, "Consumer Deleted")
        created = await it.server.expect("CONSUMER.CREATE")
        assert created.body["config"]["deliver_policy"] == "last_per_subject"
        it.deliver(await it.server.pull(), 1, 9)
        assert await it.next() == [b"9"]
        it.deliver(Request("", reply=it.messages._reply), 7, 11)
        created = await it.server.expect("CONSUMER.CREATE")
        assert created.body["config"]["opt_start_seq"] == 10


async def test_where_no_subject_had_a_message_everything_that_follows_is_new() -> None:
    policy = DeliverPolicy.LAST_PER_SUBJECT
    async with reader(answer=info(stream_seq=7), deliver_policy=policy) as it:
        await it.server.expect("CONSUMER.CREATE")
        it.server.say(await it.server.pull(), 409, "Consumer Deleted")
        created = await it.server.expect("CONSUMER.CREATE")
        assert created.body["config"]["deliver_policy"] == "by_start_sequence"
        assert created.body["config"]["opt_start_seq"] == 8


async def test_a_consumer_is_renewed_on_request() -> None:
    async with reader() as it:
        old, request = it.name, await it.server.pull()
        it.deliver(request, 1, 4)
        assert await it.next() == [b"4"]
        it.messages.renew()
        await it.server.expect(f"CONSUMER.DELETE.s.{old}")
        assert (await it.server.expect("CONSUMER.CREATE")).body["config"]["opt_start_seq"] == 5
        again = await it.server.pull()
        it.server.deliver(request, 2, b"late", stream_seq=5, consumer=old)  # it comes again
        it.deliver(again, 1, 5)
        assert await it.next() == [b"5"]
        assert not it.errors


async def test_whoever_stops_it_when_told_of_trouble_has_it_stopped() -> None:
    async with reader() as it:
        it.messages._error_cb = lambda _: it.messages.stop()
        it.server.say(await it.server.pull(), 409, "Consumer Deleted")
        assert await it.server.none("CONSUMER.CREATE")


async def test_one_that_is_stopped_is_not_renewed() -> None:
    async with reader() as it:
        await it.server.pull()
        it.messages.stop()
        it.messages.renew()
        assert await it.server.none("CONSUMER.CREATE")


async def test_a_consumer_goes_that_is_made_for_nobody() -> None:
    """The reader is cancelled, or stopped, while it waits for the answer."""
    async with jetstream() as (js, server):
        opening = asyncio.create_task(js.ordered_consumer("s"))
        created = await server.expect("CONSUMER.CREATE")
        opening.cancel()
        await server.expect(created.operation.replace("CREATE", "DELETE"))
    async with reader() as it:
        await it.server.expect("CONSUMER.CREATE")
        await it.server.pull()
        del it.server.answers["CONSUMER.CREATE"]
        it.messages.renew()
        created = await it.server.expect("CONSUMER.CREATE")
        it.messages.stop()
        await it.server.expect(created.operation.replace("CREATE", "DELETE"))


async def test_silence() -> None:
    async with reader(replace(FLOW, heartbeat=0.005)) as it:
        old = it.name
        await it.server.pull()
        await replaced(it, old)
        assert type(it.errors[0]) is NoHeartbeat


async def test_a_lost_connection() -> None:
    async with reader() as it:
        old, request = it.name, await it.server.pull()
        it.deliver(request, 1, 1)
        assert await it.next() == [b"1"]
        set_status(it.js, Status.RECONNECTING)
        it.deliver(request, 3, 3)  # a gap that can't be filled now
        await it.server.expect("CONSUMER.DELETE")
        assert await it.server.none("CONSUMER.CREATE")
        set_status(it.js, Status.CONNECTED)
        created = await it.server.expect("CONSUMER.CREATE")
        assert created.body["config"]["opt_start_seq"] == 2
        again = await it.server.pull()
        assert it.name != old
        it.deliver(again, 1, 2)
        assert await it.next() == [b"2"]


async def test_it_tries_again_until_the_server_can() -> None:
    async with reader(answer=[info(), BUSY, b"nonsense", info()]) as it:
        request = await it.server.pull()
        it.server.say(request, 409, "Consumer Deleted")
        await it.server.pull()
        assert [type(error).__name__ for error in it.errors] == [
            "ConsumerDeleted",
            "ServiceUnavailable",
            "InvalidAnswer",
        ]
        assert len(it.made) == 2


@pytest.mark.parametrize(("answer", "kind"), [(NO_STREAM, StreamNotFound), (REFUSED, BadRequest)])
async def test_what_cannot_be_made_good(answer: Any, kind: type[Exception]) -> None:
    async with reader(answer=[info(), answer]) as it:
        it.server.say(await it.server.pull(), 409, "Consumer Deleted")
        with pytest.raises(kind):
            await it.next()
    async with jetstream() as (js, server):
        server.answers["CONSUMER.CREATE"] = answer
        with pytest.raises(kind):
            await js.ordered_consumer("s")


async def test_who_may_make_no_consumer_any_more_is_told_so() -> None:
    async with reader(answer=[info()]) as it:
        it.server.answers.clear()
        it.server.say(await it.server.pull(), 409, "Consumer Deleted")
        request = await it.server.expect("CONSUMER.CREATE")
        request = await it.server.expect("CONSUMER.CREATE")
        refuse(it.js.bus, f"$JS.API.{request.operation}")
        with pytest.raises(PermissionsViolation):
            await it.next()


async def test_a_status_that_a_new_consumer_would_get_too() -> None:
    async with reader() as it:
        it.server.say(await it.server.pull(), 409, "Consumer is push based")
        with pytest.raises(ConsumerIsPush):
            await it.next()


async def test_the_bus_is_closed_while_a_consumer_is_made() -> None:
    async with reader(answer=[info(), *[BUSY] * 99]) as it:
        it.server.say(await it.server.pull(), 409, "Consumer Deleted")
        await it.server.expect("CONSUMER.CREATE")
        waiting = asyncio.create_task(it.next())
        await it.js.bus.close()
        assert await waiting == []


async def test_a_callback_that_raises_does_not_stop_it() -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.CREATE"] = info()
        errors: list[Exception] = []

        def fail(_: ConsumerInfo) -> None:
            raise ValueError

        async with await js.ordered_consumer("s", created_cb=fail, error_cb=errors.append):
            await server.pull()
        assert [type(error) for error in errors] == [ValueError]


async def test_the_consumer_goes_when_it_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.CREATE"] = server.answers["INFO"] = info()
        await js.request("INFO")  # so that answers have their subscription

        async def refuse(*_: object, **__: object) -> None:
            raise BadRequest(400)

        monkeypatch.setattr(js.bus, "subscribe", refuse, raising=False)
        with pytest.raises(BadRequest):
            await js.ordered_consumer("s")
        await server.expect("CONSUMER.DELETE")
