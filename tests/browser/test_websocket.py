"""The browser's WebSocket as a transport, with the page's `pump.mjs` and without it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page
from websockets.sync.server import ServerConnection, serve

from agents_server.nats_server import NatsServer
from tests.browser.tab import run_python

PUMP = (Path(__file__).parents[2] / "web" / "pump.mjs").read_bytes()
PYTHON = """
import json, os
from agents_browser.pump import INBOUND_BYTES, MESSAGE_BYTES_MAX, pump
from agents_core import nats

around = [n + d for n in (MESSAGE_BYTES_MAX, INBOUND_BYTES) for d in (-1, 0, 1)]
sizes = [0, 1, *around, 1024 * 1024, *[16] * 2000, *around]
sent = [os.urandom(size) for size in sizes]
client, other = await nats.connect(values["url"]), await nats.connect(values["url"])
right = 0
for held in (b"", bytearray(200 * 1024 * 1024)):  # for which all of Python's memory has to move
    subscription = await client.subscribe("there")
    await client.flush()
    for data in sent:
        await other.ready()
        await other.publish("there", data)
    for data in sent:
        right += (await subscription.next_msg(timeout=30)).data == data
    await subscription.unsubscribe()
alone = await client.subscribe("alone")
await client.flush()
for size in range(4050, 4090):  # one of them fills a message of the server's, and nothing follows
    await other.publish("alone", bytes(size))
    right += len((await alone.next_msg(timeout=5)).data) == size
await client.close()
await other.close()
json.dumps({"pump": type(pump()).__name__, "right": right, "sent": 2 * len(sent) + 40})
"""


@pytest.mark.nats
@pytest.mark.parametrize("modules", [{"agents_pump": PUMP}, {}], ids=["pump", "no pump"])
def test_bytes_of_any_size_come_as_they_were_sent(
    page: Page, nats_server: NatsServer, wheel: Path, pyodide: Path, modules: dict[str, bytes]
) -> None:
    values = {"url": nats_server.websocket_url}
    found = run_python(page, PYTHON, wheel=wheel, pyodide=pyodide, modules=modules, values=values)
    assert found["right"] == found["sent"] > 4000
    assert found["pump"] == ("Shared" if modules else "Copies")


FULL_BYTES = 4096
"""The size at which a server cuts what it sends to a browser."""

FULL = 8
FULL_MSG = b"MSG a 1 4080\r\n" + bytes(4080) + b"\r\n"
LAST_WORDS = """
import asyncio, json
from agents_core import nats

heard, closed = [], asyncio.Event()
client = await nats.connect(values["url"], allow_reconnect=False, closed_cb=closed.set)
await client.subscribe("a", cb=lambda msg: heard.append(len(msg.data)))
async with asyncio.timeout(10):
    await closed.wait()
json.dumps(heard)
"""


def _last_words(connection: ServerConnection) -> None:
    """Messages that each fill one of the WebSocket's, and an end right behind them."""
    connection.send(b'INFO {"headers":true,"proto":1,"max_payload":1048576} \r\n')
    received = b""
    while b"SUB " not in received:
        data = connection.recv()
        assert isinstance(data, bytes)
        received += data
        if b"PING" in data:
            connection.send(b"PONG\r\n")
    for _ in range(FULL):
        connection.send(FULL_MSG)


@pytest.fixture
def ending_url() -> Iterator[str]:
    """Of a server that says its last words at once."""
    with serve(_last_words, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("modules", [{"agents_pump": PUMP}, {}], ids=["pump", "no pump"])
def test_what_came_before_the_end_is_delivered(
    page: Page, ending_url: str, wheel: Path, pyodide: Path, modules: dict[str, bytes]
) -> None:
    assert len(FULL_MSG) == FULL_BYTES
    values = {"url": ending_url}
    heard = run_python(
        page, LAST_WORDS, wheel=wheel, pyodide=pyodide, modules=modules, values=values
    )
    assert heard == [4080] * FULL
