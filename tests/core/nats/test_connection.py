"""One session: the handshake, what a server may say in it, and how it ends."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from agents_core import nats
from agents_core.bus import Status
from agents_core.errors import (
    AuthorizationError,
    NotConnected,
    ProtocolError,
    ServerError,
    TransportError,
)
from agents_core.localbus import LocalBus
from agents_core.nats.connection import WRITE_BYTES, Connection
from agents_core.nats.servers import Server
from agents_core.testing.server import ScriptedServer, info
from tests.core.nats.scripted import client, reached, session


async def test_the_handshake_says_who_we_are() -> None:
    async with session(name="n", no_echo=True) as (nc, peer, _):
        fields = (await peer.expect("CONNECT")).fields
        assert fields == {
            "verbose": False,
            "pedantic": False,
            "lang": "python-agents-core",
            "version": "0.1.0",
            "protocol": 1,
            "headers": True,
            "no_responders": True,
            "echo": False,
            "name": "n",
            "tls_required": False,
        }
        assert (await peer.expect("PING")).words == ["PING"]
        assert nc.is_connected
        assert nc.url == "nats://one:4222"


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("nats://u:p%40@one", {}, {"user": "u", "pass": "p@"}),
        ("nats://tok%65n@one", {"user": "other"}, {"auth_token": "token"}),
        ("nats://one", {"user": "u", "password": "p"}, {"user": "u", "pass": "p"}),
        ("nats://one", {"token": "t"}, {"auth_token": "t"}),
    ],
)
async def test_credentials(url: str, options: dict[str, str], expected: dict[str, str]) -> None:
    server = ScriptedServer()
    async with client(server, url, **options) as nc:
        fields = (await (await server.accept()).expect("CONNECT")).fields
        assert {k: v for k, v in fields.items() if k in {"user", "pass", "auth_token"}} == expected
        assert nc.url == "nats://one:4222"


@pytest.mark.parametrize(
    ("url", "greeting", "options", "secure"),
    [
        ("nats://one", info(tls_required=True), {}, True),
        ("tls://one", info(tls_available=True), {}, True),
        ("nats://one", info(tls_available=True), {"tls": object()}, True),
        ("nats://one", info(tls_available=True), {}, False),
        ("nats://one", info(), {}, False),
        ("nats://one", info(tls_required=True), {"tls_handshake_first": True}, False),
        ("ws://one", info(tls_required=True), {}, False),
    ],
)
async def test_tls_begins_when_asked_for(
    url: str, greeting: bytes, options: dict[str, Any], secure: bool
) -> None:
    server = ScriptedServer(greeting)
    async with client(server, url, **options):
        peer = await server.accept()
        assert peer.secure is secure
        fields = (await peer.expect("CONNECT")).fields
        assert fields["tls_required"] is url.startswith("tls")


@pytest.mark.parametrize(("url", "options"), [("tls://one", {}), ("nats://one", {"tls": 1})])
async def test_who_wants_tls_never_sends_anything_without_it(
    url: str, options: dict[str, Any]
) -> None:
    server = ScriptedServer()
    with pytest.raises(TransportError, match="the server offers no TLS"):
        await nats.connect(url, dialer=server, token="secret", **options)
    assert not server.sessions[0].commands


async def test_a_tls_handshake_that_fails() -> None:
    server = ScriptedServer(info(tls_required=True))
    server.tls_error = "certificate verify failed"
    with pytest.raises(TransportError, match="certificate verify failed"):
        await nats.connect("nats://one", dialer=server)
    await (await server.accept()).wait_closed()


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", ProtocolError),
        (b"INFO {\r\n", ProtocolError),
        (b"INFO []\r\n", ProtocolError),
        (b"INFO {}\r\n", ProtocolError),
        (b"\r\n", ProtocolError),
        (b"-ERR 'maximum connections exceeded'\r\n", ServerError),
        (b"-ERR 'Authorization Violation'\r\n", AuthorizationError),
    ],
)
async def test_a_greeting_that_is_none(greeting: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        await nats.connect("nats://one", dialer=ScriptedServer(greeting))


@pytest.mark.parametrize("answer", [b"-ERR 'no'\r\n", b"PONG\r\n-ERR 'no'\r\n"])
async def test_a_refusal_instead_of_the_pong_and_right_behind_it(answer: bytes) -> None:
    server = ScriptedServer()
    server.answers["PING"] = answer
    with pytest.raises(ServerError, match="server: no"):
        await nats.connect("nats://one", dialer=server)


async def test_lost_in_the_turn_that_brought_the_pong() -> None:
    server = ScriptedServer()
    server.answers["CONNECT"] = b"+OK\r\n"
    del server.answers["PING"]
    opening = asyncio.create_task(nats.connect("nats://one", dialer=server))
    peer = await server.accept()
    await peer.expect("PING")
    peer.send(b"PONG\r\n")
    peer.cut()
    with pytest.raises(TransportError, match="closed the connection"):
        await opening


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, "the server closed the connection"),
        (OSError("reset"), "reset"),
        (TransportError("nats://one", "code 1006"), "code 1006"),
    ],
)
async def test_lost_before_the_greeting(error: Exception | None, text: str) -> None:
    server = ScriptedServer(b"")
    opening = asyncio.create_task(nats.connect("nats://one", dialer=server))
    (await server.accept()).cut(error)
    with pytest.raises(TransportError, match=text):
        await opening


@pytest.mark.parametrize("what", ["dial", "greeting", "pong"])
async def test_a_server_that_does_not_answer_in_time(what: str) -> None:
    server = ScriptedServer(b"" if what == "greeting" else None)
    server.silent = {"one"} if what == "dial" else ()
    server.answers.clear()
    with pytest.raises(TransportError, match=r"no NATS server answered within 0\.01 s"):
        await nats.connect("nats://one", dialer=server, connect_timeout=0.01)
    for peer in server.sessions:
        await peer.wait_closed()


async def test_lost_while_tls_begins() -> None:
    class Losing(ScriptedServer):
        async def start_tls(self, transport, *_):  # type: ignore[no-untyped-def]
            transport.cut()
            await transport.wait_closed()
            return transport

    with pytest.raises(TransportError, match="closed"):
        await nats.connect("nats://one", dialer=Losing(info(tls_required=True)))


async def test_nothing_that_came_in_the_clear_reaches_into_tls() -> None:
    """Who is between could put the beginning of a message before what the server says."""
    for begun in (b"MSG a 1 30\r\nforged", b"-ER", b"PONG"):
        server = ScriptedServer(info(tls_required=True) + begun)
        async with client(server, "tls://one") as nc:
            peer = await server.accept()
            subscription = await nc.subscribe("a")
            await peer.expect("SUB")
            peer.message("a", b"genuine")
            assert (await subscription.next_msg()).data == b"genuine"


async def test_a_pipe_that_opens_after_the_attempt_was_given_up_is_closed() -> None:
    server = ScriptedServer()
    url = urlsplit("nats://one")
    late = Connection(Server(url), LocalBus(), lambda *_: None, lambda *_: None, lambda: None)
    late.close()
    transport = await server.dial(url, late, nats.Options().tls_settings(), {})
    assert transport.is_closing()
    late.data_received(b"garbage that nobody reads")
    with pytest.raises(NotConnected):
        await late.ping()
    await server.sessions[0].wait_closed()


async def test_frames_of_one_turn_are_written_together_and_the_first_at_once() -> None:
    async with session() as (nc, peer, _):
        await peer.expect("PING")
        nc.publish("a")
        assert [c.line for c in peer.commands] == [b"PUB a 0"]
        nc.publish("b")
        assert len(peer.commands) == 1
        await nc.flush()
        assert [c.line for c in peer.commands] == [b"PUB a 0", b"PUB b 0", b"PING"]


async def test_after_a_turn_with_many_frames_the_next_one_is_written_in_one_go() -> None:
    async with session() as (nc, peer, _):
        await peer.expect("PING")
        for subject in ("a", "b", "c"):
            nc.publish(subject)
        await nc.flush()
        peer.commands.clear()
        nc.publish("d")
        assert not peer.commands  # others may follow
        assert (await peer.expect("PUB")).line == b"PUB d 0"  # and did not
        nc.publish("e")
        assert [c.line for c in peer.commands] == [b"PUB e 0"]


async def test_a_large_turn_is_written_before_its_end() -> None:
    async with session() as (nc, peer, _):
        await peer.expect("PING")
        nc.publish("a")
        nc.publish("a", bytes(WRITE_BYTES // 2))
        assert len(peer.commands) == 1
        nc.publish("a", bytes(WRITE_BYTES // 2))  # no room for both in one write
        assert len(peer.commands) == 2
        nc.publish("a", bytes(WRITE_BYTES))  # larger than any write: alone
        assert len(peer.commands) == 3


async def test_a_full_pipe_holds_frames_back() -> None:
    async with session(pending_size=1000) as (nc, peer, _):
        await peer.expect("PING")
        peer.pause()
        nc.publish("a", b"held")
        assert not peer.commands
        peer.resume()
        assert (await peer.expect("PUB")).payload == b"held"


async def test_ping_is_answered_before_user_code_runs() -> None:
    async with session() as (nc, peer, _):
        seen: list[int] = []
        await nc.subscribe(
            "a", cb=lambda _: seen.append(sum(c.verb == "PONG" for c in peer.commands))
        )
        peer.send(b"MSG a 1 0\r\n\r\nPING\r\n")
        await peer.expect("PONG")
        assert seen == [1]


async def test_pongs_nobody_asked_for_are_harmless() -> None:
    async with session() as (nc, peer, _):
        peer.send(b"PONG\r\nPONG\r\n+OK\r\n")
        await nc.flush()
        assert nc.status is Status.CONNECTED


async def test_garbage_on_a_live_connection_drops_it() -> None:
    errors: list[Exception] = []
    async with session(error_cb=errors.append) as (nc, peer, server):
        await nc.subscribe("a")
        peer.send(b"MSG a 1 0\r\n\r\nBOGUS\r\n")
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        assert nc.stats.in_msgs == 1  # what came before the garbage was delivered
        assert [str(e) for e in errors] == ["NATS protocol: unknown operation b'BOGUS\\r'"]
        await (await server.accept()).expect("SUB")
        await peer.wait_closed()


async def test_the_last_words_of_a_server_are_the_reason() -> None:
    errors: list[Exception] = []
    async with session(error_cb=errors.append) as (nc, peer, _):
        peer.error('Permissions Violation for Publish to "x"')
        peer.send(b"PING\r\n")
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        assert "closed the connection" in str(errors[-1])
        errors.clear()
    async with session(error_cb=errors.append) as (nc, peer, _):
        peer.error("Stale Connection")
        peer.cut(TransportError("ws://one", "WebSocket closed with 1001"))
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        assert [str(e) for e in errors] == ["server: Stale Connection"] * 2
