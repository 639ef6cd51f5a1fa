"""Requests: one reply subscription, tokens, deadlines, and every way an answer can't come."""

from __future__ import annotations

import asyncio

import pytest

from agents_core.errors import (
    InvalidSubject,
    NoResponders,
    NotConnected,
    OutboundBufferFull,
    PermissionsViolation,
    RequestTimeout,
)
from agents_core.localbus import LocalBus
from agents_core.nats import requests
from tests.core.nats.scripted import session

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
