"""Consuming: messages without end; the next are asked for before these are used up (ADR-37)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, suppress
from functools import partial
from typing import Self

from agents_core.bus import Status, Subscription
from agents_core.errors import AgentsError, SubscriptionEnded
from agents_core.nats import backoff
from agents_core.nats.callbacks import Callbacks, refuse_reading
from agents_core.nats.jetstream.consumer_api import ConsumerAPI
from agents_core.nats.jetstream.delivery import Delivery, JSCallback, log_error
from agents_core.nats.jetstream.errors import (
    APIError,
    FetchTimeout,
    NoHeartbeat,
    NotFound,
    PullRefused,
)
from agents_core.nats.jetstream.flow import Flow
from agents_core.nats.jetstream.msg import JSMsg
from agents_core.nats.jetstream.pull import Outcome, Pins, PullOptions, judge, size_of
from agents_core.nats.msg import Msg
from agents_core.nats.options import NotifyError
from agents_core.timers import Timer, within

PAUSE_S_MAX = 10.0
"""The longest pause before asking again, while the consumer refuses or has no leader."""

MISSED_MAX = 2
"""Heartbeats that may be missed before a request counts as lost (ADR-37)."""

OVERRUN = 2
"""A request that counted as lost may be served after all. So many times what may be under way is
kept; what is beyond is dropped, and the server delivers it again."""


class Consume:
    """The messages of one consumer, as they come. Made by `PullSubscription.consume`.

    Iterate over it, or give a callback. It ends by `stop` or `drain`, when the bus is closed, or
    with an error when the consumer is gone; a lost connection or a lost request is made good.

    Args:
        js: the API.
        stream: what the consumer reads.
        consumer: whom to ask.
        flow: how much to ask for, and when.
        options: what is the same in all requests.
        pins: the pin ids, shared by all readers of the consumer.
        cb: called with each message, instead of iterating.
        error_cb: told what does not end it: missed heartbeats, refused requests, what `cb` raises.
            Logged by default.
    """

    def __init__(
        self,
        js: ConsumerAPI,
        stream: str,
        consumer: str,
        flow: Flow,
        options: PullOptions,
        pins: Pins,
        cb: JSCallback | None = None,
        error_cb: NotifyError | None = None,
    ) -> None:
        self._js = js
        self._bus = js.bus
        self._stream, self._consumer = stream, consumer
        self._flow, self._options, self._pins = flow, options, pins
        self._by_count, self._threshold = flow.by_count, flow.threshold
        self._cb, self._error_cb, self._callbacks = cb, error_cb, Callbacks()
        self._delivery = Delivery(cb, self._taken, self._report)
        self._inbox = self._bus.new_inbox()
        self._reply = f"{self._inbox}.0"
        self._generation = 0  # of requests that count, the last token of their reply subject
        self._subscription: Subscription | None = None
        self._listening = ExitStack()
        self._asked = 0  # what the server still owes, in the unit of the flow
        self._held = 0  # what has arrived and was not taken, in the same unit
        self._all_asked = False  # the last request was for all that may be, and nothing has come
        self._heard = False  # anything came since the last tick
        self._missed = 0
        self._attempt = 0
        self._paused = False
        self._pause_timer: Timer | None = None
        self._tick_timer: Timer | None = None
        self._work: asyncio.Task[None] | None = None

    @property
    def pending_msgs(self) -> int:
        """Messages that arrived and were not yet taken."""
        return len(self._delivery)

    @property
    def ended(self) -> bool:
        """No more messages will arrive; some may still be pending."""
        return self._delivery.ended

    async def open(self) -> Self:
        """Subscribe to the reply subject and ask for the first messages."""
        self._subscription = await self._bus.subscribe(f"{self._inbox}.*", cb=self._arrive)
        self._listening.callback(self._bus.on_status(self._on_status_of_bus))
        self._listening.callback(self._bus.on_refusal(self._on_refusal))
        self._tick_timer = self._js.timers.after(self._flow.heartbeat, self._tick)
        self._delivery.start()
        self._ask()
        if self._subscription.error is not None:  # refused meanwhile
            self._end(self._subscription.error)
        return self

    def __aiter__(self) -> AsyncIterator[JSMsg]:
        """Messages until it ends; those pending are delivered first.

        Raises:
            AgentsError: what ended it, unless that was asked for.
            Unsupported: a callback gets the messages.
        """
        refuse_reading(self._cb)
        return self._delivery.__aiter__()

    async def next_msg(self, timeout: float | None = None) -> JSMsg:
        """The next message.

        Args:
            timeout: seconds to wait, None for as long as it takes.

        Raises:
            FetchTimeout: none came in time.
            SubscriptionEnded: as was asked for, or the bus is closed.
            AgentsError: what ended it.
            Unsupported: a callback gets the messages.
        """
        refuse_reading(self._cb)
        if timeout is None or self.pending_msgs:
            msg = await self._delivery.take()
        else:
            try:
                async with within(timeout):
                    msg = await self._delivery.take()
            except TimeoutError:
                raise FetchTimeout(self._consumer, timeout) from None
        if msg is None:
            raise SubscriptionEnded(self._bus.url, self._consumer)
        return msg

    async def wait(self) -> None:
        """Return when it has ended, and a callback has had every message.

        Raises:
            AgentsError: what ended it, unless that was asked for.
        """
        await self._delivery.wait()

    # -- arriving

    def _arrive(self, msg: Msg) -> None:
        self._heard = True
        if not msg.reply:
            self._on_status(msg)
            return
        accepted = self._accept(msg)
        if accepted is not None:
            cost = 1 if self._by_count else size_of(msg)
            self._asked = self._asked - cost if self._asked > cost else 0
            self._held += cost
            self._all_asked = False
            self._attempt = 0
            self._delivery.put(accepted)

    def _accept(self, msg: Msg) -> JSMsg | None:
        """The message as it is handed over, or None to drop it."""
        if self._held > OVERRUN * self._flow.limit:
            return None
        accepted = JSMsg(msg)
        self._pins.see(self._options.group, accepted)
        return accepted

    def _taken(self, msg: JSMsg) -> None:
        self._held -= 1 if self._by_count else size_of(msg)
        if self._asked + self._held <= self._threshold:
            self._ask()

    def _on_status(self, msg: Msg) -> None:
        code = msg.status
        if msg.subject != self._reply or not code:
            return  # about a request that does not count any more, or not of the server
        outcome, error = judge(code, msg.description)
        if outcome is Outcome.ALIVE:
            self._attempt = 0
            return
        pending = msg.headers.get(self._flow.pending_header, "")
        if pending.isdecimal():
            self._asked = max(0, self._asked - int(pending))
        else:
            self._forget_requests()
        if outcome is Outcome.TOO_LARGE and self._all_asked:
            outcome = Outcome.FATAL  # all of max_bytes was free, and it does not fit
        self._react(outcome, error)

    def _react(self, outcome: Outcome, error: APIError) -> None:
        """Go on after a request has ended."""
        if outcome is Outcome.FATAL:
            self._fatal(error)
        elif outcome is Outcome.NOBODY:
            self._begin(self._look(error))
        elif outcome in {Outcome.LATER, Outcome.REFUSED}:
            self._pause(error)  # a refusal, too, as the configuration may change (ADR-37)
        elif outcome is Outcome.TOO_LARGE and self._held:
            pass  # it still would not fit; `_taken` asks when there is more room
        else:
            if outcome is Outcome.NOT_PINNED:
                self._pins.forget(self._options.group)
            self._refill()

    # -- asking

    def _refill(self) -> None:
        if self._asked + self._held <= self._threshold:
            self._ask()

    def _ask(self) -> None:
        """Ask for as much as there is room for, unless it can't be now."""
        room = self._flow.limit - self._asked - self._held
        if self._paused or room <= 0 or self._bus.status is not Status.CONNECTED:
            return
        try:
            self._bus.publish(
                self._next, self._flow.body(room, self._options, self._pins), self._reply
            )
        except AgentsError as error:
            self._pause(error)
            return
        self._asked += room
        self._all_asked = room == self._flow.limit

    @property
    def _next(self) -> str:
        return f"{self._js.prefix}.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"

    def _forget_requests(self) -> None:
        """Whatever was asked for does not count any more, nor what the server says about it."""
        self._asked = 0
        self._generation += 1
        self._reply = f"{self._inbox}.{self._generation}"

    def _pause(self, error: Exception) -> None:
        """Ask again after a while, longer each time."""
        self._report(error)
        self._attempt += 1
        self._paused = True
        _cancel(self._pause_timer)
        seconds = backoff.delay(self._attempt, PAUSE_S_MAX, self._js.rng)
        self._pause_timer = self._js.timers.after(seconds, self._resume)

    def _resume(self) -> None:
        _cancel(self._pause_timer)
        self._paused = False
        self._refill()

    async def _look(self, error: APIError) -> None:
        """Nobody took the request: find out whether the consumer is gone or has no leader now."""
        try:
            await self._js.consumer_info(self._stream, self._consumer)
        except NotFound as gone:
            self._fatal(gone)
        except AgentsError as other:
            self._pause(other)
        else:
            self._pause(error)

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        """Do something that takes a while; nothing is asked for meanwhile."""
        self._paused = True
        self._stop_work()
        self._work = asyncio.get_running_loop().create_task(work)

    def _stop_work(self) -> None:
        if self._work is not None and self._work is not asyncio.current_task():
            self._work.cancel()

    # -- trouble

    def _fatal(self, error: APIError) -> None:
        """The consumer will not serve these requests again."""
        self._end(error)

    def _lost(self) -> None:
        """What was asked for will not come any more: ask again."""
        self._forget_requests()
        self._resume()

    def _tick(self) -> None:
        """Notice silence. Twice in a row, as a timer that fires late proves nothing by itself."""
        assert self._subscription is not None
        self._tick_timer = self._js.timers.after(self._flow.heartbeat, self._tick)
        connected = self._bus.status is Status.CONNECTED
        if connected and self._subscription.ended:
            self._end(PullRefused(0, 0, "the server ended the subscription to the reply subject"))
        elif self._heard or self._paused or not self._asked or not connected:
            self._heard, self._missed = False, 0
        elif self._missed + 1 < MISSED_MAX:
            self._missed += 1
        else:
            self._missed = 0
            self._report(NoHeartbeat(self._consumer, MISSED_MAX * self._flow.heartbeat))
            self._lost()

    def _on_status_of_bus(self, status: Status) -> None:
        if status is Status.CONNECTED:
            self._attempt = 0
            self._stop_work()
            self._lost()
        elif status is Status.DRAINING and (runner := self._delivery.runner) is not None:
            assert self._subscription is not None
            self._subscription.include(runner)
            self._begin(self._finish())
        elif status is Status.CLOSED:
            self.stop()

    def _on_refusal(self, error: AgentsError, subject: str) -> None:
        """This user may not ask, or not hear the answer."""
        assert self._subscription is not None
        if subject == self._next or self._subscription.ended:
            self._end(error)

    def _report(self, error: Exception) -> None:
        tell = self._error_cb or partial(log_error, self._stream, self._consumer)
        self._callbacks.call(tell, error)

    # -- ending

    def _end(self, error: AgentsError | None = None) -> None:
        self._paused = True
        for timer in (self._pause_timer, self._tick_timer):
            _cancel(timer)
        self._stop_work()
        self._listening.close()
        if self._subscription is not None:
            self._subscription.end()
        self._delivery.end(error)

    def stop(self) -> None:
        """End now. What was not taken is dropped; the server delivers it again after `ack_wait`."""
        self._end()
        self._delivery.drop()

    async def _finish(self) -> None:
        """End when what was under way has arrived; the bus waits for the callback, and closes."""
        with suppress(AgentsError):
            await self._bus.flush()
        self._end()

    async def drain(self) -> None:
        """Ask for no more, but hand over what has arrived.

        Iteration ends after it; with a callback this returns when it has had all of it.
        """
        self._paused = True
        _cancel(self._pause_timer)
        self._listening.close()
        try:
            if self._subscription is not None:
                with suppress(AgentsError):  # without a connection nothing is under way
                    await self._subscription.drain()
        finally:
            self._end()
        await self._delivery.settle()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()


def _cancel(timer: Timer | None) -> None:
    if timer is not None:
        timer.cancel()
