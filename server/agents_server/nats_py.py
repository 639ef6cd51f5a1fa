"""The bus over nats-py, the default for `nats://` and `tls://` on a server.

One nats-py client is one session here: it is told not to reconnect, and a lost session is replaced
by a new client on which every subscription is made anew. So what nats-py keeps over a reconnect,
and gets wrong there (facts: nats.md 1), is never used.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

from nats import errors as native
from nats.aio.client import Client
from nats.aio.msg import Msg as NativeMsg

from agents_core.bus import DONE, PENDING_BYTES_LIMIT, PENDING_MSGS_LIMIT, Callback, Stats, Status
from agents_core.errors import (
    AgentsError,
    AuthorizationError,
    ConnectionClosed,
    NotConnected,
    OutboundBufferFull,
    PermissionsViolation,
    RequestTimeout,
    TransportError,
    Unsupported,
)
from agents_core.ids import unique
from agents_core.nats import backoff, faults
from agents_core.nats.headers import HeadersLike, encode_headers
from agents_core.nats.msg import Msg
from agents_core.nats.options import Options
from agents_core.nats.protocol import MAX_PAYLOAD_DEFAULT, check_publish
from agents_core.nats.requests import Requests
from agents_core.nats.servers import Server, Servers, public
from agents_core.nats.status import StatusHolder
from agents_core.nats.subject import check_queue, check_subject
from agents_core.nats.subscription import Subscription
from agents_core.timers import Timers
from agents_server.tcp import reason

LIVE = frozenset({Status.CONNECTING, Status.CONNECTED, Status.RECONNECTING})
CLOSE_S = 2.0
"""Seconds that nats-py has to end a session; it waits for a peer that may be gone."""

Step: TypeAlias = "Callable[[Client], Awaitable[object]]"
"""Something to do with the session, in order; nats-py's methods are coroutines."""

_log = logging.getLogger("agents_server.nats_py")


class NatsPyBus:
    """A bus on nats-py. See `agents_core.bus.Bus` for what each method promises.

    A header has one value: nats-py keeps no more of what arrives.

    Args:
        options: as for our own client; `dialer` and what belongs to WebSocket is not used.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self._servers = Servers(
            options.servers, shuffle=not options.dont_randomize, rng=options.rng
        )
        self._url = self._servers.urls[0]
        self._status = StatusHolder(Status.CONNECTING)
        self._stats = Stats()
        self._timers = Timers()
        self._inbox = f"{options.inbox_prefix}.{unique()}"
        check_subject(self._inbox)
        self._requests = Requests(self, self._inbox, self._timers)
        self._session: Client | None = None
        self._subscriptions: dict[Subscription, Any] = {}  # with nats-py's own, of the session
        self._out: deque[tuple[int, Step]] = deque()
        self._out_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._reconnecting: asyncio.Task[None] | None = None

    # -- state

    @property
    def url(self) -> str:
        """The server in use, or the one tried last; without credentials."""
        return self._url

    @property
    def status(self) -> Status:
        """Where the connection is in its life."""
        return self._status.value

    @property
    def stats(self) -> Stats:
        """Counters since the bus was made."""
        return self._stats

    @property
    def max_payload(self) -> int:
        """Bytes of headers and payload that the server accepts."""
        return self._session.max_payload if self._session else MAX_PAYLOAD_DEFAULT

    def on_status(self, listener: Callable[[Status], None]) -> Callable[[], None]:
        """Call `listener` at each change of status, until the returned function is called."""
        return self._status.listen(listener)

    # -- sessions

    async def connect(self) -> None:
        """Open the first session, trying each server once.

        Raises:
            AgentsError: what the last attempt raised, unless `retry_on_failed_connect`.
        """
        for left in range(len(self._servers) - 1, -1, -1):
            try:
                await self._attempt(self._servers.next())
                return
            except AgentsError as error:
                if not left and not self.options.retry_on_failed_connect:
                    await self.close()
                    raise
                self._report(error)
        self._reconnect()

    async def _attempt(self, server: Server) -> None:
        self._url = public(server.url)
        session = Client()

        async def lost() -> None:
            self._lost(session)

        failure: Exception | None = None

        async def failed(error: Exception) -> None:
            nonlocal failure
            failure = error
            if session is self._session:  # else it is why the attempt fails, and raised
                self._failed(error)

        seconds = self.options.connect_timeout
        server.attempts += 1
        try:
            async with asyncio.timeout(seconds):
                arguments = _arguments(self.options)
                await session.connect(
                    server.url.geturl(), closed_cb=lost, error_cb=failed, **arguments
                )
        except TimeoutError:
            await _end(session)
            raise TransportError(self._url, f"no NATS server answered within {seconds} s") from None
        except (OSError, native.Error) as error:
            await _end(session)
            raise self._translated(failure or error) from error
        await self._established(session, server)

    async def _established(self, session: Client, server: Server) -> None:
        if self.status not in LIVE:  # closed meanwhile
            await _end(session)
            return
        self._session = session
        self._stats.reconnects += self.status is Status.RECONNECTING
        server.attempts, server.refusal = 0, ""
        self._servers.learn([url.netloc for url in session.discovered_servers], server)
        for subscription in list(self._subscriptions):
            await self._register(session, subscription)
        if self._session is session:  # else it was lost meanwhile
            self._status.set(Status.CONNECTED)
            self._write()

    def _lost(self, session: Client) -> None:
        if session is not self._session:
            return
        self._session = None
        for subscription in self._subscriptions:
            self._subscriptions[subscription] = None
        self._requests.fail_all(NotConnected(self._url))
        if self.status in LIVE:
            self._reconnect()

    def _reconnect(self) -> None:
        self._status.set(Status.RECONNECTING)
        if self._reconnecting is None:
            self._reconnecting = asyncio.get_running_loop().create_task(self._come_back())

    async def _come_back(self) -> None:
        """Try server after server, with a pause per round, until one answers or none is left."""
        turn = 0
        # nats-py may swallow a cancellation, so the status says whether to go on.
        while self._session is None and len(self._servers) and self.status in LIVE:
            if turn % len(self._servers) == 0:
                wait = self.options.reconnect_time_wait
                attempt = turn // len(self._servers)
                await asyncio.sleep(backoff.delay(attempt, wait, self.options.rng))
            turn += 1
            server = self._servers.next()
            try:
                await self._attempt(server)
            except AgentsError as error:
                self._report(error)
                self._servers.failed(server, error, self.options.max_reconnect_attempts)
        self._reconnecting = None
        if self._session is None:
            await self.close()

    # -- errors

    def _failed(self, error: Exception) -> None:
        """What nats-py tells that no call can raise."""
        translated = self._translated(error)
        if isinstance(translated, PermissionsViolation):
            self._denied(translated)
        self._report(translated)

    def _denied(self, error: PermissionsViolation) -> None:
        self._stats.errors_received += 1
        if error.operation == "publish":
            self._requests.fail_subject(error.subject, error)
            return
        for subscription in list(self._subscriptions):
            if subscription.subject == error.subject:
                subscription.end(error)

    def _translated(self, error: Exception) -> AgentsError:
        if isinstance(error, AgentsError):
            return error
        if isinstance(error, OSError):
            return TransportError(self._url, reason(error))
        text = str(error).removeprefix("nats: ").strip("'")
        found = faults.classify(text)
        if isinstance(found, AuthorizationError | PermissionsViolation):
            return found
        return TransportError(self._url, text)

    def _report(self, error: Exception) -> None:
        _log.info("%s", error)
        if self.options.error_cb is not None:
            result = self.options.error_cb(error)
            if inspect.isawaitable(result):
                self._do(lambda _: result)

    # -- sending, in order

    def publish(
        self,
        subject: str,
        payload: bytes = b"",
        reply: str = "",
        headers: HeadersLike | None = None,
    ) -> Awaitable[None]:
        """See `Bus.publish`.

        Raises:
            Unsupported: a header has several values, which nats-py can't send.
        """
        if self.status not in LIVE and self._session is None:
            raise ConnectionClosed(self._url)
        size = len(payload) + (len(encode_headers(headers)) if headers else 0)
        check_publish(subject, reply, size, self.max_payload)
        single = _single(headers) if headers else None
        if self._out_bytes + size > self.options.pending_size:
            raise OutboundBufferFull(self.options.pending_size)

        def step(session: Client) -> Awaitable[object]:
            return session.publish(subject, payload, reply, single)

        self._do(step, size)
        self._stats.out_msgs += 1
        self._stats.out_bytes += len(payload)
        return DONE

    def _do(self, step: Step, size: int = 0) -> None:
        self._out.append((size, step))
        self._out_bytes += size
        self._write()

    def _write(self) -> None:
        if self._session is not None and self._writer is None and self._out:
            self._writer = asyncio.get_running_loop().create_task(self._work(self._session))

    async def _work(self, session: Client) -> None:
        """Do what waits, one after the other; a step that the loss of the session undid waits."""
        try:
            while self._out and session is self._session:
                size, step = self._out[0]
                try:
                    await step(session)
                except (native.ConnectionClosedError, native.StaleConnectionError):
                    break
                except native.Error as error:
                    self._report(self._translated(error))
                self._out.popleft()
                self._out_bytes -= size
        finally:
            self._writer = None
        self._write()

    # -- subscribing

    async def subscribe(
        self,
        subject: str,
        queue: str = "",
        cb: Callback | None = None,
        *,
        max_msgs: int = 0,
        pending_msgs_limit: int = PENDING_MSGS_LIMIT,
        pending_bytes_limit: int = PENDING_BYTES_LIMIT,
    ) -> Subscription:
        """See `Bus.subscribe`."""
        check_subject(subject, wildcards=True)
        if queue:
            check_queue(queue)
        if self.status not in LIVE:
            raise ConnectionClosed(self._url)
        subscription = Subscription(
            subject,
            queue,
            cb,
            max_msgs=max_msgs,
            pending_msgs_limit=pending_msgs_limit,
            pending_bytes_limit=pending_bytes_limit,
            on_unsub=self._unsubscribe,
            on_end=lambda ended: self._subscriptions.pop(ended, None),
            flush=self.flush,
            on_error=self._report,
            stats=self._stats,
        )
        self._subscriptions[subscription] = None
        if self._session is not None:
            await self._register(self._session, subscription)
        return subscription

    async def _register(self, session: Client, subscription: Subscription) -> None:
        async def take(msg: NativeMsg) -> None:
            self._stats.in_msgs += 1
            self._stats.in_bytes += len(msg.data)
            raw = _raw_headers(msg.headers) if msg.headers else b""
            subscription.deliver(Msg(msg.subject, msg.data, msg.reply, raw, bus=self))

        try:
            made = await session.subscribe(subscription.subject, subscription.queue, take)
            if subscription.max_msgs:
                await made.unsubscribe(subscription.max_msgs - subscription.received)
        except native.Error:
            return  # the session is lost; the next one registers it
        if subscription in self._subscriptions and session is self._session:
            self._subscriptions[subscription] = made

    def _unsubscribe(self, subscription: Subscription, limit: int) -> None:
        made = self._subscriptions.get(subscription)
        if made is None:
            return
        left = limit - subscription.received if limit else 0

        async def step(_: Client) -> None:
            with suppress(native.Error):  # its session is gone, and it with it
                await made.unsubscribe(left)

        self._do(step)

    # -- requests and the rest

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,
        headers: HeadersLike | None = None,
    ) -> Msg:
        """See `Bus.request`."""
        return await self._requests.request(subject, payload, timeout, headers)

    def new_inbox(self) -> str:
        """A fresh reply subject."""
        return f"{self._inbox}.i.{unique()}"

    async def flush(self, timeout: float = 10.0) -> None:
        """See `Bus.flush`."""
        if self.status is Status.CLOSED:
            raise ConnectionClosed(self._url)
        session = self._session
        if session is None:
            raise NotConnected(self._url)
        try:
            async with asyncio.timeout(timeout):
                await self._written(session)
                await session.flush(timeout)  # type: ignore[arg-type]  # it takes fractions
        except TimeoutError:
            raise RequestTimeout("PING", timeout) from None
        except native.Error:
            raise NotConnected(self._url) from None

    async def _written(self, session: Client) -> None:
        """Return when everything that waits now has been handed over."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def mark(_: Client) -> None:
            if not done.done():
                done.set_result(None)

        self._do(mark)
        while not done.done():
            if session is not self._session:
                raise NotConnected(self._url)
            await asyncio.wait([done], timeout=backoff.FIRST_S)

    async def rtt(self) -> float:
        """See `Bus.rtt`."""
        began = self._timers.now()
        await self.flush()
        return self._timers.now() - began

    async def drain(self) -> None:
        """See `Bus.drain`; bounded by `drain_timeout`."""
        if self.status not in LIVE:
            return
        self._status.set(Status.DRAINING)
        with suppress(TimeoutError, AgentsError):  # what is not done by then is dropped
            async with asyncio.timeout(self.options.drain_timeout):
                for subscription in list(self._subscriptions):
                    await subscription.drain()
                await self.flush()
        await self.close()

    async def close(self) -> None:
        """See `Bus.close`."""
        if self.status is Status.CLOSED:
            return
        self._status.set(Status.CLOSED)
        self._requests.fail_all(ConnectionClosed(self._url))
        session, self._session = self._session, None
        for task in (self._reconnecting, self._writer):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
                await asyncio.wait([task])
        for subscription in list(self._subscriptions):
            subscription.end()
            subscription.discard()
        self._out.clear()
        self._timers.close()
        if session is not None:
            await _end(session)


def _arguments(options: Options) -> dict[str, Any]:
    """Our options as nats-py's; it takes fractions of seconds where it says `int`."""
    return {
        "allow_reconnect": False,
        "connect_timeout": options.connect_timeout,
        "max_reconnect_attempts": 1,  # the fewest that it counts; 0 is for ever
        "reconnect_time_wait": 0,
        "max_outstanding_pings": options.max_outstanding_pings,
        "name": options.name or None,
        "no_echo": options.no_echo,
        "password": options.password or None,
        "pending_size": options.pending_size,
        "ping_interval": options.ping_interval,
        "tls": options.tls,
        "tls_handshake_first": options.tls_handshake_first,
        "tls_hostname": options.tls_hostname or None,
        "token": options.token or None,
        "user": options.user or None,
    }


async def _end(session: Client) -> None:
    """Close a session; one whose peer is gone may raise or hang, and is over all the same."""
    with suppress(OSError, native.Error, TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await session.close()


def _single(headers: HeadersLike) -> dict[str, str]:
    """The headers as nats-py takes them."""
    found = {}
    for name, value in headers.items():
        values = [value] if isinstance(value, str) else list(value)
        if len(values) > 1:
            instead = "use our own client: agents_core.nats.connect, or ws://"
            raise Unsupported(f"several values of the header {name!r} over nats-py", instead)
        found[name] = values[0] if values else ""
    return found


def _raw_headers(headers: dict[str, str]) -> bytes:
    """The header block again, of which nats-py made a dictionary; a status line is in it, too."""
    rest = {name: text for name, text in headers.items() if name not in {"Status", "Description"}}
    block = encode_headers(rest) if rest else b"NATS/1.0\r\n\r\n"
    if (status := headers.get("Status")) is None:
        return block
    line = f"NATS/1.0 {status} {headers.get('Description', '')}".rstrip()
    return line.encode() + block.removeprefix(b"NATS/1.0")
