"""One nats-py client: opened once, used until it is lost, never reconnected.

What nats-py gets wrong on one connection is dealt with here, by its public methods only but for
what is in `_Client`; what it gets wrong over a reconnect is never used.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Protocol, TypeAlias
from urllib.parse import SplitResult

from nats import errors as native
from nats.aio.client import Client
from nats.aio.msg import Msg as NativeMsg

from agents_core.errors import (
    AgentsError,
    AuthorizationError,
    PermissionsViolation,
    SubscriptionRefused,
    TransportError,
)
from agents_core.nats import commands, faults
from agents_core.nats.auth import Login
from agents_core.nats.options import Options
from agents_core.nats.servers import Server
from agents_server.tcp import context_of, reason

CLOSE_S = 2.0
"""Seconds that nats-py has to end a session; it waits for a peer that may be gone."""

UNOPENED_S = 0.1
"""The same where there was none yet: after a TLS handshake that failed it waits for ever."""

CANCEL_S = 0.01
"""Seconds that nats-py has to end what was cancelled before it is cancelled again."""

CANCELS_MAX = 100
"""Then it is left alone: what waits for an answer ends by nats-py's own timeout of 10 s."""

PINGS_MAX = 1000
"""Answers to PING that may be outstanding; a server that owes more is as good as gone."""

NEVER_S = 1e9
"""A PING of nats-py's must not time out: its late answer ends nats-py's read loop.

So the caller stops waiting, and the PING lives until it is answered or the session ends. By itself
nats-py sends none: it would wait with the next one, and so never notice, while its pipe is full."""

WRITE_TURNS = 10
"""Loop turns in which nats-py writes what it was given, unless the socket is full."""

Take: TypeAlias = Callable[[NativeMsg], None]

_log = logging.getLogger("agents_server.nats_py")
_reading: ContextVar[Session | None] = ContextVar("agents_server.nats_session", default=None)


class Interest(Protocol):
    """nats-py's side of a subscription."""

    async def unsubscribe(self, limit: int = 0) -> None:
        """End at once, or after so many messages."""
        ...

    async def drain(self) -> None:
        """End, with what is under way."""
        ...


class _Client(Client):
    """nats-py's client, with our credentials, our rule when TLS begins, and an end that is told.

    nats-py's callbacks are plain functions, it can't say which NKey signs without a package of its
    own, and it sends credentials in the clear where `tls://` meets a server without TLS. The
    methods for that are not public, but it has no other place between INFO and CONNECT, nor one
    where a message that anybody may have sent is still as it came.
    """

    def __init__(self, url: SplitResult, options: Options) -> None:
        super().__init__()
        self.login = Login({}, {})
        self._own_url, self._own_tls = url, options.tls_settings()
        self._answer: dict[str, str] = {}
        self._said = ""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        await super()._process_info(info, initial_connection)
        if initial_connection:
            info["tls_required"] = self._own_tls.upgrades(self._own_url, info)
            self._answer = await self.login.answer(info.get("nonce", ""))

    def _connect_command(self) -> bytes:
        fields = json.loads(super()._connect_command().partition(b" ")[2])
        return commands.connect(fields | self._answer)

    async def _process_err(self, err_msg: str) -> None:
        """Keep the line as it came: nats-py has it in lower case, which subjects are not in."""
        line = self._ps.buf.partition(b"\r\n")[0].decode("utf-8", "surrogateescape")
        self._said = line.removeprefix("-ERR").strip(" '")
        await super()._process_err(err_msg)

    def as_said(self, text: str) -> str:
        """The server's last -ERR as it wrote it, if this is that."""
        return self._said if self._said.lower() == text else text

    async def _process_headers(self, headers: bytes | None) -> bytes | None:  # type: ignore[override]
        """The block as it came: nats-py would lose values, and a damaged one would end it."""
        return headers

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Any
    ) -> NativeMsg:
        """Of a subject that is not UTF-8, too, which would end it as well."""
        return NativeMsg(
            self,
            subject.decode("utf-8", "surrogateescape"),
            reply.decode("utf-8", "surrogateescape"),
            data,
            headers,
        )

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        """Close once more if it fails: of a lost connection what is pending can't be written.

        Without that nats-py would tell nobody, and the session would seem to live for ever.
        """
        try:
            await super()._close(status, do_cbs)
        except OSError:
            self._pending, self._pending_data_size = [], 0
            self._status = Client.DISCONNECTED
            await super()._close(status, do_cbs)
        finally:
            await self._release()

    def join_writes(self) -> None:
        """Have it write what is pending as one.

        Nothing holds back who gives a transport several pieces in CPython 3.12 before 3.12.9 and
        3.13 before 3.13.2 (CVE-2024-12254): of what a stuck connection can't take, all would be
        kept.
        """
        transport: Any = self._transport
        transport.writelines = lambda pieces: transport.write(b"".join(pieces))

    def abort(self) -> None:
        """Cut the connection: nats-py's own end waits until what is pending is written."""
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def _release(self) -> None:
        """Let go who waits for the flusher, which has ended, one after the other."""
        while self._flush_queue is not None and not self._flush_queue.empty():
            flushed = self._flush_queue.get_nowait()
            if not flushed.done():
                flushed.set_result(None)
            await asyncio.sleep(0)


class Session:
    """One connection to one server.

    Args:
        server: which.
        options: as for our own client.
        on_error: told what no call can raise.
        on_learned: told when the server named others of its cluster.
        on_lame_duck: told when the server is about to go.
        on_lost: told once that the session, which was open, is over, and why if that is known.

    Attributes:
        received_at: when a message or an answer to PING came last, on the loop's clock.
    """

    def __init__(
        self,
        server: Server,
        options: Options,
        *,
        on_error: Callable[[AgentsError], None],
        on_learned: Callable[[Session], None],
        on_lame_duck: Callable[[], None],
        on_lost: Callable[[Session, AgentsError | None], None],
    ) -> None:
        self.server = server
        self.url = server.url
        self._loop = asyncio.get_running_loop()
        self.received_at = self._loop.time()
        self._options = options
        self._on_error, self._on_learned = on_error, on_learned
        self._on_lame_duck, self._on_lost = on_lame_duck, on_lost
        self._client = _Client(server.uri, options)
        self._open = False
        self._told: Exception | None = None
        self._pings: set[asyncio.Task[float]] = set()
        self._work: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None

    @property
    def max_payload(self) -> int:
        """Bytes of headers and payload that the server accepts."""
        return self._client.max_payload

    @property
    def info(self) -> dict[str, object]:
        """What nats-py tells of the server's INFO: the addresses of others of its cluster."""
        return {"connect_urls": [url.netloc for url in self._client.discovered_servers]}

    # -- its life

    async def open(self) -> None:
        """Connect.

        Raises:
            TransportError: there is no NATS server, or it did not answer in time.
            AuthorizationError: it refused the credentials.
            InvalidCredentials: they can't be read or had.
        """
        seconds = self._options.connect_timeout
        self._client.login = await self._options.login(self.server.uri)
        token = _reading.set(self)  # nats-py's tasks inherit it: `_Deaf` sees whose they are
        try:
            async with asyncio.timeout(seconds):
                await self._client.connect(**self._arguments())
            self._client.join_writes()
            self._open = True
        except TimeoutError:
            raise TransportError(self.url, f"no NATS server answered within {seconds} s") from None
        except AgentsError:
            raise
        except Exception as error:  # nats-py lets through what a strange server causes
            found = self._told or error
            await self.close()  # which brings to light why a server ended TLS after the handshake
            found = self._told if isinstance(self._told, ssl.SSLError) else found
            raise self._translated(found) from error
        finally:
            _reading.reset(token)
            if not self._open:
                await self.close()

    def _arguments(self) -> dict[str, Any]:
        """Our options as nats-py's; it takes fractions of seconds where it says `int`."""
        options, url = self._options, self.server.uri
        return {
            "servers": url._replace(netloc=url.netloc.rpartition("@")[2]).geturl(),
            "error_cb": self._failed,
            "closed_cb": self._ended,
            "discovered_server_cb": self._discovered,
            "lame_duck_mode_cb": self._lame_duck,
            "allow_reconnect": False,
            "connect_timeout": options.connect_timeout,
            "flusher_queue_size": 1,  # see `drain`
            "max_reconnect_attempts": 1,  # the fewest that it counts; 0 is for ever
            "reconnect_time_wait": 0,
            "name": options.name or None,
            "no_echo": options.no_echo,
            "pending_size": options.pending_size,
            "ping_interval": NEVER_S,
            "skip_subject_validation": True,  # it was checked, and nats-py refuses tokens like `a*`
            "tls": None if options.tls is None else context_of(options.tls_settings()),
            "tls_handshake_first": options.tls_handshake_first,
            "tls_hostname": options.tls_hostname or self.server.tls_name or None,
        }

    async def close(self) -> None:
        """End it, once, whoever gives up waiting: nats-py would leave what it was cancelled in."""
        if self._closing is None:
            self._closing = self._loop.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        """One whose peer is gone may raise or hang, and is over all the same."""
        seconds = CLOSE_S if self._open else UNOPENED_S
        self._open = False
        try:
            async with asyncio.timeout(seconds):
                await self._client.close()
        except Exception:
            _log.debug("nats-py did not close cleanly", exc_info=True)
        self._client.abort()
        await self._stop()

    async def _stop(self) -> None:
        """Cancel what waits for an answer; nats-py swallows some cancellations, so again."""
        left = {*self._pings, *self._work} - {asyncio.current_task()}
        for _ in range(CANCELS_MAX):
            if not left:
                return
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=CANCEL_S)

    def lose(self, error: AgentsError) -> None:
        """End it because nothing comes through: what is pending can't be written."""
        self._client.abort()
        self.fail(error)

    def fail(self, error: AgentsError) -> None:
        """End it for a reason that nats-py did not find."""
        if self._open:
            self._on_error(error)
            self._begin(self._client.close)

    # -- what nats-py tells; it takes coroutine functions only

    async def _failed(self, error: Exception) -> None:
        self._told = error
        if self._open:  # else it is why `open` fails, and raised
            self._on_error(self._translated(error))

    async def _ended(self) -> None:
        if not self._open:
            return
        self._open = False
        error = self._client.last_error
        known = None if error is None or error is self._told else self._translated(error)
        self._on_lost(self, known)
        await self._stop()

    async def _discovered(self) -> None:
        self._on_learned(self)

    async def _lame_duck(self) -> None:
        self._on_lame_duck()

    def _translated(self, error: Exception) -> AgentsError:
        if isinstance(error, AgentsError):
            return error
        if isinstance(error, OSError):
            return TransportError(self.url, reason(error))
        text = self._client.as_said(str(error).removeprefix("nats: ").strip("'"))
        found = faults.classify(text)
        if isinstance(found, AuthorizationError | PermissionsViolation | SubscriptionRefused):
            return found
        if isinstance(error, native.AuthorizationError):
            return AuthorizationError(text)
        return TransportError(self.url, text if isinstance(error, native.Error) else repr(error))

    # -- commands, in the order of the calls

    def publish(
        self, subject: str, payload: bytes, reply: str, headers: dict[str, str] | None
    ) -> Awaitable[None]:
        """Hand over one message; returns when nats-py has room for it."""
        return self._client.publish(subject, payload, reply, headers)

    async def subscribe(self, subject: str, queue: str, take: Take) -> Interest:
        """Register interest; nats-py may swallow a cancellation."""

        async def called(msg: NativeMsg) -> None:
            self.received_at = self._loop.time()
            take(msg)

        made: Interest = await self._client.subscribe(subject, queue, called)
        return made

    async def drain(self, interest: Interest) -> None:
        """Unsubscribe, but take what the server sends until it knows; returns before that.

        nats-py's own drain writes PING a turn before UNSUB, and what arrives between the two is
        lost. A PING of ours fills its queue of one, so that its drain waits until UNSUB is written.
        """
        self.ping()
        self._begin(interest.drain)
        await asyncio.sleep(0)  # both have begun: UNSUB is in order

    async def written(self) -> None:
        """Return when nats-py has written what it was given, as its PING does not wait for that."""
        for _ in range(WRITE_TURNS):
            if not self._client.pending_data_size:
                return
            await asyncio.sleep(0)
        while self._open and self._client.pending_data_size:
            await asyncio.wait([self.ping()])  # the socket is full: an answer says that it is not

    def ping(self) -> asyncio.Task[float]:
        """Send PING; the task ends with its PONG, or is cancelled when the session ends.

        One that is under way is shared when `PINGS_MAX` are.
        """
        if len(self._pings) >= PINGS_MAX:
            return next(iter(self._pings))
        task = asyncio.ensure_future(self._client.rtt(NEVER_S))  # type: ignore[arg-type]
        self._pings.add(task)
        task.add_done_callback(self._answered)
        return task

    def _answered(self, task: asyncio.Task[float]) -> None:
        self._pings.discard(task)
        if not task.cancelled() and task.exception() is None:
            self.received_at = self._loop.time()

    def _begin(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.ensure_future(self._quietly(work))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _quietly(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except native.Error:
            _log.debug("%s: a session ended meanwhile", self.url, exc_info=True)


class _Deaf(logging.Filter):
    """Notices that nats-py's read loop died, of which it tells nobody but its log.

    Every later message would be lost while the client says that it is connected.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        session = _reading.get()
        if session is None or record.levelno < logging.ERROR:
            return True
        cause = record.exc_info[1] if record.exc_info else None
        session.fail(TransportError(session.url, f"nats-py stopped reading: {cause!r}"))
        return False


_nats_log = logging.getLogger("nats.aio.client")
_nats_log.setLevel(logging.ERROR)  # whatever the root's, else a record may never reach the filter
_nats_log.addFilter(_Deaf())
