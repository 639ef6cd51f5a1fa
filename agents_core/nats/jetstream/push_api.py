"""Push consumers: make one or find it, and subscribe to what it delivers; names are nats-py's."""

from __future__ import annotations

from agents_core.bus import PENDING_BYTES_LIMIT
from agents_core.ids import unique
from agents_core.nats.callbacks import check_callback
from agents_core.nats.jetstream.api import check_name
from agents_core.nats.jetstream.consumer import ConsumerConfig, ConsumerInfo, DeliverPolicy
from agents_core.nats.jetstream.consumer_api import ConsumerAPI, check_filters
from agents_core.nats.jetstream.delivery import JSCallback
from agents_core.nats.jetstream.errors import (
    ConsumerBound,
    ConsumerExists,
    ConsumerMismatch,
    ConsumerNotFound,
    InvalidOption,
)
from agents_core.nats.jetstream.push import PUSH_MSGS_LIMIT, PushSubscription
from agents_core.nats.jetstream.record import check_config
from agents_core.nats.jetstream.stream_api import StreamAPI
from agents_core.nats.options import NotifyError

PULLED = "it is pulled from: use pull_subscribe"

HEARTBEAT_S = 5.0
"""Seconds between heartbeats where flow control needs them and nothing is said; as in nats-py."""


class PushAPI(StreamAPI, ConsumerAPI):
    """Push consumers of `JetStreamContext`. Each call raises what `API.request` raises."""

    async def subscribe(
        self,
        subject: str,
        queue: str | None = None,
        cb: JSCallback | None = None,
        durable: str | None = None,
        stream: str | None = None,
        config: ConsumerConfig | None = None,
        manual_ack: bool = False,
        *,
        idle_heartbeat: float | None = None,
        flow_control: bool = False,
        pending_msgs_limit: int = PUSH_MSGS_LIMIT,
        pending_bytes_limit: int = PENDING_BYTES_LIMIT,
        deliver_policy: DeliverPolicy | None = None,
        headers_only: bool | None = None,
        inactive_threshold: float | None = None,
        error_cb: NotifyError | None = None,
    ) -> PushSubscription:
        """Read a subject by a push consumer, which is made if it does not exist.

            sub = await js.subscribe("orders.new", cb=handle, durable="billing")

        One that exists is used as it is, if its group is the one asked for, and its filter, too, or
        it has none and so reads everything. To read in order, without acknowledging, there is
        `ordered_consumer`.

        Args:
            subject: what to read; becomes the consumer's filter unless `config` has several.
            queue: the group that shares the messages; also the name of a durable consumer, if
                there is no other.
            cb: called with each message, instead of iterating.
            durable: the consumer's name; without it, it goes when nobody is subscribed any more.
            stream: where; found by the subject if it is not given.
            config: what a new consumer is to be; the arguments below go before.
            manual_ack: the callback acknowledges. Else each message is acknowledged when the
                callback has returned, unless it did so itself, or raised. Without a callback
                acknowledging is always the reader's.
            idle_heartbeat: seconds between the server's signs of life while it has no message, at
                least 0.1. After three that are missing `error_cb` is told `NoHeartbeat`, and the
                server asked whether the consumer is still there. None by default, as in nats-py:
                then only a lost connection makes us look. Not with a group, of which only one
                member gets each.
            flow_control: the server waits for a slow reader, instead of sending what would be
                dropped; sets a heartbeat of 5 s if there is none. Not with a group.
            pending_msgs_limit: messages that may wait for a slow reader.
            pending_bytes_limit: the same in bytes of payload and headers.
            deliver_policy: where to begin; from the start by default.
            headers_only: no payloads; their size is in the header `Nats-Msg-Size`.
            inactive_threshold: seconds after which the server forgets a consumer that nobody is
                subscribed to; 5 by default, and never for a durable one.
            error_cb: told of missed heartbeats, gaps and what `cb` raises. Logged by default.

        Raises:
            StreamNotFound: no stream has this subject.
            ConsumerMismatch: the consumer exists, and is another than was asked for.
            ConsumerBound: somebody is subscribed to it, and it has no group.
            InvalidOption: arguments that contradict one another, or no configuration.
            Unsupported: the callback can't be called.
            BadRequest: the server refuses the configuration.
        """
        check_config(config, ConsumerConfig)
        if cb is not None:
            check_callback(cb)  # before there is a consumer that nobody would read by it
        if stream is None:
            stream = await self.find_stream_name_by_subject(subject)
        wanted = config or ConsumerConfig()
        given = {
            "durable_name": durable or wanted.durable_name or (None if wanted.name else queue),
            "deliver_group": queue,
            "filter_subject": None if wanted.filter_subjects else subject,
            "idle_heartbeat": idle_heartbeat,
            "flow_control": flow_control,
            "deliver_policy": deliver_policy,
            "headers_only": headers_only,
            "inactive_threshold": inactive_threshold,
        }
        wanted = wanted.evolve(**{name: value for name, value in given.items() if value})
        info = await self._find_or_make(stream, wanted)
        return await self.subscribe_bind(
            stream,
            info.config,
            info.name,
            cb,
            manual_ack,
            pending_msgs_limit=pending_msgs_limit,
            pending_bytes_limit=pending_bytes_limit,
            error_cb=error_cb,
        )

    async def subscribe_bind(
        self,
        stream: str,
        config: ConsumerConfig | None,
        consumer: str,
        cb: JSCallback | None = None,
        manual_ack: bool = False,
        *,
        pending_msgs_limit: int = PUSH_MSGS_LIMIT,
        pending_bytes_limit: int = PENDING_BYTES_LIMIT,
        error_cb: NotifyError | None = None,
    ) -> PushSubscription:
        """Read by a push consumer that exists.

        Args:
            stream: what it reads.
            config: what it is, as `add_consumer` and `consumer_info` say, so that nobody is asked;
                None to ask the server.
            consumer: its name.
            cb: as for `subscribe`, and so are the others.
            manual_ack: the callback acknowledges.
            pending_msgs_limit: messages that may wait for a slow reader.
            pending_bytes_limit: the same in bytes.
            error_cb: told of missed heartbeats, gaps and what `cb` raises.

        Raises:
            ConsumerNotFound, StreamNotFound: the server was asked, and there is none.
            ConsumerMismatch: it is pulled from.
            ConsumerBound: the server was asked, and somebody is subscribed to it.
        """
        check_config(config, ConsumerConfig)
        if config is None:
            info = await self.consumer_info(stream, consumer)
            config = _checked(info, info.config).config
        if not config.deliver_subject:
            raise ConsumerMismatch(consumer, PULLED)
        subscription = PushSubscription(
            self, check_name(stream), check_name(consumer), config, cb, manual_ack, error_cb
        )
        return await subscription.open(pending_msgs_limit, pending_bytes_limit)

    async def _find_or_make(self, stream: str, wanted: ConsumerConfig) -> ConsumerInfo:
        name = wanted.durable_name or wanted.name
        if name:
            try:
                return _checked(await self.consumer_info(stream, name), wanted)
            except ConsumerNotFound:
                pass
        heartbeat = wanted.idle_heartbeat or (HEARTBEAT_S if wanted.flow_control else None)
        if wanted.deliver_group and heartbeat:
            reason = "no heartbeats and no flow control with it: only one member would get each"
            raise InvalidOption("queue", reason)
        wanted = wanted.evolve(
            name=name or unique(),
            idle_heartbeat=heartbeat,
            deliver_subject=wanted.deliver_subject or self.bus.new_inbox(),
        )
        try:
            return await self.create_consumer(stream, wanted)
        except ConsumerExists:  # somebody else was faster
            return _checked(await self.consumer_info(stream, wanted.name or ""), wanted)


def _checked(info: ConsumerInfo, wanted: ConsumerConfig) -> ConsumerInfo:
    """A consumer that exists, if it can be subscribed to as is wanted."""
    config = info.config
    group, other = config.deliver_group or "", wanted.deliver_group or ""
    if not config.deliver_subject:
        raise ConsumerMismatch(info.name, PULLED)
    if group != other:
        raise ConsumerMismatch(info.name, f"its group is {group!r}, not {other!r}")
    check_filters(info, wanted)
    if info.push_bound and not group:
        raise ConsumerBound(info.name)
    return info
