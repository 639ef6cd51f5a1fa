"""Requests: one reply subscription, tokens, deadlines, and every way an answer can't come."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from agents_core import nats
from agents_core.bus import PENDING_MSGS_LIMIT, Status
from agents_core.errors import (
    ConnectionClosed,
    InvalidSubject,
    NoResponders,
    NotConnected,
    OutboundBufferFull,
    PermissionsViolation,
    RequestTimeout,
    SlowConsumer,
)
from agents_core.localbus import LocalBus
from agents_core.nats import requests
from agents_core.testing.server import Session
from tests.core.nats.scripted import reached, session

NOBODY = b"NATS/1.0 503\r\n\r\n"


async def test_answers_find_their_questions_in_any_order() -> None:
    async with session() as (nc, peer, _):
        first = asyncio.create_task(nc.request("a", b"1"))
        second = asyncio.create_task(nc.request("a", b"2", headers={"K": "v"}))
        inbox = (await peer.expect("SUB")).words[1]
        replies = [(await peer.expect("PUB")).words[2], (await peer.expect("HPUB")).words[2]]
        assert inbox.endswith(".*")
        assert {reply.startswith(inbox[:-1]) for reply in replies} == {True}
        peer.message(replies[1], b"two")
        peer.message(replies[0], b"one")
        assert ((await first).data, (await second).data) == (b"one", b"two")
        third = asyncio.create_task(nc.request("a"))
        reply = (await peer.expect("PUB")).words[2]
        peer.message(reply, b"three")
        peer.message(reply, b"three again")
        assert (await third).data == b"three"
        await nc.flush()
        assert [command.verb for command in peer.commands] == ["PING"]  # one SUB for all of them


async def test_nobody_there_is_known_at_once() -> None:
    async with session() as (nc, peer, _):
        asking = asyncio.create_task(nc.request("a", timeout=20))
        peer.message((await peer.expect("PUB")).words[2], headers=NOBODY)
        with pytest.raises(NoResponders, match="'a'"):
            await asking


async def test_a_responder_may_say_503_itself_with_a_payload() -> None:
    async with session() as (nc, peer, _):
        asking = asyncio.create_task(nc.request("a"))
        peer.message((await peer.expect("PUB")).words[2], b"why", headers=NOBODY)
        reply = await asking
        assert (reply.status, reply.data) == (503, b"why")


async def test_no_answer_in_time() -> None:
    async with session() as (nc, peer, _):
        with pytest.raises(RequestTimeout, match="the outcome is unknown"):
            await nc.request("a", timeout=0.001)
        peer.message((await peer.expect("PUB")).words[2], b"late")
        await nc.flush()


async def test_the_first_of_two_answers_in_one_arrival_counts() -> None:
    async with session() as (nc, peer, _):
        asking = asyncio.create_task(nc.request("a"))
        reply = (await peer.expect("PUB")).words[2].encode()
        peer.send(b"MSG %b 1 1\r\n1\r\nMSG %b 1 1\r\n2\r\n" % (reply, reply))
        assert (await asking).data == b"1"


async def test_a_connection_lost_while_waiting() -> None:
    async with session() as (nc, peer, _):
        asking = asyncio.create_task(nc.request("a", timeout=20))
        await peer.expect("PUB")
        peer.cut()
        with pytest.raises(NotConnected):
            await asking


async def test_an_answer_and_a_loss_in_one_turn() -> None:
    async with session() as (nc, peer, _):
        asking = asyncio.create_task(nc.request("a", timeout=20))
        peer.message((await peer.expect("PUB")).words[2], b"just in time")
        peer.cut()
        assert (await asking).data == b"just in time"


@pytest.mark.parametrize("what", ["to", "with Reply of"])
async def test_a_refused_publish_fails_its_requests_only(what: str) -> None:
    async with session() as (nc, peer, _):
        refused = asyncio.create_task(nc.request("a", timeout=20))
        reply = (await peer.expect("PUB")).words[2]
        other = asyncio.create_task(nc.request("b", timeout=20))
        other_reply = (await peer.expect("PUB")).words[2]
        peer.error(f'Permissions Violation for Publish {what} "{"a" if what == "to" else reply}"')
        with pytest.raises(PermissionsViolation):
            await refused
        peer.message(other_reply)
        await other


async def test_a_refused_reply_subscription_fails_all_and_is_tried_again() -> None:
    async with session() as (nc, peer, _):
        asking = asyncio.create_task(nc.request("a", timeout=20))
        inbox = (await peer.expect("SUB")).words[1]
        peer.error(f'Permissions Violation for Subscription to "{inbox}"')
        with pytest.raises(PermissionsViolation):
            await asking
        again = asyncio.create_task(nc.request("a", timeout=20))
        assert (await peer.expect("SUB")).words[1] == inbox
        peer.message((await peer.expect("PUB")).words[2], sid=2)
        await again


async def test_a_question_that_can_not_be_sent_leaves_nothing_behind() -> None:
    async with session() as (nc, peer, _):
        for _ in range(3):
            with pytest.raises(InvalidSubject):
                await nc.request("a b")
        asking = asyncio.create_task(nc.request("a"))
        await peer.expect("PUB")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not nc._requests._waiting


async def test_open_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "REQUESTS_MAX", 2)
    bus = LocalBus()
    await bus.subscribe("a")
    asking = [asyncio.create_task(bus.request("a", timeout=20)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(OutboundBufferFull):
        await bus.request("a")
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)
    await bus.close()


# -- several answers


async def many(nc: nats.Client, *, timeout: float = 20, **ends: Any) -> list[bytes]:
    return [msg.data async for msg in nc.request_many("a", b"?", timeout, **ends)]


Reply = Callable[..., None]


async def question(peer: Session) -> Reply:
    """The next question to many, as a function that answers it."""
    sid = int((await peer.expect("SUB")).words[-1])
    inbox = (await peer.expect("PUB")).words[2]
    return partial(peer.message, inbox, sid=sid)


async def test_all_answers_until_the_time_is_over() -> None:
    async with session() as (nc, peer, _):
        asking = asyncio.create_task(many(nc, timeout=0.05))
        answer = await question(peer)
        for payload in (b"1", b"2", b""):
            answer(payload)
        assert await asking == [b"1", b"2", b""]
        answer(b"late")
        await nc.flush()
        assert not nc._requests._many


async def test_an_end_by_count_by_silence_and_by_a_mark() -> None:
    async with session() as (nc, peer, _):
        ends = ({"max_msgs": 2}, {"stall": 0.01}, {"sentinel": requests.is_empty})
        for end in ends:
            asking = asyncio.create_task(many(nc, **end))
            answer = await question(peer)
            answer(b"1")
            answer(b"2")
            if "sentinel" in end:
                answer(b"")
            assert await asking == [b"1", b"2"]
            assert not nc._requests._many


async def test_silence_is_counted_from_the_first_answer_on() -> None:
    async with session() as (nc, peer, _):
        asking = asyncio.create_task(many(nc, stall=0.001))
        answer = await question(peer)
        waited = asyncio.get_running_loop().create_future()
        nc._timers.after(0.02, lambda: waited.set_result(None))
        await waited
        answer(b"1")
        assert await asking == [b"1"]


@pytest.mark.parametrize("stall", [0.0, -1.0, 0.05, 1.0])
async def test_a_silence_that_makes_no_sense_is_none(stall: float) -> None:
    async with session() as (nc, peer, _):
        asking = asyncio.create_task(many(nc, timeout=0.05, stall=stall))
        (await question(peer))(b"1")
        assert await asking == [b"1"]


async def test_a_silence_that_is_no_number_is_refused_and_no_more_is_said() -> None:
    async with session() as (nc, _, _):
        with pytest.raises(TypeError):
            nc.request_many("a", stall="1")  # type: ignore[arg-type]
        gc.collect()  # an error in `__del__` would be a warning, and so fail this


async def test_what_came_in_time_is_delivered_to_a_reader_that_takes_its_own() -> None:
    async with session() as (nc, peer, _):
        replies = nc.request_many("a", b"?", 0.02, stall=0.01)
        first = asyncio.ensure_future(anext(replies))
        answer = await question(peer)
        for payload in (b"1", b"2"):
            answer(payload)
        assert (await first).data == b"1"
        over = asyncio.get_running_loop().create_future()
        nc._timers.after(0.05, lambda: over.set_result(None))
        await over
        answer(b"late")
        await nc.flush()
        assert [msg.data async for msg in replies] == [b"2"]


async def test_nobody_is_there_to_answer() -> None:
    async with session() as (nc, peer, _):
        asking = asyncio.create_task(many(nc))
        (await question(peer))(headers=NOBODY)
        with pytest.raises(NoResponders):
            await asking


async def test_answers_that_can_not_come_any_more() -> None:
    async with session() as (nc, peer, server):
        asking = asyncio.create_task(many(nc))
        (await question(peer))(b"1")
        await nc.flush()
        peer.cut()
        with pytest.raises(NotConnected):
            await asking
        with pytest.raises(NotConnected):
            await many(nc)
        await reached(nc, Status.CONNECTED)
        again = await server.accept()
        other = asyncio.create_task(many(nc, max_msgs=1))
        answer = await question(again)
        refused = asyncio.create_task(many(nc))
        inbox = (await again.expect("PUB")).words[2]
        again.error(f'Permissions Violation for Publish with Reply of "{inbox}"')
        with pytest.raises(PermissionsViolation):
            await refused
        answer(b"1")
        assert await other == [b"1"]
        for what in ("Subscription to", "Publish to"):
            refused = asyncio.create_task(many(nc))
            inbox = (await again.expect("PUB")).words[2]
            subject = inbox if what.startswith("Sub") else "a"
            again.error(f'Permissions Violation for {what} "{subject}"')
            with pytest.raises(PermissionsViolation):
                await refused
        closed = asyncio.create_task(many(nc))
        await again.expect("PUB")
        await nc.close()
        with pytest.raises(ConnectionClosed):
            await closed


async def test_more_answers_than_a_reader_may_let_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session() as (nc, peer, _):
        replies = nc.request_many("a", b"?", 20)
        first = asyncio.ensure_future(anext(replies))
        inbox = (await peer.expect("PUB")).words[2].encode()
        peer.send(b"MSG %b 1 0\r\n\r\n" % inbox * (PENDING_MSGS_LIMIT + 2))
        await first
        with pytest.raises(SlowConsumer):
            [msg async for msg in replies]


async def test_who_breaks_off_leaves_nothing_behind() -> None:
    async with session() as (nc, peer, _):
        async with contextlib.aclosing(nc.request_many("a", b"?", 20)) as replies:
            first = asyncio.ensure_future(anext(replies))
            (await question(peer))(b"1")
            await first
        assert not nc._requests._many
        assert (await peer.expect("UNSUB")).line == b"UNSUB 1"
        with pytest.raises(ValueError, match="a fault of the user's"):

            def fails(_: nats.Msg) -> bool:
                raise ValueError("a fault of the user's")

            asking = asyncio.create_task(many(nc, sentinel=fails))
            (await question(peer))(b"1")
            await asking
        assert not nc._requests._many


async def test_who_drops_the_answers_has_broken_off() -> None:
    async with session() as (nc, peer, _):
        replies = nc.request_many("a", b"?", 20)
        first = asyncio.ensure_future(anext(replies))
        (await question(peer))(b"1")
        await first
        del replies, first
        assert not nc._requests._many
        assert (await peer.expect("UNSUB")).line == b"UNSUB 1"


async def test_who_gives_up_waiting_may_go_on_with_the_answers() -> None:
    async with session() as (nc, peer, _):
        replies = nc.request_many("a", b"?", 20, max_msgs=2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(replies), 0.001)
        answer = await question(peer)
        for payload in (b"1", b"2"):
            answer(payload)
        assert [msg.data async for msg in replies] == [b"1", b"2"]
        with pytest.raises(StopAsyncIteration):
            await anext(replies)


async def test_a_question_to_many_that_can_not_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session() as (nc, _, _):
        with pytest.raises(InvalidSubject):
            [msg async for msg in nc.request_many("a b")]
        assert not nc._requests._many
        monkeypatch.setattr(requests, "REQUESTS_MAX", 0)
        with pytest.raises(OutboundBufferFull):
            await many(nc)


async def test_answers_to_a_handler_while_draining() -> None:
    answers: list[bytes] = []

    async def asks(_: nats.Msg) -> None:
        answers.extend(await many(nc, max_msgs=2))

    async with session() as (nc, peer, _):
        await nc.subscribe("b", cb=asks)
        peer.message("b")
        inbox = (await peer.expect("PUB")).words[2]
        draining = asyncio.create_task(nc.drain())
        await peer.expect("PING")
        await nc.flush()
        for payload in (b"1", b"2"):
            peer.message(inbox, payload, sid=2)
        await draining
        assert answers == [b"1", b"2"]
