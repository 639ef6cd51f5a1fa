"""Our client against a real nats-server over TCP and WebSocket, and with nats-py as its peer."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats as nats_py
import pytest

from agents_core import nats
from agents_core.bus import Status
from agents_core.errors import (
    AuthorizationError,
    ConnectionClosed,
    InvalidSubject,
    MaxPayloadExceeded,
    NoResponders,
    NotConnected,
    OutboundBufferFull,
    PermissionsViolation,
    ProtocolError,
    RequestTimeout,
    SlowConsumer,
    TransportError,
    Unsupported,
)
from agents_core.ids import unique
from agents_server.nats_server import NatsServer, free_port

pytestmark = pytest.mark.nats
SCHEMES = pytest.mark.parametrize("scheme", ["tcp", "websocket"])


def url_of(server: NatsServer, scheme: str) -> str:
    return server.url if scheme == "tcp" else server.websocket_url


@asynccontextmanager
async def client(url: str, **options: object) -> AsyncIterator[nats.Client]:
    connection = await nats.connect(url, **options)
    try:
        yield connection
    finally:
        await connection.close()


async def until(client: nats.Client, status: Status) -> None:
    """Wait for a status; the test's deadline bounds it."""
    reached = asyncio.Event()
    remove = client.on_status(lambda now: reached.set() if now is status else None)
    if client.status is not status:
        await reached.wait()
    remove()


@SCHEMES
async def test_publish_subscribe_and_headers(nats_server: NatsServer, scheme: str) -> None:
    subject = unique()
    async with client(url_of(nats_server, scheme)) as nc:
        subscription = await nc.subscribe(f"{subject}.*")
        await nc.publish(f"{subject}.a", b"one", headers={"K": ["v", "w"]})
        nc.publish(f"{subject}.b")
        first, second = await subscription.next_msg(), await subscription.next_msg()
        assert (first.subject, first.data, first.headers.get_all("K")) == (
            f"{subject}.a",
            b"one",
            ["v", "w"],
        )
        assert (second.subject, second.data, len(second.headers)) == (f"{subject}.b", b"", 0)


@SCHEMES
async def test_a_large_payload_there_and_back(nats_server: NatsServer, scheme: str) -> None:
    subject, payload = unique(), bytes(range(256)) * 4000
    async with client(url_of(nats_server, scheme)) as nc:
        subscription = await nc.subscribe(subject)
        nc.publish(subject, payload)
        assert (await subscription.next_msg(5)).data == payload
        with pytest.raises(MaxPayloadExceeded):
            nc.publish(subject, bytes(nc.max_payload + 1))
        with pytest.raises(MaxPayloadExceeded):
            nc.publish(subject, bytes(nc.max_payload), headers={"a": "b"})
        await nc.flush()


@SCHEMES
async def test_requests(nats_server: NatsServer, scheme: str) -> None:
    subject = unique()
    async with client(url_of(nats_server, scheme)) as nc:
        await nc.subscribe(subject, cb=lambda msg: msg.respond(msg.data.upper()))
        replies = await asyncio.gather(*(nc.request(subject, b"%d" % i, 5) for i in range(50)))
        assert [reply.data for reply in replies] == [b"%d" % i for i in range(50)]
        with pytest.raises(NoResponders):
            await nc.request(unique(), timeout=5)
        await nc.subscribe(f"{subject}.silent")
        with pytest.raises(RequestTimeout):
            await nc.request(f"{subject}.silent", timeout=0.01)


@SCHEMES
async def test_killed_and_started_again(own_nats_server: NatsServer, scheme: str) -> None:
    subject = unique()
    async with client(url_of(own_nats_server, scheme), reconnect_time_wait=0.1) as nc:
        subscription = await nc.subscribe(subject)
        await nc.subscribe(f"{subject}.slow")
        waiting = asyncio.create_task(nc.request(f"{subject}.slow", timeout=20))
        await nc.flush()
        own_nats_server.kill()
        with pytest.raises(NotConnected):
            await waiting
        with pytest.raises(NotConnected):
            await nc.request(subject)
        with pytest.raises(NotConnected):
            await nc.flush()
        nc.publish(subject, b"while down")
        own_nats_server.start()
        await until(nc, Status.CONNECTED)
        assert (await subscription.next_msg(5)).data == b"while down"
        assert nc.stats.reconnects == 1


async def test_the_buffer_while_down_is_bounded(own_nats_server: NatsServer) -> None:
    async with client(own_nats_server.url, pending_size=1000) as nc:
        own_nats_server.kill()
        await until(nc, Status.RECONNECTING)
        with pytest.raises(OutboundBufferFull):
            for _ in range(100):
                nc.publish("a", bytes(100))


@SCHEMES
async def test_connecting_before_the_server_is_there(
    own_nats_server: NatsServer, scheme: str
) -> None:
    own_nats_server.kill()
    url = url_of(own_nats_server, scheme)
    async with client(url, retry_on_failed_connect=True, reconnect_time_wait=0.1) as nc:
        assert nc.status is Status.RECONNECTING
        subscription = await nc.subscribe("early")
        own_nats_server.start()
        await until(nc, Status.CONNECTED)
        nc.publish("early", b"bird")
        assert (await subscription.next_msg(5)).data == b"bird"


@SCHEMES
async def test_a_refused_connection_names_the_url_without_credentials(scheme: str) -> None:
    prefix = "nats" if scheme == "tcp" else "ws"
    port = free_port()
    with pytest.raises(TransportError, match="refused") as caught:
        await nats.connect(f"{prefix}://user:secret@127.0.0.1:{port}")
    assert caught.value.url == f"{prefix}://127.0.0.1:{port}"


async def test_wrong_urls() -> None:
    with pytest.raises(Unsupported, match="http"):
        await nats.connect("http://127.0.0.1:4222")
    with pytest.raises(TransportError, match="host"):
        await nats.connect("nats://")
    with pytest.raises(TransportError, match=r"(?i)port"):
        await nats.connect("nats://localhost:99999")


@pytest.mark.parametrize("prefix", ["nats", "ws"])
@pytest.mark.parametrize("host", ["nats..example", "a" * 64, "a\x00b"])
async def test_a_host_that_can_not_be_looked_up_does_not_hide_the_others(
    nats_server: NatsServer, prefix: str, host: str
) -> None:
    wrong = f"{prefix}://{host}:4222"
    with pytest.raises(TransportError):
        await nats.connect(wrong)
    nc = await nats.connect([wrong, nats_server.url], dont_randomize=True)
    assert nc.url == nats_server.url
    await nc.close()


async def test_credentials(tmp_path_factory: pytest.TempPathFactory) -> None:
    extra = 'authorization { user: "u", password: "p" }'
    server = NatsServer(tmp_path_factory.mktemp("auth"), extra=extra)
    server.start()
    try:
        with pytest.raises(AuthorizationError):
            await nats.connect(server.url)
        async with client(server.url, user="u", password="p") as nc:
            await nc.flush()
        async with client(server.websocket_url.replace("ws://", "ws://u:p@")) as nc:
            await nc.flush()
            assert "p@" not in nc.url
    finally:
        server.stop()


async def test_permissions(tmp_path_factory: pytest.TempPathFactory) -> None:
    extra = """authorization { users: [ { user: u, password: p, permissions: {
        publish: ["ok", "_INBOX.>"], subscribe: ["ok", "_INBOX.>"] } } ] }"""
    server = NatsServer(tmp_path_factory.mktemp("permissions"), extra=extra)
    server.start()
    try:
        errors: list[Exception] = []
        options = {"user": "u", "password": "p", "error_cb": errors.append}
        async with client(server.url, **options) as nc:
            denied = await nc.subscribe("denied")
            with pytest.raises(PermissionsViolation):
                await denied.next_msg(5)
            with pytest.raises(PermissionsViolation):
                await nc.request("denied", timeout=5)
            allowed = await nc.subscribe("ok")
            nc.publish("ok", b"still here")
            assert (await allowed.next_msg(5)).data == b"still here"
            assert {type(error) for error in errors} == {PermissionsViolation}
    finally:
        server.stop()


async def test_queue_groups_and_auto_unsubscribe(nats_server: NatsServer) -> None:
    subject = unique()
    async with client(nats_server.url) as nc:
        counts = [0, 0]

        def count(index: int) -> None:
            counts[index] += 1

        for index in (0, 1):
            await nc.subscribe(subject, "group", cb=lambda _, index=index: count(index))
        limited = await nc.subscribe(subject, max_msgs=3)
        for _ in range(100):
            nc.publish(subject)
        await nc.flush()
        assert sum(counts) == 100
        assert min(counts) > 0
        assert [msg.subject async for msg in limited] == [subject] * 3


async def test_a_total_of_messages_counts_those_before(nats_server: NatsServer) -> None:
    subject = unique()
    async with client(nats_server.url) as nc:
        subscription = await nc.subscribe(subject)
        for _ in range(3):
            nc.publish(subject)
        await nc.flush()
        await subscription.unsubscribe(5)
        for _ in range(5):
            nc.publish(subject)
        await nc.flush()
        assert subscription.received == 5
        assert subscription.ended


async def test_a_server_that_is_about_to_go_says_so(own_nats_server: NatsServer) -> None:
    warned = asyncio.Event()
    async with client(own_nats_server.url, lame_duck_mode_cb=warned.set) as nc:
        assert own_nats_server.process is not None
        own_nats_server.process.send_signal(signal.SIGUSR2)
        await warned.wait()
        await nc.flush()
        assert nc.is_connected  # alone, it is used until it goes


async def test_a_slow_reader_loses_the_newest_and_hears_of_it(nats_server: NatsServer) -> None:
    subject, errors = unique(), []
    async with client(nats_server.url, error_cb=errors.append) as nc:
        subscription = await nc.subscribe(subject, pending_msgs_limit=10)
        for index in range(25):
            nc.publish(subject, b"%d" % index)
        await nc.flush()
        assert (subscription.pending_msgs, subscription.dropped) == (10, 15)
        assert [type(error) for error in errors] == [SlowConsumer]
        assert (await subscription.next_msg()).data == b"0"


async def test_drain_delivers_what_has_arrived(nats_server: NatsServer) -> None:
    subject, seen = unique(), []

    async def slow(msg: nats.Msg) -> None:
        await asyncio.sleep(0)
        seen.append(msg.data)

    nc = await nats.connect(nats_server.url)
    await nc.subscribe(subject, cb=slow)
    for index in range(50):
        nc.publish(subject, b"%d" % index)
    await nc.drain()
    assert seen == [b"%d" % index for index in range(50)]
    assert nc.status is Status.CLOSED
    with pytest.raises(ConnectionClosed):
        nc.publish(subject)
    with pytest.raises(ConnectionClosed):
        await nc.subscribe(subject)


async def test_a_callback_that_raises_is_reported_and_harmless(nats_server: NatsServer) -> None:
    subject, errors = unique(), []
    async with client(nats_server.url, error_cb=errors.append) as nc:
        await nc.subscribe(subject, cb=lambda _: 1 / 0)
        nc.publish(subject)
        await nc.flush()
        assert [type(error) for error in errors] == [ZeroDivisionError]
        assert nc.status is Status.CONNECTED


@SCHEMES
async def test_nats_py_is_a_peer_both_ways(nats_server: NatsServer, scheme: str) -> None:
    subject = unique()
    peer = await nats_py.connect(nats_server.url)
    try:
        async with client(url_of(nats_server, scheme)) as nc:
            await nc.subscribe(subject, cb=lambda m: m.respond(m.data, headers=m.headers))
            await nc.flush()
            reply = await peer.request(subject, b"x", headers={"A": "1"})
            assert (reply.data, reply.headers) == (b"x", {"A": "1"})

            async def echo(msg: object) -> None:
                await msg.respond(msg.data)  # type: ignore[attr-defined]

            await peer.subscribe(f"{subject}.peer", cb=echo)
            for _ in range(2):  # nats-py's first PING may overtake its SUB
                await peer.flush()
            assert (await nc.request(f"{subject}.peer", b"y", 5)).data == b"y"
    finally:
        await peer.close()


async def test_garbage_from_a_server_is_a_named_error() -> None:
    async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ProtocolError):
            await nats.connect(f"nats://127.0.0.1:{port}")
        with pytest.raises(TransportError):
            await nats.connect(f"ws://127.0.0.1:{port}")


async def test_invalid_subjects_never_reach_the_server(nats_server: NatsServer) -> None:
    async with client(nats_server.url) as nc:
        for subject in ("", "a b", "a..b", "a.*"):
            with pytest.raises(InvalidSubject):
                nc.publish(subject)
        with pytest.raises(InvalidSubject):
            await nc.subscribe("a", "two words")
        assert await nc.rtt() > 0
