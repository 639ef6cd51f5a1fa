"""How bytes get from a browser's WebSocket, or a worker's port, into Python, and out of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Protocol, TypeAlias

import js
from pyodide.ffi import JsDoubleProxy, create_proxy, to_js

MESSAGE_BYTES_MAX = 64 * 1024
"""What is sent is no larger: it could break a server that inflates it."""

INBOUND_BYTES = 256 * 1024
"""What is handed over at once; more comes in parts. It is held for as long as Python runs."""

Source: TypeAlias = "js.WebSocket | js.MessagePort"
Bytes: TypeAlias = bytes | bytearray | memoryview[Any]


class Pump(Protocol):
    """Moves the bytes of all WebSockets and ports."""

    def listen(self, source: Source, arrived: Callable[[Any], None]) -> JsDoubleProxy:
        """Call `arrived` with the bytes that come until `onmessage` is unset.

        A text message, which no peer of ours sends, is passed on as it is.

        Returns:
            What has to be destroyed after that.
        """
        ...

    def send(self, websocket: js.WebSocket, data: Bytes) -> int:
        """Send up to `MESSAGE_BYTES_MAX` as one message.

        Returns:
            Bytes that the browser has not sent yet.
        """
        ...


class Copies:
    """One call and one object of JavaScript's per message: works anywhere, as in a notebook."""

    def listen(self, source: Source, arrived: Callable[[Any], None]) -> JsDoubleProxy:
        """See `Pump`."""

        def on_message(event: js.MessageEvent) -> None:
            data = event.data
            arrived(data if isinstance(data, str) else data.to_bytes())

        source.onmessage = proxy = create_proxy(on_message)
        return proxy

    def send(self, websocket: js.WebSocket, data: Bytes) -> int:
        """See `Pump`."""
        websocket.send(to_js(data))
        return websocket.bufferedAmount


class Shared:
    """Memory that JavaScript sees too, and one call per batch of messages.

    A call is over before another can begin, so two buffers do for all of them.

    Args:
        share: the function of `web/pump.mjs`.
    """

    def __init__(self, share: Callable[..., Any]) -> None:
        inbound, self._outbound = bytearray(INBOUND_BYTES), bytearray(MESSAGE_BYTES_MAX)
        self._inbound = memoryview(inbound)
        shared = share(inbound, self._outbound)
        self._pump: Callable[[Source, JsDoubleProxy], None] = shared.pump
        self._send: Callable[[js.WebSocket, int], int] = shared.send

    def listen(self, source: Source, arrived: Callable[[Any], None]) -> JsDoubleProxy:
        """See `Pump`."""
        inbound = self._inbound

        def on_batch(size: int | str) -> None:
            arrived(size if isinstance(size, str) else bytes(inbound[:size]))

        proxy = create_proxy(on_batch)
        self._pump(source, proxy)
        return proxy

    def send(self, websocket: js.WebSocket, data: Bytes) -> int:
        """See `Pump`."""
        size = len(data)
        self._outbound[:size] = data
        return self._send(websocket, size)


@cache
def pump() -> Pump:
    """The one of this Python: shared memory where the page's worker has registered `pump.mjs`."""
    try:
        return Shared(import_module("agents_pump").share)
    except ImportError:
        return Copies()
