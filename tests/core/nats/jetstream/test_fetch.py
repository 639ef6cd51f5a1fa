"""Fetching: what is asked, and every way a request can end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_core.bus import Status
from agents_core.errors import (
    ConnectionClosed,
    NotConnected,
    PermissionsViolation,
    SubscriptionEnded,
)
from agents_core.nats.jetstream import JSMsg, PullSubscription, fetch
from agents_core.nats.jetstream.errors import (
    APIError,
    BadRequest,
    ConsumerDeleted,
    ConsumerIsPush,
    ConsumerNotFound,
    FetchTimeout,
    InvalidOption,
    JetStreamNotEnabled,
    MaxBytesExceeded,
    NoHeartbeat,
    PullRefused,
)
from tests.core.nats.jetstream.fake import (
    CONSUMER,
    NOT_FOUND,
    deafen,
    jetstream,
    refuse,
    set_status,
    settle,
)

SECOND = 1_000_000_000
UNAVAILABLE = {"error": {"code": 503, "err_code": 10008, "description": "unavailable"}}
NOT_ENABLED = {"error": {"code": 503, "err_code": 10076, "description": "not enabled"}}


def start(subscription: PullSubscription, *arguments: Any, **options: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(subscription.fetch(*arguments, **options))


async def payloads(fetching: asyncio.Task[list[JSMsg]]) -> list[bytes]:
    return [msg.data for msg in await fetching]


async def test_a_request_is_one_shot_and_ends_before_the_fetch() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription, 3, 5)
        request = await server.pull()
        assert request.operation == "CONSUMER.MSG.NEXT.s.c"
        assert request.body == {"batch": 3, "no_wait": True, "expires": 4.98 * SECOND}
        for number in range(1, 4):
            server.deliver(request, number, b"%d" % number)
        assert await payloads(fetching) == [b"1", b"2", b"3"]


async def test_it_returns_what_there_is() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription, 10)
        request = await server.pull()
        server.deliver(request, 1, b"1")
        server.say(request, 404, "No Messages")
        assert await payloads(fetching) == [b"1"]
        fetching = start(subscription, 10, no_wait=True)
        request = await server.pull()
        assert request.body == {"batch": 10, "no_wait": True}
        server.say(request, 404, "No Messages")
        assert await fetching == []


async def test_no_answer_is_no_message_for_one_that_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As from a consumer with `max_ack_pending` messages that are not acknowledged."""
    monkeypatch.setattr(fetch, "NO_WAIT_S", 0.01)
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription, 2, None, 0.001, no_wait=True)
        late = await server.pull()
        assert await fetching == []
        server.deliver(late, 1, b"1")
        await settle(js.bus)
        assert [msg.data for msg in await subscription.fetch(2, no_wait=True)] == [b"1"]


async def test_nothing_in_time() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        with pytest.raises(FetchTimeout, match=r"no message from consumer 'c' within 0\.03 s"):
            await subscription.fetch(timeout=0.03)
        fetching = start(subscription, timeout=0.05)
        await server.pull()
        server.say(await server.pull(), 408, "Request Timeout", pending=1)
        with pytest.raises(FetchTimeout):
            await fetching


async def test_a_status_that_means_an_earlier_request_is_passed_over() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription)
        first = await server.pull()
        server.deliver(first, 1, b"1")
        assert await payloads(fetching) == [b"1"]
        fetching = start(subscription)
        second = await server.pull()
        server.say(first, 409, "Consumer Deleted")
        server.say(second, 100, "Idle Heartbeat")
        server.bus.publish(second.reply, b"not of the server")
        server.deliver(second, 2, b"2")
        assert await payloads(fetching) == [b"2"]


async def test_what_came_too_late_is_there_for_the_next_fetch() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription, 2)
        request = await server.pull()
        fetching.cancel()
        await asyncio.wait([fetching])
        for number in range(1, 4):
            server.deliver(request, number, b"%d" % number)
        await settle(js.bus)
        assert [msg.data for msg in await subscription.fetch(2)] == [b"1", b"2"]
        assert [msg.data for msg in await subscription.fetch(2)] == [b"3"]
        assert await server.none("CONSUMER.MSG.NEXT")


async def test_what_came_too_late_for_several_fetches_is_there_for_the_next_ones() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = [start(subscription), start(subscription), start(subscription)]
        requests = [await server.pull() for _ in fetching]
        for task in fetching:
            task.cancel()
        await asyncio.wait(fetching)
        for number, request in enumerate(requests[:2], 1):
            server.deliver(request, number, b"%d" % number)
        await settle(js.bus)
        assert [msg.data for msg in await subscription.fetch()] == [b"1"]
        assert [msg.data for msg in await subscription.fetch()] == [b"2"]
        assert await server.none("CONSUMER.MSG.NEXT")


async def test_what_comes_too_late_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "HELD_MAX", 2)
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription, 9)
        request = await server.pull()
        for number in range(1, 5):
            server.deliver(request, number, b"%d" % number)
        server.say(request, 404, "No Messages")
        assert await payloads(fetching) == [b"1", b"2"]


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (400, "Bad Request - invalid", BadRequest),
        (409, "Consumer Deleted", ConsumerDeleted),
        (409, "Consumer is push based", ConsumerIsPush),
        (409, "Exceeded MaxRequestBatch of 5", PullRefused),
        (409, "Message Size Exceeds MaxBytes", MaxBytesExceeded),
    ],
)
async def test_statuses_that_end_it(code: int, words: str, kind: type[APIError]) -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription, 2)
        request = await server.pull()
        server.say(request, code, words)
        with pytest.raises(kind, match=words):
            await fetching
        fetching = start(subscription, 2)
        request = await server.pull()
        server.deliver(request, 1, b"1")
        server.say(request, code, words)
        assert await payloads(fetching) == [b"1"]  # the next fetch will hear it


@pytest.mark.parametrize("words", ["Requests Pending", "Leadership Change", "Exceeded MaxWaiting"])
async def test_statuses_after_which_it_asks_again(words: str) -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription)
        server.say(await server.pull(), 409, words)
        server.deliver(await server.pull(), 1, b"1")
        assert await payloads(fetching) == [b"1"]
        fetching = start(subscription, timeout=0.03)
        server.say(await server.pull(), 409, words)
        with pytest.raises(FetchTimeout) as raised:
            await fetching
        assert isinstance(raised.value.__cause__, PullRefused)


async def test_nobody_takes_the_request() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        server.answers["CONSUMER.INFO"] = [CONSUMER, NOT_FOUND]
        fetching = start(subscription)
        server.say(await server.pull(), 503)  # no leader yet
        server.say(await server.pull(), 503)
        with pytest.raises(ConsumerNotFound):
            await fetching


@pytest.mark.parametrize("answers", [{}, {"CONSUMER.INFO": UNAVAILABLE}])
async def test_nobody_tells_why_nobody_takes_the_request(answers: dict[str, Any]) -> None:
    """As while a cluster elects the consumer's leader."""
    async with jetstream(timeout=60) as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        server.answers.update(answers)
        fetching = start(subscription, timeout=0.05)
        server.say(await server.pull(), 503)
        with pytest.raises(FetchTimeout):
            await fetching


async def test_the_connection_is_lost_while_it_is_asked_why() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription)
        server.say(await server.pull(), 503)
        await server.expect("CONSUMER.INFO")
        set_status(js, Status.RECONNECTING)
        js.bus._requests.fail_all(NotConnected(""))  # type: ignore[attr-defined]
        set_status(js, Status.CONNECTED)
        server.deliver(await server.pull(), 1)
        assert len(await fetching) == 1


async def test_there_is_no_jetstream_any_more() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        server.answers["CONSUMER.INFO"] = NOT_ENABLED
        fetching = start(subscription)
        server.say(await server.pull(), 503)
        with pytest.raises(JetStreamNotEnabled):
            await fetching


async def test_a_pin_is_sent_until_another_client_has_it() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription, group="g", priority=1)
        request = await server.pull()
        assert (request.body["group"], request.body["priority"]) == ("g", 1)
        server.deliver(request, 1, headers={"Nats-Pin-Id": "one"})
        await fetching
        fetching = start(subscription, group="g")
        request = await server.pull()
        assert request.body["id"] == "one"
        server.say(request, 423, "Nats-Wrong-Pin-Id", pending=1)
        request = await server.pull()
        assert "id" not in request.body
        server.deliver(request, 2)
        assert len(await fetching) == 1


async def test_ended_before_it_has_begun() -> None:
    async with jetstream() as (js, server):
        subscribe, may_go_on = js.bus.subscribe, asyncio.Event()

        async def slowly(*arguments: Any, **options: Any) -> Any:
            await may_go_on.wait()
            return await subscribe(*arguments, **options)

        js.bus.subscribe = slowly  # type: ignore[method-assign]
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription, timeout=None)
        await asyncio.sleep(0)
        await subscription.unsubscribe()
        may_go_on.set()
        with pytest.raises(SubscriptionEnded):
            await fetching
        assert await server.none("CONSUMER.MSG.NEXT")


async def test_silence() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription, timeout=5, heartbeat=0.01)
        request = await server.pull()
        assert request.body["idle_heartbeat"] == 0.01 * SECOND
        with pytest.raises(NoHeartbeat, match=r"nothing from consumer 'c' for 0\.02 s"):
            await fetching
        fetching = start(subscription, timeout=0.1, heartbeat=0.02)
        request = await server.pull()
        beats = asyncio.create_task(beat(server, request))
        with pytest.raises(FetchTimeout):
            await fetching
        beats.cancel()
        await asyncio.wait([beats])


async def test_silence_is_one_only_where_heartbeats_were_asked_for() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription, timeout=0.03, heartbeat=0.01)
        request = await server.pull()
        assert "idle_heartbeat" not in request.body  # there would be but one of them
        with pytest.raises(FetchTimeout):
            await fetching
        fetching = start(subscription, timeout=20, heartbeat=0.01)
        set_status(js, Status.RECONNECTING)
        await asyncio.wait([fetching], timeout=0.1)
        set_status(js, Status.CONNECTED)
        server.deliver(await server.pull(), 1, b"1")
        assert await payloads(fetching) == [b"1"]


async def beat(server: Any, request: Any) -> None:
    while True:
        server.say(request, 100, "Idle Heartbeat")
        await asyncio.sleep(0.005)


async def test_the_default_heartbeat() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        for timeout in (None, 31):
            fetching = start(subscription, timeout=timeout)
            request = await server.pull()
            assert request.body["expires"] == 29.98 * SECOND
            assert request.body["idle_heartbeat"] == 10 * SECOND
            fetching.cancel()
            await asyncio.wait([fetching])


async def test_a_lost_connection_is_waited_for() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription)
        await server.pull()
        set_status(js, Status.RECONNECTING)
        assert await server.none("CONSUMER.MSG.NEXT")
        set_status(js, Status.CONNECTED)
        server.deliver(await server.pull(), 1, b"1")
        assert await payloads(fetching) == [b"1"]
        set_status(js, Status.RECONNECTING)
        with pytest.raises(NotConnected):
            await subscription.fetch(no_wait=True)


async def test_the_end_of_the_bus_and_of_the_subscription() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription)
        await server.pull()
        await subscription.unsubscribe()
        with pytest.raises(SubscriptionEnded, match="'c' has ended"):
            await fetching
        with pytest.raises(SubscriptionEnded, match="'c' has ended"):
            await subscription.fetch()
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = start(subscription)
        await server.pull()
        await js.bus.close()
        with pytest.raises(ConnectionClosed):
            await fetching
        fresh = await js.pull_subscribe_bind("c", "s")
        with pytest.raises(ConnectionClosed):
            await fresh.fetch()


async def test_bytes() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        fetching = asyncio.create_task(subscription.fetch_bytes(400))
        request = await server.pull()
        assert (request.body["batch"], request.body["max_bytes"]) == (1_000_000, 400)
        size = len(request.reply) + len("$JS.ACK.s.c.1.1.1.1700000000000000001.0")
        for number in (1, 2):
            server.deliver(request, number, bytes(200 - size))
        assert len(await fetching) == 2  # exactly so much: the server says nothing more
        fetching = asyncio.create_task(subscription.fetch_bytes(400))
        request = await server.pull()
        fetching.cancel()
        await asyncio.wait([fetching])
        for number in (3, 4, 5):
            server.deliver(request, number, bytes(150))
        await settle(js.bus)
        assert len(await subscription.fetch_bytes(600)) == 2
        assert len(await subscription.fetch_bytes(10)) == 1  # at least one that is here


async def test_arguments() -> None:
    async with jetstream() as (js, _):
        subscription = await js.pull_subscribe_bind("c", "s")
        for call in (
            subscription.fetch(0),
            subscription.fetch(timeout=0),
            subscription.fetch_bytes(0),
            subscription.fetch(2.5),  # type: ignore[arg-type]
            subscription.fetch(heartbeat=-1),
            subscription.fetch(priority=10),
        ):
            with pytest.raises(InvalidOption):
                await call
        for name in ("timeout", "heartbeat"):  # the loop would lose its other deadlines by it
            options: Any = {name: float("nan")}
            with pytest.raises(ValueError, match=f"{name}: nan is not a number of seconds"):
                await subscription.fetch(**options)


async def test_who_may_not_ask_or_hear_is_told_so() -> None:
    async with jetstream() as (js, server):
        subscription = await js.pull_subscribe_bind("c", "s")
        for operation in ("publish", "subscription", "publish"):
            fetching = start(subscription, timeout=None)
            request = await server.pull()
            refuse(js.bus, "else")
            refuse(js.bus, "else", "subscription")
            inbox = request.reply.rpartition(".")[0]
            refused = (
                f"{inbox}.*" if operation == "subscription" else "$JS.API.CONSUMER.MSG.NEXT.s.c"
            )
            refuse(js.bus, refused, operation)
            with pytest.raises(PermissionsViolation):
                await fetching
        fetching = start(subscription)  # it may have been allowed meanwhile
        server.deliver(await server.pull(), 1, b"1")
        assert await payloads(fetching) == [b"1"]


async def test_refused_before_it_asks() -> None:
    async with jetstream() as (js, _):
        deafen(js.bus)
        subscription = await js.pull_subscribe_bind("c", "s")
        with pytest.raises(PermissionsViolation):
            await subscription.fetch(timeout=None)
