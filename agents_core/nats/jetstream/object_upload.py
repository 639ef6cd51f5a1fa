"""The chunks of one object on their way into the stream: many at once, stored in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, Unpack

from agents_core.bus import Bus, Status
from agents_core.errors import (
    AgentsError,
    ConnectionClosed,
    NotConnected,
    OutboundBufferFull,
    RequestTimeout,
)
from agents_core.nats import backoff
from agents_core.nats.jetstream.errors import (
    InvalidAnswer,
    MessageNotFound,
    NoStreamResponse,
    ServiceUnavailable,
    WrongLastSequence,
)
from agents_core.nats.jetstream.publish import PubAck, PublishOptions

if TYPE_CHECKING:
    from agents_core.nats.jetstream.context import JetStreamContext

WINDOW_BYTES = 2 * 1024 * 1024
"""Bytes under way at most; as much as the bus keeps for a server that is slow."""

WINDOW_CHUNKS_FIRST = 4
"""Chunks under way at first."""

QUICK = 0.1
"""An acknowledgement that takes less than this part of the context's timeout shows that more may be
under way, and one that takes longer that it should be less: on a slow line nothing may wait for its
acknowledgement until it times out."""

INTERRUPTIONS_MAX = 10
"""In a row, without a chunk confirmed between them; then the upload fails. With the pauses they are
more than the ten seconds that a cluster may take to elect a leader, or a server to open its files.
"""

PAUSE_S_MAX = 5.0
"""The longest pause before the second and the further attempts after an interruption."""

TRANSIENT = (
    NotConnected,
    RequestTimeout,
    OutboundBufferFull,
    NoStreamResponse,
    ServiceUnavailable,
)
"""What may pass: the outcome is unknown, or nobody could take it at that moment."""

INTERRUPTIONS = (*TRANSIENT, InvalidAnswer)
"""What an upload recovers from; the last one stands for chunks that were stored out of order."""

T = TypeVar("T")


class _Chunk(NamedTuple):
    data: bytes
    future: asyncio.Future[PubAck]
    sent_at: float


class Upload:
    """Sends chunks and sees to it that the stream has each of them once, in order.

    A lost connection, an acknowledgement that does not come, or one that is not behind that of the
    chunk before is an interruption: what the stream holds is compared with the chunks under way,
    what is out of place is deleted, and what is missing is sent again. The comparison is by
    content, so nothing beyond ADR-20 has to be stored.

    Args:
        js: what they are published with.
        stream: where they are stored.
        subject: of all chunks.
        chunk_size: bytes in one.

    Attributes:
        size, chunks: what was sent so far.
        chunk_size: bytes in one.
    """

    def __init__(self, js: JetStreamContext, stream: str, subject: str, chunk_size: int) -> None:
        self.size = 0
        self.chunks = 0
        self.chunk_size = chunk_size
        self._js = js
        self._stream, self._subject = stream, subject
        self._sha256 = sha256()
        self._flight: deque[_Chunk] = deque()
        self._limit_max = max(1, WINDOW_BYTES // chunk_size)
        self._limit = min(WINDOW_CHUNKS_FIRST, self._limit_max)
        self._last = 0  # the sequence of the last chunk that is known to be in its place
        self._interruptions = 0  # in a row
        self._interrupted = False
        self._unlisten = js.bus.on_status(self._on_status)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._unlisten()

    @property
    def sha256(self) -> bytes:
        """The hash of all that was sent."""
        return self._sha256.digest()

    async def send(self, data: bytes) -> None:
        """Send one chunk; waits while too many are under way.

        Raises:
            what `JetStreamContext.publish` raises, but not at the first lost connection or answer.
        """
        while len(self._flight) >= self._limit:
            await self._confirm()
        self._sha256.update(data)
        self.size += len(data)
        self.chunks += 1
        if self.chunks == 1:
            try:
                await self._publish_alone(data)
            except INTERRUPTIONS as error:
                await self._recover(error, deque([data]))
        else:
            await self._publish(data)

    async def complete(self) -> int:
        """Return when all chunks are confirmed: how many the stream has.

        Raises:
            what `send` raises.
        """
        while self._flight:
            await self._confirm()
        return await self._count() if self._interrupted else self.chunks

    async def _count(self) -> int:
        """How many chunks the stream has."""
        attempt = 0
        while True:
            try:
                info = await self._js.stream_info(self._stream, self._subject)
                return sum((info.state.subjects or {}).values())
            except TRANSIENT:
                attempt += 1
                if attempt > INTERRUPTIONS_MAX:
                    raise
            await asyncio.sleep(backoff.delay(attempt, PAUSE_S_MAX, self._js.rng))
            await connected(self._js.bus)

    async def settle(self) -> None:
        """Return when nothing is under way any more, stored or not."""
        for chunk in self._flight:
            await asyncio.wait([chunk.future])
            chunk.future.exception()  # seen, so that asyncio does not log it

    async def _publish_alone(self, data: bytes, **options: Unpack[PublishOptions]) -> None:
        """Send one chunk and wait until it is stored.

        The first one, and the first one after an interruption: a request is told at once what
        others would find out by waiting, such as that this user may not write here.
        """
        await connected(self._js.bus)
        publishing = self._js.publish(self._subject, data, **options)
        self._place(await finished(publishing, self._js.timeout))

    async def _publish(self, data: bytes) -> None:
        """Send one chunk behind the others."""
        await connected(self._js.bus)
        future: asyncio.Future[PubAck]
        try:
            future = await self._js.publish_async(self._subject, data)
        except OutboundBufferFull as full:  # by others: no acknowledgement would make room
            future = asyncio.get_running_loop().create_future()
            future.set_exception(full)
        self._flight.append(_Chunk(data, future, self._js.timers.now()))

    async def _confirm(self) -> None:
        """Wait until the first chunk under way is stored in its place."""
        chunk = self._flight[0]
        if not chunk.future.done():
            await asyncio.wait([chunk.future])  # awaiting it would cancel it, and it is to settle
        try:
            self._place(chunk.future.result())
        except INTERRUPTIONS as error:
            await self._recover(error, deque(chunk.data for chunk in self._flight))
            return
        self._flight.popleft()
        slow = self._js.timers.now() - chunk.sent_at > QUICK * self._js.timeout
        self._limit = max(1, min(self._limit + (-1 if slow else 1), self._limit_max))

    def _place(self, ack: PubAck) -> None:
        """A chunk is stored; see whether it is behind the one before."""
        if ack.seq <= self._last:
            raise InvalidAnswer("chunks", "the stream stores them out of order")
        self._last = ack.seq
        self._interruptions = 0

    def _on_status(self, status: Status) -> None:
        """No acknowledgement comes over another connection than the one it was asked for on."""
        if status is not Status.CONNECTED:
            for chunk in self._flight:
                if not chunk.future.done():
                    chunk.future.set_exception(NotConnected(self._js.bus.url))

    # -- interruptions

    async def _recover(self, error: AgentsError, unsure: deque[bytes]) -> None:
        """Send again what is not stored of these chunks.

        The stream may have some of them still before it when it is asked. So the first is to be
        stored only behind the last one; which that is the stream is asked when it says no.
        """
        self._interrupted = True
        while True:
            self._interruptions += 1
            if self._interruptions > INTERRUPTIONS_MAX:
                raise error
            await asyncio.sleep(backoff.delay(self._interruptions - 1, PAUSE_S_MAX, self._js.rng))
            try:
                await self._send_again(unsure, sure=not isinstance(error, WrongLastSequence))
            except (*INTERRUPTIONS, WrongLastSequence) as another:
                error = another
            else:
                return

    async def _send_again(self, unsure: deque[bytes], *, sure: bool) -> None:
        await self.settle()
        await connected(self._js.bus)
        await self._js.bus.flush()  # so that the server has all that was ever sent
        await self._delete_early()
        self._flight.clear()
        await self._compare(unsure)
        if unsure:
            last = self._last if sure else await self._last_there()
            await self._publish_alone(unsure[0], expected_last_subject_sequence=last)
            unsure.popleft()
        for data in unsure:
            await self._publish(data)

    async def _last_there(self) -> int:
        """The last chunk that the stream has; 0 for none, as somebody may have deleted them."""
        try:
            return (await self._js.get_last_msg(self._stream, self._subject)).seq
        except MessageNotFound:
            return 0

    async def _delete_early(self) -> None:
        """Delete what was stored before the chunk that it belongs behind."""
        for chunk in self._flight:
            if not chunk.future.exception() and chunk.future.result().seq < self._last:
                await self._delete(chunk.future.result().seq)

    async def _compare(self, unsure: deque[bytes]) -> None:
        """Pass over the chunks that are stored in their place; delete what else is there."""
        while True:
            try:
                msg = await self._js.get_msg(self._stream, self._last + 1, self._subject, next=True)
            except MessageNotFound:
                return
            if unsure and msg.data == unsure[0]:
                self._last = msg.seq
                unsure.popleft()
            else:
                await self._delete(msg.seq)

    async def _delete(self, seq: int) -> None:
        with suppress(MessageNotFound):  # an answer that was lost, and this is the second time
            await self._js.delete_msg(self._stream, seq)


async def connected(bus: Bus) -> None:
    """Wait until there is a connection.

    Raises:
        ConnectionClosed: there won't be one.
    """
    if bus.status is Status.CONNECTED:
        return
    settled = asyncio.Event()
    remove = bus.on_status(lambda now: settled.set() if now in _SETTLED else settled.clear())
    try:
        if bus.status not in _SETTLED:
            await settled.wait()
    finally:
        remove()
    if bus.status is Status.CLOSED:
        raise ConnectionClosed(bus.url)


_SETTLED = frozenset({Status.CONNECTED, Status.CLOSED})


async def finished(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Do something to its end, even if whoever waits for it is cancelled meanwhile.

    It has so many seconds then before it is cancelled, too; the cancellation goes on afterwards.
    What was stopped half-way would be stored later, behind what was done about it.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        late = loop.call_later(seconds, task.cancel)
        await asyncio.wait([task])
        late.cancel()
        raise
    return task.result()
