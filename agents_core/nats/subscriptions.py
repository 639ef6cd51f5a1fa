"""What one bus is subscribed to, over all its connections."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from weakref import WeakSet

from agents_core.bus import Callback, Stats
from agents_core.errors import AgentsError, PermissionsViolation, ServerError
from agents_core.nats import commands
from agents_core.nats.subject import check_subject, check_word
from agents_core.nats.subscription import Bounds, Subscription

if TYPE_CHECKING:
    from agents_core.bus import Subscription as Interest
    from agents_core.nats.connection import Connection


class Subscriptions(dict[bytes, Subscription], ABC):
    """Those that have not ended, by id, oldest first; how a server hears of them is the bus's.

    Args:
        flush: the bus's barrier.
        on_error: told about slow consumers and about what a callback raises.
        stats: the bus's counters.

    Attributes:
        spared: wait for the end of all: a callback among them is not waited for, nor cancelled.
    """

    def __init__(
        self,
        flush: Callable[[], Awaitable[None]],
        on_error: Callable[[Exception], None],
        stats: Stats,
    ) -> None:
        super().__init__()
        self._flush, self._on_error, self._stats = flush, on_error, stats
        self._made: WeakSet[Subscription] = WeakSet()  # ended ones too: a callback may still run
        self._last_sid = 0
        self.spared: set[asyncio.Task[object] | None] = set()
        self._spared_one = asyncio.get_running_loop().create_future()

    async def add(
        self, subject: str, queue: str, cb: Callback | None, max_msgs: int, bounds: Bounds
    ) -> Subscription:
        """Begin one; see `Bus.subscribe`."""
        check_subject(subject, wildcards=True)
        if queue:
            check_word(queue)
        self._last_sid += 1
        subscription = Subscription(
            subject,
            queue,
            cb,
            max_msgs,
            bounds,
            sid=b"%d" % self._last_sid,
            on_unsub=self._unsub,
            on_end=self._forget,
            flush=self._flush,
            on_error=self._on_error,
            stats=self._stats,
        )
        self[subscription.sid] = subscription
        self._made.add(subscription)
        try:
            await self._begin(subscription)
        except BaseException:  # whoever gives up waiting has nothing to end it by
            subscription.end()
            raise
        return subscription

    @abstractmethod
    async def _begin(self, subscription: Subscription) -> None:
        """Tell the server, if there is one now."""

    @abstractmethod
    def _unsub(self, subscription: Subscription, limit: int) -> None:
        """Have the server send no more, at once or after `limit` messages since it began."""

    def _forget(self, subscription: Subscription) -> None:
        del self[subscription.sid]

    def refuse(self, error: ServerError) -> None:
        """The server refused one: end it, so that its reader hears why and it is not asked again.

        A permissions violation names it by id, or by subject and queue group. Other texts name
        none: servers take commands in order, so it is the newest that has not received anything.
        """
        if isinstance(error, PermissionsViolation):
            wanted = error.subject, error.queue
            for subscription in list(self.values()):
                named = (subscription.subject, subscription.queue) == wanted
                if subscription.sid.decode() == error.sid or (not error.sid and named):
                    subscription.end(error)
        else:
            unproven = (s for s in reversed(self.values()) if s.received == s.registered)
            if (newest := next(unproven, None)) is not None:
                newest.end(error)

    @contextmanager
    def sparing(self) -> Iterator[None]:
        """While the caller waits for the end."""
        task = asyncio.current_task()
        self.spared.add(task)
        self._spared_one.set_result(None)
        self._spared_one = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            self.spared.discard(task)

    async def drain(
        self, stays: Callable[[Interest], bool], flush: Callable[[], Awaitable[None]]
    ) -> None:
        """End all but those that stay, as handlers may still ask; return when all is handled.

        That is so without the barrier, too: of what fails it the caller hears by its own.
        """
        ending = [subscription for subscription in self.values() if not stays(subscription)]
        for subscription in ending:
            self._unsub(subscription, 0)
        try:
            with suppress(AgentsError):
                await flush()
        finally:
            for subscription in ending:
                subscription.finish()
        for subscription in list(self._made):  # those that ended before, too
            while (runner := subscription.runner) is not None and runner not in self.spared:
                wanted = [runner, self._spared_one]
                await asyncio.wait(wanted, return_when=asyncio.FIRST_COMPLETED)

    def close(self) -> None:
        """End all at once; what waits in them is dropped, and their callbacks are cancelled."""
        for subscription in list(self.values()):
            subscription.end()
            subscription.discard()
        for subscription in list(self._made):
            if subscription.runner not in self.spared:
                subscription.stop()


class ClientSubscriptions(Subscriptions):
    """Those of our own client, whose connection takes commands at once.

    Attributes:
        connection: where they are registered; None while there is none.
        other: to the server that is about to take over, which knows some of them, too.
    """

    connection: Connection | None = None
    other: Connection | None = None

    def __init__(
        self,
        flush: Callable[[], Awaitable[None]],
        on_error: Callable[[Exception], None],
        stats: Stats,
    ) -> None:
        super().__init__(flush, on_error, stats)
        self._ending: set[bytes] = set()  # no server is to hear of them again
        self._shared: dict[bytes, int] = {}  # what `other` knows, and what each had received before

    def register(self, connection: Connection, shared: Mapping[bytes, int]) -> None:
        """Tell a new connection's server about all of them, but for those that it knows."""
        self.connection = connection
        for sid, subscription in list(self.items()):
            if sid in shared:
                subscription.registered = shared[sid]
            elif sid not in self._ending:
                self._register(connection, subscription)

    def share(self, connection: Connection, replies: Interest | None) -> None:
        """Tell another server, too, about those that two may serve at once.

        Of a queue group one member gets each message, and only the first reply counts.
        """
        self.other = connection
        for sid, subscription in self.items():
            wanted = subscription.queue or subscription is replies
            if wanted and not subscription.max_msgs and sid not in self._ending:
                connection.command(commands.sub(subscription.subject, sid, subscription.queue))
                self._shared[sid] = subscription.received

    def unshare(self) -> dict[bytes, int]:
        """There is one server again; returns what the other one knows, for `register`."""
        shared, self._shared, self.other = self._shared, {}, None
        return shared

    def withdraw(self, connection: Connection) -> None:
        """Have its server send no more for any of them; they go on on another one."""
        for sid in self:
            connection.command(commands.unsub(sid))

    async def _begin(self, subscription: Subscription) -> None:
        if self.connection is not None:
            self._register(self.connection, subscription)

    def _register(self, connection: Connection, subscription: Subscription) -> None:
        """SUB, and for one that ends by itself the count that is left: the server's begins anew."""
        sid = subscription.sid
        subscription.registered = subscription.received
        connection.command(commands.sub(subscription.subject, sid, subscription.queue))
        if subscription.max_msgs:
            connection.command(commands.unsub(sid, subscription.max_msgs - subscription.received))

    def _unsub(self, subscription: Subscription, limit: int) -> None:
        """UNSUB, at once or after `limit` messages, of which the server counts its own.

        Two can't count together: the one about to take over hears of what is limited by `register`.
        """
        sid = subscription.sid
        if not limit:
            self._ending.add(sid)
        if self.connection is not None:
            left = limit - subscription.registered if limit else 0
            self.connection.command(commands.unsub(sid, left))
        if self.other is not None and self._shared.pop(sid, None) is not None:
            self.other.command(commands.unsub(sid))

    def _forget(self, subscription: Subscription) -> None:
        super()._forget(subscription)
        self._ending.discard(subscription.sid)
