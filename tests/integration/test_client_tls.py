"""TLS against a real nats-server, with certificates of a CA that the test makes.

Everything by our client and by nats-py, and by each way to TLS: said by the URL, asked for by the
server's INFO, below WebSocket.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from agents_core import nats
from agents_core.bus import Bus, Status
from agents_core.errors import TransportError, Unsupported
from agents_core.ids import unique
from agents_server.nats_py import NatsPyBus
from agents_server.nats_server import NatsServer, free_port
from tests.issuer import Operator

pytestmark = pytest.mark.nats

UNTRUSTED = "certificate verify failed: unable to get local issuer certificate"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@contextmanager
def server(
    folder: Path, authority: trustme.CA, *names: str, tls: str = "", extra: str = "", **more: Any
) -> Iterator[NatsServer]:
    """A server with TLS on both listeners, whose certificate names these hosts."""
    certificate = authority.issue_cert(*names, **more)
    key, chain, ca = folder / "key.pem", folder / "chain.pem", folder / "ca.pem"
    certificate.private_key_pem.write_to_path(key)
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    authority.cert_pem.write_to_path(ca)
    files = f'cert_file: "{chain.as_posix()}", key_file: "{key.as_posix()}"'
    files += f', ca_file: "{ca.as_posix()}"'
    port = free_port()
    verify = ", verify: true" if "verify" in tls else ""
    extra += f"""
tls {{ {files}, {tls} }}
websocket {{ listen: "127.0.0.1:{port}", tls {{ {files}{verify} }} }}
"""
    running = NatsServer(folder, websocket_port=port, extra=extra)
    running.start()
    try:
        yield running
    finally:
        running.stop()


Way = tuple[str, Callable[..., Any]]


async def ours(url: str, **options: Any) -> Bus:
    return await nats.connect(url, **options)


async def nats_pys(url: str, **options: Any) -> Bus:
    bus = NatsPyBus(nats.Options(servers=[url], **options))
    await bus.connect()
    return bus


def ways(running: NatsServer) -> list[Way]:
    """Each client, by each of its ways to TLS."""
    secure = running.url.replace("nats://", "tls://")
    websocket = running.websocket_url.replace("ws://", "wss://")
    over_tcp = [(url, client) for url in (secure, running.url) for client in (ours, nats_pys)]
    return [*over_tcp, (websocket, ours)]


async def works(bus: Bus) -> None:
    subject, payload = unique(), bytes(300_000)
    subscription = await bus.subscribe(subject)
    bus.publish(subject, payload)
    assert (await subscription.next_msg(5)).data == payload
    await bus.drain()


async def test_messages_over_tls(
    tmp_path: Path, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    with server(tmp_path, authority, "127.0.0.1") as running:
        for url, connect in ways(running):
            await works(await connect(url, tls=trusting))


async def test_a_certificate_of_nobody_we_trust(tmp_path: Path, authority: trustme.CA) -> None:
    with server(tmp_path, authority, "127.0.0.1") as running:
        for url, connect in ways(running):
            with pytest.raises(TransportError) as caught:
                await connect(url)
            assert str(caught.value) == f"{url}: {UNTRUSTED}"


async def test_a_certificate_for_another_host(
    tmp_path: Path, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    with server(tmp_path, authority, "nats.example") as running:
        for url, connect in ways(running):
            with pytest.raises(TransportError, match=r"not valid for '127\.0\.0\.1'"):
                await connect(url, tls=trusting)
            await works(await connect(url, tls=trusting, tls_hostname="nats.example"))
            with pytest.raises(TransportError, match=r"not valid for 'b\.example'"):
                await connect(url, tls=trusting, tls_hostname="b.example")
        for url, connect in ways(running)[:4]:
            with pytest.raises(TransportError):
                await connect(url, tls=trusting, tls_hostname=".no-name")


async def test_a_certificate_that_has_expired(
    tmp_path: Path, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    before = yesterday - timedelta(days=1)
    with server(
        tmp_path, authority, "127.0.0.1", not_before=before, not_after=yesterday
    ) as running:
        for url, connect in ways(running):
            with pytest.raises(TransportError, match="certificate has expired"):
                await connect(url, tls=trusting)


async def test_a_certificate_of_the_client(
    tmp_path: Path, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    known = ssl.create_default_context()
    authority.configure_trust(known)
    authority.issue_cert("client.example").configure_cert(known)
    with server(tmp_path, authority, "127.0.0.1", tls="verify: true") as running:
        for url, connect in ways(running):
            await works(await connect(url, tls=known))
            # TLS 1.3 refuses it after the handshake: who writes before the refusal has arrived
            # hears only that the connection is closed.
            with pytest.raises(TransportError, match=r"certificate required|closed the connection"):
                await connect(url, tls=trusting)


async def test_a_certificate_that_says_who_the_user_is(
    tmp_path: Path, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    known = ssl.create_default_context()
    authority.configure_trust(known)
    authority.issue_cert("ada@example.org").configure_cert(known)
    rules = 'authorization { users: [ { user: "ada@example.org" } ] }'
    with server(
        tmp_path, authority, "127.0.0.1", tls="verify_and_map: true", extra=rules
    ) as running:
        for url, connect in ways(running)[:4]:
            await works(await connect(url, tls=known))


async def test_tls_before_info(
    tmp_path: Path, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    with server(tmp_path, authority, "127.0.0.1", tls="handshake_first: true") as running:
        for url, connect in ways(running)[:4]:
            await works(await connect(url, tls=trusting, tls_handshake_first=True))
            with pytest.raises(TransportError, match=UNTRUSTED):
                await connect(url, tls_handshake_first=True)
            with pytest.raises(TransportError, match="within"):
                await connect(url, tls=trusting, connect_timeout=0.2)


async def test_tls_where_there_is_none(nats_server: NatsServer) -> None:
    """Nothing is sent in the clear by who asked for TLS."""
    context = ssl.create_default_context()
    for url, connect in ways(nats_server)[:4]:
        options = {} if url.startswith("tls") else {"tls": context}
        with pytest.raises(TransportError, match="the server offers no TLS"):
            await connect(url, token="secret", **options)
        with pytest.raises(TransportError, match="TLS"):
            await connect(url, tls_handshake_first=True, **options)
    with pytest.raises(TransportError, match="TLS"):
        await nats.connect(nats_server.websocket_url.replace("ws:", "wss:"))


async def test_tls_where_it_is_the_clients_choice(
    tmp_path: Path, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    with server(tmp_path, authority, "127.0.0.1", extra="allow_non_tls: true") as running:
        for url, connect in ways(running):
            await works(await connect(url, tls=trusting))
        for connect in (ours, nats_pys):
            await works(await connect(running.url))  # nothing asks for TLS


async def test_a_handshake_that_is_never_answered() -> None:
    writers: list[asyncio.StreamWriter] = []

    def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(b'INFO {"tls_required":true}\r\n')

    silent = await asyncio.start_server(accepted, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    for connect in (ours, nats_pys):
        for url in (f"tls://127.0.0.1:{port}", f"nats://127.0.0.1:{port}"):
            with pytest.raises(TransportError, match=r"within 0\.2 s"):
                await connect(url, connect_timeout=0.2)
    with pytest.raises(TransportError):
        await ours(f"wss://127.0.0.1:{port}", connect_timeout=0.2)
    for writer in writers:
        writer.close()
    silent.close()


async def test_credentials_and_reconnects_over_tls(
    tmp_path: Path, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    operator = Operator()
    user = operator.account.user()
    with server(tmp_path, authority, "127.0.0.1", extra=operator.config()) as running:
        for url, connect in ways(running):
            bus = await connect(url, tls=trusting, user_credentials=user.creds)
            statuses: asyncio.Queue[Status] = asyncio.Queue()
            bus.on_status(statuses.put_nowait)
            await asyncio.to_thread(running.stop)
            assert await statuses.get() is Status.RECONNECTING
            await asyncio.to_thread(running.start)
            assert await statuses.get() is Status.CONNECTED
            await works(bus)


async def test_something_else_than_a_context(tmp_path: Path, authority: trustme.CA) -> None:
    with server(tmp_path, authority, "127.0.0.1") as running:
        for url, connect in ways(running):
            with pytest.raises(Unsupported, match=r"give an ssl\.SSLContext"):
                await connect(url, tls="no context")
