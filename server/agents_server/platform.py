"""The platform CPython: see `agents_core.platform.Platform`."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents_core.bus import Bus
from agents_core.errors import Unsupported
from agents_core.nats.client import Client
from agents_core.nats.nkeys import Seed, Signer
from agents_core.nats.options import Options
from agents_core.nats.servers import parse_url, split_urls
from agents_core.state.backend import MemoryBackend
from agents_server import files
from agents_server.dialer import dialer
from agents_server.host_process import open_host
from agents_server.nkeys import Key

if TYPE_CHECKING:
    from agents_server.nats_py import NatsPyBus

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

NAME = "server"
FILE_BYTES_MAX = 1024 * 1024
"""A file with credentials is some thousand bytes."""

DEFAULT_URL = "nats://127.0.0.1:4222"


async def connect_bus(url: str, *, name: str, **options: Any) -> Bus:
    """Connect, and go on trying while the server is away.

    Over nats-py for TCP, as its users know it; over our own client for WebSocket, and where a
    `dialer` is given, of which nats-py has none.

    Raises:
        Unsupported: nats-py is not installed; see the dialer, too.
    """
    keep_trying = {"retry_on_failed_connect": True, "max_reconnect_attempts": -1}
    made = Options(servers=split_urls(url), name=name, **(keep_trying | options))
    schemes = {parse_url(server).scheme for server in made.servers}
    ours = made.dialer is not None or schemes & {"ws", "wss"}
    bus = Client(made) if ours else _over_nats_py(made)
    await bus.connect()
    return bus


def _over_nats_py(options: Options) -> NatsPyBus:
    try:
        from agents_server.nats_py import NatsPyBus  # noqa: PLC0415
    except ImportError:
        instead = "pip install 'agents-core[server]'"
        raise Unsupported("a node over TCP, without nats-py,", instead) from None
    return NatsPyBus(options)


def default_url() -> str:
    """`NATS_URL`, else `NATS_WEBSOCKET_URL`, else the usual local server."""
    return os.environ.get("NATS_URL") or os.environ.get("NATS_WEBSOCKET_URL") or DEFAULT_URL


async def signer(seed: Seed) -> Signer:
    """See `Platform.signer`; by the `cryptography` package."""
    return Key(seed)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """See `Platform.read_file`."""
    with Path(path).open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise OSError(errno.EFBIG, f"larger than {FILE_BYTES_MAX} bytes")
    return data


def open_backend(url: str) -> MemoryBackend:
    """`file:./state`: a directory, relative to the working directory."""
    scheme, _, path = url.partition(":")
    if scheme != "file" or not path.removeprefix("//"):
        instead = "use 'memory', 'file:./directory', or pass a MemoryBackend"
        raise Unsupported(f"the state backend {url!r}", instead)
    return files.open_directory(path.removeprefix("//"))
