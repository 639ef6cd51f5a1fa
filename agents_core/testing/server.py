"""A NATS server that says only what a test tells it to: in memory, without a socket.

It is given to a client as its dialer, so it runs wherever Python does:

    server = ScriptedServer()
    nc = await nats.connect("nats://one", dialer=server)
    session = await server.accept()
    subscription = await nc.subscribe("greet")
    await session.expect("SUB")
    session.message("greet", b"hello")
    assert (await subscription.next_msg()).data == b"hello"

For what a real server does, use a real server. This one is for what a real one can't be asked
for: silence, refusals, garbage, a cut at an exact byte.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Container
from dataclasses import dataclass
from urllib.parse import SplitResult

from agents_core.errors import TransportError
from agents_core.nats.headers import HeadersLike
from agents_core.nats.servers import public
from agents_core.nats.transport import TLS

SESSIONS_MAX = 1000
"""Connections that one scripted server takes; a test that needs more dials in a loop."""

COMMANDS_MAX = 10_000
"""Commands that a session keeps for `expect`; the oldest beyond it are forgotten."""


def info(**fields: object) -> bytes:
    """An INFO line with these fields on top of the usual ones."""
    usual = {"server_id": "scripted", "version": "2.15.1", "max_payload": 1024 * 1024}
    return b"INFO " + json.dumps(usual | {"headers": True, "proto": 1} | fields).encode() + b" \r\n"


@dataclass(frozen=True, slots=True)
class Command:
    """What the client sent: a control line without its end, and the payload of PUB and HPUB."""

    line: bytes
    payload: bytes = b""

    @property
    def verb(self) -> str:
        """The first word, such as `SUB`."""
        return self.words[0]

    @property
    def words(self) -> list[str]:
        """The words of the control line."""
        return self.line.decode("utf-8", "surrogateescape").split(" ")

    @property
    def fields(self) -> dict[str, object]:
        """The JSON of CONNECT."""
        fields: dict[str, object] = json.loads(self.line.partition(b" ")[2])
        return fields


class Session(asyncio.Transport):
    """One connection, seen from the server's side; made by `ScriptedServer`.

    Attributes:
        url: what the client dialled.
        secure: the client upgraded to TLS.
        headers: what the client wants to have in the handshake of a WebSocket.
        commands: what it sent and `expect` has not passed over, oldest first.
    """

    def __init__(self, server: ScriptedServer, url: SplitResult, protocol: asyncio.Protocol):
        super().__init__()
        self.url = url
        self.secure = False
        self.headers: HeadersLike = {}
        self.commands: deque[Command] = deque(maxlen=COMMANDS_MAX)
        self._server, self._protocol = server, protocol
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._closing = False
        self._ended = asyncio.Event()
        self._news = asyncio.Event()

    # -- the test's side

    def send(self, data: bytes) -> None:
        """Send bytes; the client gets them in its next loop turn, as one chunk."""
        self._loop.call_soon(self._deliver, data)

    def message(
        self,
        subject: str,
        data: bytes = b"",
        *,
        sid: int = 1,
        reply: str = "",
        headers: bytes = b"",
    ) -> None:
        """Send MSG, or HMSG with a header block."""
        target = f"{subject} {sid} {reply}".strip().encode()
        sizes = (
            b"%d %d" % (len(headers), len(headers) + len(data)) if headers else b"%d" % len(data)
        )
        verb = b"HMSG" if headers else b"MSG"
        self.send(b"%b %b %b\r\n%b%b\r\n" % (verb, target, sizes, headers, data))

    def error(self, text: str) -> None:
        """Send -ERR with this text."""
        self.send(f"-ERR '{text}'\r\n".encode())

    def cut(self, error: Exception | None = None) -> None:
        """End the connection, behind what was sent before."""
        self._loop.call_soon(self._end, error)

    def pause(self) -> None:
        """Tell the client that the pipe is full."""
        self._protocol.pause_writing()

    def resume(self) -> None:
        """Tell the client that there is room again."""
        self._protocol.resume_writing()

    async def expect(self, verb: str) -> Command:
        """The next command with this verb; those before it are passed over.

        Waits as long as it takes: the test's own deadline bounds it.

        Raises:
            TransportError: the connection ended before it came.
        """
        while True:
            while self.commands:
                command = self.commands.popleft()
                if command.verb == verb:
                    return command
            if self._ended.is_set():
                raise TransportError(public(self.url), f"the connection ended before {verb}")
            self._news.clear()
            await self._news.wait()

    async def wait_closed(self) -> None:
        """Return when either side has ended the connection."""
        await self._ended.wait()

    # -- asyncio.Transport, the client's side

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the client and give the scripted answers."""
        if self._closing:
            return
        self._rest += bytes(data)
        while (command := self._next_command()) is not None:
            self.commands.append(command)
            self._news.set()
            if answer := self._server.answers.get(command.verb):
                self.send(answer)

    def close(self) -> None:
        """The client has ended the connection."""
        self._closing = True
        self._loop.call_soon(self._end, None)

    def abort(self) -> None:
        """As `close`: everything was taken at once, so nothing is left to lose."""
        self.close()

    def is_closing(self) -> bool:
        """Whether the client has ended the connection."""
        return self._closing

    def _next_command(self) -> Command | None:
        line, end, rest = self._rest.partition(b"\r\n")
        if not end:
            return None
        if not line.startswith((b"PUB ", b"HPUB ")):
            self._rest = rest
            return Command(line)
        size = int(line.rpartition(b" ")[2])
        if len(rest) < size + 2:
            return None
        self._rest = rest[size + 2 :]
        return Command(line, rest[:size])

    def _deliver(self, data: bytes) -> None:
        if not self._closing:
            self._protocol.data_received(data)

    def _end(self, error: Exception | None) -> None:
        self._closing = True
        if not self._ended.is_set():
            self._ended.set()
            self._news.set()
            self._protocol.connection_lost(error)


class ScriptedServer:
    """A `Dialer` whose other end is the test; any number of hosts, each the same server.

    Attributes:
        greeting: sent to whoever dials; empty for a server that stays silent.
        answers: what is sent when a command with this verb arrives. PING is answered by default:
            delete it for a server that hangs, set `CONNECT` to refuse credentials.
        down: hosts that refuse to be dialled.
        silent: hosts whose dialling never comes to an end.
        tls_error: why the upgrade to TLS fails; empty to let it succeed.
        dialled: the hosts in the order they were dialled, refused ones included.
        sessions: every connection so far.
    """

    def __init__(self, greeting: bytes | None = None) -> None:
        self.greeting = info() if greeting is None else greeting
        self.answers: dict[str, bytes] = {"PING": b"PONG\r\n"}
        self.down: Container[str] = ()
        self.silent: Container[str] = ()
        self.tls_error = ""
        self.dialled: deque[str] = deque(maxlen=SESSIONS_MAX)
        self.sessions: list[Session] = []
        self._accepted = 0
        self._news = asyncio.Event()

    async def accept(self) -> Session:
        """The next connection, in the order they were made."""
        while self._accepted >= len(self.sessions):
            self._news.clear()
            await self._news.wait()
        self._accepted += 1
        return self.sessions[self._accepted - 1]

    async def dial(
        self, url: SplitResult, protocol: asyncio.Protocol, tls: TLS, headers: HeadersLike
    ) -> asyncio.Transport:
        """See `Dialer.dial`."""
        host = url.hostname or ""
        self.dialled.append(host)
        if host in self.silent:
            await asyncio.get_running_loop().create_future()
        if host in self.down or len(self.sessions) == SESSIONS_MAX:
            raise TransportError(public(url), "connection refused")
        session = Session(self, url, protocol)
        session.headers = headers
        self.sessions.append(session)
        self._news.set()
        protocol.connection_made(session)
        if self.greeting:
            session.send(self.greeting)
        return session

    async def start_tls(
        self, transport: asyncio.Transport, protocol: asyncio.Protocol, url: SplitResult, tls: TLS
    ) -> asyncio.Transport:
        """See `Dialer.start_tls`; nothing is encrypted, `secure` says that it was asked for."""
        if self.tls_error:
            raise TransportError(public(url), self.tls_error)
        assert isinstance(transport, Session)
        transport.secure = True
        return transport
