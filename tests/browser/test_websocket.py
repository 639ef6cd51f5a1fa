"""The browser's WebSocket as a transport, with the page's `pump.mjs` and without it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

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
