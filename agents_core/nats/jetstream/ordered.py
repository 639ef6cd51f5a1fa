"""The ordered consumer (ADR-17): a stream's messages in order, each once, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from agents_core.errors import (
    AgentsError,
    ConnectionClosed,
    NotConnected,
    PermissionsViolation,
)
from agents_core.ids import unique
from agents_core.nats import backoff
from agents_core.nats.callbacks import RAISED, failure
from agents_core.nats.jetstream.consume import PAUSE_S_MAX, Consume
from agents_core.nats.jetstream.consumer import (
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
)
from agents_core.nats.jetstream.consumer_api import ConsumerAPI
from agents_core.nats.jetstream.delivery import JSCallback
from agents_core.nats.jetstream.errors import (
    APIError,
    BadRequest,
    ConsumerDeleted,
    ConsumerNotFound,
    NotJSMessage,
    SequenceGap,
    StreamNotFound,
)
from agents_core.nats.jetstream.flow import Flow
from agents_core.nats.jetstream.msg import JSMsg
from agents_core.nats.jetstream.pull import Outcome, Pins, PullOptions
from agents_core.nats.msg import Msg
from agents_core.nats.options import NotifyError

INACTIVE_S = 300.0
"""Seconds after which the server drops a consumer of a reader that vanished."""

HEARTBEAT_S = 5.0


class OrderedConsumer(Consume):
    """The messages of a stream in order, each exactly once. Made by `js.ordered_consumer`.

    Nothing is acknowledged. The consumer behind it lives in the server's memory and is made anew,
    from the message after the last one seen, when a message is missing, when heartbeats are, when
    it was deleted, and after a lost connection.

    Args:
        js: the API.
        stream: what to read.
        config: the first consumer; only where it begins and what it filters counts.
        flow: how much to ask for, and when.
        cb: called with each message, instead of iterating.
        error_cb: told why a consumer was replaced, and what `cb` raises. Logged by default.
        created_cb: told about each consumer that was made, the first included, before its messages
            come.
    """

    def __init__(
        self,
        js: ConsumerAPI,
        stream: str,
        config: ConsumerConfig,
        flow: Flow,
        cb: JSCallback | None = None,
        error_cb: NotifyError | None = None,
        created_cb: Callable[[ConsumerInfo], object] | None = None,
    ) -> None:
        super().__init__(js, stream, "", flow, PullOptions(), Pins(), cb, error_cb)
        self._config = config
        self._created_cb = created_cb
        self._prefix = unique()
        self._serial = 0
        self._sequence = 0  # of the consumer's last message
        self._seen: int | None = None  # the stream's last message that is behind us
        self._server_pending = 0

    @property
    def num_pending(self) -> int:
        """Messages that match and were not taken yet, as far as is known."""
        return self._server_pending + self.pending_msgs

    async def open(self) -> Self:
        """Make the first consumer and ask for its messages.

        Raises:
            StreamNotFound: there is no such stream.
            BadRequest: the server refuses the configuration.
        """
        await self._create()
        try:
            return await super().open()
        except BaseException:
            self.stop()
            raise

    async def _create(self) -> None:
        """Make a consumer that begins behind what was seen."""
        self._serial += 1
        name = f"{self._prefix}_{self._serial}"
        config = self._config.evolve(name=name)
        if self._seen is not None:
            config = config.evolve(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self._seen + 1,
                opt_start_time=None,
            )
        try:
            info = await self._js.create_consumer(self._stream, config)
        except BaseException:
            self._delete(name)  # it may exist all the same
            raise
        if config.deliver_policy != DeliverPolicy.LAST_PER_SUBJECT or not info.num_pending:
            self._seen = info.delivered.stream_seq  # so that `new` means the same next time
        self._consumer = name
        self._sequence = 0
        self._server_pending = info.num_pending
        self._tell(info)

    def _tell(self, info: ConsumerInfo) -> None:
        if self._created_cb is not None:
            try:
                self._created_cb(info)
            except RAISED as error:  # a user's callback must not stop the recovery
                self._report(failure(error))

    def _accept(self, msg: Msg) -> JSMsg | None:
        """The message if it is the next one; a gap makes a new consumer."""
        accepted = super()._accept(msg)
        if accepted is None:
            return None  # the next one shows a gap
        try:
            metadata = accepted.metadata
        except NotJSMessage:
            return None
        if metadata.consumer != self._consumer:
            return None  # of a consumer that was replaced
        if metadata.sequence.consumer != self._sequence + 1:
            self._report(SequenceGap(self._consumer, self._sequence, metadata.sequence.consumer))
            self._lost()
            return None
        self._sequence, self._seen = metadata.sequence
        self._server_pending = metadata.num_pending
        return accepted

    def _react(self, outcome: Outcome, error: APIError) -> None:
        """A consumer that nobody serves can be replaced: its server may be down for long."""
        if outcome is Outcome.NOBODY:
            self._report(error)
            self._lost()
        else:
            super()._react(outcome, error)

    def _fatal(self, error: APIError) -> None:
        """A consumer that is gone can be replaced."""
        if isinstance(error, ConsumerDeleted | ConsumerNotFound):
            self._report(error)
            self._lost()
        else:
            self._end(error)

    def renew(self) -> None:
        """Go on with a new consumer, which begins behind the last message seen.

        Where one is being made that goes on: to begin anew each time it would never come.
        """
        if self._consumer:
            self._lost()

    def _lost(self) -> None:
        """Replace the consumer; what the old one still delivers is dropped."""
        if self.ended:
            return
        self._forget_requests()
        self._discard()
        self._begin(self._remake())

    async def _remake(self) -> None:
        """Make a new consumer, with a pause before each attempt but the first."""
        while True:
            await asyncio.sleep(backoff.delay(self._attempt, PAUSE_S_MAX, self._js.rng))
            self._attempt += 1
            try:
                await self._create()
                break
            except (NotConnected, ConnectionClosed):
                return  # the next connection begins anew
            except (StreamNotFound, BadRequest, PermissionsViolation) as error:
                self._end(error)
                return
            except AgentsError as error:
                self._report(error)
        self._resume()

    def _discard(self) -> None:
        name, self._consumer = self._consumer, ""
        if name:
            self._delete(name)

    def _delete(self, name: str) -> None:
        """Delete a consumer without waiting for the answer; the server would, but later."""
        with suppress(AgentsError):
            operation = f"CONSUMER.DELETE.{self._stream}.{name}"
            self._bus.publish(f"{self._js.prefix}.{operation}", reply=f"{self._inbox}.deleted")

    def _end(self, error: AgentsError | None = None) -> None:
        self._discard()
        super()._end(error)
