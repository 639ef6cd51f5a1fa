"""What a key-value bucket is told to be, and the stream that it then is (ADR-8, ADR-48, ADR-57)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from agents_core.nats.jetstream.api import check_bucket
from agents_core.nats.jetstream.bounds import whole
from agents_core.nats.jetstream.errors import InvalidOption
from agents_core.nats.jetstream.stream import (
    DiscardPolicy,
    Placement,
    RePublish,
    StorageType,
    StoreCompression,
    StreamConfig,
    StreamSource,
    SubjectTransform,
)
from agents_core.timers import check_seconds

HISTORY_MAX = 64
"""Entries kept of one key at most (ADR-8)."""

DUPLICATE_WINDOW_S = 120.0
"""Seconds in which a `msg_id` is taken once; less where values live less long."""

PREFIX = "KV_"
"""What the name of a bucket's stream begins with."""


@dataclass(frozen=True)
class KeyValueConfig:
    """A bucket as it is wanted; the names are nats-py's. What is None is left to the server.

    Attributes:
        bucket: its name, of `A-Z a-z 0-9 _ -`.
        history: entries kept of each key, 1 to 64.
        ttl: seconds that an entry lives; for ever by default.
        max_value_size, max_bytes: bounds of one value with its headers, and of the whole bucket.
        direct: values are read from any replica (ADR-31), which is faster, but one that is behind
            may not know the newest. True, as ADR-8 says, where nats-py has False.
        limit_marker_ttl: seconds, at least 1, that a marker stays for a key that ended by its time
            to live; without it such a key goes without watchers being told (ADR-48, server 2.11).
            Where more than one entry is kept of a key, a key's own time to live is at least this.
        mirror: the bucket, or its stream, of which this one is a copy; written to is the origin.
        sources: buckets that are merged into this one; or any streams, with `subject_transforms`
            that make keys of their subjects.
        compression: compress the files.
        metadata: notes about the bucket.

    Raises:
        InvalidBucketName: the name can't be one.
        InvalidOption: the history is no whole number within its bounds.
        ValueError: `ttl` is no number of seconds.
    """

    bucket: str
    description: str | None = None
    max_value_size: int | None = None
    history: int = 1
    ttl: float | None = None
    max_bytes: int | None = None
    storage: StorageType | None = None
    replicas: int = 1
    placement: Placement | None = None
    republish: RePublish | None = None
    direct: bool = True
    limit_marker_ttl: float | None = None
    mirror: StreamSource | None = None
    sources: list[StreamSource] | None = None
    compression: bool = False
    metadata: dict[str, str] | None = None

    def __post_init__(self) -> None:
        check_bucket(self.bucket)
        whole("history", self.history, 1, HISTORY_MAX)
        if self.ttl is not None:
            check_seconds(self.ttl, "ttl")

    def evolve(self, **params: Any) -> Self:
        """A copy with some fields replaced."""
        return replace(self, **params)

    @property
    def stream(self) -> str:
        """The name of its stream."""
        return PREFIX + self.bucket

    @classmethod
    def of(cls, stream: StreamConfig) -> Self:
        """What the stream of a bucket says of the bucket."""
        return cls(
            bucket=(stream.name or "").removeprefix(PREFIX),
            description=stream.description,
            max_value_size=_bound(stream.max_msg_size),
            history=stream.max_msgs_per_subject or 1,
            ttl=stream.max_age or None,
            max_bytes=_bound(stream.max_bytes),
            storage=stream.storage,
            replicas=stream.num_replicas or 1,
            placement=stream.placement,
            republish=stream.republish,
            direct=bool(stream.allow_direct),
            limit_marker_ttl=stream.subject_delete_marker_ttl or None,
            mirror=stream.mirror,
            sources=stream.sources,
            compression=stream.compression is StoreCompression.S2,
            metadata=stream.metadata,
        )

    def stream_config(self, base: StreamConfig | None = None) -> StreamConfig:
        """The stream to ask for; what a bucket says nothing about stays as in `base`."""
        return (base or StreamConfig()).evolve(
            name=self.stream,
            description=self.description,
            subjects=None if self.mirror else [f"$KV.{self.bucket}.>"],
            max_msgs_per_subject=self.history,
            max_bytes=self.max_bytes,
            max_age=self.ttl,
            max_msg_size=self.max_value_size,
            storage=self.storage,
            num_replicas=self.replicas,
            placement=self.placement,
            republish=self.republish,
            discard=DiscardPolicy.NEW,
            duplicate_window=min(self.ttl or DUPLICATE_WINDOW_S, DUPLICATE_WINDOW_S),
            deny_delete=True,
            allow_rollup_hdrs=True,
            allow_direct=self.direct,
            allow_msg_ttl=True,  # so that every bucket takes `create(msg_ttl=…)`, as nats-py's do
            subject_delete_marker_ttl=self.limit_marker_ttl,
            mirror=self.mirror and _of_bucket(self.mirror),
            mirror_direct=True if self.mirror else None,
            sources=self.sources and [self._source(source) for source in self.sources],
            compression=StoreCompression.S2 if self.compression else None,
            metadata=self.metadata,
        )

    def _source(self, source: StreamSource) -> StreamSource:
        """A source whose keys become keys of this bucket; one that says how stays as it is."""
        named = _of_bucket(source)
        if source.subject_transforms:
            return source
        origin = named.name.removeprefix(PREFIX)
        if origin == self.bucket:  # of another domain or account; the keys are right already
            return named
        keys = SubjectTransform(f"$KV.{origin}.>", f"$KV.{self.bucket}.>")
        return named.evolve(subject_transforms=[keys])


def _of_bucket(source: StreamSource) -> StreamSource:
    if not isinstance(source, StreamSource):
        raise InvalidOption("mirror or sources", f"of StreamSource, not {source!r}")
    return source.evolve(name=PREFIX + source.name.removeprefix(PREFIX))


def _bound(value: int | None) -> int | None:
    """A bound of the server, where -1 is none."""
    return value if value is not None and value >= 0 else None
