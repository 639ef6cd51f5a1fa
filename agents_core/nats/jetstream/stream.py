"""What a stream is told to be, and what it says of itself; the names are those of `nats.js.api`.

A field that is None is left to the server. Durations are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from agents_core.nats.jetstream.record import (
    MOMENT,
    SECONDS,
    Record,
    choice,
    record,
    records,
)


class RetentionPolicy(StrEnum):
    """When a message may go."""

    LIMITS = "limits"
    INTEREST = "interest"
    WORK_QUEUE = "workqueue"


class StorageType(StrEnum):
    """Where messages are kept."""

    FILE = "file"
    MEMORY = "memory"


class DiscardPolicy(StrEnum):
    """What gives way when a limit is reached: the oldest messages, or the one that is published."""

    OLD = "old"
    NEW = "new"


class StoreCompression(StrEnum):
    """Whether the files are compressed (ADR-35)."""

    NONE = "none"
    S2 = "s2"


class PersistMode(StrEnum):
    """Whether a message is acknowledged before it is on the disk (ADR-56)."""

    DEFAULT = "default"
    ASYNC = "async"


@dataclass
class Placement(Record):
    """Which servers may hold it."""

    cluster: str | None = None
    tags: list[str] | None = None
    preferred: str | None = None


@dataclass
class SubjectTransform(Record):
    """Subjects that match `src` become `dest` (ADR-36)."""

    src: str
    dest: str


@dataclass
class RePublish(Record):
    """What is stored under `src` is published again under `dest`."""

    src: str | None = None
    dest: str | None = None
    headers_only: bool | None = None


@dataclass
class ExternalStream(Record):
    """How to reach a stream of another account or domain."""

    api: str
    deliver: str | None = None


@dataclass
class StreamConsumerSource(Record):
    """A consumer made beforehand for sourcing from it (ADR-60)."""

    name: str
    deliver_subject: str


@dataclass
class StreamSource(Record):
    """Another stream that this one copies, as its mirror or one of its sources."""

    name: str
    opt_start_seq: int | None = None
    opt_start_time: datetime | None = None
    filter_subject: str | None = None
    external: ExternalStream | None = None
    subject_transforms: list[SubjectTransform] | None = None
    consumer: StreamConsumerSource | None = None
    KINDS: ClassVar = {
        "opt_start_time": MOMENT,
        "external": record(ExternalStream),
        "subject_transforms": records(SubjectTransform),
        "consumer": record(StreamConsumerSource),
    }


@dataclass
class StreamConsumerLimits(Record):
    """Bounds and defaults for the consumers of a stream."""

    inactive_threshold: float | None = None
    max_ack_pending: int | None = None
    KINDS: ClassVar = {"inactive_threshold": SECONDS}


@dataclass
class StreamConfig(Record):
    """A stream as it is wanted.

    Attributes:
        max_age: seconds that a message is kept.
        duplicate_window: seconds in which a `msg_id` is taken once.
        allow_direct: messages can be read from every replica (ADR-31).
        allow_msg_ttl: a message may have a time to live of its own (ADR-43).
        subject_delete_marker_ttl: seconds that a marker stays for what was deleted by age
            (ADR-43).
        allow_atomic: several messages can be published as one (ADR-50).
        allow_batched: fast ingest (ADR-50).
        allow_msg_counter: every subject is a counter (ADR-49).
        allow_msg_schedules: messages can be published later (ADR-51).
    """

    name: str | None = None
    description: str | None = None
    subjects: list[str] | None = None
    retention: RetentionPolicy | None = None
    max_consumers: int | None = None
    max_msgs: int | None = None
    max_bytes: int | None = None
    discard: DiscardPolicy | None = None
    discard_new_per_subject: bool | None = None
    max_age: float | None = None
    max_msgs_per_subject: int | None = None
    max_msg_size: int | None = None
    storage: StorageType | None = None
    num_replicas: int | None = None
    no_ack: bool | None = None
    duplicate_window: float | None = None
    placement: Placement | None = None
    mirror: StreamSource | None = None
    sources: list[StreamSource] | None = None
    sealed: bool | None = None
    deny_delete: bool | None = None
    deny_purge: bool | None = None
    allow_rollup_hdrs: bool | None = None
    first_seq: int | None = None
    republish: RePublish | None = None
    subject_transform: SubjectTransform | None = None
    allow_direct: bool | None = None
    mirror_direct: bool | None = None
    compression: StoreCompression | None = None
    allow_msg_ttl: bool | None = None
    subject_delete_marker_ttl: float | None = None
    allow_msg_schedules: bool | None = None
    allow_atomic: bool | None = None
    allow_batched: bool | None = None
    allow_msg_counter: bool | None = None
    persist_mode: PersistMode | None = None
    metadata: dict[str, str] | None = None
    consumer_limits: StreamConsumerLimits | None = None
    KINDS: ClassVar = {
        "retention": choice(RetentionPolicy),
        "discard": choice(DiscardPolicy),
        "max_age": SECONDS,
        "storage": choice(StorageType),
        "duplicate_window": SECONDS,
        "placement": record(Placement),
        "mirror": record(StreamSource),
        "sources": records(StreamSource),
        "republish": record(RePublish),
        "subject_transform": record(SubjectTransform),
        "compression": choice(StoreCompression),
        "subject_delete_marker_ttl": SECONDS,
        "persist_mode": choice(PersistMode),
        "consumer_limits": record(StreamConsumerLimits),
    }


@dataclass
class LostStreamData(Record):
    """Messages that the server found damaged."""

    msgs: list[int] | None = None
    bytes: int | None = None


@dataclass
class StreamState(Record):
    """What a stream holds.

    Attributes:
        deleted: sequences of deleted messages, if `deleted_details` asked for them.
        subjects: messages per subject, if a `subjects_filter` asked for them.
    """

    messages: int = 0
    bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0
    consumer_count: int = 0
    first_ts: datetime | None = None
    last_ts: datetime | None = None
    num_subjects: int | None = None
    num_deleted: int | None = None
    deleted: list[int] | None = None
    lost: LostStreamData | None = None
    subjects: dict[str, int] | None = None
    KINDS: ClassVar = {
        "first_ts": MOMENT,
        "last_ts": MOMENT,
        "lost": record(LostStreamData),
    }


@dataclass
class PeerInfo(Record):
    """One replica.

    Attributes:
        active: seconds since it was last heard of.
        lag: operations that it is behind.
    """

    name: str | None = None
    current: bool | None = None
    offline: bool | None = None
    active: float | None = None
    lag: int | None = None
    KINDS: ClassVar = {"active": SECONDS}


@dataclass
class ClusterInfo(Record):
    """Which servers hold it, and which of them leads."""

    leader: str | None = None
    name: str | None = None
    replicas: list[PeerInfo] | None = None
    raft_group: str | None = None
    leader_since: datetime | None = None
    traffic_acc: str | None = None
    KINDS: ClassVar = {
        "replicas": records(PeerInfo),
        "leader_since": MOMENT,
    }


@dataclass
class StreamSourceInfo(Record):
    """How far a mirror or a source is.

    Attributes:
        lag: messages that are still to come.
        active: seconds since the last one; negative when there was none.
    """

    name: str | None = None
    lag: int | None = None
    active: float | None = None
    filter_subject: str | None = None
    external: ExternalStream | None = None
    subject_transforms: list[SubjectTransform] | None = None
    error: dict[str, Any] | None = None
    KINDS: ClassVar = {
        "active": SECONDS,
        "external": record(ExternalStream),
        "subject_transforms": records(SubjectTransform),
    }


@dataclass
class StreamInfo(Record):
    """A stream as it is."""

    config: StreamConfig
    state: StreamState
    mirror: StreamSourceInfo | None = None
    sources: list[StreamSourceInfo] | None = None
    cluster: ClusterInfo | None = None
    did_create: bool | None = None
    created: datetime | None = None
    ts: datetime | None = None
    alternates: list[dict[str, Any]] | None = None
    KINDS: ClassVar = {
        "config": record(StreamConfig),
        "state": record(StreamState),
        "mirror": record(StreamSourceInfo),
        "sources": records(StreamSourceInfo),
        "cluster": record(ClusterInfo),
        "created": MOMENT,
        "ts": MOMENT,
    }
