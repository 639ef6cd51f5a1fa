"""The seam to the platform: an asyncio transport and protocol pair, and who opens it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import SplitResult

from agents_core.errors import TransportError
from agents_core.nats.headers import HeadersLike
from agents_core.nats.servers import public


@dataclass(frozen=True, slots=True)
class TLS:
    """How to speak TLS.

    Attributes:
        context: an `ssl.SSLContext`, or None for the platform's default with verification on.
        hostname: the name to check instead of the URL's host.
        handshake_first: TLS before the server's INFO (`tls_handshake_first` of nats-py).
    """

    context: object | None = None
    hostname: str = ""
    handshake_first: bool = False

    def upgrades(self, url: SplitResult, info: Mapping[str, object]) -> bool:
        """Whether TLS begins after this INFO.

        Whoever wants TLS gets it, or no connection: INFO came in the clear, where anybody can
        change it. Over WebSocket it speaks of the listener, whose TLS is already there.

        Raises:
            TransportError: TLS is wanted, and the server offers none.
        """
        if url.scheme not in {"nats", "tls"} or self.handshake_first:
            return False
        wanted = url.scheme == "tls" or self.context is not None
        if wanted and not (info.get("tls_required") or info.get("tls_available")):
            raise TransportError(public(url), "the server offers no TLS")
        return wanted or bool(info.get("tls_required"))


class Dialer(Protocol):
    """Opens byte pipes. One per platform; each knows its own URL schemes."""

    async def dial(
        self, url: SplitResult, protocol: asyncio.Protocol, tls: TLS, headers: HeadersLike
    ) -> asyncio.Transport:
        """Open a pipe and connect it to `protocol`.

        Bytes may be delivered to `protocol.data_received` before this returns. `headers` are more
        of them for the handshake of a WebSocket.

        Raises:
            TransportError: it could not be opened.
            Unsupported: this platform has no such scheme, or can't choose its TLS or headers.
        """
        ...

    async def start_tls(
        self, transport: asyncio.Transport, protocol: asyncio.Protocol, url: SplitResult, tls: TLS
    ) -> asyncio.Transport:
        """Upgrade an open pipe to TLS, after the server's INFO asked for it.

        Raises:
            TransportError: the handshake failed.
            Unsupported: the scheme brings its own encryption.
        """
        ...
