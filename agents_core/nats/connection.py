"""One live session with one server: the sans-I/O protocol on an asyncio transport.

It is dialled, lives, and is lost; it never reconnects. That is the client's part.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from agents_core.errors import AgentsError, NotConnected, ProtocolError, TransportError
from agents_core.nats import commands, faults
from agents_core.nats.auth import Login
from agents_core.nats.frames import FRAME_BYTES, Frame, command
from agents_core.nats.options import Options
from agents_core.nats.parser import Arrival, Err, Event, Info, Pong
from agents_core.nats.protocol import Protocol
from agents_core.nats.servers import Server
from agents_core.nats.transport import Dialer

if TYPE_CHECKING:
    from agents_core.bus import Bus

WRITE_BYTES = 64 * 1024
"""Bytes of frames that are written together at the most: one WebSocket message, then."""

LINGER_S = 2.0
"""Seconds that a closed session's last bytes have to leave, if the peer still reads."""


class Connection(asyncio.Protocol):
    """The session.

    Args:
        server: whom it talks to.
        bus: whose it is, as its messages say.
        on_arrival: called with each arrival, once the session is established.
        on_lost: called once when the session ends other than by `close`, with the reason.
        on_room: called when the pipe, which was full, takes bytes again.

    Attributes:
        pipe: where bytes go at once; None while it is full, and before and after the session.
        frames: what waits here.
    """

    def __init__(
        self,
        server: Server,
        bus: Bus,
        on_arrival: Callable[[Connection, Arrival], None],
        on_lost: Callable[[Connection, AgentsError], None],
        on_room: Callable[[], None],
    ) -> None:
        self.server = server
        self.protocol = Protocol(bus)
        self.frames = self.protocol.frames
        self.url = server.url
        self.established = False
        self.received_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._on_arrival, self._on_lost, self._on_room = on_arrival, on_lost, on_room
        self._transport: asyncio.Transport | None = None
        self.pipe: asyncio.Transport | None = None
        self._greeting: asyncio.Future[None] = self._loop.create_future()
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._refusal: AgentsError | None = None  # -ERR of the last arrival: why it may close
        self._ended: AgentsError | None = None
        self._turn: asyncio.Handle | None = None
        self._many = False  # frames were joined in the last turn
        self._collecting = False  # frames wait for the end of this loop turn, or of this arrival
        self._linger: asyncio.TimerHandle | None = None

    # -- opening

    async def open(self, dialer: Dialer, options: Options, login: Login) -> None:
        """Dial, wait for INFO, upgrade to TLS if asked to, send CONNECT, wait for its PONG.

        Raises:
            TransportError: refused, unreachable, or the other side is no NATS server.
            AuthorizationError: the server refused the credentials.
            ServerError: it refused for another reason, in its own words.
            ProtocolError: what came was not NATS.
            InvalidCredentials: the server's nonce could not be signed.
        """
        url, tls = self.server.uri, options.tls_settings(self.server.tls_name)
        try:
            self._transport = await dialer.dial(url, self, tls, login.headers)
            await self._greeting
            if tls.upgrades(url, self.protocol.info):
                self.protocol.begin_anew()
                self._transport = await dialer.start_tls(self._transport, self, url, tls)
                self.pipe = self._transport
            answer = await login.answer(self.protocol.nonce)
            secure = {"tls_required": self._secure()}
            self.protocol.connect(options.connect_fields() | answer | secure)
            pong = self._expect_pong()
            self._write()
            await pong
            if self._ended is not None:  # lost in the very turn that brought the PONG
                raise self._ended
            self.established = True
        except BaseException:
            self.close()
            raise

    def _secure(self) -> bool:
        return self.server.uri.scheme in {"tls", "wss"}

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; the server speaks first."""
        self._transport = cast("asyncio.Transport", transport)
        if self._ended is not None:  # the attempt was given up while it was dialled
            self._transport.abort()
        else:
            self.pipe = self._transport

    def data_received(self, data: bytes) -> None:
        """Parse, answer PING, then hand over what came.

        The answer leaves before user code runs.
        """
        if self._ended is not None:
            return
        self._refusal = None
        arrival = Arrival()
        error: ProtocolError | None = None
        try:
            self.protocol.receive_data(data, arrival)
        except ProtocolError as caught:
            error = caught
        if arrival.events:
            if self.protocol.must_answer:
                self._write()
            for event in arrival.events:
                self._handle(event)
        if self.established:
            collecting, self._collecting = self._collecting, True
            self._on_arrival(self, arrival)
            self._collecting = collecting
            self._write()  # what callbacks sent, joined
        self.received_at = self._loop.time()  # last: what comes before them, callbacks wait for
        if error is not None:
            self.lose(error)

    def _handle(self, event: Event) -> None:
        if isinstance(event, Pong):
            if self._pongs:
                _resolve(self._pongs.popleft())
        elif isinstance(event, Info):
            self.frames.grant(0)  # it may accept less than before
            _resolve(self._greeting)
        elif isinstance(event, Err):
            error = faults.classify(event.text)
            if not self.established:
                self.lose(error)
            elif faults.may_close(error):
                self._refusal = error

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone: what the server said last is a better reason than how it went."""
        if self._linger is not None:
            self._linger.cancel()
        if not isinstance(exc, AgentsError):
            text = str(exc) if exc else "the server closed the connection"
            if exc is None and self.established:
                text += " without a word: it stops, or finds this client too slow (slow consumer)"
            exc = TransportError(self.url, text)
        self.lose(self._refusal or exc)

    def pause_writing(self) -> None:
        """The transport's buffer is full; frames wait here."""
        self.pipe = None
        self.frames.grant(0)

    def resume_writing(self) -> None:
        """There is room again."""
        if self._ended is None:
            self.pipe = self._transport
            self._write()
        self._on_room()

    # -- sending

    def send(self, frame: Frame) -> None:
        """Send one frame.

        At once if it is the first of this loop turn, else joined with the turn's others; what
        callbacks send is joined at the end of the arrival that called them. After a turn with many
        the first of the next waits for the others, too: alone it would cost as much as they do.
        """
        frames = self.frames
        if self._collecting:
            if frames.size + len(frame[2]) + FRAME_BYTES > WRITE_BYTES:
                self._write()
            frames.add(frame)
            if self.pipe is not None:
                frames.grant(min(WRITE_BYTES - frames.size, self.protocol.max_payload))
            return
        if self.pipe is None or self._many:
            frames.add(frame)
        else:  # nothing waits here then
            self.pipe.write(b"".join(frame))
        self._collecting = True
        self._turn = self._loop.call_soon(self._end_of_turn)

    def command(self, line: bytes) -> None:
        """Send what is no message, such as `SUB`."""
        self.send(command(line))

    def _end_of_turn(self) -> None:
        self._turn, self._collecting = None, False
        self._many = len(self.frames) > 1
        self._write()

    def _write(self) -> None:
        if self.pipe is not None and (data := self.protocol.data_to_send()):
            self.pipe.write(data)

    def ping(self) -> asyncio.Future[None]:
        """Send PING behind everything sent so far; the future is done with its PONG.

        It fails with `NotConnected` when the session is lost.
        """
        future = self._expect_pong()
        self.command(commands.PING)
        return future

    async def barrier(self) -> None:
        """Wait until the server has dealt with everything sent so far.

        Raises:
            NotConnected: the session was lost before.
        """
        pong = self.ping()
        await asyncio.wait([pong])  # cancels it never: a late PONG must find its PING
        pong.result()

    def _expect_pong(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()
        if self._ended is not None:
            _fail(future, self._ended)
        else:
            self._pongs.append(future)
        return future

    @property
    def unanswered(self) -> int:
        """PINGs without their PONG yet."""
        return len(self._pongs)

    @property
    def ended(self) -> bool:
        """Whether the session is over."""
        return self._ended is not None

    # -- ending

    def lose(self, error: AgentsError) -> None:
        """End because of `error`; whoever waits is told, the client once."""
        if self._ended is not None:
            return
        self._shut(error, abort=True)
        if self.established:
            self._on_lost(self, error)

    def close(self) -> None:
        """Write what is pending and end, without telling the client."""
        if self._ended is not None:
            return
        self._write()
        self._shut(NotConnected(self.url), abort=False)

    def _shut(self, error: AgentsError, *, abort: bool) -> None:
        self._ended = NotConnected(self.url) if self.established else error
        self.pipe = None
        if self._turn is not None:
            self._turn.cancel()
        for future in (self._greeting, *self._pongs):
            _fail(future, self._ended)
        self._pongs.clear()
        if self._transport is None:
            return
        if abort:
            self._transport.abort()
        else:  # what was written is still sent, to a peer that reads it
            self._transport.close()
            self._linger = self._loop.call_later(LINGER_S, self._transport.abort)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], error: AgentsError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # told to whoever awaits; marked as seen, as nobody has to
