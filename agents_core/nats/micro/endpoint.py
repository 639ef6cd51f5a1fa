"""One subject that a service answers: its handler and its counters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import TYPE_CHECKING, cast

from agents_core.errors import AgentsError, InvalidService, ServerError, ServiceError
from agents_core.nats.callbacks import FUNCTION, RAISED, awaited_failure, check_result, is_async
from agents_core.nats.micro.request import UNEXPECTED, Handler, Request, is_code, one_line
from agents_core.nats.micro.responses import EndpointInfo, EndpointStats
from agents_core.nats.msg import Msg

if TYPE_CHECKING:
    from agents_core.bus import Bus, Subscription

_log = logging.getLogger("agents_core.nats.micro")


class Endpoint:
    """Calls the handler with each request, answers for it when it raises, and counts.

    Args:
        info: what it says of itself.
        handler: see `Handler`.

    Raises:
        InvalidService: the handler can't be called.
    """

    def __init__(self, info: EndpointInfo, handler: Handler) -> None:
        if not callable(handler):
            raise InvalidService("handler", repr(handler), f"give {FUNCTION}")
        self.info = info
        self._handler = handler
        self._subscription: Subscription | None = None
        self._task: asyncio.Task[object] | None = None  # of an async handler, the last one
        self.reset()

    def reset(self) -> None:
        """Count from zero again."""
        self._requests = self._errors = self._time = 0
        self._last_error = ""

    def stats(self) -> EndpointStats:
        """The counters as they are now."""
        return EndpointStats(
            self.info.name,
            self.info.subject,
            self.info.queue_group,
            self._requests,
            self._errors,
            self._last_error,
            self._time,
            self._time // self._requests if self._requests else 0,
        )

    @property
    def refused(self) -> bool:
        """Whether the server does not let it listen."""
        return self._subscription is not None and isinstance(self._subscription.error, ServerError)

    async def start(self, bus: Bus) -> None:
        """Take requests from now on; see `Bus.subscribe` for what it raises."""
        handle = self._handle_async if is_async(self._handler) else self._handle
        self._subscription = await bus.subscribe(self.info.subject, self.info.queue_group, handle)

    async def leave(self) -> None:
        """Take no more, but what is under way; see `Subscription.leave`."""
        if self._subscription is not None:
            await self._subscription.leave()

    async def drain(self) -> None:
        """Take no more, but answer what is under way; see `Subscription.drain`."""
        if self._subscription is not None:
            await self._subscription.drain()

    def end(self) -> None:
        """Take no more; a handler at work goes on."""
        if self._subscription is not None:
            self._subscription.end()

    def is_caller(self) -> bool:
        """Whether this is called from within its async handler."""
        return self._task is asyncio.current_task()

    def _handle(self, msg: Msg) -> None:
        with self._handling(msg) as request:
            check_result(self._handler(request))

    async def _handle_async(self, msg: Msg) -> None:
        self._task = asyncio.current_task()
        with self._handling(msg) as request:
            await cast("Awaitable[object]", self._handler(request))

    @contextmanager
    def _handling(self, msg: Msg) -> Iterator[Request]:
        """Around a call of the handler: what it raises is the answer."""
        request = Request(msg, self._failed)
        began = perf_counter_ns()
        try:
            yield request
        except RAISED as error:
            self._answer_for(request, awaited_failure(error))
        self._requests += 1
        self._time += perf_counter_ns() - began

    def _failed(self, error: ServiceError) -> None:
        self._errors += 1
        self._last_error = f"{error.code}:{one_line(error.description)}"

    def _answer_for(self, request: Request, error: Exception) -> None:
        if not isinstance(error, ServiceError) or not is_code(error.code):
            where = self.info.subject
            _log.error("the handler of endpoint %s raised", where, exc_info=error)
            error = ServiceError(UNEXPECTED, _text_of(error))
        if not request.msg.reply:
            self._failed(error)
            return
        try:
            request.respond_error(error.code, error.description)
        except AgentsError as failure:  # the connection is closed, the buffer is full, …
            self._failed(error)
            _log.warning("%s can't be answered: %s", self.info.subject, failure)


def _text_of(error: Exception) -> str:
    """As nats-py describes it; an exception's own text may raise, too."""
    try:
        return repr(error)
    except Exception:
        return type(error).__name__
