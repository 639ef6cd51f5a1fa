"""The user's handle to NATS: subscriptions, requests, and a connection that comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from weakref import WeakSet

from agents_core import platform
from agents_core.bus import (
    DONE,
    PENDING_BYTES_LIMIT,
    PENDING_MSGS_LIMIT,
    Callback,
    Stats,
    Status,
)
from agents_core.errors import (
    AgentsError,
    AuthorizationError,
    ConnectionClosed,
    NotConnected,
    OutboundBufferFull,
    PermissionsViolation,
    RequestTimeout,
    TransportError,
)
from agents_core.ids import unique
from agents_core.nats import backoff, commands, faults
from agents_core.nats.auth import HOPELESS
from agents_core.nats.callbacks import Callbacks
from agents_core.nats.connection import Connection
from agents_core.nats.headers import HeadersLike
from agents_core.nats.msg import Msg
from agents_core.nats.options import Options
from agents_core.nats.parser import Err, Event, Info
from agents_core.nats.protocol import MAX_PAYLOAD_DEFAULT, encode_publish
from agents_core.nats.requests import Requests
from agents_core.nats.servers import Server, Servers
from agents_core.nats.status import StatusHolder
from agents_core.nats.subject import check_queue, check_subject
from agents_core.nats.subscription import Subscription
from agents_core.timers import Timers

LIVE = frozenset({Status.CONNECTING, Status.CONNECTED, Status.RECONNECTING})


class Client:
    """A NATS client. Make one with `agents_core.nats.connect`.

    It satisfies `agents_core.bus.Bus`, whose docstrings say what each method promises.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self._dialer = options.dialer or platform.current().dialer
        self._servers = Servers(
            options.servers, shuffle=not options.dont_randomize, rng=options.rng
        )
        self._status = StatusHolder(Status.CONNECTING)
        self._stats = Stats()
        self._timers = Timers()
        self._inbox = f"{options.inbox_prefix}.{unique()}"
        check_subject(self._inbox)
        self._requests = Requests(self, self._inbox, self._timers)
        self._subscriptions: dict[bytes, Subscription] = {}
        self._made: WeakSet[Subscription] = WeakSet()  # ended ones too: a callback may still run
        self._last_sid = 0
        self._connection: Connection | None = None
        self._url = self._servers.urls[0]
        self._max_payload = MAX_PAYLOAD_DEFAULT
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._pending_size = options.pending_size
        self._reconnecting: asyncio.Task[None] | None = None
        self._callbacks = Callbacks()
        self._moving = False

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
    def is_connected(self) -> bool:
        """Whether there is a connection now; as in nats-py."""
        return self._connection is not None

    @property
    def is_closed(self) -> bool:
        """Whether it was closed for good; as in nats-py."""
        return self._status.value is Status.CLOSED

    @property
    def stats(self) -> Stats:
        """Counters since the client was made."""
        return self._stats

    @property
    def max_payload(self) -> int:
        """Bytes of headers and payload that the server accepts."""
        return self._max_payload

    @property
    def servers(self) -> list[str]:
        """Every known server, without credentials."""
        return self._servers.urls

    def on_status(self, listener: Callable[[Status], None]) -> Callable[[], None]:
        """Call `listener` at each change of status, until the returned function is called."""
        return self._status.listen(listener)

    # -- connecting

    async def connect(self) -> None:
        """Open the first connection, trying each server once.

        Raises:
            AgentsError: what the last server's attempt raised; with `retry_on_failed_connect` only
                if trying again changes nothing, see `auth.HOPELESS`.
        """
        for left in range(len(self._servers) - 1, -1, -1):
            try:
                await self._attempt(self._servers.next())
                break
            except AgentsError as error:
                if left:
                    continue
                if isinstance(error, HOPELESS) or not self.options.retry_on_failed_connect:
                    await self.close()
                    raise
                self._report(error)
                self._reconnect()
        self._timers.after(self.options.ping_interval, self._check_alive)

    async def _attempt(self, server: Server) -> None:
        """One attempt at one server, within `connect_timeout`."""
        connection = Connection(server, self._on_arrival, self._on_lost)
        self._url = connection.url
        server.attempts += 1
        login = await self.options.login(server.url)
        try:
            async with asyncio.timeout(self.options.connect_timeout):
                await connection.open(self._dialer, self.options, login)
        except TimeoutError:
            seconds = self.options.connect_timeout
            raise TransportError(self._url, f"no NATS server answered within {seconds} s") from None
        server.attempts, server.refusal = 0, ""
        self._established(connection)

    def _established(self, connection: Connection) -> None:
        self._connection = connection
        self._moving = False
        self._on_info(connection)
        for subscription in list(self._subscriptions.values()):
            self._register(connection, subscription)
        buffer, self._buffer, self._buffered = self._buffer, [], 0
        for frame in buffer:
            connection.send(frame)
        self._status.set(Status.CONNECTED)

    def _register(self, connection: Connection, subscription: Subscription) -> None:
        """SUB, and for one that ends by itself the count that is left: the server's begins anew."""
        sid = subscription.sid
        subscription.registered = subscription.received
        connection.send(commands.sub(subscription.subject, sid, subscription.queue))
        if subscription.max_msgs:
            self._unsub(subscription, subscription.max_msgs)

    def _check_alive(self) -> None:
        """Ask after silence; give up when nothing at all came over several intervals.

        Judged by what arrived, not by timers: one that fires late, in a tab that slept, proves
        nothing.
        """
        interval, connection = self.options.ping_interval, self._connection
        self._timers.after(interval, self._check_alive)
        if connection is None or self._timers.now() - connection.received_at < interval / 2:
            return
        if connection.unanswered >= self.options.max_outstanding_pings:
            connection.lose(TransportError(self._url, "stale connection: no answer to PING"))
        else:
            connection.ping()

    # -- losing and coming back

    def _on_lost(self, connection: Connection, error: AgentsError) -> None:
        self._connection = None
        self._keep(connection)
        self._requests.fail_all(NotConnected(self._url))
        self._report(error)
        self._callbacks.call(self.options.disconnected_cb)
        if isinstance(error, AuthorizationError):
            self._servers.failed(connection.server, error, -1)
        if self.options.allow_reconnect and self.status in LIVE:
            self._reconnect()
        else:
            self._callbacks.run(self.close())

    def _keep(self, connection: Connection) -> None:
        """Frames that never reached the transport are sent on the next connection, publishes only.

        SUB and UNSUB are made anew, PING belonged to the connection that is gone.
        """
        for frame in connection.protocol.data_to_send():
            if frame.startswith((b"PUB ", b"HPUB ")):
                self._buffer.append(frame)
                self._buffered += len(frame)

    def _reconnect(self) -> None:
        self._status.set(Status.RECONNECTING)
        self._reconnecting = asyncio.get_running_loop().create_task(self._come_back())

    async def _come_back(self) -> None:
        """Try server after server until one answers, or none is left."""
        rounds = 0
        try:
            while len(self._servers):
                if rounds % len(self._servers) == 0:  # a pause per round through the pool
                    wait = self.options.reconnect_time_wait
                    turn = rounds // len(self._servers)
                    await asyncio.sleep(backoff.delay(turn, wait, self.options.rng))
                rounds += 1
                server = self._servers.next()
                try:
                    await self._attempt(server)
                except AgentsError as error:
                    self._report(error)
                    self._servers.failed(server, error, self.options.max_reconnect_attempts)
                    continue
                self._stats.reconnects += 1
                self._callbacks.call(self.options.reconnected_cb)
                return
        finally:
            self._reconnecting = None
        await self.close()

    # -- arriving

    def _on_arrival(self, connection: Connection, msgs: list[Msg], events: list[Event]) -> None:
        subscription_of, size = self._subscriptions.get, 0
        for msg in msgs:
            size += len(msg.data)
            subscription = subscription_of(msg.sid)
            if subscription is not None:  # else: it was under way when its subscription ended
                msg.bus = self
                subscription.deliver(msg)
        self._stats.in_msgs += len(msgs)
        self._stats.in_bytes += size
        for event in events:
            if isinstance(event, Info):
                self._on_info(connection)
            elif isinstance(event, Err):
                self._on_err(event.text)

    def _on_info(self, connection: Connection) -> None:
        info = connection.protocol.info
        self._max_payload = connection.protocol.max_payload
        urls = info.get("connect_urls")
        if isinstance(urls, list) and self._servers.learn(urls, connection.server):
            self._callbacks.call(self.options.discovered_server_cb)
        if info.get("ldm") and not self._moving:
            self._moving = True
            self._callbacks.call(self.options.lame_duck_mode_cb)
            if len(self._servers) > 1:  # alone it is better to stay until the server closes
                self._timers.after(self.options.rng.random(), lambda: self._move(connection))

    def _move(self, connection: Connection) -> None:
        """Leave a server that is about to go, after the writes that are under way."""
        if connection is self._connection:
            connection.lose(TransportError(connection.url, "the server is shutting down"))

    def _on_err(self, text: str) -> None:
        """Whatever the text, closing is the server's decision.

        Many of these leave the connection open.
        """
        self._stats.errors_received += 1
        error = faults.classify(text)
        if isinstance(error, PermissionsViolation):
            self._denied(error)
        self._report(error)

    def _denied(self, error: PermissionsViolation) -> None:
        if error.operation == "publish":
            self._requests.fail_subject(error.subject, error)
            return
        sid, wanted = faults.sid_of(error.text), (error.subject, faults.queue_of(error.text))
        for subscription in list(self._subscriptions.values()):
            named = (subscription.subject, subscription.queue) == wanted
            if subscription.sid == sid or (not sid and named):
                subscription.end(error)
        self._requests.check(error)

    # -- publishing

    def publish(
        self,
        subject: str,
        payload: bytes = b"",
        reply: str = "",
        headers: HeadersLike | None = None,
    ) -> Awaitable[None]:
        """See `Bus.publish`."""
        frame = encode_publish(subject, payload, reply, headers, self._max_payload)
        connection = self._connection
        if connection is None:
            self._wait_to_send(frame)
        elif connection.paused and connection.pending_bytes + len(frame) > self._pending_size:
            raise OutboundBufferFull(self._pending_size)
        else:
            connection.send(frame)
        stats = self._stats
        stats.out_msgs += 1
        stats.out_bytes += len(payload)
        return DONE

    def _wait_to_send(self, frame: bytes) -> None:
        """Keep a message for the next connection."""
        if self._status.value not in LIVE:
            raise ConnectionClosed(self._url)
        if self._buffered + len(frame) > self._pending_size:
            raise OutboundBufferFull(self._pending_size)
        self._buffer.append(frame)
        self._buffered += len(frame)

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
        """A fresh reply subject under this connection's private prefix, apart from requests'."""
        return f"{self._inbox}.i.{unique()}"

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
        if self._status.value not in LIVE:
            raise ConnectionClosed(self._url)
        self._last_sid += 1
        subscription = Subscription(
            subject,
            queue,
            cb,
            max_msgs=max_msgs,
            pending_msgs_limit=pending_msgs_limit,
            pending_bytes_limit=pending_bytes_limit,
            sid=b"%d" % self._last_sid,
            on_unsub=self._unsub,
            on_end=self._forget,
            flush=self.flush,
            on_error=self._report,
            stats=self._stats,
        )
        self._subscriptions[subscription.sid] = subscription
        self._made.add(subscription)
        if self._connection is not None:
            self._register(self._connection, subscription)
        return subscription

    def _unsub(self, subscription: Subscription, limit: int) -> None:
        """UNSUB, at once or after `limit` messages, of which the server counts its own."""
        if self._connection is not None:
            left = limit - subscription.registered if limit else 0
            self._connection.send(commands.unsub(subscription.sid, left))

    def _forget(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription.sid, None)

    # -- barriers and ending

    async def flush(self, timeout: float = 10.0) -> None:
        """See `Bus.flush`."""
        if self.is_closed:
            raise ConnectionClosed(self._url)
        if self._connection is None:
            raise NotConnected(self._url)
        pong = self._connection.ping()
        await asyncio.wait([pong], timeout=timeout)  # never cancels it: a late PONG is counted
        if not pong.done():
            raise RequestTimeout("PING", timeout)
        pong.result()

    async def rtt(self) -> float:
        """Seconds for one PING and PONG."""
        began = self._timers.now()
        await self.flush()
        return self._timers.now() - began

    async def drain(self) -> None:
        """Stop receiving, handle what has arrived, send what is pending, then close.

        Bounded by `drain_timeout`; what is not done by then is dropped.
        """
        if self.is_closed:
            return
        self._status.set(Status.DRAINING)
        try:
            async with asyncio.timeout(self.options.drain_timeout):
                if self._connection is not None:
                    for subscription in list(self._subscriptions.values()):
                        if subscription is not self._requests.subscription:
                            await subscription.drain()  # whose callbacks may still ask others
                    await self.flush()
        except (TimeoutError, NotConnected, ConnectionClosed) as error:
            self._report(error)
        await self.close()

    async def close(self) -> None:
        """Close at once; what waits is dropped, and whoever waits is told."""
        if self.is_closed:
            return
        self._status.set(Status.CLOSED)
        task, self._reconnecting = self._reconnecting, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task])
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._requests.fail_all(ConnectionClosed(self._url))
        for subscription in list(self._subscriptions.values()):
            subscription.end()
            subscription.discard()
        for subscription in list(self._made):
            subscription.stop()
        self._subscriptions.clear()
        self._buffer.clear()
        self._timers.close()
        self._callbacks.call(self.options.closed_cb)
        await self._callbacks.settle(self.options.connect_timeout)
        self._callbacks.cancel()

    def _report(self, error: Exception) -> None:
        """Tell the user what no call can raise."""
        self._callbacks.call(self.options.error_cb, error)


async def connect(servers: str | Sequence[str] = "nats://127.0.0.1:4222", **options: Any) -> Client:
    """Connect to a NATS server, or to one of several that form a cluster.

    Args:
        servers: `nats://`, `tls://`, `ws://` or `wss://` URLs, with credentials if need be;
            comma-separated or a list. In a browser only the WebSocket ones.
        **options: the fields of `Options`, named as in nats-py.

    Raises:
        TransportError: no server could be reached.
        AuthorizationError: the server refused the credentials.
        InvalidCredentials: they can't be read, or contradict one another.
        Unsupported: this platform has no such scheme, or can't sign.
    """
    urls = servers.split(",") if isinstance(servers, str) else servers
    client = Client(Options(servers=[url.strip() for url in urls], **options))
    await client.connect()
    return client
