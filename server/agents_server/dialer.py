"""Which pipe for which scheme, natively."""

from __future__ import annotations

import asyncio
from urllib.parse import SplitResult

from agents_core.errors import Unsupported
from agents_core.nats.headers import HeadersLike
from agents_core.nats.transport import TLS
from agents_server import tcp


class NativeDialer:
    """The `Dialer` of CPython: TCP and TLS from asyncio, WebSocket from `websockets`."""

    async def dial(
        self, url: SplitResult, protocol: asyncio.Protocol, tls: TLS, headers: HeadersLike
    ) -> asyncio.Transport:
        """See `Dialer.dial`.

        Raises:
            Unsupported: the package `websockets` is not installed.
        """
        if url.scheme not in {"ws", "wss"}:
            return await tcp.dial(url, protocol, tls)
        try:
            from agents_server import websocket  # noqa: PLC0415
        except ImportError:
            instead = "pip install 'agents-core[server]'"
            raise Unsupported(f"{url.scheme}://, without websockets,", instead) from None
        return await websocket.dial(url, protocol, tls, headers)

    async def start_tls(
        self, transport: asyncio.Transport, protocol: asyncio.Protocol, url: SplitResult, tls: TLS
    ) -> asyncio.Transport:
        """See `Dialer.start_tls`."""
        if url.scheme in {"ws", "wss"}:
            raise Unsupported("a TLS upgrade inside a WebSocket", "use wss://")
        return await tcp.start_tls(transport, protocol, url, tls)


dialer = NativeDialer()
