"""A bucket of objects: what it is told to be, and what it says of itself (ADR-20)."""

from __future__ import annotations

from dataclasses import dataclass

from agents_core.nats.jetstream.object_info import (
    chunks_subject,
    meta_prefix,
    stream_name,
)
from agents_core.nats.jetstream.stream import (
    DiscardPolicy,
    Placement,
    StorageType,
    StoreCompression,
    StreamConfig,
    StreamInfo,
)


@dataclass
class ObjectStoreConfig:
    """A bucket as it is wanted; named as in nats-py.

    Attributes:
        bucket: its name.
        description: for people.
        ttl: seconds that an object is kept; None for ever.
        max_bytes: for all objects together, with what is stored about them; what does not fit is
            refused.
        storage: in files, by default, or in memory.
        replicas: servers that hold it.
        placement: which servers may.
        metadata: a name maps to a value.
        compression: whether its files are compressed.
    """

    bucket: str | None = None
    description: str | None = None
    ttl: float | None = None
    max_bytes: int | None = None
    storage: StorageType | None = None
    replicas: int = 1
    placement: Placement | None = None
    metadata: dict[str, str] | None = None
    compression: bool | None = None

    def stream_config(self) -> StreamConfig:
        """The stream that is the bucket.

        Raises:
            InvalidBucketName: it can't be one.
        """
        bucket = self.bucket or ""
        return StreamConfig(
            name=stream_name(self.bucket),
            description=self.description,
            subjects=[chunks_subject(bucket, ">"), f"{meta_prefix(bucket)}>"],
            max_age=self.ttl,
            max_bytes=self.max_bytes or -1,
            storage=self.storage,
            num_replicas=self.replicas,
            placement=self.placement,
            discard=DiscardPolicy.NEW,
            allow_rollup_hdrs=True,
            allow_direct=True,
            metadata=self.metadata,
            compression=StoreCompression.S2 if self.compression else None,
        )


@dataclass(frozen=True, slots=True)
class ObjectStoreStatus:
    """A bucket as it is; named as in nats-py.

    Attributes:
        stream_info: the stream behind it.
        bucket: its name.
    """

    stream_info: StreamInfo
    bucket: str

    @property
    def description(self) -> str | None:
        """For people."""
        return self.stream_info.config.description

    @property
    def metadata(self) -> dict[str, str]:
        """What it was made with, and what the server adds under `_nats.`."""
        return self.stream_info.config.metadata or {}

    @property
    def ttl(self) -> float | None:
        """Seconds that an object is kept; 0 for ever."""
        return self.stream_info.config.max_age

    @property
    def storage_type(self) -> StorageType | None:
        """In files or in memory."""
        return self.stream_info.config.storage

    @property
    def replicas(self) -> int | None:
        """Servers that hold it."""
        return self.stream_info.config.num_replicas

    @property
    def sealed(self) -> bool:
        """Whether nothing in it can be changed any more."""
        return bool(self.stream_info.config.sealed)

    @property
    def size(self) -> int:
        """Bytes of all objects, with what is stored about them."""
        return self.stream_info.state.bytes

    @property
    def is_compressed(self) -> bool:
        """Whether its files are compressed."""
        return self.stream_info.config.compression == StoreCompression.S2

    @property
    def backing_store(self) -> str:
        """What holds the data."""
        return "JetStream"
