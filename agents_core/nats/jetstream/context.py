"""JetStream over any bus: everything in one object, as in nats-py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Unpack

from agents_core.bus import Bus
from agents_core.errors import NoResponders
from agents_core.ids import unique
from agents_core.nats.headers import HeadersLike
from agents_core.nats.jetstream.api import DEFAULT_PREFIX, TIMEOUT_S, check_name
from agents_core.nats.jetstream.batch import AtomicBatch
from agents_core.nats.jetstream.bounds import whole
from agents_core.nats.jetstream.consumer import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    ReplayPolicy,
)
from agents_core.nats.jetstream.consumer_api import check_filters
from agents_core.nats.jetstream.counter import Counter
from agents_core.nats.jetstream.delivery import JSCallback
from agents_core.nats.jetstream.errors import ConsumerExists, ConsumerNotFound, NoStreamResponse
from agents_core.nats.jetstream.flow import EXPIRES_S, Flow
from agents_core.nats.jetstream.ingest import (
    ACK_EVERY,
    GIVE_UP_S,
    OUTSTANDING,
    FastIngest,
    GapPolicy,
)
from agents_core.nats.jetstream.kv_api import KeyValueAPI
from agents_core.nats.jetstream.message_api import MessageAPI
from agents_core.nats.jetstream.object_api import ObjectAPI
from agents_core.nats.jetstream.ordered import HEARTBEAT_S, INACTIVE_S, OrderedConsumer
from agents_core.nats.jetstream.publish import PubAck, PublishOptions, publish_headers, read_ack
from agents_core.nats.jetstream.push_api import PushAPI
from agents_core.nats.jetstream.record import check_config
from agents_core.nats.jetstream.subscription import PullSubscription
from agents_core.nats.jetstream.window import MAX_PENDING, RETRY_ATTEMPTS, RETRY_WAIT_S, Window
from agents_core.nats.options import NotifyError


class JetStreamContext(KeyValueAPI, PushAPI, MessageAPI, ObjectAPI):
    """JetStream of one account, or of one domain (ADR-19), over one bus. Make one and keep it.

        js = nc.jetstream()                    # or JetStreamContext(bus)
        await js.add_stream(name="orders", subjects=["orders.>"])
        ack = await js.publish("orders.new", b"one")

    Args:
        bus: any bus that reaches a server with JetStream.
        prefix: of the API's subjects, where an account imports it under another one.
        domain: of JetStream, instead of a prefix.
        timeout: seconds for an answer.
        publish_async_max_pending: messages of `publish_async` that may be under way, at least 1.

    Raises:
        InvalidName: the domain can't be one.
        InvalidOption: no message may be under way.
        ValueError: the timeout is no number of seconds.
    """

    def __init__(
        self,
        bus: Bus,
        prefix: str = DEFAULT_PREFIX,
        domain: str | None = None,
        timeout: float = TIMEOUT_S,
        publish_async_max_pending: int = MAX_PENDING,
    ) -> None:
        super().__init__(bus, prefix, domain, timeout)
        whole("publish_async_max_pending", publish_async_max_pending, 1)
        self._window = Window(bus, self.timers, publish_async_max_pending, timeout)

    # -- publishing

    async def publish(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float | None = None,
        stream: str | None = None,
        headers: HeadersLike | None = None,
        msg_ttl: float | str | None = None,
        **options: Unpack[PublishOptions],
    ) -> PubAck:
        """Store a message and return when the stream has it.

        When no stream answers it is tried again, twice after 250 ms (ADR-22).

        Args:
            subject: which stream stores it is told by the subject.
            payload: the message.
            timeout: seconds for the acknowledgement, instead of the usual ones.
            stream: the only stream that may store it.
            headers: to store with it.
            msg_ttl: seconds to keep it (ADR-43), or `never`, or a duration such as `1h`; the stream
                needs `allow_msg_ttl`.
            **options: see `PublishOptions`: `msg_id` and what is expected of the stream.

        Raises:
            NoStreamResponse: no stream stores this subject.
            WrongLastSequence, WrongLastMsgId, WrongStream: the stream is not as expected.
            APIError: it was refused for another reason.
            RequestTimeout, NotConnected: the outcome is unknown. With a `msg_id` it can be
                published again.
            and what `Bus.publish` raises.
        """
        sent = publish_headers(headers, stream, msg_ttl, options)
        attempt = 0
        while True:
            try:
                msg = await self.bus.request(subject, payload, timeout or self.timeout, sent)
                return read_ack(msg.data)
            except NoResponders:
                if attempt == RETRY_ATTEMPTS:
                    raise NoStreamResponse(subject) from None
            attempt += 1
            await asyncio.sleep(RETRY_WAIT_S)

    async def publish_async(
        self,
        subject: str,
        payload: bytes = b"",
        wait_stall: float | None = None,
        stream: str | None = None,
        headers: HeadersLike | None = None,
        msg_ttl: float | str | None = None,
        **options: Unpack[PublishOptions],
    ) -> asyncio.Future[PubAck]:
        """Store a message, and return at once with the future of its acknowledgement.

        Waits only when as many are under way as may be, or the bus has no room.

        Args:
            subject: as for `publish`, and so are the others.
            payload: the message.
            wait_stall: seconds to wait for room; None for as long as it takes.
            stream: the only stream that may store it.
            headers: to store with it.
            msg_ttl: seconds to keep it.
            **options: see `PublishOptions`.

        Returns:
            A future; it ends with what `publish` returns or raises.

        Raises:
            TooManyStalledMsgs: there was no room in time.
            and what `Bus.publish` raises.
        """
        sent = publish_headers(headers, stream, msg_ttl, options)
        return await self._window.publish(subject, payload, sent, wait_stall)

    def publish_async_pending(self) -> int:
        """Messages of `publish_async` that have no acknowledgement yet."""
        return len(self._window)

    async def publish_async_completed(self) -> None:
        """Return when each message of `publish_async` has its acknowledgement or its error."""
        await self._window.completed()

    def atomic_batch(self) -> AtomicBatch:
        """Begin a batch of messages that are stored together or not at all (ADR-50)."""
        return AtomicBatch(self)

    def fast_ingest(
        self,
        gaps: GapPolicy = "fail",
        ack_every: int = ACK_EVERY,
        max_outstanding: int = OUTSTANDING,
        timeout: float = GIVE_UP_S,
        error_cb: NotifyError | None = None,
    ) -> FastIngest:
        """Begin a batch of any length that is stored message by message, fast (ADR-50).

            async with js.fast_ingest() as batch:
                for reading in readings:
                    await batch.add("readings.1", reading)

        Needs server 2.14, and a stream with `allow_batched`.

        Args:
            gaps: what to do when a message is lost on its way or refused: `fail` ends the batch
                there, `ok` goes on without it.
            ack_every: messages for one acknowledgement, at most; the server may want more of them.
            max_outstanding: acknowledgements that may be missing, 1 to 3: no more than so many
                times `ack_every` messages are on their way.
            timeout: seconds without progress after which the batch is given up. The server keeps
                one for 10 s without a message.
            error_cb: with `gaps="ok"`, told about each `BatchGap`.

        Raises:
            InvalidOption: an argument that can't be.
            ValueError: the timeout is no number of seconds.
        """
        return FastIngest(self, gaps, ack_every, max_outstanding, timeout, error_cb)

    def counter(self, stream: str) -> Counter:
        """The counters of a stream (ADR-49)."""
        return Counter(self, check_name(stream))

    # -- reading

    async def pull_subscribe(
        self,
        subject: str,
        durable: str | None = None,
        stream: str | None = None,
        config: ConsumerConfig | None = None,
    ) -> PullSubscription:
        """Read a subject by a pull consumer, which is made if it does not exist.

        One that exists, by `durable` or by a name in `config`, is used as it is, if its filter is
        what is asked for, or it has none and so reads everything.

        Args:
            subject: what to read; becomes the consumer's filter unless `config` has several. Empty
                for what `config` says, or for whatever the consumer reads.
            durable: the consumer's name; without it, it goes when nobody reads any more.
            stream: where; found by the subject if it is not given.
            config: what a new consumer is to be.

        Raises:
            StreamNotFound: no stream has this subject.
            ConsumerMismatch: the consumer exists and reads something else; to read that there is
                `pull_subscribe_bind`.
            BadRequest: the server refuses the configuration.
        """
        check_config(config, ConsumerConfig)
        if stream is None:
            stream = await self.find_stream_name_by_subject(subject)
        wanted = config or ConsumerConfig()
        if subject and not wanted.filter_subjects:
            wanted = wanted.evolve(filter_subject=subject)
        known = durable or wanted.name or wanted.durable_name
        name = known or unique()
        wanted = wanted.evolve(name=name, durable_name=durable or wanted.durable_name)
        if not (known and await self._exists(stream, wanted)):
            try:
                await self.create_consumer(stream, wanted)
            except ConsumerExists:  # somebody else was faster
                await self._exists(stream, wanted)
        return PullSubscription(self, stream, name)

    async def _exists(self, stream: str, wanted: ConsumerConfig) -> bool:
        """Whether there is a consumer of that name; one that reads something else is refused."""
        try:
            found = await self.consumer_info(stream, wanted.name or "")
        except ConsumerNotFound:
            return False
        if wanted.filter_subject or wanted.filter_subjects:
            check_filters(found, wanted)
        return True

    async def pull_subscribe_bind(
        self, consumer: str | None = None, stream: str | None = None, *, durable: str | None = None
    ) -> PullSubscription:
        """Read by a consumer that exists; whether it does, the first fetch will tell.

        Args:
            consumer: its name.
            stream: what it reads.
            durable: the same as `consumer`.
        """
        return PullSubscription(self, check_name(stream), check_name(consumer or durable))

    async def ordered_consumer(
        self,
        stream: str,
        filter_subjects: str | Sequence[str] = (),
        cb: JSCallback | None = None,
        *,
        deliver_policy: DeliverPolicy = DeliverPolicy.ALL,
        opt_start_seq: int | None = None,
        opt_start_time: datetime | None = None,
        replay_policy: ReplayPolicy | None = None,
        headers_only: bool | None = None,
        inactive_threshold: float = INACTIVE_S,
        max_messages: int | None = None,
        max_bytes: int | None = None,
        expires: float = EXPIRES_S,
        heartbeat: float | None = None,
        error_cb: NotifyError | None = None,
        created_cb: Callable[[ConsumerInfo], object] | None = None,
    ) -> OrderedConsumer:
        """Read a stream in order, each message once, without acknowledging (ADR-17).

            async with await js.ordered_consumer("orders") as messages:
                async for msg in messages:
                    ...

        Args:
            stream: what to read.
            filter_subjects: only what matches one of these.
            cb: called with each message, instead of iterating.
            deliver_policy: where to begin; with `by_start_sequence` or `by_start_time` also
                `opt_start_seq` or `opt_start_time`.
            opt_start_seq: the first message's number.
            opt_start_time: the first message's time.
            replay_policy: at once, or as slowly as they were stored.
            headers_only: no payloads; their size is in the header `Nats-Msg-Size`.
            inactive_threshold: seconds after which the server forgets a reader that vanished.
            max_messages: at most so many asked for and not yet taken; 500 by default.
            max_bytes: the same in bytes, instead of `max_messages`.
            expires: seconds that one request lives on the server, at least 1.
            heartbeat: seconds between the server's signs of life while it has no message, 0.5 to
                half of `expires` and at most 30; 5 by default, or half of `expires` if that is
                less. After two that are missing the consumer is replaced.
            error_cb: told why a consumer was replaced, and what `cb` raises. Logged by default.
            created_cb: told about each consumer that was made, the first included.

        Raises:
            StreamNotFound: there is no such stream.
            BadRequest: the server refuses the configuration.
            InvalidOption: an argument can't be.
            ValueError: what is to be a number of seconds is none.
            Unsupported: the callback can't be called.
        """
        filters = [filter_subjects] if isinstance(filter_subjects, str) else list(filter_subjects)
        if not filters and deliver_policy == DeliverPolicy.LAST_PER_SUBJECT:
            filters = [">"]  # the server wants to be told
        config = ConsumerConfig(
            deliver_policy=deliver_policy,
            opt_start_seq=opt_start_seq,
            opt_start_time=opt_start_time,
            ack_policy=AckPolicy.NONE,
            max_deliver=1,
            filter_subject=filters[0] if len(filters) == 1 else None,
            filter_subjects=filters if len(filters) > 1 else None,
            replay_policy=replay_policy,
            headers_only=headers_only,
            inactive_threshold=inactive_threshold,
            num_replicas=1,
            mem_storage=True,
        )
        flow = Flow.of(max_messages, max_bytes, expires, heartbeat, usual_heartbeat=HEARTBEAT_S)
        consumer = OrderedConsumer(self, check_name(stream), config, flow, cb, error_cb, created_cb)
        return await consumer.open()
