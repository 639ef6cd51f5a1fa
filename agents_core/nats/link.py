"""A client's way to its servers: one connection after another, and how it changes between them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agents_core import platform
from agents_core.bus import CHECK_S, Stats, Status
from agents_core.errors import (
    AgentsError,
    AuthorizationError,
    ConnectionClosed,
    NotConnected,
    TransportError,
)
from agents_core.nats.auth import HOPELESS
from agents_core.nats.callbacks import Callbacks
from agents_core.nats.connection import Connection
from agents_core.nats.connector import Connector
from agents_core.nats.keepalive import KeepAlive
from agents_core.nats.options import Options
from agents_core.nats.outbox import Outbox
from agents_core.nats.parser import Arrival
from agents_core.nats.requests import Requests
from agents_core.nats.servers import Server
from agents_core.nats.status import StatusHolder
from agents_core.nats.subscriptions import ClientSubscriptions
from agents_core.timers import Timers

if TYPE_CHECKING:
    from agents_core.bus import Bus

SETTLE_S = 0.25
"""Seconds on two servers before the old one is left: they tell one another about an interest in
their own time, and a message may be under way between them. Their own grace is 10 s."""


class Link:
    """Connects, notices a loss and comes back, and leaves a server that is about to go.

    Args:
        bus: whose messages arrive.
        options: how.
        status: where it says which of these it does.
        stats: where reconnects are counted.
        timers: where its deadlines are.
        callbacks: calls the user's.
        outbox: what is published; held while there is no connection.
        subscriptions: made known to each new server.
        requests: who waits for a reply is told of a loss.
        on_arrival: what a connection calls with what arrives.
        on_error: told what no call can raise.
        on_end: called when there is no server to come back to.

    Attributes:
        connection: the one in use; None while there is none.
        url: its server's, or that of the one tried last; without credentials.
        connector: knows the servers.
    """

    def __init__(
        self,
        bus: Bus,
        options: Options,
        *,
        status: StatusHolder,
        stats: Stats,
        timers: Timers,
        callbacks: Callbacks,
        outbox: Outbox,
        subscriptions: ClientSubscriptions,
        requests: Requests,
        on_arrival: Callable[[Connection, Arrival], None],
        on_error: Callable[[Exception], None],
        on_end: Callable[[], Awaitable[None]],
    ) -> None:
        self.connector = Connector(options, self._open, on_error)
        self.connection: Connection | None = None
        self.url = self.connector.servers.urls[0]
        self._bus = bus
        self._options = options
        self._dialer = options.dialer or platform.current().dialer
        self._status, self._stats = status, stats
        self._timers, self._callbacks = timers, callbacks
        self._outbox, self._subscriptions, self._requests = outbox, subscriptions, requests
        self._on_arrival, self._on_error, self._on_end = on_arrival, on_error, on_end
        self._keep_alive: KeepAlive | None = None
        self._under_way: asyncio.Task[None] | None = None  # to another server
        self._away = False  # on purpose, until `resume`
        self._leaving: Connection | None = None  # its server has said that it is about to go

    # -- connecting

    async def open(self) -> None:
        """Make the first connection, trying each server once.

        Raises:
            AgentsError: what the last server's attempt raised; with `retry_on_failed_connect` only
                if trying again changes nothing, see `auth.HOPELESS`.
        """
        try:
            connection = await self.connector.first()
        except AgentsError as error:
            patient = self._options.retry_on_failed_connect and self._status.is_live
            if isinstance(error, HOPELESS) or not patient:
                raise
            self._on_error(error)
            self._come_back()
            return
        if self._status.value is Status.CLOSED:  # by somebody else, meanwhile
            connection.close()
            raise ConnectionClosed(self.url)
        self._use(connection, {})

    async def _open(self, server: Server) -> Connection:
        """One attempt at one server, within `connect_timeout`."""
        connection = Connection(
            server, self._bus, self._on_arrival, self._on_lost, self._outbox.wake
        )
        if self.connection is None:
            self.url = connection.url

        login = await self._options.login(server.uri)
        seconds = self._options.connect_timeout
        try:
            async with asyncio.timeout(seconds):  # not in `timers`: it has to outlive `close`
                await connection.open(self._dialer, self._options, login)
        except TimeoutError:
            reason = f"no NATS server answered within {seconds} s"
            raise TransportError(connection.url, reason) from None
        return connection

    def _use(self, connection: Connection, shared: Mapping[bytes, int]) -> None:
        """This one from now on: what is subscribed to, then what was published meanwhile."""
        self.connection, self.url = connection, connection.url
        self._watch(connection)
        self.inform(connection)
        self._subscriptions.register(connection, shared)
        dropped = self._outbox.attach(connection)
        if self._status.is_live:
            self._status.set(Status.CONNECTED)
        for error in dropped:
            self._on_error(error)

    def _watch(self, connection: Connection | None) -> None:
        if self._keep_alive is not None:
            self._keep_alive.stop()
            self._keep_alive = None
        if connection is not None:
            interval, limit = self._options.ping_interval, self._options.max_outstanding_pings
            self._keep_alive = KeepAlive(connection, self._timers, interval, limit)

    # -- losing and coming back

    def _on_lost(self, connection: Connection, error: AgentsError) -> None:
        if connection is not self.connection:  # another one has taken over
            return
        self._on_error(error)
        if isinstance(error, AuthorizationError):
            self.connector.refused(connection.server, error)
        self._gone(connection)

    def _gone(self, connection: Connection) -> None:
        """There is no connection any more, whoever ended it."""
        if self._under_way is not None:  # it was about to be left
            self._under_way.cancel()
        self._release(connection)
        self._requests.fail_all(NotConnected(self.url))
        if self._can_return:
            self._come_back()
        elif self._status.is_live:  # else it is about to end by itself
            self._outbox.close()
            self._callbacks.run(self._on_end())
        self._callbacks.call(self._options.disconnected_cb)

    def _release(self, connection: Connection) -> None:
        self.connection = self._subscriptions.connection = None
        self._watch(None)
        self._outbox.detach()
        self._outbox.keep(connection)

    def _come_back(self) -> None:
        self._status.set(Status.RECONNECTING)
        if not self._away:
            self._go(self._return())

    async def _return(self) -> None:
        """Try server after server until one answers, or none is left."""
        connection = await self.connector.again()
        if connection is None:
            if self._status.is_live:
                await self._on_end()
        elif self._status.value is Status.CLOSED:  # the last attempt could not be cancelled
            connection.close()
        else:
            self._back(connection, {})

    def _back(self, connection: Connection, shared: Mapping[bytes, int]) -> None:
        self._use(connection, shared)
        self._stats.reconnects += 1
        self._callbacks.call(self._options.reconnected_cb)

    def _go(self, way: Coroutine[Any, Any, None]) -> None:
        task = self._under_way = asyncio.get_running_loop().create_task(way)
        task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        if self._under_way is task:
            self._under_way = None

    @property
    def _can_return(self) -> bool:
        """Whether it goes on with another connection when this one is over."""
        return self._options.allow_reconnect and self._status.is_live

    def leave(self) -> None:
        """Leave the server, after what was written is on its way, and connect anew."""
        connection = self.connection
        if connection is not None and self._can_return:
            connection.close()
            self._gone(connection)

    async def suspend(self) -> None:
        """See `Bus.suspend`; without `allow_reconnect` nothing would come back: that stays."""
        if self._away or not self._can_return:
            return
        self._away = True
        self.leave()
        await self._end_way()

    def resume(self) -> None:
        """See `Bus.resume`."""
        if self._away:
            self._away = False
            if self._status.is_live:
                self.connector.hurry()  # it left by itself: that is no reason to wait
                self._come_back()
        elif self._keep_alive is not None:
            self._keep_alive.look(CHECK_S)
        else:
            self.connector.hurry()

    def close(self) -> None:
        """End the connection, and what is under way, which ends among the callbacks."""
        if self._under_way is not None and self._under_way is not asyncio.current_task():
            self._under_way.cancel()
            self._callbacks.run(self._under_way)
        if self.connection is not None:
            self.connection.close()
        self.connection = self._subscriptions.connection = None

    async def _end_way(self) -> None:
        task, self._under_way = self._under_way, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task])

    # -- what the server says about itself and its cluster

    def inform(self, connection: Connection) -> None:
        """Take a connection's INFO, which may come at any time."""
        if connection is not self.connection:
            return
        info = connection.protocol.info
        self._outbox.max_payload = connection.protocol.max_payload
        news = self.connector.learn(info, connection.server)
        if news and self._status.value is not Status.CONNECTING:
            self._callbacks.call(self._options.discovered_server_cb)
        if not info.get("ldm"):
            return
        first, self._leaving = self._leaving is not connection, connection
        if first:
            self._callbacks.call(self._options.lame_duck_mode_cb)
        if first or news:  # not at once, as all clients of the server have been told so
            wait = self._options.rng.random()
            self._timers.after(wait, lambda: self._leave_in_time(connection))

    def _leave_in_time(self, connection: Connection) -> None:
        wanted = self._options.allow_reconnect and self._status.value is Status.CONNECTED
        if connection is self.connection and self._under_way is None and wanted:
            self._go(self._move(connection))

    async def _move(self, old: Connection) -> None:
        """Go on with another server, without a gap where none has to be; without one, stay.

        The new connection is made before the old one is left. Queue groups and replies are then
        heard on both. What else is subscribed to would be heard twice, so it ends on the old one,
        with all that is under way there, before it begins on the new one. What is published waits
        for that, so as not to overtake what the old server has not taken yet.
        """
        new = await self.connector.elsewhere(old.server)
        if new is None:
            return
        try:
            self._subscriptions.share(new, self._requests.subscription)
            settled = await self._answers(new) and await asyncio.sleep(SETTLE_S, result=True)
            if not settled or new.ended or self._status.value is not Status.CONNECTED:
                new.close()  # and stay, or have drained meanwhile
                return
            self._outbox.detach()
            self._subscriptions.withdraw(old)
            await self._answers(old)
        except BaseException:  # the old one was lost, or the client is closed
            new.close()
            raise
        finally:
            shared = self._subscriptions.unshare()
        self._release(old)
        old.close()
        self._status.set(Status.RECONNECTING)
        self._callbacks.call(self._options.disconnected_cb)
        if new.ended:  # lost in its turn
            self._requests.fail_all(NotConnected(self.url))
            await self._return()
        else:
            self._back(new, shared)

    async def _answers(self, connection: Connection) -> bool:
        """Whether it answers a PING within `connect_timeout`."""
        with suppress(NotConnected, TimeoutError):
            async with self._timers.timeout(self._options.connect_timeout):
                await connection.ping()
                return True
        return False

    async def settled(self) -> Connection | None:
        """The connection in use, once nothing that was published waits for another one."""
        while self._outbox.connection is not self.connection and self._under_way is not None:
            await asyncio.wait([self._under_way])
        return self.connection
