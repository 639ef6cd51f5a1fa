"""What a tab has by default where a server needs none of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from agents_server.nats_server import NatsServer
from tests.browser.tab import run_python

PROXY_S = 60
"""Seconds of silence after which many a proxy ends a WebSocket."""

PYTHON = """
import json
from agents_browser import platform

found = []
for given in ({}, {"ping_interval": 7.0}):
    bus = await platform.connect_bus(values["url"], name="tab", **given)
    found.append(bus.options.ping_interval)
    await bus.close()
json.dumps(found)
"""


@pytest.mark.nats
def test_a_silent_connection_is_asked_before_a_proxy_ends_it(
    page: Page, nats_server: NatsServer, wheel: Path, pyodide: Path
) -> None:
    values = {"url": nats_server.websocket_url}
    by_default, given = run_python(page, PYTHON, wheel=wheel, pyodide=pyodide, values=values)
    assert by_default <= PROXY_S / 2
    assert given == 7.0
