"""Messages that have arrived, on their way to whoever asked for them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Self, TypeAlias, cast

from agents_core.errors import AgentsError
from agents_core.nats.callbacks import RAISED, awaited_failure, check_result, failure, is_async
from agents_core.nats.jetstream.msg import JSMsg
from agents_core.nats.subscription import FAIR_MSGS
from agents_core.nats.waiters import Waiters

JSCallback: TypeAlias = Callable[[JSMsg], object]
"""Called with each message. A plain function runs at once, inside the arrival; a coroutine function
runs in order on the reader's own task."""

_log = logging.getLogger("agents_core.nats.jetstream")


def log_error(stream: str, consumer: str, error: Exception) -> None:
    """Say what an `error_cb` would be told."""
    trace = None if isinstance(error, AgentsError) else error  # of a callback
    _log.warning("consumer %s of %s: %s", consumer, stream, error, exc_info=trace)


class Delivery:
    """Hands messages over: to a plain callback at once, else to an async one or to iterations.

    It has no bound of its own: no more arrive than were asked for.

    Args:
        cb: the callback; None to iterate.
        taken: told about each message that leaves.
        report: told what the callback raises.

    Attributes:
        error: what ended it; None for an end that was asked for.

    Raises:
        Unsupported: the callback can't be called.
    """

    def __init__(
        self,
        cb: JSCallback | None,
        taken: Callable[[JSMsg], None],
        report: Callable[[Exception], None],
    ) -> None:
        self.error: AgentsError | None = None
        self._cb = cb
        self._plain = cb if cb is not None and not is_async(cb) else None
        self._taken, self._report = taken, report
        self._held: deque[JSMsg] = deque()
        self._waiters = Waiters()
        self._in_a_row = 0
        self._ended = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._held)

    @property
    def ended(self) -> bool:
        """No more messages will arrive; some may still be here."""
        return self._ended.is_set()

    @property
    def runner(self) -> asyncio.Task[None] | None:
        """What calls an async callback; None if there is no such."""
        return self._runner

    def start(self) -> None:
        """Begin to call an async callback."""
        if self._cb is not None and self._plain is None:
            self._runner = asyncio.get_running_loop().create_task(self._run())

    def put(self, msg: JSMsg) -> None:
        """One message has arrived."""
        if self._plain is not None:
            try:
                check_result(self._plain(msg))
            except RAISED as error:  # a user's callback must not take the connection with it
                self._report(failure(error))
            self._taken(msg)
            return
        self._held.append(msg)
        if self._waiters:
            self._waiters.wake()

    def __aiter__(self) -> Self:
        """Messages until it ends; those that are here come first.

        Raises:
            AgentsError: what ended it, unless that was asked for.
        """
        return self

    async def __anext__(self) -> JSMsg:
        if self._in_a_row == FAIR_MSGS:
            self._in_a_row = 0
            await asyncio.sleep(0)
        self._in_a_row += 1
        if (msg := await self.take()) is None:
            raise StopAsyncIteration
        return msg

    async def take(self) -> JSMsg | None:
        """The next message, or None when it has ended.

        Raises:
            AgentsError: what ended it, unless that was asked for.
        """
        while not self._held:
            if self.ended:
                if self.error is not None:
                    raise self.error
                return None
            await self._waiters.wait()
        msg = self._held.popleft()
        self._taken(msg)
        return msg

    async def _run(self) -> None:
        """Call an async callback for each message, in order."""
        callback = cast("Callable[[JSMsg], Awaitable[object]]", self._cb)
        try:
            async for msg in self:
                try:
                    await callback(msg)
                except RAISED as error:  # as in `put`
                    self._report(awaited_failure(error))
        except AgentsError:
            pass  # what ended it; `wait` raises it

    def end(self, error: AgentsError | None = None) -> None:
        """No more will arrive."""
        if self.ended:
            return
        self.error = error
        if error is not None and self._cb is not None:
            self._report(error)
        self._ended.set()
        self._waiters.wake_all()

    def drop(self) -> None:
        """Forget what is here, and stop calling an async callback."""
        self._held.clear()
        if self._runner is not None and self._runner is not asyncio.current_task():
            self._runner.cancel()

    async def settle(self) -> None:
        """Return when an async callback has had everything that is here, after the end."""
        if self._runner is not None and self._runner is not asyncio.current_task():
            await asyncio.wait([self._runner])

    async def wait(self) -> None:
        """Return when it has ended, and everything is handed over to a callback.

        Raises:
            AgentsError: what ended it, unless that was asked for.
        """
        await self._ended.wait()
        await self.settle()
        if self.error is not None:
            raise self.error
