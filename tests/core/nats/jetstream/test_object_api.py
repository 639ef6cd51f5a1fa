"""Buckets are made, found and deleted."""

from __future__ import annotations

import pytest

from agents_core.nats.jetstream import ObjectStoreConfig
from agents_core.nats.jetstream.errors import BucketNotFound, InvalidBucketName
from tests.core.nats.jetstream.fake_bucket import NO_STREAM, bucket


async def test_a_bucket_is_made_found_and_deleted() -> None:
    async with bucket() as (store, stream):
        js, asked = store._js, []
        stream.answers = lambda operation, body: asked.append((operation, body))
        assert (await js.create_object_store("b", description="d")).bucket == "b"
        config = ObjectStoreConfig(bucket="b", ttl=60)
        assert (await js.create_object_store(config=config, max_bytes=10)).bucket == "b"
        assert config == ObjectStoreConfig(bucket="b", ttl=60)
        assert (await js.create_object_store("b", ObjectStoreConfig("other"))).bucket == "b"
        assert (await js.object_store("b")).bucket == "b"
        assert await js.delete_object_store("b")
        operations = [operation for operation, _ in asked]
        assert operations == [
            "STREAM.CREATE.OBJ_b",
            "STREAM.CREATE.OBJ_b",
            "STREAM.CREATE.OBJ_b",
            "STREAM.INFO.OBJ_b",
            "STREAM.DELETE.OBJ_b",
        ]
        made = [body for _, body in asked]
        assert made[0] == {
            "name": "OBJ_b",
            "description": "d",
            "subjects": ["$O.b.C.>", "$O.b.M.>"],
            "max_bytes": -1,
            "num_replicas": 1,
            "discard": "new",
            "allow_rollup_hdrs": True,
            "allow_direct": True,
        }
        assert (made[1]["max_age"], made[1]["max_bytes"]) == (60_000_000_000, 10)


async def test_there_is_no_such_bucket() -> None:
    async with bucket() as (store, stream):
        stream.answers = lambda operation, body: NO_STREAM
        for call in (store._js.object_store("b"), store._js.delete_object_store("b")):
            with pytest.raises(BucketNotFound, match="no bucket 'b'"):
                await call


@pytest.mark.parametrize("name", [None, "", "a.b", "a b", "x" * 252, ">"])
async def test_what_is_no_name(name: str | None) -> None:
    async with bucket() as (store, _):
        for call in (
            store._js.create_object_store(name),
            store._js.object_store(name),
            store._js.delete_object_store(name),
        ):
            with pytest.raises(InvalidBucketName):
                await call
