"""TLS against a real nats-server, with certificates of a CA that the test makes."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from agents_core import nats
from agents_core.errors import AgentsError, TransportError
from agents_core.ids import unique
from agents_server.nats_server import NatsServer, free_port

pytestmark = pytest.mark.nats


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
    folder: Path, authority: trustme.CA, *names: str, first: bool = False
) -> Iterator[NatsServer]:
    """A server with TLS on both listeners, whose certificate names these hosts."""
    certificate = authority.issue_cert(*names)
    key, chain = folder / "key.pem", folder / "chain.pem"
    certificate.private_key_pem.write_to_path(key)
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    files = f'cert_file: "{chain.as_posix()}", key_file: "{key.as_posix()}"'
    port = free_port()
    extra = f"""
tls {{ {files}, handshake_first: {str(first).lower()} }}
websocket {{ listen: "127.0.0.1:{port}", tls {{ {files} }} }}
"""
    running = NatsServer(folder, websocket_port=port, extra=extra)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def secure(running: NatsServer) -> list[str]:
    """The same server by each way to TLS: said by the URL, asked for by INFO, below WebSocket."""
    websocket = running.websocket_url.replace("ws://", "wss://")
    return [running.url.replace("nats://", "tls://"), running.url, websocket]


async def test_messages_over_tls(
    tmp_path: Path, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    with server(tmp_path, authority, "127.0.0.1") as running:
        for url in secure(running):
            nc = await nats.connect(url, tls=trusting)
            subject, payload = unique(), bytes(300_000)
            subscription = await nc.subscribe(subject)
            nc.publish(subject, payload)
            assert (await subscription.next_msg(5)).data == payload
            await nc.drain()


async def test_a_certificate_of_nobody_we_trust(tmp_path: Path, authority: trustme.CA) -> None:
    with server(tmp_path, authority, "127.0.0.1") as running:
        for url in secure(running):
            with pytest.raises(TransportError, match=r"(?i)certificate.verify.failed"):
                await nats.connect(url)


async def test_a_certificate_for_another_host(
    tmp_path: Path, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    with server(tmp_path, authority, "nats.example") as running:
        for url in secure(running):
            with pytest.raises(TransportError, match=r"(?i)certificate.verify.failed"):
                await nats.connect(url, tls=trusting)
            nc = await nats.connect(url, tls=trusting, tls_hostname="nats.example")
            await nc.close()


async def test_tls_before_info(
    tmp_path: Path, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    with server(tmp_path, authority, "127.0.0.1", first=True) as running:
        nc = await nats.connect(running.url, tls=trusting, tls_handshake_first=True)
        await nc.flush()
        await nc.close()
        with pytest.raises(TransportError, match="within"):
            await nats.connect(running.url, tls=trusting, connect_timeout=0.2)


async def test_tls_where_there_is_none(nats_server: NatsServer) -> None:
    for url in secure(nats_server)[::2]:
        with pytest.raises(AgentsError):
            await nats.connect(url)
