"""What one bus over nats-py is subscribed to, over all its sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nats import errors as native
from nats.aio.msg import Msg as NativeMsg

from agents_core.bus import Callback, Stats
from agents_core.errors import PermissionsViolation, ServerError
from agents_core.nats.msg import Msg
from agents_core.nats.subscription import Bounds, Subscription
from agents_core.nats.subscriptions import Subscriptions
from agents_server.nats_message import check_text
from agents_server.nats_outbox import Outbox
from agents_server.nats_session import Interest, Session

if TYPE_CHECKING:
    from agents_core.bus import Bus


class NatsPySubscriptions(Subscriptions):
    """Those of a bus over nats-py, whose session takes one step after the other.

    Args:
        bus: whose they are; messages are answered on it.
        outbox: what is to be done with the session, in order.
        on_error: told about slow consumers and about what a callback raises.
        stats: the bus's counters.

    Attributes:
        session: where they are registered; None while there is none.
    """

    def __init__(
        self, bus: Bus, outbox: Outbox, on_error: Callable[[Exception], None], stats: Stats
    ) -> None:
        super().__init__(bus.flush, on_error, stats)
        self.session: Session | None = None
        self._bus, self._outbox = bus, outbox
        self._interests: dict[Subscription, Interest] = {}  # nats-py's side of them

    async def add(
        self, subject: str, queue: str, cb: Callback | None, max_msgs: int, bounds: Bounds
    ) -> Subscription:
        """Begin one; see `Bus.subscribe`.

        Raises:
            Unsupported: the subject or the queue is not UTF-8.
        """
        for text in (subject, queue):
            if isinstance(text, str):  # what is none is refused below
                check_text(text)
        return await super().add(subject, queue, cb, max_msgs, bounds)

    async def register(self, session: Session) -> None:
        """Tell a new session's server about all of them."""
        self.session = session
        for subscription in list(self.values()):
            await self._register(session, subscription)

    def release(self) -> None:
        """The session is lost, and what nats-py had there with it."""
        self.session = None
        self._interests.clear()

    async def _begin(self, subscription: Subscription) -> None:
        if self.session is not None:  # in a task of its own: nats-py may swallow a cancellation
            await asyncio.shield(self._register(self.session, subscription))

    async def _register(self, session: Session, subscription: Subscription) -> None:
        def take(msg: NativeMsg) -> None:
            if session is not self.session:  # it is still ending: another one has taken over
                return
            self._stats.in_msgs += 1
            self._stats.in_bytes += len(msg.data)
            raw: Any = msg.headers or b""  # as `_Client` leaves it
            subscription.deliver([Msg(msg.subject, msg.data, msg.reply, raw, bus=self._bus)])

        subscription.registered = subscription.received
        with suppress(native.Error):  # the session is lost; the next one registers it
            made = await session.subscribe(subscription.subject, subscription.queue, take)
            if subscription.max_msgs and not subscription.ended:
                await made.unsubscribe(subscription.max_msgs - subscription.registered)
            if subscription.ended:  # meanwhile
                await made.unsubscribe()
            elif session is self.session:
                self._interests[subscription] = made

    def _unsub(self, subscription: Subscription, limit: int) -> None:
        """At once or after `limit` messages, of which the server counts this session's.

        One that is about to be registered is found when it is: steps are taken after that.
        """
        known, asked = self._interests.get(subscription), self.session
        if asked is None:
            return

        async def step(session: Session) -> None:
            made = self._interests.get(subscription, known)
            if made is None or session is not asked:
                return  # it has ended, or was registered on another session meanwhile
            with suppress(native.Error):  # its session is gone, and it with it
                if limit:
                    await made.unsubscribe(limit - subscription.registered)
                else:
                    await session.drain(made)

        self._outbox.do(step)

    def _forget(self, subscription: Subscription) -> None:
        super()._forget(subscription)
        self._interests.pop(subscription, None)

    def refuse(self, error: ServerError) -> None:
        """See there; ids are nats-py's own, new on each session.

        A limit names none: the server took one subscription less than there are, and nats-py ended
        its session. On the next one it would be the same again, without the newest that received
        nothing.
        """
        super().refuse(replace(error, sid="") if isinstance(error, PermissionsViolation) else error)
