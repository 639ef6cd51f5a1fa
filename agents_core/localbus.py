"""NATS subject semantics inside one process: no server, same promises."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random, SystemRandom

from agents_core.bus import DONE, Status
from agents_core.errors import ConnectionClosed, OutboundBufferFull
from agents_core.nats.basebus import BaseBus
from agents_core.nats.headers import HeadersLike, encode_headers
from agents_core.nats.msg import Msg
from agents_core.nats.protocol import MAX_PAYLOAD_DEFAULT, check_publish
from agents_core.nats.subject import matches
from agents_core.nats.subscription import Subscription
from agents_core.nats.subscriptions import Subscriptions
from agents_core.timers import check_seconds

IN_FLIGHT_MAX = 65_536
"""Messages published and not yet delivered, of all members of a hub."""

DRAIN_SECONDS_MAX = 30.0
"""What `drain` waits for callbacks, as the client's `drain_timeout`."""

_NO_RESPONDERS = b"NATS/1.0 503\r\n\r\n"
_log = logging.getLogger("agents_core.localbus")


class Hub:
    """Where the members of one local bus meet: subscriptions, and the messages on their way.

    Delivery is never inside `publish`: one ready-queue, drained once per loop turn, keeps the
    order.
    """

    def __init__(self, rng: Random | None = None) -> None:
        self.subscriptions: dict[Subscription, LocalBus] = {}
        self.members = 0
        self._queue: deque[Msg] = deque()
        self._draining = False
        self._loop = asyncio.get_running_loop()  # held, so that no later loop gets its id
        self._idle: list[asyncio.Future[None]] = []
        self._rng = rng or SystemRandom()

    def publish(self, msg: Msg) -> None:
        """Put a message on its way.

        Raises:
            OutboundBufferFull: too many are on their way.
        """
        if len(self._queue) >= IN_FLIGHT_MAX:
            raise OutboundBufferFull(IN_FLIGHT_MAX, "messages")
        self._queue.append(msg)
        if not self._draining:
            self._draining = True
            self._loop.call_soon(self._drain)

    async def barrier(self) -> None:
        """Return when everything published before has been delivered."""
        if self._queue:
            future: asyncio.Future[None] = self._loop.create_future()
            self._idle.append(future)
            await future

    async def ready(self) -> None:
        """Return when less than half of the messages that may be on their way are."""
        while len(self._queue) * 2 > IN_FLIGHT_MAX:
            await self.barrier()

    def _drain(self) -> None:
        """Deliver what was published before this turn; what that causes is for the next one."""
        for _ in range(len(self._queue)):
            self._deliver(self._queue.popleft())
        self._draining = bool(self._queue)
        if self._draining:
            self._loop.call_soon(self._drain)
        idle, self._idle = self._idle, []
        for future in idle:
            if not future.done():
                future.set_result(None)

    def _deliver(self, msg: Msg) -> None:
        groups: dict[tuple[str, str], list[tuple[Subscription, LocalBus]]] = {}
        found = False
        for subscription, member in list(self.subscriptions.items()):
            if not matches(subscription.subject, msg.subject):
                continue
            found = True
            if subscription.queue:
                key = subscription.subject, subscription.queue
                groups.setdefault(key, []).append((subscription, member))
            else:
                member.deliver(subscription, msg)
        for group in groups.values():
            chosen, member = self._rng.choice(group)
            member.deliver(chosen, msg)
        if not found and msg.reply:
            self._deliver(Msg(msg.reply, raw_headers=_NO_RESPONDERS))


class LocalSubscriptions(Subscriptions):
    """Those of one member, of which its hub knows."""

    def __init__(self, bus: LocalBus, hub: Hub, on_error: Callable[[Exception], None]) -> None:
        super().__init__(hub.barrier, on_error, bus.stats)
        self._bus, self._hub = bus, hub

    async def _begin(self, subscription: Subscription) -> None:
        self._hub.subscriptions[subscription] = self._bus

    def _unsub(self, subscription: Subscription, limit: int) -> None:
        """There is no sender to tell: the subscription counts for itself."""

    def _forget(self, subscription: Subscription) -> None:
        super()._forget(subscription)
        del self._hub.subscriptions[subscription]


_hubs: dict[tuple[int, str], Hub] = {}


class LocalBus(BaseBus):
    """The bus of one process.

    Args:
        name: buses of the same name in one event loop share their messages; without a name it is
            private.
        rng: picks the member of a queue group; seed it in tests.
    """

    def __init__(self, name: str = "", *, rng: Random | None = None) -> None:
        super().__init__(Status.CONNECTED)
        self._name = name
        self._key = (id(asyncio.get_running_loop()), name)
        self._hub = _hubs.setdefault(self._key, Hub(rng)) if name else Hub(rng)
        self._hub.members += 1
        self._subscriptions = LocalSubscriptions(self, self._hub, self._report)

    @property
    def url(self) -> str:
        """`local://` and the name."""
        return f"local://{self._name}"

    @property
    def is_connected(self) -> bool:
        """As its status says."""
        return self.status in {Status.CONNECTED, Status.DRAINING}

    @property
    def max_payload(self) -> int:
        """As a server's default, so that what works here works there."""
        return MAX_PAYLOAD_DEFAULT

    def publish(
        self,
        subject: str,
        payload: bytes = b"",
        reply: str = "",
        headers: HeadersLike | None = None,
    ) -> Awaitable[None]:
        """See `Bus.publish`; bytes are not copied."""
        if self.status is Status.CLOSED:
            raise ConnectionClosed(self.url)
        if type(payload) is not bytes:  # it may change before it is delivered
            payload = bytes(memoryview(payload))
        block = encode_headers(headers) if headers else b""
        check_publish(subject, reply, len(block) + len(payload), self.max_payload)
        self._hub.publish(Msg(subject, payload, reply, block))
        self._stats.out_msgs += 1
        self._stats.out_bytes += len(payload)
        return DONE

    def deliver(self, subscription: Subscription, msg: Msg) -> None:
        """Hand a copy of the envelope to one subscription.

        `respond` has to use the receiver's bus.
        """
        self._stats.in_msgs += 1
        self._stats.in_bytes += len(msg.data)
        subscription.deliver([Msg(msg.subject, msg.data, msg.reply, msg.raw_headers, bus=self)])

    async def flush(self, timeout: float = 10.0) -> None:
        """Return when everything published before has been delivered.

        Never takes `timeout` seconds.
        """
        check_seconds(timeout)
        if self.status is Status.CLOSED:
            raise ConnectionClosed(self.url)
        await self._hub.barrier()

    async def ready(self) -> None:
        """See `Bus.ready`; what may wait are the `IN_FLIGHT_MAX` messages of all members."""
        await self._hub.ready()
        if self.status is Status.CLOSED:
            raise ConnectionClosed(self.url)

    async def suspend(self) -> None:
        """See `Bus.suspend`: there is no server to leave."""

    async def resume(self) -> None:
        """See `Bus.resume`: there is none to come back to."""

    async def _drain(self) -> None:
        self._status.set(Status.DRAINING)
        try:
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                await self._subscriptions.drain(self._requests.owns, self._hub.barrier)
        except TimeoutError:
            _log.error("%s: a callback did not end within %s s", self.url, DRAIN_SECONDS_MAX)
        await self.close()

    async def close(self) -> None:
        """Leave the hub; the last member forgets it."""
        if self.status is Status.CLOSED:
            return
        self._status.set(Status.CLOSED)
        self._requests.fail_all(ConnectionClosed(self.url))
        self._subscriptions.close()
        self._timers.close()
        self._hub.members -= 1
        if not self._hub.members:
            _hubs.pop(self._key, None)

    def _report(self, error: Exception) -> None:
        """Say what no call can raise; the traceback tells which callback it was."""
        _log.error("%s: %s", self.url, error, exc_info=error)
