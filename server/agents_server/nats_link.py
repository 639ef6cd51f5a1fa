"""A bus's way to its servers over nats-py: one session after another, and the time between them.

`agents_core.nats.link` is the same for our own client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from agents_core.bus import CHECK_S, Stats, Status
from agents_core.errors import (
    AgentsError,
    AuthorizationError,
    ConnectionClosed,
    NotConnected,
    PermissionsViolation,
    RequestTimeout,
    SubscriptionRefused,
)
from agents_core.nats.auth import HOPELESS
from agents_core.nats.callbacks import Callbacks
from agents_core.nats.connector import Connector
from agents_core.nats.keepalive import KeepAlive
from agents_core.nats.options import Options
from agents_core.nats.requests import Requests
from agents_core.nats.servers import Server
from agents_core.nats.status import StatusHolder
from agents_core.timers import Timers
from agents_server.nats_outbox import Outbox
from agents_server.nats_session import Session
from agents_server.nats_subscriptions import NatsPySubscriptions


class Link:
    """Opens a session, notices its loss and comes back with another one.

    Args:
        options: how.
        status: where it says which of these it does.
        stats: where reconnects and refusals are counted.
        timers: where its deadlines are.
        callbacks: calls the user's.
        outbox: what is to be done with the session; waits while there is none.
        subscriptions: made known to each new server.
        requests: who waits for a reply is told of a loss.
        on_refused: told what the server refuses.
        on_error: told what no call can raise.
        on_end: called when there is no server to come back to.

    Attributes:
        session: the one in use; None while there is none.
        url: its server's, or that of the one tried last; without credentials.
        connector: knows the servers.
    """

    def __init__(
        self,
        options: Options,
        *,
        status: StatusHolder,
        stats: Stats,
        timers: Timers,
        callbacks: Callbacks,
        outbox: Outbox,
        subscriptions: NatsPySubscriptions,
        requests: Requests,
        on_refused: Callable[[PermissionsViolation | SubscriptionRefused], None],
        on_error: Callable[[Exception], None],
        on_end: Callable[[], Awaitable[None]],
    ) -> None:
        self.connector = Connector(options, self._open, on_error)
        self.session: Session | None = None
        self.url = self.connector.servers.urls[0]
        self._options = options
        self._status, self._stats = status, stats
        self._timers, self._callbacks = timers, callbacks
        self._outbox, self._subscriptions, self._requests = outbox, subscriptions, requests
        self._on_refused, self._on_error, self._on_end = on_refused, on_error, on_end
        self._keep_alive: KeepAlive | None = None
        self._barriers: set[asyncio.Future[None]] = set()
        self._under_way: asyncio.Task[None] | None = None  # to another server
        self._left: Session | None = None  # on purpose, last; it may still be ending
        self._away = False  # on purpose, until `resume`

    # -- connecting

    async def open(self) -> None:
        """Open the first session, trying each server once.

        Raises:
            AgentsError: what the last attempt raised; with `retry_on_failed_connect` only if trying
                again changes nothing, see `auth.HOPELESS`.
        """
        try:
            await self._use(await self.connector.first())
        except AgentsError as error:
            patient = self._options.retry_on_failed_connect and self._status.is_live
            if isinstance(error, HOPELESS) or not patient:
                raise
            self._on_error(error)
            self._come_back()

    async def _open(self, server: Server) -> Session:
        session = Session(
            server,
            self._options,
            on_error=self._failed,
            on_learned=self._learn,
            on_lame_duck=lambda: self._callbacks.call(self._options.lame_duck_mode_cb),
            on_lost=self._on_lost,
        )
        self.url = session.url
        try:
            await session.open()
        finally:
            unwanted = self._away or not self._status.is_live
            if asyncio.current_task() is self._under_way and unwanted:
                await session.close()
                raise asyncio.CancelledError  # which nats-py may have swallowed
        return session

    async def _use(self, session: Session) -> None:
        """This one from now on: what is subscribed to, then what was published meanwhile."""
        if not self._status.is_live:  # closed meanwhile
            await session.close()
            return
        self.session = session
        self._watch(session)
        self.connector.learn(session.info, session.server)
        await self._subscriptions.register(session)
        if self.session is session:  # else it was lost meanwhile
            if self._status.is_live:
                self._status.set(Status.CONNECTED)
            self._outbox.use(session)

    def _watch(self, session: Session | None) -> None:
        if self._keep_alive is not None:
            self._keep_alive.stop()
            self._keep_alive = None
        if session is not None:
            interval, limit = self._options.ping_interval, self._options.max_outstanding_pings
            self._keep_alive = KeepAlive(session, self._timers, interval, limit)

    def _learn(self, session: Session) -> None:
        if self.connector.learn(session.info, session.server):
            self._callbacks.call(self._options.discovered_server_cb)

    # -- what the server refuses

    def _failed(self, error: AgentsError) -> None:
        if isinstance(error, PermissionsViolation):
            self._stats.errors_received += 1
            self._on_refused(error)
        self._on_error(error)

    # -- losing and coming back

    def _on_lost(self, session: Session, error: AgentsError | None) -> None:
        if session is not self.session:
            return
        self._release()
        self._requests.fail_all(NotConnected(self.url))
        self._fail_barriers(NotConnected(self.url))
        if error is not None:
            self._on_error(error)
        if isinstance(error, AuthorizationError):
            self.connector.refused(session.server, error)
        if isinstance(error, SubscriptionRefused):
            self._on_refused(error)
        if self._can_return:
            self._come_back()
        elif self._status.is_live:  # else it is about to end by itself
            self._callbacks.run(self._on_end())
        self._callbacks.call(self._options.disconnected_cb)

    def _release(self) -> None:
        self.session = None
        self._watch(None)
        self._outbox.use(None)
        self._subscriptions.release()

    def _come_back(self) -> None:
        self._status.set(Status.RECONNECTING)
        if self._under_way is None and not self._away:
            self._under_way = asyncio.get_running_loop().create_task(self._return())
            self._under_way.add_done_callback(self._given_up)

    def _given_up(self, task: asyncio.Task[None]) -> None:
        """It was cancelled, unless it said itself that it has ended."""
        if self._under_way is task:
            self._under_way = None
            if self.session is None and self._can_return:  # called back meanwhile
                self._come_back()

    async def _return(self) -> None:
        """Try server after server until one answers or none is left."""
        while self.session is None and self._status.is_live:
            session = await self.connector.again()
            if session is None:
                break
            await self._use(session)
        self._under_way = None
        if self.session is not None:
            self._stats.reconnects += 1
            self._callbacks.call(self._options.reconnected_cb)
        elif self._status.is_live:
            await self._on_end()

    @property
    def _can_return(self) -> bool:
        """Whether it goes on with another session when this one is over."""
        return self._options.allow_reconnect and self._status.is_live

    async def leave(self) -> None:
        """Leave the server, after what was published has reached it, and connect anew.

        One that does not answer within `CHECK_S` is left all the same.
        """
        session = self.session
        if session is None or not self._can_return:
            return
        with suppress(RequestTimeout, NotConnected, ConnectionClosed):
            await self.flush(CHECK_S)
        if session is not self.session or not self._can_return:  # lost, or draining, meanwhile
            return
        self._outbox.use(None)  # what comes now waits for the next one
        self._left = session
        try:
            await session.close()
        finally:  # whoever cancels this gets the next session, too
            self._on_lost(session, None)

    async def suspend(self) -> None:
        """See `Bus.suspend`; without `allow_reconnect` nothing would come back: that stays."""
        if self._away or not self._can_return:
            return
        self._away = True
        leaving = asyncio.get_running_loop().create_task(self._leave_for_long())
        self._callbacks.run(leaving)
        await asyncio.shield(leaving)  # whoever gives up waiting is away all the same

    async def _leave_for_long(self) -> None:
        await self._end_way()
        await self.leave()

    def resume(self) -> None:
        """See `Bus.resume`."""
        if self._away:
            self._away = False
            self.connector.hurry()  # it left by itself: that is no reason to wait
            if self.session is None and self._status.is_live:  # else it is still leaving
                self._come_back()
        elif self._keep_alive is not None:
            self._keep_alive.look(CHECK_S)
        else:
            self.connector.hurry()

    async def close(self) -> None:
        """End what is under way, what waits for the session, and the session."""
        session, self.session = self.session, None
        self._watch(None)
        self._fail_barriers(ConnectionClosed(self.url))
        await self._end_way()
        await self._outbox.close()  # first, as it still uses the session
        for ending in (self._left, session):
            if ending is not None:
                await ending.close()

    async def _end_way(self) -> None:
        task = self._under_way
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task])

    # -- barriers

    async def flush(self, timeout: float) -> None:
        """See `Bus.flush`."""
        if self._status.value is Status.CLOSED:
            raise ConnectionClosed(self.url)
        if self.session is None:
            raise NotConnected(self.url)
        barrier: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answered(ping: asyncio.Task[float]) -> None:
            if barrier.done():
                return
            if ping.cancelled() or ping.exception() is not None:  # over, which is told later
                barrier.set_exception(NotConnected(self.url))
            else:
                barrier.set_result(None)

        async def step(session: Session) -> None:
            if not barrier.done():
                await session.written()
                session.ping().add_done_callback(answered)

        self._barriers.add(barrier)
        try:
            async with self._timers.timeout(timeout):
                self._outbox.do(step)
                await barrier
        except TimeoutError:
            raise RequestTimeout("PING", timeout) from None
        finally:
            self._barriers.discard(barrier)

    def _fail_barriers(self, error: AgentsError) -> None:
        """Nobody waits for an answer that can't come."""
        for barrier in self._barriers:
            if not barrier.done():
                barrier.set_exception(error)
