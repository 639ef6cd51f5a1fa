"""Key-value buckets against a real nats-server, over TCP, WebSocket and the nats-py bus."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents_core.errors import InvalidSubject
from agents_core.ids import unique
from agents_core.nats.jetstream import (
    KeyValueConfig,
    Operation,
    StorageType,
    StreamSource,
    SubjectTransform,
)
from agents_core.nats.jetstream.errors import (
    APIError,
    BucketNotFound,
    InvalidBucketName,
    InvalidOption,
    NoStreamResponse,
    StreamNameInUse,
    StreamNotFound,
    WrongLastSequence,
)
from agents_core.nats.jetstream.kv_errors import (
    BadBucket,
    InvalidKeyName,
    KeyDeleted,
    KeyNotFound,
    NoKeys,
)
from agents_core.nats.subject import SUBJECT_BYTES_MAX
from agents_server.nats_server import NatsServer
from tests.integration.buckets import brief, bucket, fill, initial, take
from tests.integration.streams import BUSES, gone, jetstream

pytestmark = pytest.mark.nats


# -- buckets


@BUSES
async def test_a_bucket_from_its_making_to_its_end(nats_server: NatsServer, kind: str) -> None:
    name = unique()
    async with jetstream(nats_server, kind) as js:
        config = KeyValueConfig(
            bucket=name,
            description="settings",
            history=5,
            ttl=60,
            max_value_size=1000,
            max_bytes=1_000_000,
            storage=StorageType.MEMORY,
            compression=True,
            metadata={"owner": "test"},
        )
        kv = await js.create_key_value(config)
        await kv.put("a", b"1")
        assert (await js.create_key_value(config)).bucket == name  # as good
        with pytest.raises(StreamNameInUse):
            await js.create_key_value(config, history=6)
        status = await (await js.key_value(name)).status()
        assert (status.bucket, status.values, status.history, status.ttl) == (name, 1, 5, 60)
        assert status.bytes > 0
        assert status.marker_ttl is None
        assert status.is_compressed
        assert status.metadata["owner"] == "test"
        assert status.config == config.evolve(metadata=status.metadata)
        stream = status.stream_info.config
        assert stream.subjects == [f"$KV.{name}.>"]
        assert (stream.duplicate_window, stream.discard) == (60, "new")
        assert stream.allow_direct
        assert stream.allow_rollup_hdrs
        assert stream.deny_delete
        with pytest.raises(APIError, match="size exceeds"):
            await kv.put("a", bytes(2000))
        await js.update_key_value(bucket=name, history=2, ttl=None)
        changed = (await kv.status()).config
        assert (changed.history, changed.ttl, changed.max_value_size) == (2, None, 1000)
        assert (await kv.status()).stream_info.config.duplicate_window == 120
        await js.create_or_update_key_value(config.evolve(history=3))
        assert (await kv.status()).history == 3
        assert name in await js.key_value_bucket_names()
        assert name in [status.bucket for status in await js.key_value_buckets()]
        assert await js.delete_key_value(name)
        assert name not in await js.key_value_bucket_names()
        for missing in (
            js.key_value(name),
            js.delete_key_value(name),
            js.update_key_value(config),
        ):
            with pytest.raises(BucketNotFound):
                await missing
        with pytest.raises(NoStreamResponse):
            await kv.put("a", b"1")
        with pytest.raises(StreamNotFound):
            await kv.status()
        await js.create_or_update_key_value(config)
        await (await js.key_value(name)).put("a", b"2")


async def test_what_cannot_be_a_bucket(nats_server: NatsServer) -> None:
    async with jetstream(nats_server) as js:
        for wrong in ("", "a.b", "a b", "ä", "*"):
            with pytest.raises(InvalidBucketName):
                await js.create_key_value(bucket=wrong)
            with pytest.raises(InvalidBucketName):
                await js.key_value(wrong)
        for history in (0, 65):
            with pytest.raises(InvalidOption):
                await js.create_key_value(bucket="b", history=history)
        name = unique()
        await js.add_stream(name=f"KV_{name}", subjects=[f"$KV.{name}.>"])
        with pytest.raises(BadBucket):
            await js.key_value(name)


# -- values


@BUSES
async def test_values_are_stored_read_and_deleted(nats_server: NatsServer, kind: str) -> None:
    async with bucket(nats_server, kind, history=5) as (kv, js):
        assert await kv.put("a.b", b"one") == 1
        assert await kv.put("a.b", b"two") == 2
        await kv.put("empty", b"")
        entry = await kv.get("a.b")
        assert (entry.bucket, entry.key, entry.value) == (kv.bucket, "a.b", b"two")
        assert (entry.revision, entry.delta, entry.operation) == (2, 0, None)
        assert abs(datetime.now(UTC) - entry.created) < timedelta(minutes=1)
        first = await kv.get("a.b", revision=1)
        assert (first.value, first.revision, first.delta) == (b"one", 1, None)
        assert (await kv.get("empty")).value == b""
        for missing in (kv.get("other"), kv.get("a.b", revision=3), kv.get("a.b", revision=99)):
            with pytest.raises(KeyNotFound):
                await missing
        assert await kv.delete("a.b")
        with pytest.raises(KeyDeleted) as deleted:
            await kv.get("a.b")
        assert (deleted.value.operation, deleted.value.revision) == ("DEL", 4)
        assert [brief(entry) for entry in await kv.history("a.b")] == [
            ("a.b", b"one", None),
            ("a.b", b"two", None),
            ("a.b", b"", Operation.DEL),
        ]
        assert [entry.delta for entry in await kv.history("a.b")] == [2, 1, 0]
        assert await kv.purge("a.b")
        assert [brief(entry) for entry in await kv.history("a.b")] == [
            ("a.b", b"", Operation.PURGE)
        ]
        with pytest.raises(KeyDeleted):
            await kv.get("a.b", revision=5)
        with pytest.raises(NoKeys):
            await kv.history("other")
        assert await kv.keys() == ["empty"]
        await gone(js, f"KV_{kv.bucket}")  # no consumer is left behind


@BUSES
async def test_a_key_is_created_once(nats_server: NatsServer, kind: str) -> None:
    async with bucket(nats_server, kind) as (kv, _):
        assert await kv.create("a", b"one") == 1
        with pytest.raises(WrongLastSequence):
            await kv.create("a", b"two")
        await kv.delete("a")
        assert await kv.create("a", b"three") == 3
        await kv.purge("a")
        assert await kv.create("a", b"four") == 5
        await kv.delete("a")

        async def attempt(number: int) -> int:
            try:
                return await kv.create("a", b"%d" % number)
            except WrongLastSequence:
                return 0

        revisions = await asyncio.gather(*(attempt(number) for number in range(20)))
        assert len([revision for revision in revisions if revision]) == 1
        assert (await kv.get("a")).revision == max(revisions)


@BUSES
async def test_the_first_of_several_changes_wins(nats_server: NatsServer, kind: str) -> None:
    async with bucket(nats_server, kind) as (kv, _):
        revision = await kv.update("a", b"one")
        assert await kv.update("a", b"two", last=revision) == 2
        for last in (None, 0, revision, 9):
            with pytest.raises(WrongLastSequence) as raised:
                await kv.update("a", b"three", last=last)
            assert raised.value.err_code in {10071, 10164}
            if last:
                with pytest.raises(WrongLastSequence):
                    await kv.delete("a", last=last)
                with pytest.raises(WrongLastSequence):
                    await kv.purge("a", last=last)
        assert (await kv.get("a")).value == b"two"
        await kv.delete("a", last=2)
        await kv.purge("a", last=3)
        with pytest.raises(KeyDeleted):
            await kv.get("a")


async def test_keys_that_can_be_and_cannot_be(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as (kv, _):
        for good in ("a", "A.b-c_d/e=f.9", "_k", "-", "x._kv"):
            await kv.put(good, b"v")
            assert (await kv.get(good)).key == good
        for bad in (
            "",
            ".a",
            "a.",
            "a..b",
            "a b",
            "a*",
            "*",
            "a.>",
            ">",
            "ä",
            "_kv",
            "_kv.a",
            "a\n",
        ):
            for call in (kv.put, kv.create, kv.update):
                with pytest.raises(InvalidKeyName):
                    await call(bad, b"v")
            for read in (kv.get, kv.delete, kv.purge, kv.history):
                with pytest.raises(InvalidKeyName):
                    await read(bad)
        for bad in ("a.>.b", "a*", ".a", "a..b", "a b"):
            with pytest.raises(InvalidKeyName):
                await kv.watch(bad)
        with pytest.raises(InvalidKeyName):
            await kv.watch([])
        await kv.put("_kv.own:one", b"v", validate_keys=False)
        assert (await kv.get("_kv.own:one", validate_keys=False)).value == b"v"
        with pytest.raises(InvalidSubject):
            await kv.put("a b", b"v", validate_keys=False)
        with pytest.raises(KeyNotFound):
            await kv.get("x.*", validate_keys=False)


async def test_a_key_of_any_length_that_can_be_stored_can_be_read(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as (kv, _):
        longest = SUBJECT_BYTES_MAX - len(f"$KV.{kv.bucket}.")
        key = "k" * longest
        await kv.put(key, b"v")
        assert (await kv.get(key)).value == b"v"
        assert [entry.value for entry in await kv.history(key)] == [b"v"]
        async with await kv.watch(key) as watcher:
            assert [entry.key for entry in await initial(watcher)] == [key]
        with pytest.raises(InvalidSubject):
            await kv.put(key + "k", b"v")


@BUSES
async def test_keys_with_filters(nats_server: NatsServer, kind: str) -> None:
    async with bucket(nats_server, kind) as (kv, _):
        with pytest.raises(NoKeys):
            await kv.keys()
        for key in ("users.1.name", "users.1.mail", "users.2.name", "groups.1", "users.3.name"):
            await kv.put(key, b"v")
        await kv.delete("users.3.name")
        assert set(await kv.keys("users.*.name")) == {"users.1.name", "users.2.name"}
        assert set(await kv.keys(["groups.>", "users.1.*"])) == {
            "groups.1",
            "users.1.name",
            "users.1.mail",
        }
        assert await kv.keys(["groups.1"]) == ["groups.1"]
        assert len(await kv.keys()) == 4
        with pytest.raises(NoKeys):
            await kv.keys("users.3.>")


@BUSES
async def test_ten_thousand_keys(nats_server: NatsServer, kind: str) -> None:
    async with bucket(nats_server, kind, storage=StorageType.MEMORY) as (kv, js):
        keys = await fill(kv, js, 10_000)
        assert set(await kv.keys()) == set(keys)
        async with await kv.watchall() as watcher:
            assert [entry.revision for entry in await initial(watcher)] == list(range(1, 10_001))


# -- time to live, and what is left of deleted keys


async def test_a_key_that_expires(nats_server: NatsServer) -> None:
    async with bucket(nats_server, limit_marker_ttl=60) as (kv, _):
        assert (await kv.status()).marker_ttl == 60
        async with await kv.watchall() as watcher:
            assert await initial(watcher) == []
            await kv.create("a", b"one", msg_ttl=1)
            await kv.put("b", b"two")
            assert [brief(entry) for entry in await take(watcher, 3)] == [
                ("a", b"one", None),
                ("b", b"two", None),
                ("a", b"", Operation.PURGE),
            ]
        with pytest.raises(KeyDeleted):
            await kv.get("a")
        assert await kv.keys() == ["b"]
        assert await kv.create("a", b"again") == 4


async def test_a_bucket_whose_keys_expire(nats_server: NatsServer) -> None:
    async with bucket(nats_server, ttl=1, limit_marker_ttl=1) as (kv, js):
        assert (await kv.status()).stream_info.config.duplicate_window == 1
        async with await kv.watchall(ignore_deletes=True) as values, await kv.watchall() as all_:
            await kv.put("a", b"one")
            assert await initial(all_) == []
            assert [brief(entry) for entry in await take(all_, 2)] == [
                ("a", b"one", None),
                ("a", b"", Operation.PURGE),
            ]
            while (await kv.status()).values:  # the marker goes, too
                await asyncio.sleep(0.05)
            await kv.put("b", b"two")
            assert [entry.key for entry in await take(values, 2)] == ["a", "b"]
        with pytest.raises(KeyNotFound):
            await kv.get("a")
        await js.update_key_value(bucket=kv.bucket, limit_marker_ttl=5)
        assert (await kv.status()).marker_ttl == 5


async def test_a_purge_whose_marker_expires(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as (kv, _):
        await kv.put("a", b"one")
        await kv.purge("a", msg_ttl=1)
        assert (await kv.status()).values == 1
        while (await kv.status()).values:
            await asyncio.sleep(0.05)
        with pytest.raises(KeyNotFound) as raised:
            await kv.get("a")
        assert type(raised.value) is KeyNotFound
        assert await kv.update("a", b"two", last=0) == 3
        with pytest.raises(APIError, match="TTL"):
            await kv.create("b", b"v", msg_ttl=0.5)


async def test_what_is_left_of_deleted_keys_is_removed(nats_server: NatsServer) -> None:
    async with bucket(nats_server, history=5) as (kv, js):
        for _ in range(3):
            await kv.put("old", b"v")
            await kv.put("kept", b"v")
        await kv.delete("old")
        await kv.purge_deletes()
        assert [entry.operation for entry in await kv.history("old")] == ["DEL"]  # it is young
        assert len(await kv.history("kept")) == 3
        purge = js.purge_stream

        async def meanwhile(*arguments: Any, **options: Any) -> bool:
            await kv.put("old", b"new")
            return await purge(*arguments, **options)

        js.purge_stream = meanwhile  # type: ignore[method-assign]
        await kv.purge_deletes(olderthan=0)
        assert [brief(entry) for entry in await kv.history("old")] == [("old", b"new", None)]
        del js.purge_stream
        await kv.delete("old")
        await kv.purge_deletes(olderthan=0)
        with pytest.raises(NoKeys):
            await kv.history("old")


# -- copies


async def test_a_mirror(nats_server: NatsServer) -> None:
    async with bucket(nats_server, history=3) as (origin, js):
        await origin.put("a", b"one")
        name = unique()
        await js.create_key_value(bucket=name, mirror=StreamSource(origin.bucket))
        mirror = await js.key_value(name)
        config = (await mirror.status()).stream_info.config
        assert config.mirror is not None
        assert (config.mirror.name, config.mirror_direct) == (f"KV_{origin.bucket}", True)
        assert name in await js.key_value_bucket_names()
        async with await mirror.watchall() as watcher:
            while (await mirror.status()).values < 1:
                await asyncio.sleep(0)
            assert await mirror.keys() == ["a"]
            assert (await mirror.get("a")).value == b"one"
            assert await mirror.put("b", b"two") == 2  # in the origin
            while (await mirror.status()).values < 2:  # for which the mirror answers, too
                await asyncio.sleep(0)
            assert (await origin.get("b")).value == b"two"
            await mirror.delete("a")
            assert [brief(entry) for entry in await take(watcher, 3)] == [
                ("a", b"one", None),
                ("b", b"two", None),
                ("a", b"", Operation.DEL),
            ]
        with pytest.raises(WrongLastSequence):
            await mirror.update("b", b"three", last=1)


async def test_buckets_merged_into_one(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as (one, js):
        other = await js.create_key_value(bucket=unique())
        events, name = unique(), unique()
        await js.add_stream(name=events, subjects=[f"{events}.>"])
        to_keys = SubjectTransform(f"{events}.*", f"$KV.{name}.event.{{{{wildcard(1)}}}}")
        merged = await js.create_key_value(
            bucket=name,
            sources=[
                StreamSource(one.bucket),
                StreamSource(f"KV_{other.bucket}"),
                StreamSource(events, subject_transforms=[to_keys]),
            ],
        )
        await one.put("a", b"1")
        await other.put("b", b"2")
        await js.publish(f"{events}.c", b"3")
        await merged.put("d", b"4")
        while (await merged.status()).values < 4:
            await asyncio.sleep(0)
        assert set(await merged.keys()) == {"a", "b", "event.c", "d"}
        assert (await merged.get("b")).value == b"2"
        assert (await merged.status()).config.sources is not None
        await js.update_key_value(bucket=name, description="three in one")
        assert set(await merged.keys()) == {"a", "b", "event.c", "d"}
