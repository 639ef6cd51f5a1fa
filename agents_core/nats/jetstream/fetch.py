"""Fetching: a request for messages, and what comes of it."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass

from agents_core.bus import Status, Subscription
from agents_core.errors import AgentsError, NotConnected, RequestTimeout, SubscriptionEnded
from agents_core.nats import backoff
from agents_core.nats.jetstream.consumer_api import ConsumerAPI
from agents_core.nats.jetstream.errors import (
    APIError,
    FetchTimeout,
    JetStreamNotEnabled,
    NoHeartbeat,
    ServiceUnavailable,
)
from agents_core.nats.jetstream.msg import JSMsg
from agents_core.nats.jetstream.pull import Outcome, Pins, PullOptions, judge, size_of
from agents_core.nats.msg import Msg

EXPIRES_S_MAX = 30.0
"""Seconds that one request lives; a longer fetch, or one without end, asks again."""

HEARTBEAT_S = 10.0
"""Seconds between heartbeats of a fetch that takes longer than that, unless it says otherwise."""

NO_WAIT_S = 1.0
"""Seconds for the answer to a request that does not wait, as in the Go client: there is none while
the consumer may not deliver what it has."""

GRACE_S = 0.02
"""Seconds that the server ends a request before we do, so that nothing is under way then."""

PAUSE_S_MAX = 1.0
"""Seconds between two requests when the first was refused for the moment."""

HELD_MAX = 65_536
"""Messages kept that came too late for their request; the server delivers others again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What one fetch asks for; durations are in seconds."""

    batch: int
    max_bytes: int = 0
    timeout: float | None
    heartbeat: float
    no_wait: bool
    options: PullOptions


class Fetcher:
    """Fetches from one consumer, one fetch at a time.

    What arrives too late for its fetch is kept for the next one.

    Args:
        js: the API.
        stream, consumer: whom to ask.
        pins: the pin ids, shared by all readers of the consumer.
    """

    def __init__(self, js: ConsumerAPI, stream: str, consumer: str, pins: Pins) -> None:
        self._js = js
        self._bus = js.bus
        self._stream, self._consumer = stream, consumer
        self._pins = pins
        self._next = f"{js.prefix}.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = self._bus.new_inbox()
        self._count = 0
        self._reply = ""  # of the request under way
        self._subscription: Subscription  # once it is open
        self._ending = ExitStack()
        self._held: deque[Msg] = deque()
        self._missing = 0  # messages that the fetch under way still lacks
        self._missing_bytes = 0
        self._heard = False
        self._end: tuple[Outcome, APIError] | None = None
        self._refusal: AgentsError | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def pending_msgs(self) -> int:
        """Messages that came too late for their fetch."""
        return len(self._held)

    @property
    def refused(self) -> bool:
        """Nothing will arrive any more: the server ended the subscription."""
        return self._subscription.ended

    async def open(self) -> None:
        """Subscribe to the reply subject."""
        self._subscription = await self._bus.subscribe(f"{self._inbox}.*", cb=self._arrive)
        self._ending.callback(self._subscription.end)
        self._ending.callback(self._bus.on_status(lambda _: self._wake()))
        self._ending.callback(self._bus.on_refusal(self._on_refusal))

    def close(self) -> None:
        """Ask no more; a fetch that waits ends with `SubscriptionEnded`."""
        self._ending.close()
        self._wake()

    async def fetch(self, want: Want) -> list[JSMsg]:
        """See `PullSubscription.fetch`."""
        now = self._js.timers.now
        deadline = now() + (float("inf") if want.timeout is None else want.timeout)
        attempt = 0
        while not self._held:
            left = deadline - now()
            if left <= (GRACE_S if attempt else 0.0):
                refusal = self._end[1] if self._end else None
                raise FetchTimeout(self._consumer, want.timeout or 0.0) from refusal
            bound = NO_WAIT_S if want.no_wait else EXPIRES_S_MAX
            answered = await self._request(want, min(left, bound))
            attempt += 1
            if want.no_wait and not answered:
                break
            if self._end is None or self._held:
                continue
            if self._end[0] is Outcome.OVER and want.no_wait:
                break
            if await self._must_pause(*self._end, want, max(deadline - now(), GRACE_S)):
                pause = backoff.delay(attempt, PAUSE_S_MAX, self._js.rng)
                await asyncio.sleep(min(pause, max(deadline - now(), 0.0)))
        return self._take(want)

    async def _request(self, want: Want, seconds: float) -> bool:
        """Ask, and wait for enough, a status, a change of the connection, or the end of time.

        Returns:
            False for the end of time.
        """
        if self._bus.status is Status.CLOSED or self.refused:
            raise self._subscription.error or SubscriptionEnded(self._bus.url, self._consumer)
        if want.no_wait and self._bus.status is not Status.CONNECTED:
            raise NotConnected(self._bus.url)
        now = self._js.timers.now
        until, silence = now() + seconds, seconds
        self._end = self._refusal = None
        self._missing, self._missing_bytes = want.batch, want.max_bytes
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            if self._bus.status is Status.CONNECTED:
                silence = 2 * self._ask(want, seconds) or seconds
            while not self._waiter.done() and (left := until - now()) > 0:
                self._heard = False
                await asyncio.wait([self._waiter], timeout=min(silence, left))
                if not self._heard and not self._waiter.done() and left > silence:
                    raise NoHeartbeat(self._consumer, silence)
            if self._refusal is not None and not self._held:
                raise self._refusal
            return self._waiter.done()
        finally:
            self._waiter, self._reply = None, ""

    def _ask(self, want: Want, seconds: float) -> float:
        """Publish a one-shot request: it gets what is there, or waits for the first to come.

        `no_wait` together with `expires` says that to the server.

        Returns:
            Seconds between the heartbeats that it asks for; 0 where it lives too short for two.
        """
        self._count += 1
        self._reply = f"{self._inbox}.{self._count}"
        expires = 0.0 if want.no_wait else round(max(seconds - GRACE_S, seconds / 2), 3)
        heartbeat = want.heartbeat if 2 * want.heartbeat <= expires else 0.0
        body = want.options.body(
            want.batch,
            max_bytes=want.max_bytes,
            expires=expires,
            heartbeat=heartbeat,
            no_wait=True,
            pin=self._pins.get(want.options.group),
        )
        self._bus.publish(self._next, body, self._reply)
        return heartbeat

    def _arrive(self, msg: Msg) -> None:
        self._heard = True
        if not msg.reply:
            self._on_status(msg)
        elif len(self._held) < HELD_MAX:
            self._held.append(msg)
            self._missing -= 1
            if self._missing_bytes:
                self._missing_bytes = max(0, self._missing_bytes - size_of(msg))
                self._missing *= bool(self._missing_bytes)  # the server ends it without a word
            if self._missing <= 0:
                self._wake()

    def _on_status(self, msg: Msg) -> None:
        if msg.subject != self._reply or not msg.status:
            return  # about an earlier request, or not of the server
        outcome, error = judge(msg.status, msg.description)
        if outcome is not Outcome.ALIVE:
            self._end = outcome, error
            self._wake()

    def _on_refusal(self, error: AgentsError, subject: str) -> None:
        if subject == self._next or self.refused:
            self._refusal = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _must_pause(self, outcome: Outcome, error: APIError, want: Want, left: float) -> bool:
        """Whether to wait before asking again, after a request that got nothing.

        Raises:
            APIError: asking again is of no use.
        """
        if outcome in {Outcome.FATAL, Outcome.REFUSED, Outcome.TOO_LARGE}:
            raise error
        if outcome is Outcome.NOBODY:
            await self._look(left)
        if outcome is Outcome.NOT_PINNED:
            self._pins.forget(want.options.group)
        return outcome in {Outcome.LATER, Outcome.NOBODY}

    async def _look(self, left: float) -> None:
        """Nobody took the request: find out whether the consumer is gone, or has no leader now.

        In a cluster nobody answers either while it elects one, nor over a connection that is lost.
        """
        try:
            await self._js.consumer_info(self._stream, self._consumer, min(left, self._js.timeout))
        except JetStreamNotEnabled:
            raise
        except (RequestTimeout, NotConnected, ServiceUnavailable):
            pass

    def _take(self, want: Want) -> list[JSMsg]:
        """What is here, at most what the fetch asked for."""
        taken: list[JSMsg] = []
        room = want.max_bytes
        while self._held and len(taken) < want.batch:
            room -= size_of(self._held[0]) if want.max_bytes else 0
            if room < 0 and taken:
                break
            msg = JSMsg(self._held.popleft())
            self._pins.see(want.options.group, msg)
            taken.append(msg)
        return taken
