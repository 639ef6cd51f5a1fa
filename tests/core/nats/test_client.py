"""The client: what it sends, how it is lost and comes back, and how it ends."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from agents_core import nats
from agents_core.bus import Status
from agents_core.errors import (
    AuthorizationError,
    ConnectionClosed,
    InvalidHeader,
    InvalidSubject,
    MaxPayloadExceeded,
    NotConnected,
    OutboundBufferFull,
    PermissionsViolation,
    RequestTimeout,
    SlowConsumer,
    TransportError,
)
from agents_core.nats.connection import WRITE_BYTES
from agents_core.testing.server import ScriptedServer, Session, info
from tests.core.nats.scripted import client, reached, session, unhandled, until


async def test_publish() -> None:
    async with session() as (nc, peer, _):
        await nc.publish("a", b"x", "r", {"K": ["v", "w"]})
        command = await peer.expect("HPUB")
        assert command.line == b"HPUB a r 24 25"
        assert command.payload == b"NATS/1.0\r\nK: v\r\nK: w\r\n\r\nx"
        assert (nc.stats.out_msgs, nc.stats.out_bytes) == (1, 1)


async def test_many_in_one_turn() -> None:
    async with session() as (nc, peer, _):
        payload = bytearray(b"was")
        for number in range(4):
            nc.publish("a", b"%d" % number)
            nc.publish("b", b"", f"r.{number}")
            nc.publish("c", headers={"K": "v"})
            nc.publish("d", payload)
        for wrong in ({"subject": "a b"}, {"subject": "a", "reply": "b c"}):
            with pytest.raises(InvalidSubject):
                nc.publish(**wrong)
        payload[:] = b"is "
        assert (nc.stats.out_msgs, nc.stats.out_bytes) == (16, 4 * 4)
        await nc.flush()
        assert (nc.stats.out_msgs, nc.stats.out_bytes, nc.pending_data_size) == (16, 16, 0)
        sent = [command for command in peer.commands if "PUB" in command.verb]
        expected = []
        for number in range(4):
            expected += [(b"PUB a 1", b"%d" % number), (b"PUB b r.%d 0" % number, b"")]
            expected += [(b"HPUB c 18 18", b"NATS/1.0\r\nK: v\r\n\r\n"), (b"PUB d 3", b"was")]
        assert [(command.line, command.payload) for command in sent] == expected


async def test_many_alike_in_one_turn() -> None:
    rng, expected = Random(1), []
    async with session() as (nc, peer, _):
        for _ in range(200):
            subject, payload = rng.choice(["a", "b.é"]), bytes(rng.choice([0, 1, 1000]))
            reply = rng.choice(["", "", "r"])
            line = f"PUB {subject} {reply} {len(payload)}".replace("  ", " ").encode()
            for _ in range(rng.choice([1, 2, 3, 100])):
                nc.publish(subject, payload, reply)
                expected.append((line, payload))
            assert nc.pending_data_size <= WRITE_BYTES
        size = sum(len(payload) for _, payload in expected)
        assert (nc.stats.out_msgs, nc.stats.out_bytes) == (len(expected), size)
        await nc.flush()
        assert nc.pending_data_size == 0
        sent = [command for command in peer.commands if command.verb == "PUB"]
        assert [(command.line, command.payload) for command in sent] == expected


async def test_what_looks_alike_and_is_not() -> None:
    async with session() as (nc, peer, _):
        payload = bytearray(b"was")
        for _ in range(3):
            nc.publish("a", b"one")
        nc.publish("a", payload)
        nc.publish("a", b"two", "r")
        nc.publish("a", b"six", headers={"K": "v"})
        with pytest.raises(TypeError):
            nc.publish("a", "six")  # type: ignore[arg-type]
        payload[:] = b"is "
        nc.publish("a", b"ten")
        await nc.flush()
        sent = [command.payload[-3:] for command in peer.commands if "PUB" in command.verb]
        assert sent == [b"one", b"one", b"one", b"was", b"two", b"six", b"ten"]
        assert nc.stats.out_msgs == 7


async def test_many_alike_when_the_connection_is_lost() -> None:
    async with session() as (nc, peer, server):
        for number in range(10):
            nc.publish("a", b"%d" % number)
        server.down = {"one"}
        peer.cut()
        await reached(nc, Status.RECONNECTING)
        assert nc.pending_data_size < 1000
        for number in range(10, 20):
            nc.publish("a", b"%d" % number)
        server.down = ()
        await reached(nc, Status.CONNECTED)
        await nc.flush()
        again = await server.accept()
        sent = [int(c.payload) for c in peer.commands + again.commands if c.verb == "PUB"]
        assert sent == list(range(20))
        assert nc.stats.out_msgs == 20


async def test_less_is_accepted_in_the_same_turn() -> None:
    async with session() as (nc, peer, _):
        await nc.subscribe("a", cb=lambda _: nc.publish("b", bytes(6)))
        peer.send(b"MSG a 1 0\r\n\r\nMSG a 1 0\r\n\r\n")
        await nc.flush()
        for _ in range(3):
            nc.publish("b", bytes(6))
        peer._deliver(info(max_payload=5))
        with pytest.raises(MaxPayloadExceeded):
            nc.publish("b", bytes(6))


async def test_what_a_server_would_punish_is_refused_before_it_is_sent() -> None:
    server = ScriptedServer(info(max_payload=8))
    async with client(server) as nc:
        peer = await server.accept()
        await peer.expect("PING")
        for subject in ("", "a b", "a..b", "a.*", "a\r\nPING"):
            with pytest.raises(InvalidSubject):
                nc.publish(subject)
            with pytest.raises(InvalidSubject):
                nc.publish("a", reply=subject or " ")
        with pytest.raises(InvalidHeader):
            nc.publish("a", headers={"a b": "c"})
        with pytest.raises(MaxPayloadExceeded, match="9 bytes"):
            nc.publish("a", bytes(9))
        with pytest.raises(MaxPayloadExceeded):
            nc.publish("a", headers={"a": "b"})
        with pytest.raises(InvalidSubject):
            await nc.subscribe("a..b")
        with pytest.raises(InvalidSubject):
            await nc.subscribe("a", "two words")
        await nc.flush()
        assert [command.verb for command in peer.commands] == ["PING"]
        assert nc.stats.out_msgs == 0


async def test_info_may_come_at_any_time() -> None:
    async with session() as (nc, peer, _):
        peer.send(info(max_payload=5))
        await nc.flush()
        assert nc.max_payload == 5
        peer.send(b'INFO {"max_payload":"many"}\r\n')
        await nc.flush()
        assert nc.max_payload == 1024 * 1024


async def test_subscriptions_and_their_end() -> None:
    async with session() as (nc, peer, _):
        first = await nc.subscribe("a.*", "workers")
        second = await nc.subscribe("b", max_msgs=2)
        assert (await peer.expect("SUB")).line == b"SUB a.* workers 1"
        assert (await peer.expect("SUB")).line == b"SUB b 2"
        assert (await peer.expect("UNSUB")).line == b"UNSUB 2 2"
        for _ in range(3):
            peer.message("b", sid=2)
        assert [msg.subject async for msg in second] == ["b", "b"]
        await first.unsubscribe()
        assert (await peer.expect("UNSUB")).line == b"UNSUB 1"
        peer.message("a.x", sid=1)
        await nc.flush()
        assert (first.received, nc.stats.in_msgs) == (0, 4)


async def test_unsubscribe_after_a_total_counts_as_the_server_does() -> None:
    async with session() as (nc, peer, server):
        subscription = await nc.subscribe("a")
        for _ in range(3):
            peer.message("a")
        await until(lambda: subscription.received == 3)
        await subscription.unsubscribe(5)
        assert (await peer.expect("UNSUB")).line == b"UNSUB 1 5"  # the server has counted 3 of them
        peer.message("a")
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        again = await server.accept()
        assert (await again.expect("UNSUB")).line == b"UNSUB 1 1"  # this one none
        again.message("a")
        await until(lambda: subscription.ended)


# -- what the server says


async def test_a_refused_subscription_ends_with_the_reason() -> None:
    async with session() as (nc, peer, server):
        by_sid = await nc.subscribe("a")
        other = await nc.subscribe("a", "q")
        peer.error('Permissions Violation for Subscription to "a" (sid "1")')
        with pytest.raises(PermissionsViolation, match="sid"):
            await by_sid.next_msg()
        with pytest.raises(PermissionsViolation):
            [msg async for msg in by_sid]
        assert not other.ended
        plain = await nc.subscribe("a")
        peer.error('Permissions Violation for Subscription to "a" using queue "q"')
        with pytest.raises(PermissionsViolation):
            await other.next_msg()
        assert not plain.ended
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        again = await server.accept()
        await nc.flush()
        assert [c.line for c in again.commands if c.verb == "SUB"] == [b"SUB a 3"]


# -- barriers and ending


async def test_flush_is_a_barrier_behind_what_was_published() -> None:
    async with session() as (nc, peer, _):
        await peer.expect("PING")
        nc.publish("a", b"1")
        await nc.flush()
        assert [command.verb for command in peer.commands] == ["PUB", "PING"]
        assert 0 <= await nc.rtt() < 30


async def test_flush_that_nobody_answers() -> None:
    async with session() as (nc, peer, server):
        del server.answers["PING"]
        with pytest.raises(RequestTimeout, match="PING"):
            await nc.flush(0.001)
        waiting = asyncio.create_task(nc.flush())
        await asyncio.sleep(0)
        peer.send(b"PONG\r\n")  # answers the one that gave up
        peer.send(b"PONG\r\n")
        await waiting
        waiting = asyncio.create_task(nc.flush())
        await asyncio.sleep(0)
        peer.cut()
        with pytest.raises(NotConnected):
            await waiting


async def test_a_flush_that_was_given_up_complains_to_nobody_when_the_connection_is_lost() -> None:
    async with session() as (nc, peer, server):
        del server.answers["PING"]
        with pytest.raises(RequestTimeout, match="PING"):
            await nc.flush(0.001)
        with unhandled() as errors:
            peer.cut()
            await reached(nc, Status.RECONNECTING)
        assert errors == []


async def test_a_flush_that_was_cancelled_is_not_counted_twice() -> None:
    async with session() as (nc, peer, server):
        del server.answers["PING"]
        first = asyncio.create_task(nc.flush())
        second = asyncio.create_task(nc.flush())
        await asyncio.sleep(0)
        first.cancel()
        peer.send(b"PONG\r\n")
        await nc.publish("a")
        assert not second.done()
        peer.send(b"PONG\r\n")
        await second
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_flush_while_the_client_is_closed() -> None:
    async with session() as (nc, _, server):
        del server.answers["PING"]
        waiting = asyncio.create_task(nc.flush())
        await asyncio.sleep(0)
        await nc.close()
        with pytest.raises(NotConnected):
            await waiting
        with pytest.raises(ConnectionClosed):
            await nc.flush()


async def test_close_tells_whoever_waits_and_is_final() -> None:
    closed: list[str] = []
    async with session(closed_cb=lambda: closed.append("closed")) as (nc, peer, _):
        subscription = await nc.subscribe("a")
        reply = asyncio.create_task(nc.request("b", timeout=5))
        message = asyncio.create_task(subscription.next_msg())
        await peer.expect("PUB")
        nc.publish("last", b"words")
        await nc.close()
        await nc.close()
        for task in (reply, message):
            with pytest.raises(ConnectionClosed):
                await task
        assert (await peer.expect("PUB")).payload == b"words"
        await peer.wait_closed()
        for call in (nc.subscribe("a"), nc.request("a"), nc.rtt()):
            with pytest.raises(ConnectionClosed):
                await call
        with pytest.raises(ConnectionClosed):
            nc.publish("a")
        await nc.drain()
        assert closed == ["closed"]
        assert nc.status is Status.CLOSED


async def test_close_stops_a_callback_that_outlived_its_subscription() -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    async def hang(_: nats.Msg) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with session() as (nc, peer, _):
        await nc.subscribe("a", cb=hang, max_msgs=1)
        peer.message("a")
        await started.wait()
        await nc.close()
        await stopped.wait()


async def test_what_had_arrived_when_it_was_drained_can_still_be_read() -> None:
    async with session() as (nc, peer, _):
        subscription = await nc.subscribe("a")
        peer.message("a", b"1")
        peer.message("a", b"2")
        await nc.drain()
        assert [msg.data async for msg in subscription] == [b"1", b"2"]


async def test_drain_delivers_then_closes() -> None:
    seen: list[bytes] = []

    async def slow(msg: nats.Msg) -> None:
        await asyncio.sleep(0)
        seen.append(msg.data)
        msg.respond(b"done")

    async with session() as (nc, peer, server):
        del server.answers["PING"]
        await nc.subscribe("a", cb=slow)
        peer.message("a", b"1", reply="r")
        draining = asyncio.create_task(nc.drain())
        await reached(nc, Status.DRAINING)
        with pytest.raises(ConnectionClosed):
            await nc.subscribe("b")
        await peer.expect("UNSUB")
        peer.message("a", b"2", reply="r")  # was under way when UNSUB arrived
        server.answers["PING"] = b"PONG\r\n"
        peer.send(b"PONG\r\n")
        await draining
        assert seen == [b"1", b"2"]
        assert nc.is_closed
        assert [c.payload for c in peer.commands if c.verb == "PUB"] == [b"done"] * 2


async def test_requests_of_handlers_are_answered_while_draining() -> None:
    replies: list[bytes] = []

    async def asks(_: nats.Msg) -> None:
        replies.append((await nc.request("b", timeout=5)).data)

    async with session() as (nc, peer, _):
        first = asyncio.create_task(nc.request("b", timeout=5))
        reply = (await peer.expect("PUB")).words[2]
        peer.message(reply, b"1")
        await first
        await nc.subscribe("a", cb=asks)
        peer.message("a", sid=2)
        draining = asyncio.create_task(nc.drain())
        await reached(nc, Status.DRAINING)
        question = await peer.expect("PUB")
        for _ in range(10):  # long after everything that drain had sent was answered
            await asyncio.sleep(0)
        peer.message(question.words[2], b"2")
        await draining
        assert replies == [b"2"]


async def busy(
    nc: nats.Client, peer: Session, done: list[bytes], **options: Any
) -> tuple[nats.Subscription, asyncio.Event]:
    """A subscription whose callback is at work on one of two messages, and what lets it go on."""
    started, may_go_on = asyncio.Event(), asyncio.Event()

    async def work(msg: nats.Msg) -> None:
        started.set()
        await may_go_on.wait()
        done.append(msg.data)

    subscription = await nc.subscribe("a", cb=work, **options)
    peer.message("a", b"1")
    peer.message("a", b"2")
    await started.wait()
    await until(lambda: subscription.received == 2)
    return subscription, may_go_on


@pytest.mark.parametrize("how", ["twice", "counted", "unsubscribed", "drained", "lost", "given up"])
async def test_drain_lets_callbacks_end(how: str) -> None:
    done: list[bytes] = []
    errors: list[Exception] = []
    async with session(error_cb=errors.append) as (nc, peer, server):
        limit = {"max_msgs": 2} if how == "counted" else {}
        subscription, may_go_on = await busy(nc, peer, done, **limit)
        others = []
        if how == "unsubscribed":
            await subscription.unsubscribe()
        if how == "drained":
            others = [asyncio.create_task(subscription.drain())]
            await until(lambda: subscription.ended)
        if how == "lost":
            del server.answers["PING"]
        draining = asyncio.create_task(nc.drain())
        await reached(nc, Status.DRAINING)
        if how == "twice":
            others = [asyncio.create_task(nc.drain())]
        if how == "given up":
            draining.cancel()
            draining = asyncio.create_task(nc.drain())
        if how == "lost":
            peer.cut()
        await until(lambda: subscription.ended)
        for _ in range(10):  # long after the server has answered, or has gone
            await asyncio.sleep(0)
        assert not draining.done()
        assert not nc.is_closed
        may_go_on.set()
        await asyncio.gather(draining, *others)
        assert (done, nc.is_closed) == ([b"1", b"2"], True)
        reported = [TransportError] if how == "lost" else []
        assert [type(error) for error in errors] == reported


@pytest.mark.parametrize("how", ["reconnecting", "suspended", "back in time"])
async def test_drain_without_a_connection(how: str) -> None:
    done: list[bytes] = []
    errors: list[Exception] = []
    async with session() as (nc, peer, server):
        subscription, may_go_on = await busy(nc, peer, done)
        if how == "suspended":
            await nc.suspend()
        else:
            server.down = {"one"}
            peer.cut()
            await reached(nc, Status.RECONNECTING)
        nc.options.error_cb = errors.append
        nc.publish("b", b"waits")
        draining = asyncio.create_task(nc.drain())
        await until(lambda: subscription.ended)
        if how == "back in time":
            server.down = ()
            again = await server.accept()
            assert (await again.expect("PUB")).payload == b"waits"
            assert nc.is_draining
        may_go_on.set()
        await draining
        assert (done, nc.is_closed) == ([b"1", b"2"], True)
        told = [error for error in errors if isinstance(error, NotConnected)]
        assert len(told) == (how != "back in time")


async def test_who_asks_while_it_drains_without_a_connection_is_told_at_once() -> None:
    asked: list[Exception] = []
    async with session() as (nc, peer, server):
        may_ask = asyncio.Event()

        async def handle(_: nats.Msg) -> None:
            await may_ask.wait()
            for answer in (nc.request("b", timeout=60), anext(nc.request_many("b", timeout=60))):
                try:
                    await answer
                except NotConnected as error:
                    asked.append(error)

        subscription = await nc.subscribe("a", cb=handle)
        peer.message("a")
        await until(lambda: subscription.received)
        draining = asyncio.create_task(nc.drain())
        await until(lambda: subscription.ended)
        server.down = {"one"}
        peer.cut()
        await until(lambda: not nc.is_connected)
        assert nc.is_draining
        may_ask.set()
        await draining
        assert len(asked) == 2


async def test_no_server_is_left_while_it_drains() -> None:
    done: list[bytes] = []
    async with session(max_reconnect_attempts=2) as (nc, peer, server):
        subscription, may_go_on = await busy(nc, peer, done)
        server.down = {"one"}
        peer.cut()
        await reached(nc, Status.RECONNECTING)
        draining = asyncio.create_task(nc.drain())
        await until(lambda: subscription.ended)
        await until(lambda: not nc.servers)
        await until(lambda: nc._link._under_way is None)
        assert nc.is_draining
        may_go_on.set()
        await draining
        assert done == [b"1", b"2"]


async def test_callbacks_that_drain_do_not_wait_for_one_another() -> None:
    ended: list[str] = []

    async def end(msg: nats.Msg) -> None:
        await nc.drain()
        ended.append(msg.subject)

    async def failed(_: Exception) -> None:
        await nc.drain()
        ended.append("error")

    async with session(error_cb=failed, connect_timeout=60) as (nc, peer, server):
        del server.answers["PING"]
        for name in "ab":
            await nc.subscribe(name, cb=end)
        peer.error("a refusal")
        peer.message("a")
        await reached(nc, Status.DRAINING)
        peer.message("b", sid=2)
        server.answers["PING"] = b"PONG\r\n"
        peer.send(b"PONG\r\n")
        await until(lambda: len(ended) == 3)
        assert sorted(ended) == ["a", "b", "error"]
        assert nc.is_closed


async def test_drain_takes_no_longer_than_it_may() -> None:
    errors: list[Exception] = []
    async with session(drain_timeout=0.01, error_cb=errors.append) as (nc, peer, _):
        await busy(nc, peer, [])
        await nc.drain()
        assert [(type(e), e.timeout) for e in errors] == [(RequestTimeout, 0.01)]
        assert nc.is_closed


async def test_drain_when_too_many_barriers_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[Exception] = []
    monkeypatch.setattr("agents_core.nats.client.PINGS_MAX", 0)
    async with session(error_cb=errors.append) as (nc, _, _):
        await nc.drain()
        assert [type(error) for error in errors] == [OutboundBufferFull]
        assert nc.is_closed


async def test_the_first_questions_of_handlers_while_it_drains() -> None:
    answers: list[bytes] = []

    async def asks(_: nats.Msg) -> None:
        await reached(nc, Status.DRAINING)
        answers.append((await nc.request("b", timeout=5)).data)
        answers.extend([msg.data async for msg in nc.request_many("b", timeout=5, max_msgs=1)])

    async with session() as (nc, peer, _):
        await nc.subscribe("a", cb=asks)
        peer.message("a")
        await until(lambda: nc.stats.in_msgs)
        draining = asyncio.create_task(nc.drain())
        for sid in (2, 3):
            peer.message((await peer.expect("PUB")).words[2], b"%d" % sid, sid=sid)
        await draining
        assert answers == [b"2", b"3"]


@pytest.mark.parametrize("how", ["silent", "lost", "down", "closed"])
async def test_drain_that_can_not_finish_closes(how: str) -> None:
    errors: list[Exception] = []
    async with session(drain_timeout=0.01, error_cb=errors.append) as (nc, peer, server):
        await nc.subscribe("a")
        del server.answers["PING"]
        if how == "down":
            server.down = {"one"}
            peer.cut()
            await reached(nc, Status.RECONNECTING)
        draining = asyncio.create_task(nc.drain())
        if how == "lost":
            await peer.expect("UNSUB")
            peer.cut()
        if how == "closed":
            await peer.expect("UNSUB")
            await nc.close()
        await draining
        assert nc.is_closed


async def test_drain_does_not_wait_for_ever_for_a_callback() -> None:
    started = asyncio.Event()

    async def hang(_: nats.Msg) -> None:
        started.set()
        await asyncio.Event().wait()

    async with session(drain_timeout=0.01) as (nc, peer, _):
        await nc.subscribe("a", cb=hang)
        peer.message("a")
        await started.wait()
        await nc.drain()
        assert nc.is_closed


@pytest.mark.parametrize("how", ["drain", "close"])
async def test_a_handler_may_end_the_client_itself(how: str) -> None:
    async def end(_: nats.Msg) -> None:
        await getattr(nc, how)()

    async with session() as (nc, peer, _):
        await nc.subscribe("a", cb=end)
        peer.message("a")
        await reached(nc, Status.CLOSED)


# -- telling the user


async def test_a_callback_that_hangs_does_not_hold_up_close_for_ever() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    async with session(closed_cb=hang, connect_timeout=0.3) as (nc, _, _):
        await nc.close()


async def test_slow_consumers_are_reported_and_counted() -> None:
    errors: list[Exception] = []
    async with session(error_cb=errors.append) as (nc, peer, _):
        subscription = await nc.subscribe("a", pending_msgs_limit=1)
        for _ in range(3):
            peer.message("a")
        await nc.flush()
        assert [type(error) for error in errors] == [SlowConsumer]
        assert (subscription.dropped, nc.stats.dropped) == (2, 2)


async def test_a_listener_that_raises_stops_nothing() -> None:
    def raises(status: Status) -> None:
        raise ValueError(status)

    with unhandled() as errors:
        async with session() as (nc, peer, _):
            remove = nc.on_status(raises)
            peer.cut()
            await reached(nc, Status.RECONNECTING, Status.CONNECTED)
            remove()
            remove()
        assert [str(error) for error in errors] == ["reconnecting", "connected"]


async def test_the_first_refusal_of_credentials_is_raised() -> None:
    server = ScriptedServer()
    server.answers["CONNECT"] = b"-ERR 'Authorization Violation'\r\n"
    with pytest.raises(AuthorizationError, match="Authorization Violation"):
        await nats.connect("nats://one", dialer=server)


async def test_new_inboxes_are_private_and_distinct() -> None:
    async with session(inbox_prefix="_INBOX_me") as (nc, _, _):
        first, second = nc.new_inbox(), nc.new_inbox()
        assert first != second
        assert first.startswith("_INBOX_me.")
    with pytest.raises(InvalidSubject):
        await nats.connect("nats://one", inbox_prefix="a.*", dialer=ScriptedServer())


async def test_what_the_server_says_of_itself() -> None:
    async with session() as (nc, _, _):
        assert nc.server_info["version"] == "2.15.1"
        nc.server_info.clear()
        assert nc.server_info


async def test_the_states_in_nats_pys_words() -> None:
    async with session() as (nc, peer, server):
        changes = nc.status_changes()
        words = []
        server.down = {"one"}
        peer.cut()
        async for _ in changes:
            words.append((nc.is_connected, nc.is_reconnecting, nc.is_draining, nc.is_closed))
            if nc.is_reconnecting:
                server.down = ()
            if nc.is_connected and not nc.is_draining:
                draining = asyncio.create_task(nc.drain())
        await draining
        assert words == [
            (False, True, False, False),
            (True, False, False, False),
            (True, False, True, False),
            (False, False, False, True),
        ]


async def test_barriers_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents_core.nats.client.PINGS_MAX", 2)
    async with session() as (nc, peer, server):
        del server.answers["PING"]
        waiting = [asyncio.create_task(nc.flush()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(OutboundBufferFull):
            await nc.flush()
        peer.send(b"PONG\r\nPONG\r\n")
        await asyncio.gather(*waiting)
        server.answers["PING"] = b"PONG\r\n"
        await nc.flush()


async def test_a_client_may_be_entered_and_is_closed_at_the_end() -> None:
    async with await nats.connect("nats://one", dialer=ScriptedServer()) as nc:
        assert nc.is_connected
    assert nc.is_closed


async def test_what_a_callback_raises_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def callback(_: nats.Msg) -> None:
        raise ValueError("a fault of the user's")

    async with session() as (nc, peer, _):
        await nc.subscribe("a", cb=callback)
        peer.message("a")
        await nc.flush()
    assert "a fault of the user's" in caplog.text
    assert "Traceback" in caplog.text
