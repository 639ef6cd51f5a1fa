"""What a bucket is told to be, and what it says of itself."""

from __future__ import annotations

from agents_core.nats.jetstream import (
    ObjectStoreConfig,
    ObjectStoreStatus,
    Placement,
    StorageType,
    StoreCompression,
    StreamInfo,
)


def test_a_configuration_is_that_of_a_stream() -> None:
    placement = Placement(cluster="c", tags=["t"])
    config = ObjectStoreConfig(
        bucket="b",
        description="d",
        ttl=60,
        max_bytes=1000,
        storage=StorageType.MEMORY,
        replicas=3,
        placement=placement,
        metadata={"k": "v"},
        compression=True,
    ).stream_config()
    assert (config.name, config.description, config.max_age) == ("OBJ_b", "d", 60)
    assert (config.max_bytes, config.storage, config.num_replicas) == (1000, "memory", 3)
    assert (config.placement, config.metadata) == (placement, {"k": "v"})
    assert config.compression is StoreCompression.S2
    assert ObjectStoreConfig("b", compression=False).stream_config().compression is None
    assert ObjectStoreConfig("b", max_bytes=0).stream_config().max_bytes == -1


def status(**config: object) -> ObjectStoreStatus:
    info = {"config": {"name": "OBJ_b", **config}, "state": {"bytes": 7}}
    return ObjectStoreStatus(StreamInfo.from_response(info), "b")


def test_a_status_reads_like_the_configuration() -> None:
    found = status(
        description="d",
        max_age=60_000_000_000,
        storage="memory",
        num_replicas=3,
        sealed=True,
        compression="s2",
        metadata={"k": "v"},
    )
    assert (found.bucket, found.description, found.ttl, found.size) == ("b", "d", 60, 7)
    assert (found.storage_type, found.replicas) == (StorageType.MEMORY, 3)
    assert (found.sealed, found.is_compressed) == (True, True)
    assert (found.metadata, found.backing_store) == ({"k": "v"}, "JetStream")
    assert (status().sealed, status().is_compressed, status().metadata) == (False, False, {})
