"""The bus over nats-py, the default for `nats://` and `tls://` on a server.

One nats-py client is one session here: it is told not to reconnect, and a lost session is replaced
by a new one on which every subscription is made anew. So what nats-py keeps over a reconnect, and
gets wrong there (facts: nats.md 1), is never used.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from weakref import WeakSet

from nats import errors as native
from nats.aio.msg import Msg as NativeMsg

from agents_core.bus import (
    CHECK_S,
    DONE,
    PENDING_BYTES_LIMIT,
    PENDING_MSGS_LIMIT,
    Callback,
    PendingPolicy,
    Stats,
    Status,
)
from agents_core.errors import (
    AgentsError,
    AuthorizationError,
    ConnectionClosed,
    NotConnected,
    PermissionsViolation,
    RequestTimeout,
    SubscriptionRefused,
    TransportError,
)
from agents_core.ids import unique
from agents_core.nats.auth import HOPELESS
from agents_core.nats.callbacks import Callbacks
from agents_core.nats.connector import Connector
from agents_core.nats.headers import HeadersLike, encode_headers
from agents_core.nats.msg import Msg
from agents_core.nats.options import Options
from agents_core.nats.protocol import MAX_PAYLOAD_DEFAULT, check_publish
from agents_core.nats.requests import Requests
from agents_core.nats.servers import Server
from agents_core.nats.status import StatusHolder
from agents_core.nats.subject import check_subject, check_word
from agents_core.nats.subscription import Subscription
from agents_core.timers import Timers
from agents_server.nats_message import check_text, raw_headers, single
from agents_server.nats_outbox import Outbox
from agents_server.nats_session import Interest, Session

LIVE = frozenset({Status.CONNECTING, Status.CONNECTED, Status.RECONNECTING})

_log = logging.getLogger("agents_server.nats_py")


class NatsPyBus:
    """A bus on nats-py. See `agents_core.bus.Bus` for what each method promises.

    A header has one value here: nats-py keeps no more of what arrives.

    Args:
        options: as for our own client, but for `dialer`, which is not used.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self._connector = Connector(options, self._open, self._report)
        self._url = self._connector.servers.urls[0]
        self._status = StatusHolder(Status.CONNECTING)
        self._stats = Stats()
        self._timers = Timers()
        self._callbacks = Callbacks()
        self._inbox = f"{options.inbox_prefix}.{unique()}"
        check_subject(self._inbox)
        self._requests = Requests(self, self._inbox, self._timers)
        self._barriers: set[asyncio.Future[None]] = set()
        self._session: Session | None = None
        self._subscriptions: dict[Subscription, Interest | None] = {}
        self._made: WeakSet[Subscription] = WeakSet()  # ended ones too: a callback may still run
        self._outbox = Outbox(options.pending_size, self._report)
        self._reconnecting: asyncio.Task[None] | None = None
        self._away = False  # on purpose, until `resume`

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
            AgentsError: what the last attempt raised; with `retry_on_failed_connect` only if trying
                again changes nothing, see `auth.HOPELESS`.
        """
        try:
            await self._established(await self._connector.first())
        except AgentsError as error:
            if isinstance(error, HOPELESS) or not self.options.retry_on_failed_connect:
                await self.close()
                raise
            self._report(error)
            self._reconnect()

    async def _open(self, server: Server) -> Session:
        session = Session(
            server,
            self.options,
            on_error=self._failed,
            on_learned=self._learn,
            on_lame_duck=lambda: self._callbacks.call(self.options.lame_duck_mode_cb),
            on_lost=self._lost,
        )
        self._url = session.url
        try:
            await session.open()
        finally:
            unwanted = self._away or self.status not in LIVE
            if asyncio.current_task() is self._reconnecting and unwanted:
                await session.close()
                raise asyncio.CancelledError  # which nats-py may have swallowed
        return session

    async def _established(self, session: Session) -> None:
        if self.status not in LIVE:  # closed meanwhile
            await session.close()
            return
        self._session = session
        self._connector.learn(session.info, session.server)
        for subscription in list(self._subscriptions):
            await self._register(session, subscription)
        if self._session is session:  # else it was lost meanwhile
            self._status.set(Status.CONNECTED)
            self._outbox.use(session)

    def _learn(self, session: Session) -> None:
        if self._connector.learn(session.info, session.server):
            self._callbacks.call(self.options.discovered_server_cb)

    def _lost(self, session: Session, error: AgentsError | None) -> None:
        if session is not self._session:
            return
        self._session = None
        self._outbox.use(None)
        self._subscriptions = dict.fromkeys(self._subscriptions)
        self._fail_all(NotConnected(self._url))
        if error is not None:
            self._report(error)
        if isinstance(error, AuthorizationError):
            self._connector.refused(session.server, error)
        if isinstance(error, SubscriptionRefused):
            self._refused(error)
        self._callbacks.call(self.options.disconnected_cb)
        if self.options.allow_reconnect and self.status in LIVE:
            self._reconnect()
        else:
            self._callbacks.run(self.close())

    def _fail_all(self, error: AgentsError) -> None:
        """Nobody waits for an answer that can't come."""
        self._requests.fail_all(error)
        for barrier in self._barriers:
            if not barrier.done():
                barrier.set_exception(error)

    def _reconnect(self) -> None:
        self._status.set(Status.RECONNECTING)
        if self._reconnecting is None and not self._away:
            self._reconnecting = asyncio.get_running_loop().create_task(self._come_back())

    async def suspend(self) -> None:
        """See `Bus.suspend`; without `allow_reconnect` it does nothing."""
        if self._away or not self.options.allow_reconnect or self.status not in LIVE:
            return
        self._away = True
        await self._end_reconnecting()
        session = self._session
        if session is not None:
            with suppress(RequestTimeout, NotConnected, ConnectionClosed):
                await self.flush(CHECK_S)
            self._lost(session, None)
            await session.close()

    async def resume(self) -> None:
        """See `Bus.resume`."""
        if self._away:
            self._away = False
            if self.status in LIVE:
                self._connector.hurry()  # it left by itself: that is no reason to wait
                self._reconnect()
        elif self._session is None:
            self._connector.hurry()
        else:
            self._callbacks.run(self._check(self._session))

    async def _check(self, session: Session) -> None:
        try:
            await self.flush(CHECK_S)
        except RequestTimeout:
            reason = "stale connection: no answer to PING"
            self._lost(session, TransportError(session.url, reason))
            await session.close()
        except (NotConnected, ConnectionClosed):
            pass  # noticed meanwhile

    async def _end_reconnecting(self) -> None:
        task = self._reconnecting
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task])
            self._reconnecting = None

    async def _come_back(self) -> None:
        """Try server after server until one answers or none is left."""
        while self._session is None and self.status in LIVE:
            session = await self._connector.again()
            if session is None:
                break
            await self._established(session)
        self._reconnecting = None
        if self._session is None:
            await self.close()
        else:
            self._stats.reconnects += 1
            self._callbacks.call(self.options.reconnected_cb)

    # -- errors

    def _failed(self, error: AgentsError) -> None:
        if isinstance(error, PermissionsViolation):
            self._denied(error)
        self._report(error)

    def _denied(self, error: PermissionsViolation) -> None:
        """The server refused a publish or a subscription; nats-py does not tell which."""
        self._stats.errors_received += 1
        if error.operation == "publish":
            self._requests.fail_subject(error.subject, error)
            return
        for subscription in list(self._subscriptions):
            if (subscription.subject, subscription.queue) == (error.subject, error.queue):
                subscription.end(error)
        self._requests.check(error)

    def _refused(self, error: SubscriptionRefused) -> None:
        """The server took one subscription less than there are, and nats-py ends its session.

        On the next one it would be the same again, without the newest that received nothing.
        """
        for subscription in reversed(self._subscriptions):
            if subscription.received == subscription.registered:
                subscription.end(error)
                break
        self._requests.check(error)

    def _report(self, error: Exception) -> None:
        _log.info("%s", error)
        self._callbacks.call(self.options.error_cb, error)

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
            Unsupported: nats-py can't send these headers, or a subject that is not UTF-8.
        """
        if self.status not in LIVE and self._session is None:
            raise ConnectionClosed(self._url)
        size = len(payload) + (len(encode_headers(headers)) if headers else 0)
        loose = self.options.skip_subject_validation
        check_publish(subject, reply, size, self.max_payload, loose=loose)
        for text in (subject, reply):
            check_text(text)
        fields = single(headers) if headers else None
        size += len(subject) + len(reply)
        self._outbox.check(size)
        self._outbox.do(lambda session: session.publish(subject, payload, reply, fields), size)
        self._stats.out_msgs += 1
        self._stats.out_bytes += len(payload)
        return DONE

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
        pending_policy: PendingPolicy = "drop_new",
    ) -> Subscription:
        """See `Bus.subscribe`.

        Raises:
            Unsupported: the subject or the queue is not UTF-8.
        """
        check_subject(subject, wildcards=True)
        if queue:
            check_word(queue)
        for text in (subject, queue):
            check_text(text)
        if self.status not in LIVE:
            raise ConnectionClosed(self._url)
        subscription = Subscription(
            subject,
            queue,
            cb,
            max_msgs=max_msgs,
            pending_msgs_limit=pending_msgs_limit,
            pending_bytes_limit=pending_bytes_limit,
            pending_policy=pending_policy,
            on_unsub=self._unsubscribe,
            on_end=self._forget,
            flush=self.flush,
            on_error=self._report,
            stats=self._stats,
        )
        self._subscriptions[subscription] = None
        self._made.add(subscription)
        if self._session is not None:
            await self._register(self._session, subscription)
        return subscription

    def _forget(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription, None)

    async def _register(self, session: Session, subscription: Subscription) -> None:
        def take(msg: NativeMsg) -> None:
            self._stats.in_msgs += 1
            self._stats.in_bytes += len(msg.data)
            raw = raw_headers(msg.headers, msg.data) if msg.headers else b""
            subscription.deliver([Msg(msg.subject, msg.data, msg.reply, raw, bus=self)])

        subscription.registered = subscription.received
        with suppress(native.Error):  # the session is lost; the next one registers it
            made = await session.subscribe(subscription.subject, subscription.queue, take)
            if subscription.ended:  # meanwhile
                await made.unsubscribe()
            elif subscription.max_msgs:
                await made.unsubscribe(subscription.max_msgs - subscription.registered)
            if subscription in self._subscriptions and session is self._session:
                self._subscriptions[subscription] = made

    def _unsubscribe(self, subscription: Subscription, limit: int) -> None:
        """At once or after `limit` messages, of which the server counts this session's."""
        made = self._subscriptions.get(subscription)
        if made is None:
            return

        async def step(session: Session) -> None:
            if self._subscriptions.get(subscription, made) is not made:
                return  # it was registered on another session meanwhile
            with suppress(native.Error):  # its session is gone, and it with it
                if limit:
                    await made.unsubscribe(limit - subscription.registered)
                else:
                    await session.drain(made)

        self._outbox.do(step)

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

    def request_many(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,
        headers: HeadersLike | None = None,
        *,
        stall: float | None = None,
        max_msgs: int = 0,
        sentinel: Callable[[Msg], bool] | None = None,
    ) -> AsyncIterator[Msg]:
        """See `Bus.request_many`."""
        return self._requests.request_many(
            subject,
            payload,
            timeout,
            headers,
            stall=stall,
            max_msgs=max_msgs,
            sentinel=sentinel,
        )

    def new_inbox(self) -> str:
        """A fresh reply subject."""
        return f"{self._inbox}.i.{unique()}"

    async def ready(self) -> None:
        """See `Bus.ready`."""
        await self._outbox.ready()

    async def flush(self, timeout: float = 10.0) -> None:
        """See `Bus.flush`."""
        if self.status is Status.CLOSED:
            raise ConnectionClosed(self._url)
        if self._session is None:
            raise NotConnected(self._url)
        barrier: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answered(_: object) -> None:
            if not barrier.done():
                barrier.set_result(None)

        async def step(session: Session) -> None:
            if not barrier.done():
                await session.written()
                session.ping().add_done_callback(answered)

        self._barriers.add(barrier)
        try:
            async with asyncio.timeout(timeout):
                self._outbox.do(step)
                await barrier
        except TimeoutError:
            raise RequestTimeout("PING", timeout) from None
        finally:
            self._barriers.discard(barrier)

    async def rtt(self, timeout: float = 10.0) -> float:
        """See `Bus.rtt`."""
        began = self._timers.now()
        await self.flush(timeout)
        return self._timers.now() - began

    async def drain(self) -> None:
        """See `Bus.drain`; bounded by `drain_timeout`, what is not done by then is dropped."""
        if self.status not in LIVE:
            return
        self._status.set(Status.DRAINING)
        try:
            async with asyncio.timeout(self.options.drain_timeout):
                if self._session is not None:
                    for subscription in list(self._subscriptions):
                        if not self._requests.owns(subscription):
                            await subscription.drain()  # whose callbacks may still ask others
                    await self.flush()
        except (TimeoutError, NotConnected, ConnectionClosed) as error:
            self._report(error)
        await self.close()

    async def close(self) -> None:
        """See `Bus.close`."""
        if self.status is Status.CLOSED:
            return
        self._status.set(Status.CLOSED)
        session, self._session = self._session, None
        self._fail_all(ConnectionClosed(self._url))
        for subscription in list(self._made):
            subscription.end()
            subscription.discard()
            subscription.stop()
        self._timers.close()
        await self._end_reconnecting()
        await self._outbox.close()
        if session is not None:
            await session.close()
        self._callbacks.call(self.options.closed_cb)
        await self._callbacks.settle(self.options.connect_timeout)
        self._callbacks.cancel()
