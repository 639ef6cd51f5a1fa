"""When a reader can stop waiting: nothing comes, and the server says that nothing will."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agents_core.errors import AgentsError
from agents_core.nats.jetstream.consumer import ConsumerInfo

if TYPE_CHECKING:
    from agents_core.nats.jetstream.context import JetStreamContext
    from agents_core.nats.jetstream.ordered import OrderedConsumer

SILENCE_S = 1.0
"""Seconds without a message until the server is asked."""

ROUNDS = 2
"""Times in a row that it has to say so: what it had just sent may still be under way."""


class Silence:
    """Watches over an ordered consumer of which a known number of messages is expected.

    Messages that are deleted, or expire, before they were delivered would be waited for without
    end, as no status tells of them.

    Args:
        js: the API.
        stream: what the consumer reads.

    Attributes:
        taken: messages so far; whoever takes them counts them here.
    """

    def __init__(self, js: JetStreamContext, stream: str) -> None:
        self.taken = 0
        self._js, self._stream = js, stream
        self._consumer = ""

    def created(self, info: ConsumerInfo) -> None:
        """A consumer was made; give this to `ordered_consumer` as its `created_cb`."""
        self._consumer = info.name

    async def wait(self, messages: OrderedConsumer) -> None:
        """Return when nothing more will come."""
        rounds = 0
        while rounds < ROUNDS:
            before = self._consumer, self.taken
            await asyncio.sleep(SILENCE_S)
            quiet = not messages.pending_msgs and before == (self._consumer, self.taken)
            rounds = rounds + 1 if quiet and await self._nothing_left() else 0

    async def _nothing_left(self) -> bool:
        try:
            info = await self._js.consumer_info(self._stream, self._consumer)
        except AgentsError:
            return False  # it is being replaced, or there is no connection
        return info.num_pending == 0
