"""The platform Pyodide in a browser: see `agents_core.platform.Platform`."""

from __future__ import annotations

from os import PathLike
from typing import Any

import js

from agents_browser.nkeys import Key
from agents_browser.websocket import SCHEMES, BrowserDialer
from agents_browser.worker import open_host
from agents_core.bus import Bus
from agents_core.errors import Unsupported
from agents_core.nats.client import Client
from agents_core.nats.nkeys import Seed, Signer
from agents_core.nats.options import Options
from agents_core.nats.servers import parse_url, split_urls
from agents_core.state.backend import MemoryBackend

__all__ = [
    "NAME",
    "connect_bus",
    "default_url",
    "dialer",
    "open_backend",
    "open_host",
    "read_file",
    "signer",
]

NAME = "browser"
WEBSOCKET_PORT = 8080
"""Where `agents up`, and the NATS documentation's examples, have the WebSocket listener."""

PING_S = 25.0
"""Seconds of silence after which the server is asked whether it lives: many a proxy ends what is
silent for 60 s, and a tab's network comes and goes more often than a server's."""

dialer = BrowserDialer()


async def connect_bus(url: str, *, name: str, **options: Any) -> Bus:
    """Connect over the browser's WebSocket, and go on trying while the server is away.

    Raises:
        Unsupported: the scheme needs TCP, which no browser gives.
    """
    servers = split_urls(url)
    for server in servers:
        dialer.check(parse_url(server))
    defaults = {
        "retry_on_failed_connect": True,
        "max_reconnect_attempts": -1,
        "ping_interval": PING_S,
    }
    client = Client(Options(servers=servers, name=name, **(defaults | options)))
    await client.connect()
    return client


def default_url() -> str:
    """The WebSocket listener on the page's own host, with TLS where the page has it."""
    secure = js.location.protocol == "https:"
    scheme = SCHEMES[secure]
    return f"{scheme}://{js.location.hostname or '127.0.0.1'}:{WEBSOCKET_PORT}"


async def signer(seed: Seed) -> Signer:
    """See `Platform.signer`; by WebCrypto."""
    return await Key.from_seed(seed)


def read_file(path: str | PathLike[str]) -> bytes:
    """No files: a page has none of its user's.

    Raises:
        Unsupported: always.
    """
    instead = "give what is in it, for example user_credentials=RawCredentials(text)"
    raise Unsupported("a file with credentials in a browser", instead)


def open_backend(url: str) -> MemoryBackend:
    """No backend but `memory`, which the node has itself."""
    raise Unsupported(f"the state backend {url!r}", "use 'memory', or pass a MemoryBackend")
