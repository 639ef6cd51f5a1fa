"""Reading stored messages: what is asked, and every way it can end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from agents_core.bus import Status
from agents_core.errors import (
    ConnectionClosed,
    NotConnected,
    PermissionsViolation,
    RequestTimeout,
    Unsupported,
)
from agents_core.localbus import LocalBus
from agents_core.nats.jetstream import JetStreamContext
from agents_core.nats.jetstream.errors import (
    BadRequest,
    InvalidAnswer,
    InvalidOption,
    MessageNotFound,
    NoStreamResponse,
    TooManyRequests,
)
from tests.core.nats.jetstream.fake import Server, deafen, jetstream, refuse, set_status

WHEN = "2026-01-02T03:04:05Z"


def message(server: Server, to: str, seq: int, *, pending: int | None = None) -> None:
    """One message as direct get answers it."""
    headers = {
        "Nats-Stream": "s",
        "Nats-Subject": "a",
        "Nats-Sequence": str(seq),
        "Nats-Time-Stamp": WHEN,
    }
    if pending is not None:
        headers["Nats-Num-Pending"] = str(pending)
    server.bus.publish(to, b"x", headers=headers)


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ({"seq": 3}, {"seq": 3}),
        ({}, {"seq": 0}),
        ({"subject": "a.*"}, {"last_by_subj": "a.*"}),
        ({"subject": "a", "next": True}, {"seq": 1, "next_by_subj": "a"}),
        ({"seq": 3, "subject": "a", "next": True}, {"seq": 3, "next_by_subj": "a"}),
        ({"seq": 3, "next": True}, {"seq": 3, "next_by_subj": ">"}),
        ({"subject": "a" * 2020}, {"last_by_subj": "a" * 2020}),  # too long to be in the subject
    ],
)
@pytest.mark.parametrize("direct", [False, True])
async def test_what_is_asked(arguments: dict[str, Any], body: dict[str, Any], direct: bool) -> None:
    async with jetstream() as (js, server):
        getting = asyncio.create_task(js.get_msg("s", direct=direct, **arguments))
        request = await server.expect("DIRECT.GET.s" if direct else "STREAM.MSG.GET.s")
        assert request.body == body
        if direct:
            message(server, request.reply, 7)
        else:
            server.bus.publish(
                request.reply, b'{"message":{"subject":"a","seq":7,"time":"%b"}}' % WHEN.encode()
            )
        assert (await getting).seq == 7


async def test_the_newest_of_a_subject_is_asked_for_by_subject() -> None:
    async with jetstream() as (js, server):
        getting = asyncio.create_task(js.get_last_msg("s", "a.b", direct=True))
        request = await server.expect("DIRECT.GET")
        assert (request.operation, request.body) == ("DIRECT.GET.s.a.b", {})
        message(server, request.reply, 7)
        assert (await getting).subject == "a"


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (404, "Message Not Found", MessageNotFound),
        (408, "Bad Request", BadRequest),
        (413, "Too Many Results", BadRequest),
        (429, "Too Many Requests", TooManyRequests),
    ],
)
async def test_refusals(code: int, words: str, kind: type[Exception]) -> None:
    async with jetstream() as (js, server):
        getting = asyncio.create_task(js.get_msg("s", 1, direct=True))
        server.say(await server.expect("DIRECT.GET"), code, words)
        with pytest.raises(kind, match=words):
            await getting


async def test_an_answer_that_is_none() -> None:
    async with jetstream() as (js, server):
        getting = asyncio.create_task(js.get_msg("s", 1, direct=True))
        server.bus.publish((await server.expect("DIRECT.GET")).reply, b"hello")
        with pytest.raises(InvalidAnswer):
            await getting


async def test_deletion_is_told_whether_to_overwrite() -> None:
    async with jetstream() as (js, server):
        server.answers["STREAM.MSG.DELETE"] = {"success": True}
        assert await js.delete_msg("s", 3)
        assert (await server.expect("STREAM.MSG.DELETE.s")).body == {"seq": 3, "no_erase": True}
        await js.delete_msg("s", 3, no_erase=False)
        assert (await server.expect("STREAM.MSG.DELETE.s")).body["no_erase"] is False


async def test_a_batch_until_the_server_says_that_it_ends() -> None:
    async with jetstream() as (js, server):
        getting = asyncio.create_task(js.get_batch("s", 2, seq=5, subject="a.*", max_bytes=99))
        request = await server.expect("DIRECT.GET.s")
        assert request.body == {"batch": 2, "seq": 5, "next_by_subj": "a.*", "max_bytes": 99}
        message(server, request.reply, 5, pending=8)
        message(server, request.reply, 6, pending=7)
        server.say(request, 204, "EOB", **{"Nats-Num-Pending": 7})
        server.say(request, 204, "EOB")  # once more, too late
        found = await getting
        assert [(msg.seq, msg.num_pending) for msg in found] == [(5, 8), (6, 7)]


async def test_what_else_is_asked_for_a_batch() -> None:
    async with jetstream() as (js, server):
        since = datetime(2026, 1, 1, tzinfo=UTC)
        for call, body in (
            (
                js.get_batch("s", 2, start_time=since),
                {"batch": 2, "next_by_subj": ">", "start_time": "2026-01-01T00:00:00Z"},
            ),
            (js.get_last_msgs_for("s", ["a"]), {"multi_last": ["a"]}),
            (
                js.get_last_msgs_for("s", ["a"], batch=3, up_to_seq=9, up_to_time=since),
                {
                    "multi_last": ["a"],
                    "batch": 3,
                    "up_to_seq": 9,
                    "up_to_time": "2026-01-01T00:00:00Z",
                },
            ),
        ):
            getting = asyncio.create_task(call)
            request = await server.expect("DIRECT.GET.s")
            assert request.body == body
            server.say(request, 404, "No Results")
            assert await getting == []


async def test_how_a_batch_can_fail() -> None:
    async with jetstream() as (js, server):
        with pytest.raises(InvalidOption):
            await js.get_batch("s", 0)
        with pytest.raises(InvalidOption):
            await js.get_last_msgs_for("s", "a", batch=0)
        getting = asyncio.create_task(js.get_batch("s", 2))
        server.say(await server.expect("DIRECT.GET"), 413, "Too Many Results")
        with pytest.raises(BadRequest):
            await getting
        getting = asyncio.create_task(js.get_batch("s", 2))
        message(server, (await server.expect("DIRECT.GET")).reply, 5)
        with pytest.raises(Unsupported, match=r"2\.11"):
            await getting
        getting = asyncio.create_task(js.get_batch("s", 2))
        await server.expect("DIRECT.GET")
        set_status(js, Status.RECONNECTING)
        with pytest.raises(NotConnected):
            await getting
        with pytest.raises(NotConnected):
            await js.get_batch("s", 2)
        set_status(js, Status.CONNECTED)
        with pytest.raises(RequestTimeout):
            await js.get_batch("s", 2, timeout=0.001)


async def test_a_batch_goes_on_while_the_bus_drains_until_it_is_closed() -> None:
    async with jetstream() as (js, server):
        getting = asyncio.create_task(js.get_batch("s", 2))
        request = await server.expect("DIRECT.GET")
        set_status(js, Status.DRAINING)
        server.say(request, 404, "No Results")
        assert await getting == []
        getting = asyncio.create_task(js.get_batch("s", 2))
        await server.expect("DIRECT.GET")
        await js.bus.close()
        with pytest.raises(ConnectionClosed):
            await getting


async def test_who_may_not_ask_or_hear_is_told_so() -> None:
    async with jetstream() as (js, server):
        for operation in ("publish", "subscription"):
            getting = asyncio.create_task(js.get_batch("s", 2))
            request = await server.expect("DIRECT.GET")
            refuse(js.bus, "else")
            refuse(js.bus, "else", "subscription")
            refused = request.reply if operation == "subscription" else "$JS.API.DIRECT.GET.s"
            refuse(js.bus, refused, operation)
            with pytest.raises(PermissionsViolation):
                await getting
        deafen(js.bus)
        with pytest.raises(PermissionsViolation):
            await js.get_batch("s", 2)


async def test_nobody_answers() -> None:
    bus = LocalBus()
    js = JetStreamContext(bus)
    for call in (js.get_msg("s", 1, direct=True), js.get_batch("s", 1)):
        with pytest.raises(NoStreamResponse):
            await call
    await bus.close()
