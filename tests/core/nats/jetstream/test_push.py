"""What a push consumer delivers: statuses, flow control, silence, lost connections, the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from agents_core.bus import Status
from agents_core.errors import (
    CallbackCancelled,
    ConnectionClosed,
    NotConnected,
    OutboundBufferFull,
    PermissionsViolation,
    Unsupported,
)
from agents_core.nats.jetstream import (
    AckPolicy,
    ConsumerConfig,
    JetStreamContext,
    JSMsg,
    PushSubscription,
    push,
)
from agents_core.nats.jetstream.errors import (
    APIError,
    ConsumerDeleted,
    ConsumerMismatch,
    ConsumerNotFound,
    FetchTimeout,
    NoHeartbeat,
    NotJSMessage,
    SequenceGap,
    ServiceUnavailable,
)
from agents_core.nats.msg import Msg
from tests.core.nats.jetstream.fake import (
    CONSUMER,
    NOT_FOUND,
    Request,
    Server,
    jetstream,
    refuse,
    set_status,
    settle,
)
from tests.core.nats.scripted import cancelled

TO = "to.me"
THERE = {**CONSUMER, "config": {"deliver_subject": TO}}
BUSY = {"error": {"code": 503, "err_code": 10008, "description": "busy"}}
BEAT = 0.005


class Reader:
    """A subscription to what consumer `c` delivers, what it reports, and its server."""

    subscription: PushSubscription

    def __init__(self, js: JetStreamContext, server: Server) -> None:
        self.js, self.server = js, server
        self.errors: list[Exception] = []
        self.told = asyncio.Event()

    def tell(self, error: Exception) -> None:
        self.errors.append(error)
        self.told.set()

    async def deliver(self, *sequences: int) -> None:
        """Messages with their numbers in them; return when they have arrived."""
        for sequence in sequences:
            self.server.deliver(Request("", reply=TO), sequence, b"%d" % sequence)
        await settle(self.js.bus)

    async def beat(self, last: object, **headers: object) -> None:
        """A heartbeat, which says what the last message was."""
        self.server.say(TO, 100, "Idle Heartbeat", **{"Nats-Last-Consumer": last}, **headers)
        await settle(self.js.bus)

    async def want_answer(self, reply: str) -> None:
        """A request of flow control."""
        raw = b"NATS/1.0 100 FlowControl Request\r\n\r\n"
        self.server.bus._hub.publish(Msg(TO, raw_headers=raw, reply=reply))
        await settle(self.js.bus)

    async def next(self, count: int) -> list[bytes]:
        found: list[bytes] = []
        async for msg in self.subscription:
            found.append(msg.data)
            if len(found) == count:
                break
        return found


@asynccontextmanager
async def reader(
    cb: Any = None, manual_ack: bool = False, limits: Any = (), **config: Any
) -> AsyncIterator[Reader]:
    async with jetstream(timeout=1) as (js, server):
        made = Reader(js, server)
        wanted = ConsumerConfig(deliver_subject=TO, **config)
        subscription = PushSubscription(js, "s", "c", wanted, cb, manual_ack, made.tell)
        made.subscription = subscription
        async with await subscription.open(*limits):
            yield made


class Answers(list[tuple[str, bytes]]):
    """What is published on subjects such as those of acknowledgements."""

    @classmethod
    async def to(cls, server: Server, pattern: str) -> Answers:
        answers = cls()
        await server.bus.subscribe(pattern, cb=lambda msg: answers.append((msg.subject, msg.data)))
        return answers


# -- taking


async def test_messages_and_the_next_one() -> None:
    async with reader() as it:
        await it.deliver(1, 2, 3)
        subscription = it.subscription
        assert (subscription.pending_msgs, subscription.pending_bytes) == (3, 3)
        msg = await subscription.next_msg()
        assert isinstance(msg, JSMsg)
        assert (msg.data, msg.metadata.consumer, subscription.delivered) == (b"1", "c", 1)
        assert await it.next(2) == [b"2", b"3"]
        waiting = asyncio.create_task(subscription.next_msg(None))
        await settle(it.js.bus)
        await it.beat(3)
        await it.deliver(4)
        assert (await waiting).data == b"4"
        await it.beat(4)
        with pytest.raises(FetchTimeout, match=r"'c' within 0\.01 s"):
            await subscription.next_msg(0.01)
        assert (subscription.delivered, subscription.dropped, it.errors) == (4, 0, [])


async def test_a_slow_reader_loses_the_newest_and_hears_of_it_by_a_heartbeat() -> None:
    async with reader(limits=(2, 1000)) as it:
        await it.deliver(1, 2, 3)
        await it.beat(3)
        assert it.subscription.dropped == 1
        assert await it.next(2) == [b"1", b"2"]
        with pytest.raises(FetchTimeout):
            await it.subscription.next_msg(0.01)
        assert [str(error) for error in it.errors] == ["consumer 'c': message 4 follows 2"]


async def test_a_plain_callback_and_its_acknowledgements() -> None:
    seen: list[bytes] = []

    def take(msg: JSMsg) -> None:
        seen.append(msg.data)
        if msg.data == b"2":
            raise ValueError
        if msg.data == b"3":
            msg.nak()

    async with reader(take) as it:
        answers = await Answers.to(it.server, "$JS.ACK.>")
        await it.deliver(1, 2, 3, 4)
        assert seen == [b"1", b"2", b"3", b"4"]
        assert [(to.split(".")[6], data) for to, data in answers] == [
            ("1", b"+ACK"),
            ("3", b"-NAK"),
            ("4", b"+ACK"),
        ]
        assert [type(error) for error in it.errors] == [ValueError]
        await it.beat(4)
        assert len(seen) == 4


async def test_an_async_callback_and_its_acknowledgements() -> None:
    going_on = asyncio.Event()
    seen: list[bytes] = []

    async def take(msg: JSMsg) -> None:
        seen.append(msg.data)
        await going_on.wait()
        if msg.data == b"2":
            raise ValueError

    async with reader(take, ack_policy=AckPolicy.ALL) as it:
        answers = await Answers.to(it.server, "$JS.ACK.>")
        await it.deliver(1, 2, 3)
        await it.beat(3)
        assert (seen, answers) == ([b"1"], [])
        going_on.set()
        await settle(it.js.bus)
        assert seen == [b"1", b"2", b"3"]
        assert [data for _, data in answers] == [b"+ACK", b"+ACK"]
        assert [type(error) for error in it.errors] == [ValueError]


@pytest.mark.parametrize(
    "options",
    [
        {"manual_ack": True},
        {"ack_policy": AckPolicy.NONE},
        {"ack_policy": AckPolicy.FLOW_CONTROL},
    ],
)
async def test_callbacks_after_which_nothing_is_acknowledged(options: dict[str, Any]) -> None:
    seen: list[JSMsg] = []
    async with reader(seen.append, **options) as it:
        answers = await Answers.to(it.server, "$JS.ACK.>")
        await it.deliver(1)
        assert (len(seen), answers) == (1, [])


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_what_a_callback_waits_for_may_be_cancelled(is_async: bool) -> None:
    async def later(_: JSMsg) -> None:
        await cancelled()

    async with reader(later if is_async else lambda _: cancelled().result()) as it:
        answers = await Answers.to(it.server, "$JS.ACK.>")
        await it.deliver(1, 2)
        await settle(it.js.bus)
        assert [type(error) for error in it.errors] == [CallbackCancelled] * 2
        assert answers == []


async def test_only_what_was_handled_is_acknowledged() -> None:
    class Take:
        seen: ClassVar[list[bytes]] = []

        async def __call__(self, msg: JSMsg) -> None:
            await asyncio.sleep(0)
            self.seen.append(msg.data)

    take = Take()
    async with reader(take) as it:
        answers = await Answers.to(it.server, "$JS.ACK.>")
        await it.deliver(1)
        await settle(it.js.bus)
        assert (take.seen, [data for _, data in answers]) == ([b"1"], [b"+ACK"])
    async with reader(lambda msg: take(msg) or None) as it:
        answers = await Answers.to(it.server, "$JS.ACK.>")
        await it.deliver(2)
        await settle(it.js.bus)
        assert (take.seen, answers) == ([b"1"], [])
        assert [type(error) for error in it.errors] == [Unsupported]


async def test_who_gives_up_waiting_may_go_on_iterating() -> None:
    async with reader() as it:
        messages = aiter(it.subscription)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(messages), 0.001)
        await it.deliver(1)
        assert (await anext(messages)).data == b"1"


async def test_what_somebody_else_publishes_there() -> None:
    seen: list[bytes] = []
    async with reader(lambda msg: seen.append(msg.data)) as it:
        it.server.bus.publish(TO, b"no message of a stream")
        await settle(it.js.bus)
        assert seen == [b"no message of a stream"]
        assert [type(error) for error in it.errors] == [NotJSMessage]


async def test_a_stored_message_that_looks_like_a_status_is_a_message() -> None:
    async with reader() as it:
        raw = b"NATS/1.0 100 Idle Heartbeat\r\n\r\n"
        ack = "$JS.ACK.s.c.1.1.1.1700000000000000001.0"
        it.server.bus._hub.publish(Msg(TO, raw_headers=raw, reply=ack))
        assert (await it.subscription.next_msg()).metadata.sequence == (1, 1)


# -- flow control


async def test_flow_control_is_answered_when_what_came_before_is_taken() -> None:
    async with reader() as it:
        answers = await Answers.to(it.server, "fc.*")
        await it.deliver(1, 2)
        await it.want_answer("fc.a")
        await it.deliver(3)
        await it.beat(3, **{"Nats-Consumer-Stalled": "fc.a"})  # still, as nobody reads
        await settle(it.js.bus)
        assert answers == []
        assert await it.next(2) == [b"1", b"2"]
        await settle(it.js.bus)
        assert answers == []
        assert await it.next(1) == [b"3"]
        await settle(it.js.bus)
        assert answers == [("fc.a", b"")]
        waiting = asyncio.create_task(it.subscription.next_msg(None))
        await it.want_answer("fc.b")
        await it.beat(3, **{"Nats-Consumer-Stalled": "fc.c"})  # a request that was lost
        assert answers == [("fc.a", b""), ("fc.a", b""), ("fc.b", b""), ("fc.c", b"")]
        await it.deliver(4)
        await waiting
        assert it.errors == []


async def test_flow_control_of_a_callback_is_answered_at_once() -> None:
    async with reader(lambda _: None) as it:
        answers = await Answers.to(it.server, "fc.*")
        await it.deliver(1)
        await it.want_answer("fc.a")
        assert answers == [("fc.a", b"")]


async def test_a_bus_without_room_for_an_answer() -> None:
    async with reader(lambda _: None) as it:

        def full(*_: object) -> None:
            raise OutboundBufferFull(7)

        it.js.bus.publish = full  # type: ignore[method-assign]
        await it.want_answer("fc.a")
        assert [type(error) for error in it.errors] == [OutboundBufferFull]


# -- what heartbeats tell


async def test_a_gap_is_reported_once() -> None:
    async with reader(lambda _: None) as it:
        await it.beat(7)  # before us
        await it.deliver(8, 9)
        for last in (9, 9, 12, 12, "?", 13):
            await it.beat(last)
        gaps = [error for error in it.errors if isinstance(error, SequenceGap)]
        assert [(error.last, error.sequence) for error in gaps] == [(9, 13), (9, 14)]
        await it.deliver(14)
        await it.beat(14)
        await it.beat("9" * 5000)
        ack = "$JS.ACK.nonsense"
        it.server.bus.publish(TO, b"", ack)
        await it.beat(20)
        assert it.errors == gaps


async def test_of_a_group_one_member_sees_gaps_and_that_is_no_fault() -> None:
    async with reader(lambda _: None, deliver_group="q", idle_heartbeat=BEAT) as it:
        await it.deliver(1, 5)
        await it.beat(9)
        await asyncio.sleep(BEAT * 5)  # silence is none, either
        assert it.errors == []


async def test_silence_is_noticed_after_three_heartbeats() -> None:
    almost = asyncio.Event()  # a timer of the same loop comes in order, however late
    asyncio.get_running_loop().call_later((push.MISSED_MAX - 0.5) * BEAT, almost.set)
    async with reader(idle_heartbeat=BEAT) as it:
        it.server.answers["CONSUMER.INFO"] = THERE
        await it.server.expect("CONSUMER.INFO")
        assert almost.is_set()
        assert [type(error) for error in it.errors] == [NoHeartbeat]
        assert str(it.errors[0]) == "nothing from consumer 'c' for 0.015 s"
        await it.server.expect("CONSUMER.INFO")
        assert len(it.errors) == 2
        await it.deliver(1)
        assert await it.next(1) == [b"1"]


async def test_no_silence_while_anything_comes_or_there_is_no_connection() -> None:
    async with reader(idle_heartbeat=BEAT) as it:
        for number in range(1, 8):
            await it.beat(0) if number % 2 else await it.deliver(number)
            await asyncio.sleep(BEAT)
        set_status(it.js, Status.RECONNECTING)
        await asyncio.sleep(BEAT * 5)
        assert it.errors == []


@pytest.mark.parametrize("cb", [None, lambda _: None])
async def test_a_consumer_that_is_gone_ends_it(cb: Any) -> None:
    async with reader(cb, idle_heartbeat=BEAT) as it:
        it.server.answers["CONSUMER.INFO"] = NOT_FOUND
        await it.deliver(1)
        while not it.subscription.ended:
            await it.told.wait()
            it.told.clear()
            await settle(it.js.bus)
        kinds = [NoHeartbeat] if cb is None else [NoHeartbeat, ConsumerNotFound]
        assert [type(error) for error in it.errors] == kinds
        if cb is None:
            assert (await it.subscription.next_msg()).data == b"1"  # what is here is still here
            with pytest.raises(ConsumerNotFound):
                await it.subscription.next_msg()
            with pytest.raises(ConsumerNotFound):
                await it.next(1)


async def test_a_status_makes_us_look() -> None:
    async with reader(lambda _: None) as it:
        it.server.answers["CONSUMER.INFO"] = [THERE, NOT_FOUND]
        it.server.say(TO, 503, "something new")
        await it.server.expect("CONSUMER.INFO")
        await settle(it.js.bus)
        assert not it.subscription.ended
        it.server.say(TO, 409, "Consumer Deleted")
        await it.server.expect("CONSUMER.INFO")
        await settle(it.js.bus)
        assert it.subscription.ended
        kinds = [ServiceUnavailable, ConsumerDeleted, ConsumerNotFound]
        assert [type(error) for error in it.errors] == kinds


# -- lost connections


async def test_after_a_lost_connection_it_looks_until_it_knows() -> None:
    async with reader() as it:
        it.server.answers["CONSUMER.INFO"] = [BUSY, b"nonsense", THERE]
        set_status(it.js, Status.RECONNECTING)
        assert await it.server.none("CONSUMER.INFO")
        set_status(it.js, Status.CONNECTED)
        set_status(it.js, Status.RECONNECTING)
        set_status(it.js, Status.CONNECTED)  # it is looking already
        for _ in range(3):
            await it.server.expect("CONSUMER.INFO")
        await settle(it.js.bus)
        assert await it.server.none("CONSUMER.INFO")
        assert [isinstance(error, APIError) for error in it.errors] == [True, False]
        await it.deliver(1)
        assert await it.next(1) == [b"1"]


async def test_who_may_not_ask_about_the_consumer_asks_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(push, "PAUSE_S_MAX", 0.001)
    async with reader() as it:
        set_status(it.js, Status.RECONNECTING)
        set_status(it.js, Status.CONNECTED)
        request = await it.server.expect("CONSUMER.INFO")
        refuse(it.js.bus, f"$JS.API.{request.operation}")
        await it.told.wait()
        assert it.subscription._work is not None
        await it.subscription._work
        assert [type(error) for error in it.errors] == [PermissionsViolation]
        await it.deliver(1)
        assert (await it.subscription.next_msg()).data == b"1"


async def test_a_consumer_that_delivers_elsewhere_now() -> None:
    async with reader() as it:
        it.server.answers["CONSUMER.INFO"] = {**THERE, "config": {"deliver_subject": "other"}}
        set_status(it.js, Status.RECONNECTING)
        set_status(it.js, Status.CONNECTED)
        with pytest.raises(ConsumerMismatch, match="delivers to another subject now"):
            await it.subscription.next_msg(None)


@pytest.mark.parametrize("error", [NotConnected("x"), ConnectionClosed("x")])
async def test_the_connection_goes_while_it_looks(error: Exception) -> None:
    async with reader() as it:
        asked = asyncio.Event()

        async def request(*_: object) -> Msg:
            asked.set()
            raise error

        it.js.bus.request = request  # type: ignore[method-assign]
        set_status(it.js, Status.RECONNECTING)
        set_status(it.js, Status.CONNECTED)
        await asked.wait()
        await settle(it.js.bus)
        assert (it.subscription.ended, it.errors) == (False, [])


# -- the end


async def test_it_ends_after_so_many() -> None:
    async with reader(idle_heartbeat=10) as it:
        await it.deliver(1, 2, 3)
        assert await it.next(1) == [b"1"]
        await it.subscription.unsubscribe(limit=2)
        assert not it.subscription.ended
        assert await it.next(10) == [b"2"]
        assert it.subscription.ended
        with pytest.raises(ConnectionClosed):
            await it.subscription.next_msg()


async def test_a_callback_ends_after_so_many() -> None:
    seen: list[bytes] = []

    async def take(msg: JSMsg) -> None:
        seen.append(msg.data)

    async with reader(take) as it:
        await it.subscription.unsubscribe(limit=2)
        answers = await Answers.to(it.server, "$JS.ACK.>")
        await it.deliver(1, 2, 3)
        assert (seen, len(answers)) == ([b"1", b"2"], 2)
        await it.subscription.unsubscribe(limit=1)  # has come already
        assert it.subscription.ended


async def test_unsubscribing_leaves_what_has_arrived() -> None:
    async with reader() as it:
        await it.deliver(1)
        it.server.say(TO, 409, "Consumer Deleted")
        await it.deliver(2)
        await it.subscription.unsubscribe()
        await it.deliver(3)
        assert await it.next(10) == [b"1", b"2"]
        assert [type(error) for error in it.errors] == [ConsumerDeleted]
        assert await it.server.none("CONSUMER")  # neither deleted nor asked for
        await it.subscription.unsubscribe()


async def test_drain_hands_over_what_is_on_its_way() -> None:
    seen: list[bytes] = []

    async def take(msg: JSMsg) -> None:
        await asyncio.sleep(0)
        seen.append(msg.data)

    async with reader(take, idle_heartbeat=BEAT) as it:
        for sequence in range(1, 8):
            it.server.deliver(Request("", reply=TO), sequence, b"%d" % sequence)
        await it.subscription.drain()
        assert seen == [b"%d" % sequence for sequence in range(1, 8)]
        await it.subscription.drain()
        set_status(it.js, Status.CONNECTING)
        set_status(it.js, Status.CONNECTED)
        await asyncio.sleep(BEAT * 5)
        assert (it.errors, await it.server.none("CONSUMER.INFO")) == ([], True)


async def test_the_end_stops_what_it_looks_for() -> None:
    async with reader() as it:
        set_status(it.js, Status.RECONNECTING)
        set_status(it.js, Status.CONNECTED)
        await it.server.expect("CONSUMER.INFO")  # which is not answered
        await it.subscription.unsubscribe()
        await settle(it.js.bus)
        assert it.errors == []


@pytest.mark.parametrize("beat", [None, BEAT])
async def test_the_server_takes_the_subscription_away(beat: float | None) -> None:
    async with reader(idle_heartbeat=beat) as it:
        it.subscription._subscription.end()
        if beat is None:
            set_status(it.js, Status.RECONNECTING)
            set_status(it.js, Status.CONNECTED)
        else:
            await asyncio.sleep(BEAT * 5)
        assert it.subscription.ended
        assert it.errors == []
        assert await it.server.none("CONSUMER.INFO")


async def test_the_bus_is_closed() -> None:
    async with reader(idle_heartbeat=BEAT) as it:
        waiting = asyncio.create_task(it.next(1))
        await settle(it.js.bus)
        await it.js.bus.close()
        assert await waiting == []
        await asyncio.sleep(BEAT * 5)
        assert it.errors == []
        with pytest.raises(ConnectionClosed):
            await it.subscription.next_msg()


async def test_errors_are_logged_unless_somebody_listens(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with jetstream() as (js, server):
        config = ConsumerConfig(deliver_subject=TO, idle_heartbeat=BEAT)
        with caplog.at_level(logging.WARNING):
            async with await js.subscribe_bind("s", config, "c"):
                await server.expect("CONSUMER.INFO")
    assert "consumer c of s: nothing from consumer 'c'" in caplog.text


async def test_the_log_tells_where_a_callback_raised(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: JSMsg) -> None:
        raise ValueError("in the callback")

    async with jetstream() as (js, server):
        config = ConsumerConfig(deliver_subject=TO)
        async with await js.subscribe_bind("s", config, "c", fail):
            await Reader(js, server).deliver(1)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert (record.exc_info[0], "in the callback" in record.getMessage()) == (ValueError, True)
