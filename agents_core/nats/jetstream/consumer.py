"""What a consumer is told to be, and what it says of itself; the names are those of `nats.js.api`.

A field that is None is left to the server. Durations are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Self

from agents_core.nats.jetstream.record import (
    LIST_OF_SECONDS,
    MOMENT,
    SECONDS,
    Record,
    choice,
    record,
    records,
)
from agents_core.nats.jetstream.stream import ClusterInfo


class AckPolicy(StrEnum):
    """What has to be acknowledged: nothing, the last of several, or each message."""

    NONE = "none"
    ALL = "all"
    EXPLICIT = "explicit"
    FLOW_CONTROL = "flow_control"


class DeliverPolicy(StrEnum):
    """Where in the stream a new consumer begins."""

    ALL = "all"
    LAST = "last"
    NEW = "new"
    BY_START_SEQUENCE = "by_start_sequence"
    BY_START_TIME = "by_start_time"
    LAST_PER_SUBJECT = "last_per_subject"


class ReplayPolicy(StrEnum):
    """How fast: at once, or as slowly as the messages came in."""

    INSTANT = "instant"
    ORIGINAL = "original"


class PriorityPolicy(StrEnum):
    """Who is served first of those that pull (ADR-42)."""

    NONE = "none"
    OVERFLOW = "overflow"
    PINNED_CLIENT = "pinned_client"
    PRIORITIZED = "prioritized"


@dataclass
class ConsumerConfig(Record):
    """A consumer as it is wanted.

    Attributes:
        name: without `durable_name` the consumer goes when nobody pulls for `inactive_threshold`
            seconds.
        durable_name: the consumer stays.
        ack_wait: seconds until a message without acknowledgement is delivered again.
        backoff: seconds until the first, second, … redelivery; replaces `ack_wait`.
        ack_policy: each message, as in nats-py; the server's own default is none.
        max_batch, max_expires, max_bytes: the most that one request for messages may ask for.
        pause_until: nothing is delivered before.
        priority_groups: names of groups; those who pull say theirs (ADR-42).
        priority_timeout: seconds after which a pinned client that does not pull loses its place.
    """

    name: str | None = None
    durable_name: str | None = None
    description: str | None = None
    deliver_policy: DeliverPolicy | None = None
    opt_start_seq: int | None = None
    opt_start_time: datetime | None = None
    ack_policy: AckPolicy = AckPolicy.EXPLICIT
    ack_wait: float | None = None
    max_deliver: int | None = None
    backoff: list[float] | None = None
    filter_subject: str | None = None
    filter_subjects: list[str] | None = None
    replay_policy: ReplayPolicy | None = None
    rate_limit_bps: int | None = None
    sample_freq: str | None = None
    max_waiting: int | None = None
    max_ack_pending: int | None = None
    flow_control: bool | None = None
    idle_heartbeat: float | None = None
    headers_only: bool | None = None
    deliver_subject: str | None = None
    deliver_group: str | None = None
    inactive_threshold: float | None = None
    num_replicas: int | None = None
    mem_storage: bool | None = None
    metadata: dict[str, str] | None = None
    pause_until: datetime | None = None
    max_batch: int | None = None
    max_expires: float | None = None
    max_bytes: int | None = None
    priority_groups: list[str] | None = None
    priority_policy: PriorityPolicy | None = None
    priority_timeout: float | None = None
    KINDS: ClassVar = {
        "deliver_policy": choice(DeliverPolicy),
        "opt_start_time": MOMENT,
        "ack_policy": choice(AckPolicy),
        "ack_wait": SECONDS,
        "backoff": LIST_OF_SECONDS,
        "replay_policy": choice(ReplayPolicy),
        "idle_heartbeat": SECONDS,
        "inactive_threshold": SECONDS,
        "pause_until": MOMENT,
        "max_expires": SECONDS,
        "priority_policy": choice(PriorityPolicy),
        "priority_timeout": SECONDS,
    }


@dataclass
class SequenceInfo(Record):
    """A place in the stream, and the consumer's own count of it."""

    consumer_seq: int = 0
    stream_seq: int = 0
    last_active: datetime | None = None
    KINDS: ClassVar = {"last_active": MOMENT}


@dataclass
class PriorityGroupState(Record):
    """Which client a group is pinned to (ADR-42)."""

    group: str
    pinned_client_id: str | None = None
    pinned_ts: datetime | None = None
    KINDS: ClassVar = {"pinned_ts": MOMENT}


@dataclass
class ConsumerInfo(Record):
    """A consumer as it is.

    Attributes:
        num_pending: messages of the stream that match and were not delivered yet.
        num_ack_pending: messages delivered and not acknowledged.
        pause_remaining: seconds.
    """

    name: str
    stream_name: str
    config: ConsumerConfig
    delivered: SequenceInfo
    ack_floor: SequenceInfo
    created: datetime | None = None
    num_ack_pending: int = 0
    num_redelivered: int = 0
    num_waiting: int = 0
    num_pending: int = 0
    cluster: ClusterInfo | None = None
    push_bound: bool | None = None
    paused: bool | None = None
    pause_remaining: float | None = None
    priority_groups: list[PriorityGroupState] | None = None
    ts: datetime | None = None
    KINDS: ClassVar = {
        "config": record(ConsumerConfig),
        "created": MOMENT,
        "delivered": record(SequenceInfo),
        "ack_floor": record(SequenceInfo),
        "cluster": record(ClusterInfo),
        "pause_remaining": SECONDS,
        "priority_groups": records(PriorityGroupState),
        "ts": MOMENT,
    }


@dataclass
class ConsumerPause(Record):
    """What a pause or a resumption came to.

    Attributes:
        pause_remaining: seconds.
    """

    paused: bool = False
    pause_until: datetime | None = None
    pause_remaining: float | None = None
    KINDS: ClassVar = {
        "pause_until": MOMENT,
        "pause_remaining": SECONDS,
    }


@dataclass
class ConsumerReset(Record):
    """The consumer after a reset, and the sequence at or above which it goes on (ADR-60)."""

    info: ConsumerInfo
    reset_seq: int

    @classmethod
    def from_response(cls, resp: Any) -> Self:
        """Read the server's object, which is a consumer's with one field more."""
        rest = dict(resp)
        reset_seq = rest.pop("reset_seq", 0)
        return cls(ConsumerInfo.from_response(rest), reset_seq)
