"""The browser's WebSocket as an asyncio transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult

import js
from pyodide.ffi import JsDoubleProxy, JsException, create_proxy

from agents_browser.pump import MESSAGE_BYTES_MAX, pump
from agents_core.errors import AgentsError, ProtocolError, TransportError, Unsupported
from agents_core.nats.headers import HeadersLike
from agents_core.nats.servers import public
from agents_core.nats.transport import TLS

SCHEMES = ("ws", "wss")

HIGH_WATER_BYTES = 4 * 1024 * 1024
"""Bytes in the browser's own buffer above which the connection is asked to wait.

The browser counts them down late: less would stop a sender that has one MiB under way.
"""

LOW_WATER_BYTES = 1024 * 1024
"""Below it the connection may go on."""

POLL_S = 0.005
"""Seconds between two looks at the buffer while it is full: the browser has no event for it, and
makes a `setTimeout` no shorter than 4 ms."""

NORMAL_CLOSURE = 1000
NO_STATUS = frozenset({1005, 1006})
"""The codes that a browser makes up when the peer sent none: there is nothing in them to tell."""


class BrowserDialer:
    """The `Dialer` of a browser: `ws://` and `wss://` only."""

    def check(self, url: SplitResult) -> None:
        """Refuse a scheme that needs TCP.

        Raises:
            Unsupported: it does.
        """
        if url.scheme not in SCHEMES:
            instead = "use the server's WebSocket listener, ws:// or wss://"
            raise Unsupported(f"{url.scheme}:// in a browser", instead)

    async def dial(
        self, url: SplitResult, protocol: asyncio.Protocol, tls: TLS, headers: HeadersLike
    ) -> asyncio.Transport:
        """See `Dialer.dial`; TLS and headers are the browser's own affair."""
        self.check(url)
        if tls != TLS():
            instead = "use wss://; the browser checks certificates, by the user's settings"
            raise Unsupported("choosing how to speak TLS in a browser", instead)
        if headers:
            instead = "set a cookie on the page's host, which the browser sends by itself"
            raise Unsupported("sending headers with a WebSocket in a browser", instead)
        transport = WebSocketTransport(public(url), protocol)
        try:
            await transport.opened
        except BaseException:
            transport.abort()
            raise
        return transport

    async def start_tls(
        self, transport: asyncio.Transport, protocol: asyncio.Protocol, url: SplitResult, tls: TLS
    ) -> asyncio.Transport:
        """See `Dialer.start_tls`; never asked for, as the WebSocket brings its own."""
        raise Unsupported("a TLS upgrade inside a WebSocket", "use wss://")


class WebSocketTransport(asyncio.Transport):
    """What the connection above writes becomes binary messages; what arrives becomes its bytes.

    Args:
        url: of the server, without credentials.
        protocol: the connection above.

    Raises:
        TransportError: the browser refuses the URL, as when a page over https names `ws://`.
    """

    def __init__(self, url: str, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self._url = url
        self._protocol = protocol
        self._ended = False
        self._paused = False
        try:
            self._websocket = js.WebSocket.new(url)
        except JsException as error:
            raise TransportError(url, error.message) from None
        self._websocket.binaryType = "arraybuffer"
        self._pump = pump()
        # First, as it has to hear of the end before us: what it holds then still counts.
        self._proxies = [self._pump.listen(self._websocket, self._on_data)]
        self._websocket.onopen = self._proxy(self._on_open)
        self._websocket.onclose = self._proxy(self._on_close)

    def _proxy(self, callback: Callable[..., object]) -> JsDoubleProxy:
        proxy = create_proxy(callback)
        self._proxies.append(proxy)
        return proxy

    # -- what the connection above calls

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send bytes as one or several binary messages."""
        if self._ended:
            return
        if len(data) <= MESSAGE_BYTES_MAX:
            waiting = self._pump.send(self._websocket, data)
        else:
            view = memoryview(data)
            for begin in range(0, len(view), MESSAGE_BYTES_MAX):
                part = view[begin : begin + MESSAGE_BYTES_MAX]
                waiting = self._pump.send(self._websocket, part)
        if waiting > HIGH_WATER_BYTES and not self._paused:
            self._paused = True
            self._protocol.pause_writing()
            self._loop.call_later(POLL_S, self._poll)

    def _poll(self) -> None:
        if self._ended:
            return
        if self._websocket.bufferedAmount > LOW_WATER_BYTES:
            self._loop.call_later(POLL_S, self._poll)
        else:
            self._paused = False
            self._protocol.resume_writing()

    def close(self) -> None:
        """Send what is buffered, then say good-bye; nothing that arrives later is delivered."""
        if not self._ended:
            self._end()
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """The same: a browser's WebSocket can't be cut."""
        self.close()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._ended

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """A browser tells nothing about the connection."""
        return default

    # -- what the browser calls

    def _on_open(self, _: object) -> None:
        if not self.opened.done():
            self._protocol.connection_made(self)
            self.opened.set_result(None)

    def _on_data(self, data: bytes | str) -> None:
        """The bytes of one message, or of several."""
        if isinstance(data, str):
            self._lose(ProtocolError("a text message: NATS over WebSocket is binary"))
        else:
            self._protocol.data_received(data)

    def _on_close(self, event: js.CloseEvent) -> None:
        """Also what follows an error, of which a browser tells nothing but that it was one."""
        if event.code in NO_STATUS:
            self._lose(TransportError(self._url, "the WebSocket could not be opened, or broke"))
        elif event.code == NORMAL_CLOSURE:
            self._lose(None)
        else:
            text = f"WebSocket closed with {event.code} {event.reason}".rstrip()
            self._lose(TransportError(self._url, text))

    # -- ending

    def _lose(self, error: AgentsError | None) -> None:
        if self._ended:
            return
        self._end()
        if self.opened.done():
            self._protocol.connection_lost(error)
        else:
            closed = TransportError(self._url, "closed during the WebSocket handshake")
            self.opened.set_exception(error or closed)

    def _end(self) -> None:
        """Hear nothing more of it, release the proxies, and close it if it is not."""
        self._ended = True
        for event in ("open", "message", "close"):
            setattr(self._websocket, f"on{event}", None)
        proxies, self._proxies = self._proxies, []
        for proxy in proxies:
            # One of them may be what calls this; it must live until it has returned.
            self._loop.call_soon(proxy.destroy)
        self._websocket.close(NORMAL_CLOSURE)
