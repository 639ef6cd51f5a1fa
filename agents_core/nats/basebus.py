"""What every bus does in the same way: it subscribes, asks, and says how it is."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable

from agents_core.bus import (
    PENDING_BYTES_LIMIT,
    PENDING_MSGS_LIMIT,
    Bus,
    Callback,
    PendingPolicy,
    Stats,
    Status,
)
from agents_core.errors import (
    ConnectionClosed,
    PermissionsViolation,
    ServerError,
    SubscriptionRefused,
)
from agents_core.ids import unique
from agents_core.listeners import Listeners
from agents_core.nats.headers import HeadersLike
from agents_core.nats.msg import Msg
from agents_core.nats.requests import Requests
from agents_core.nats.status import StatusHolder
from agents_core.nats.subject import check_subject
from agents_core.nats.subscription import Bounds, Subscription
from agents_core.nats.subscriptions import Subscriptions
from agents_core.timers import Timers


class BaseBus(Bus):
    """A bus but for the way to others, which is what its subclasses are.

    Args:
        status: with which it begins.
        inbox_prefix: of its reply subjects.

    Raises:
        InvalidSubject: the prefix can't be in a subject.
    """

    _subscriptions: Subscriptions  # of the kind that the subclass needs

    def __init__(self, status: Status, inbox_prefix: str | bytes = "_INBOX") -> None:
        self._status = StatusHolder(status)
        self._stats = Stats()
        self._timers = Timers()
        if isinstance(inbox_prefix, bytes):
            inbox_prefix = inbox_prefix.decode("utf-8", "surrogateescape")
        check_subject(inbox_prefix)  # what is no text would become one
        self._inbox = f"{inbox_prefix}.{unique()}"
        check_subject(self._inbox)
        self._requests = Requests(self, self._inbox, self._timers, self._listen)
        self._refusals: Listeners[[ServerError, str]] = Listeners()
        self._draining: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, {self.status})"

    @property
    def status(self) -> Status:
        """Where the connection is in its life."""
        return self._status.value

    @property
    @abstractmethod
    def is_connected(self) -> bool:
        """Whether there is a connection now, also while it drains."""

    @property
    def stats(self) -> Stats:
        """Counters since the bus was made."""
        return self._stats

    def on_status(self, listener: Callable[[Status], None]) -> Callable[[], None]:
        """Call `listener` at each change of status, until the returned function is called."""
        return self._status.listen(listener)

    def on_refusal(self, listener: Callable[[ServerError, str], None]) -> Callable[[], None]:
        """See `Bus.on_refusal`."""
        return self._refusals.add(listener)

    def _refused(self, error: PermissionsViolation | SubscriptionRefused) -> None:
        """Tell who waits for what can't come, now that the server has refused something."""
        subject = ""
        if isinstance(error, PermissionsViolation) and error.operation == "publish":
            subject = error.subject
            self._requests.fail_subject(subject, error)
        else:
            self._subscriptions.refuse(error)
            self._requests.check(error)
        self._refusals.call(error, subject)

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
        """See `Bus.subscribe`."""
        self._timers.check_loop()  # who reads elsewhere would never be woken
        if not self._status.is_live:
            raise ConnectionClosed(self.url)
        bounds = Bounds(pending_msgs_limit, pending_bytes_limit, pending_policy)
        return await self._subscriptions.add(subject, queue, cb, max_msgs, bounds)

    async def _listen(
        self, subject: str, cb: Callback | None, max_msgs: int, bounds: Bounds
    ) -> Subscription:
        """For replies, also while it drains: handlers may ask until they have ended."""
        return await self._subscriptions.add(subject, "", cb, max_msgs, bounds)

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
        """A fresh reply subject under the bus's private prefix, apart from those of requests."""
        return f"{self._inbox}.i.{unique()}"

    async def rtt(self, timeout: float = 10.0) -> float:
        """Seconds that `flush` takes; raises what that raises."""
        began = self._timers.now()
        await self.flush(timeout)
        return self._timers.now() - began

    async def drain(self) -> None:
        """See `Bus.drain`; bounded in time, what is not done by then is dropped.

        However often it is called, and whoever gives up waiting, it is done once.
        """
        if self.status is Status.CLOSED:
            return
        with self._subscriptions.sparing():
            if self._draining is None:
                self._draining = asyncio.get_running_loop().create_task(self._drain())
            await asyncio.shield(self._draining)

    @abstractmethod
    async def _drain(self) -> None:
        """What `drain` does."""
