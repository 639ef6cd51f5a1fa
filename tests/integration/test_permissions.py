"""What a user may not do: who waits for it is told so, by our client and over nats-py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from agents_core import nats
from agents_core.bus import Bus
from agents_core.errors import PermissionsViolation
from agents_core.nats.jetstream import JetStreamContext
from agents_server.nats_py import NatsPyBus
from agents_server.nats_server import NatsServer

pytestmark = pytest.mark.nats

Opener: TypeAlias = "Callable[[NatsServer, str], Awaitable[Bus]]"

PASSWORD = "p"
RULES = r"""
authorization { users: [
  { user: all, password: p }
  { user: asks-not, password: p, permissions: { publish: { deny: "$JS.API.CONSUMER.MSG.NEXT.>" } } }
  { user: hears-not, password: p, permissions: { subscribe: { deny: "_INBOX.>" } } }
  { user: writes-not, password: p, permissions: { publish: { deny: "s.>" } } }
  { user: quotes-not, password: p, permissions: {
    publish: { deny: "a\"b\\c" }, subscribe: { deny: "a\"b\\c" } } }
  { user: own-inbox, password: p, permissions: { subscribe: "_INBOX_own.>" } }
] }
"""


async def ours(server: NatsServer, user: str) -> Bus:
    return await nats.connect(server.url, **options(user))


async def nats_py(server: NatsServer, user: str) -> Bus:
    bus = NatsPyBus(nats.Options(servers=[server.url], **options(user)))
    await bus.connect()
    return bus


def options(user: str) -> dict[str, str | None]:
    prefix = "_INBOX_own" if user == "own-inbox" else "_INBOX"
    return {"user": user, "password": PASSWORD, "inbox_prefix": prefix, "error_cb": None}


over_both = pytest.mark.parametrize("connect", [ours, nats_py])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    running = NatsServer(Path(tmp_path_factory.mktemp("nats")), extra=RULES)
    running.start()
    yield running
    running.stop()


@asynccontextmanager
async def jetstream(
    connect: Opener, server: NatsServer, user: str
) -> AsyncIterator[JetStreamContext]:
    """What this user has of a stream with a consumer, a bucket and an object."""
    everything = await ours(server, "all")
    js = JetStreamContext(everything)
    await js.add_stream(name="S", subjects=["s.>"], allow_direct=True)
    await js.add_consumer("S", durable_name="C")
    await js.publish("s.a", b"1")
    await (await js.create_key_value(bucket="B")).put("k", b"v")
    await (await js.create_object_store("O")).put("o", b"content")
    bus = await connect(server, user)
    try:
        yield JetStreamContext(bus)
    finally:
        await bus.close()
        for stream in ("S", "KV_B", "OBJ_O"):
            await js.delete_stream(stream)
        await everything.close()


async def fetched(js: JetStreamContext) -> bytes:
    subscription = await js.pull_subscribe_bind("C", "S")
    (msg,) = await subscription.fetch(timeout=None)
    msg.nak()
    return msg.data


async def consumed(js: JetStreamContext) -> bytes:
    subscription = await js.pull_subscribe_bind("C", "S")
    async with await subscription.consume() as messages:
        msg = await messages.next_msg()
        msg.nak()
        return msg.data


async def ordered(js: JetStreamContext) -> bytes:
    async with await js.ordered_consumer("S") as messages:
        return (await messages.next_msg()).data


async def key(js: JetStreamContext) -> bytes:
    (found,) = await (await js.key_value("B")).keys()
    return {"k": b"1"}[found]


async def content(js: JetStreamContext) -> bytes:
    found = await (await js.object_store("O")).get("o")
    return {b"content": b"1"}[found.data or b""]


async def several(js: JetStreamContext) -> bytes:
    return (await js.get_batch("S", 1))[0].data


READERS = [fetched, consumed, ordered, key, content]


@over_both
async def test_who_may_not_ask_for_messages(connect: Opener, server: NatsServer) -> None:
    async with jetstream(connect, server, "asks-not") as js:
        for read in READERS:
            with pytest.raises(PermissionsViolation, match=r"CONSUMER\.MSG\.NEXT"):
                await read(js)


@over_both
async def test_who_may_not_hear_answers(connect: Opener, server: NatsServer) -> None:
    async with jetstream(connect, server, "hears-not") as js:
        for read in (*READERS, several):
            with pytest.raises(PermissionsViolation, match=r"_INBOX"):
                await read(js)
        for _ in range(2):
            with pytest.raises(PermissionsViolation, match=r"_INBOX"):
                await (await js.publish_async("s.a"))
        with pytest.raises(PermissionsViolation, match=r"_INBOX"):
            await js.fast_ingest().add("s.a")


@over_both
async def test_who_may_not_publish(connect: Opener, server: NatsServer) -> None:
    async with jetstream(connect, server, "writes-not") as js:
        with pytest.raises(PermissionsViolation, match=r"s\.a"):
            await js.publish("s.a")
        with pytest.raises(PermissionsViolation, match=r"s\.a"):
            await (await js.publish_async("s.a"))
        with pytest.raises(PermissionsViolation, match=r"s\.a"):
            await js.fast_ingest().add("s.a")


@over_both
async def test_all_answers_come_under_the_prefix_of_ones_own(
    connect: Opener, server: NatsServer
) -> None:
    async with jetstream(connect, server, "own-inbox") as js:
        for read in (*READERS, several):
            assert await read(js) == b"1"
        assert (await (await js.publish_async("s.a"))).stream == "S"


@over_both
async def test_subjects_that_the_server_writes_in_another_way(
    connect: Opener, server: NatsServer
) -> None:
    bus, subject = await connect(server, "quotes-not"), 'a"b\\c'
    with pytest.raises(PermissionsViolation):
        await (await bus.subscribe(subject)).next_msg(20)
    with pytest.raises(PermissionsViolation):
        await bus.request(subject, timeout=20)
    await bus.close()
