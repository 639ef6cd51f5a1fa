"""WebSocket compression, as browsers negotiate it: a server inflates each message as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from random import Random

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from agents_core import nats
from agents_core.bus import Status
from agents_core.ids import unique
from agents_server import websocket
from agents_server.nats_server import NatsServer, free_port

pytestmark = pytest.mark.nats

PAYLOADS = {
    "zeros": bytes(1024 * 1024),
    "noise": Random(1).randbytes(1024 * 1024),
    "text": (b"a line that comes again and again\r\n" * 30_000)[: 1024 * 1024],
}
"""Each as large as a server takes by default; the first shrinks most."""


@pytest.fixture(scope="module", params=[False, True], ids=["off", "on"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NatsServer]:
    port = free_port()
    on = str(request.param).lower()
    extra = f'websocket {{ listen: "127.0.0.1:{port}", no_tls: true, compression: {on} }}'
    started = NatsServer(tmp_path_factory.mktemp("compression"), websocket_port=port, extra=extra)
    started.start()
    yield started
    started.kill()


@pytest.fixture
def like_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offer compression, as every browser does whether it is wanted or not."""
    made = partial(websocket._WebSocket, extensions=[ClientPerMessageDeflateFactory()])
    monkeypatch.setattr(websocket, "_WebSocket", made)


@pytest.mark.usefixtures("like_a_browser")
@pytest.mark.parametrize("kind", PAYLOADS)
async def test_the_largest_payload_there_and_back(server: NatsServer, kind: str) -> None:
    subject, payload = unique(), PAYLOADS[kind]
    nc = await nats.connect(server.websocket_url)
    assert nc.max_payload == len(payload)
    subscription = await nc.subscribe(subject)
    for _ in range(3):
        nc.publish(subject, payload)
    for _ in range(3):
        assert (await subscription.next_msg(10)).data == payload
    assert nc.stats.reconnects == 0
    await nc.close()


@pytest.mark.usefixtures("like_a_browser")
async def test_a_flood_of_small_ones(server: NatsServer) -> None:
    subject, seen = unique(), 0
    over = asyncio.Event()

    def count(_: nats.Msg) -> None:
        nonlocal seen
        seen += 1
        if seen == 20_000:
            over.set()

    nc = await nats.connect(server.websocket_url)
    await nc.subscribe(subject, cb=count)
    for _ in range(20_000):
        nc.publish(subject, bytes(200))
        await nc.ready()
    await over.wait()
    assert nc.stats.reconnects == 0
    await nc.close()


@pytest.mark.usefixtures("like_a_browser")
async def test_a_message_that_inflates_to_more_ends_the_connection(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why `MESSAGE_BYTES_MAX` is what it is; without compression a server takes any size."""
    monkeypatch.setattr(websocket, "MESSAGE_BYTES_MAX", 8 * 1024 * 1024)
    subject, payload = unique(), PAYLOADS["zeros"]
    nc = await nats.connect(server.websocket_url)
    subscription = await nc.subscribe(subject)
    lost = asyncio.Event()
    nc.on_status(lambda status: lost.set() if status is Status.RECONNECTING else None)
    nc.publish(subject, payload)
    if "compression: true" in server.extra:
        await lost.wait()
    else:
        assert (await subscription.next_msg(10)).data == payload
        assert not lost.is_set()
    await nc.close()
