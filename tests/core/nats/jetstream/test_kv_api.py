"""Buckets: what is asked of the server to make, find, change and delete them."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core.errors import Unsupported
from agents_core.nats.jetstream import KeyValueConfig
from agents_core.nats.jetstream.errors import (
    BucketNotFound,
    InvalidBucketName,
    InvalidOption,
)
from agents_core.nats.jetstream.kv_errors import BadBucket
from tests.core.nats.jetstream.bucket import NO_STREAM, STREAM, stream
from tests.core.nats.jetstream.fake import jetstream

ACCOUNT: dict[str, Any] = {"memory": 0, "storage": 0, "streams": 0, "consumers": 0, "limits": {}}


async def test_a_bucket_is_made_of_a_configuration_and_fields() -> None:
    async with jetstream() as (js, server):
        server.answers["STREAM.CREATE"] = STREAM
        kv = await js.create_key_value(KeyValueConfig(bucket="x", history=3), bucket="b", ttl=5)
        assert kv.bucket == "b"
        request = await server.expect("STREAM.CREATE")
        assert request.operation == "STREAM.CREATE.KV_b"
        assert request.body["max_msgs_per_subject"] == 3
        assert request.body["max_age"] == 5_000_000_000
        assert await server.none("INFO")  # nothing needs a newer server
        with pytest.raises(InvalidBucketName):
            await js.create_key_value(bucket="no bucket")
        with pytest.raises(InvalidOption):
            await js.create_key_value(bucket="b", history=65)


@pytest.mark.parametrize("level", [0, 1, 5])
async def test_markers_need_a_server_that_has_them(level: int) -> None:
    async with jetstream() as (js, server):
        server.answers["STREAM"] = STREAM
        server.answers["INFO"] = ACCOUNT | {"api": {"level": level}}
        if level:
            await js.create_key_value(bucket="b", limit_marker_ttl=2)
            request = await server.expect("STREAM.CREATE")
            assert request.body["subject_delete_marker_ttl"] == 2_000_000_000
            await js.update_key_value(bucket="b", limit_marker_ttl=3)
        else:
            for call in (js.create_key_value, js.update_key_value):
                with pytest.raises(Unsupported, match=r"2\.11"):
                    await call(bucket="b", limit_marker_ttl=2)
            assert await server.none("STREAM.CREATE")
            assert await server.none("STREAM.UPDATE")


async def test_a_change_keeps_what_it_does_not_name() -> None:
    async with jetstream() as (js, server):
        server.answers["STREAM.INFO"] = stream(max_bytes=500, max_msgs=9, newer="word")
        server.answers["STREAM.UPDATE"] = STREAM
        await js.update_key_value(bucket="b", history=2)
        body = (await server.expect("STREAM.UPDATE.KV_b")).body
        assert (body["max_msgs_per_subject"], body["max_bytes"]) == (2, 500)
        assert (body["max_msgs"], body["newer"]) == (9, "word")
        await js.update_key_value(KeyValueConfig(bucket="b"), description="all new")
        body = (await server.expect("STREAM.UPDATE.KV_b")).body
        assert body["description"] == "all new"
        assert "max_bytes" not in body


async def test_a_bucket_is_changed_or_made() -> None:
    async with jetstream() as (js, server):
        server.answers["STREAM.INFO"] = [STREAM, NO_STREAM]
        server.answers["STREAM.UPDATE"] = server.answers["STREAM.CREATE"] = STREAM
        await js.create_or_update_key_value(bucket="b")
        await server.expect("STREAM.UPDATE")
        await js.create_or_update_key_value(bucket="b")
        await server.expect("STREAM.CREATE")


async def test_a_bucket_that_is_not_there_or_is_none() -> None:
    async with jetstream() as (js, server):
        server.answers["STREAM"] = NO_STREAM
        for call in (js.key_value("b"), js.update_key_value(bucket="b"), js.delete_key_value("b")):
            with pytest.raises(BucketNotFound, match="no bucket 'b'"):
                await call
        for call in (
            js.key_value("a.b"),
            js.delete_key_value("a.b"),
            js.update_key_value(history=2),
            js.create_or_update_key_value(history=2),
        ):
            with pytest.raises(InvalidBucketName):
                await call
        server.answers["STREAM"] = stream(max_msgs_per_subject=-1)
        with pytest.raises(BadBucket):
            await js.key_value("b")
        server.answers["STREAM"] = {"success": True}
        assert await js.delete_key_value("b")
        await server.expect("STREAM.DELETE.KV_b")


async def test_the_buckets_among_the_streams() -> None:
    async with jetstream() as (js, server):
        server.answers["STREAM.NAMES"] = {"streams": ["KV_a", "ORDERS", "KV_b"], "total": 3}
        assert await js.key_value_bucket_names() == ["a", "b"]
        other = {"config": {"name": "ORDERS"}, "state": {}}
        nameless: dict[str, Any] = {"config": {}, "state": {}}
        server.answers["STREAM.LIST"] = {"streams": [other, STREAM, nameless], "total": 3}
        (status,) = await js.key_value_buckets()
        assert (status.bucket, status.values, status.history) == ("b", 3, 5)
