"""A byte pipe over WebSocket on CPython.

The `websockets` package's sans-I/O client as an asyncio transport.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast
from urllib.parse import SplitResult

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from agents_core.errors import AgentsError, ProtocolError, TransportError
from agents_core.nats.headers import HeadersLike, with_all_values
from agents_core.nats.servers import public
from agents_core.nats.transport import TLS
from agents_server.tcp import context_of, reason

MESSAGE_BYTES_MAX = 64 * 1024
"""A larger message can break a server that inflates it."""

INCOMING_BYTES_MAX = 128 * 1024 * 1024
"""Twice the largest NATS payload; a peer that sends more in one message is not a NATS server."""

NO_MASKING = "Nats-No-Masking"
"""Asks the server to do without the mask, which is there to protect proxies from a browser's pages;
a server that agrees says the same."""

_log = logging.getLogger("agents_server.websocket")
_log.setLevel(logging.INFO)  # below that `websockets` would log cookies, credentials and messages


async def dial(
    url: SplitResult, protocol: asyncio.Protocol, tls: TLS, headers: HeadersLike
) -> asyncio.Transport:
    """Connect to `ws://` or `wss://` and do the WebSocket handshake; path and query are kept."""
    loop = asyncio.get_running_loop()
    secure = url.scheme == "wss"
    plain = public(url)
    try:
        uri = parse_uri(plain)
        transport = WebSocketTransport(
            _WebSocket(uri, max_size=INCOMING_BYTES_MAX, logger=_log), protocol, plain, headers
        )
        await loop.create_connection(
            lambda: transport.wire,
            uri.host,
            uri.port,
            ssl=context_of(tls) if secure else None,
            server_hostname=(tls.hostname or url.hostname) if secure else None,
        )
    except (OSError, ValueError) as error:  # the latter for a host that can't be a name
        raise TransportError(plain, reason(error)) from error
    except WebSocketException as error:
        raise TransportError(plain, str(error)) from error
    try:
        await transport.opened
    except BaseException:
        transport.abort()
        raise
    return transport


class _WebSocket(ClientProtocol):
    """The client of `websockets`, with the mask left out where the server agrees to that."""

    masks = True

    def send_frame(self, frame: Frame) -> None:
        self.writes.append(frame.serialize(mask=self.masks, extensions=self.extensions))


class WebSocketTransport(asyncio.Transport):
    """What the connection above writes becomes binary messages; what arrives becomes its bytes."""

    def __init__(
        self,
        websocket: _WebSocket,
        protocol: asyncio.Protocol,
        url: str,
        headers: HeadersLike,
    ) -> None:
        super().__init__()
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.wire = _Wire(self)
        self._websocket = websocket
        self._protocol = protocol
        self._url = url
        self._headers = headers
        self._tcp: asyncio.Transport | None = None
        self._lost = False

    # -- what the connection above calls

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send bytes as one or several binary messages."""
        if self._websocket.state is not State.OPEN:
            return  # the peer has ended it, and `lost` is about to say so
        view = memoryview(data)
        for begin in range(0, len(view), MESSAGE_BYTES_MAX):
            self._websocket.send_binary(view[begin : begin + MESSAGE_BYTES_MAX])
        self._flush()

    def close(self) -> None:
        """Say good-bye with a close frame (1000), then close the TCP connection."""
        if self._websocket.state is State.OPEN:
            self._websocket.send_close(1000)
            self._flush()
        if self._tcp is not None:
            self._tcp.close()

    def abort(self) -> None:
        """Cut the connection."""
        if self._tcp is not None:
            self._tcp.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._lost or self._tcp is None or self._tcp.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the TCP transport knows."""
        return default if self._tcp is None else self._tcp.get_extra_info(name, default)

    # -- what the wire below calls

    def begin(self, tcp: asyncio.Transport) -> None:
        """TCP is there: ask for the upgrade."""
        self._tcp = tcp
        request = self._websocket.connect()
        request.headers[NO_MASKING] = "true"
        for name, value in with_all_values(self._headers).items():
            for item in (value,) if isinstance(value, str) else value:
                request.headers[name] = item
        self._websocket.send_request(request)
        self._flush()

    def arrived(self, data: bytes) -> None:
        """Bytes from TCP; b"" at their end."""
        if data:
            self._websocket.receive_data(data)
        else:
            self._websocket.receive_eof()
        self._flush()
        for event in self._websocket.events_received():
            if isinstance(event, Response):
                self._handshaken(event)
            elif isinstance(event, Frame):
                self._frame(event)
        if self._websocket.handshake_exc is not None and not self.opened.done():
            self._refuse(self._websocket.handshake_exc)
        if self._websocket.close_expected() and self._tcp is not None:
            self._tcp.close()

    def _handshaken(self, response: Response) -> None:
        if self._websocket.handshake_exc is None and not self.opened.done():
            self._websocket.masks = response.headers.get(NO_MASKING) != "true"
            self._protocol.connection_made(self)
            self.opened.set_result(None)

    def _refuse(self, error: Exception) -> None:
        text = str(error) if isinstance(error, InvalidHandshake) else reason(error)
        self._fail(f"no WebSocket: {text}")
        self.abort()

    def _fail(self, text: str) -> None:
        self.opened.set_exception(TransportError(self._url, text))
        self.opened.exception()  # seen: who dials may have given up

    def _frame(self, frame: Frame) -> None:
        if frame.opcode in {Opcode.BINARY, Opcode.CONT}:
            self._protocol.data_received(bytes(frame.data))
        elif frame.opcode is Opcode.TEXT:
            self.lost(ProtocolError("a text message: NATS over WebSocket is binary"))
            self.abort()

    def _flush(self) -> None:
        if self._tcp is None or self._tcp.is_closing():
            return
        if data := b"".join(self._websocket.data_to_send()):
            self._tcp.write(data)

    def lost(self, error: Exception | None) -> None:
        """TCP is gone, or has to go."""
        if self._lost:
            return
        self._lost = True
        if not self.opened.done():
            text = reason(error) if error else "closed during the WebSocket handshake"
            self._fail(text)
            return
        if error is None and (code := self._websocket.close_code) not in {None, 1000, 1006}:
            error = TransportError(
                self._url, f"WebSocket closed with {code} {self._websocket.close_reason}".rstrip()
            )
        if error is not None and not isinstance(error, AgentsError):
            error = TransportError(self._url, reason(error))
        self._protocol.connection_lost(error)

    def pause(self) -> None:
        """TCP's buffer is full."""
        self._protocol.pause_writing()

    def resume(self) -> None:
        """TCP's buffer has room again."""
        self._protocol.resume_writing()


class _Wire(asyncio.Protocol):
    """The TCP side of the transport."""

    def __init__(self, owner: WebSocketTransport) -> None:
        self._owner = owner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._owner.begin(cast("asyncio.Transport", transport))  # no base class of uvloop's

    def data_received(self, data: bytes) -> None:
        self._owner.arrived(data)

    def eof_received(self) -> None:
        self._owner.arrived(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.lost(exc)

    def pause_writing(self) -> None:
        self._owner.pause()

    def resume_writing(self) -> None:
        self._owner.resume()
