"""Values by key: what goes to the server, and what its answers mean."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest

from agents_core import jsonvalue
from agents_core.nats.jetstream import KeyValue, StreamConfig, StreamSource
from agents_core.nats.jetstream.errors import APIError, InvalidOption, WrongLastSequence
from agents_core.nats.jetstream.kv import CREATE_ATTEMPTS
from agents_core.nats.jetstream.kv_errors import (
    InvalidKeyName,
    KeyDeleted,
    KeyNotFound,
    NoKeys,
)
from agents_core.nats.jetstream.stream import ExternalStream
from tests.core.nats.jetstream.bucket import (
    NO_MESSAGE,
    WRONG,
    WRONG_CONSTANT,
    Bucket,
    bucket,
    consumer,
)
from tests.core.nats.jetstream.fake import jetstream


def held(key: str, seq: int, data: bytes = b"v", **headers: str) -> Any:
    """An answer to `STREAM.MSG.GET`."""
    message = {
        "subject": f"$KV.b.{key}",
        "seq": seq,
        "data": b64encode(data).decode(),
        "time": "2026-11-24T06:00:00.123456789Z",
    }
    if headers:
        lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
        message["hdrs"] = b64encode(f"NATS/1.0\r\n{''.join(lines)}\r\n".encode()).decode()
    return {"message": message}


DELETED = held("a", 6, b"", KV_Operation="DEL")


async def test_what_a_value_is() -> None:
    async with bucket() as it:
        it.server.answers["STREAM.MSG.GET"] = held("a", 4, b"one")
        entry = await it.kv.get("a")
        assert (await it.server.expect("STREAM.MSG.GET")).body == {"last_by_subj": "$KV.b.a"}
        assert (entry.bucket, entry.key, entry.value) == ("b", "a", b"one")
        assert (entry.revision, entry.delta, entry.operation) == (4, 0, None)
        assert entry.created == datetime(2026, 11, 24, 6, 0, 0, 123456, UTC)
        assert (await it.kv.get("a", revision=4)).delta is None
        assert (await it.server.expect("STREAM.MSG.GET")).body == {"seq": 4}
        with pytest.raises(KeyNotFound, match="bucket 'b' has no key 'c'"):
            await it.kv.get("c", revision=4)  # that revision is another key's
        it.server.answers["STREAM.MSG.GET"] = NO_MESSAGE
        with pytest.raises(KeyNotFound):
            await it.kv.get("a")


@pytest.mark.parametrize(
    ("headers", "operation"),
    [
        ({"KV_Operation": "DEL"}, "DEL"),
        ({"KV_Operation": "PURGE"}, "PURGE"),
        ({"Nats_Marker_Reason": "MaxAge"}, "PURGE"),
        ({"Nats_Marker_Reason": "Remove"}, "DEL"),
    ],
)
async def test_a_marker_is_no_value(headers: dict[str, str], operation: str) -> None:
    async with bucket() as it:
        it.server.answers["STREAM.MSG.GET"] = held("a", 6, b"", **headers)
        with pytest.raises(KeyDeleted) as raised:
            await it.kv.get("a")
        assert raised.value.data() == {
            "code": 404,
            "err_code": 0,
            "description": "",
            "bucket": "b",
            "key": "a",
            "operation": operation,
            "revision": 6,
        }


async def test_a_bucket_with_direct_access_is_read_from_any_replica() -> None:
    async with bucket(allow_direct=True) as it:
        headers = {
            "Nats-Stream": "KV_b",
            "Nats-Subject": "$KV.b.a",
            "Nats-Sequence": "4",
            "Nats-Time-Stamp": "2026-11-24T06:00:00Z",
        }

        def answer(msg: Any) -> None:
            it.server.bus.publish(msg.reply, b"one", headers=headers)

        await it.server.bus.subscribe("$JS.API.DIRECT.GET.KV_b.$KV.b.a", cb=answer)
        await it.server.bus.subscribe("$JS.API.DIRECT.GET.KV_b", cb=answer)
        assert (await it.kv.get("a")).value == b"one"
        assert (await it.kv.get("a", revision=4)).value == b"one"


async def test_what_is_published() -> None:
    async with bucket() as it:
        assert await it.kv.put("a", b"one") == 7
        assert await it.kv.update("a", b"two", last=6) == 7
        assert await it.kv.update("a", b"three") == 7
        assert await it.kv.create("a", b"four", msg_ttl=30) == 7
        assert await it.kv.delete("a")
        assert await it.kv.delete("a", last=6)
        assert await it.kv.purge("a")
        assert await it.kv.purge("a", msg_ttl="1h", last=6)
        expected = "Nats-Expected-Last-Subject-Sequence"
        assert {msg.subject for msg in it.stored} == {"$KV.b.a"}
        assert [(msg.data, dict(msg.headers)) for msg in it.stored] == [
            (b"one", {}),
            (b"two", {expected: "6"}),
            (b"three", {expected: "0"}),
            (b"four", {expected: "0", "Nats-TTL": "30"}),
            (b"", {"KV-Operation": "DEL"}),
            (b"", {"KV-Operation": "DEL", expected: "6"}),
            (b"", {"KV-Operation": "PURGE", "Nats-Rollup": "sub"}),
            (
                b"",
                {
                    "KV-Operation": "PURGE",
                    "Nats-Rollup": "sub",
                    expected: "6",
                    "Nats-TTL": "1h",
                },
            ),
        ]


@pytest.mark.parametrize("wrong", [True, 7.0, "x", -1])
async def test_a_revision_is_a_whole_number(wrong: Any) -> None:
    async with bucket() as it:
        for call in (it.kv.update("a", b"x", wrong), it.kv.delete("a", wrong)):
            with pytest.raises(InvalidOption):  # what the server says to it is that it is too late
                await call
        assert it.stored == []


@pytest.mark.parametrize("refusal", [WRONG, WRONG_CONSTANT])
async def test_a_late_change_is_refused(refusal: Any) -> None:
    async with bucket() as it:
        it.answers.append(refusal)
        with pytest.raises(WrongLastSequence):
            await it.kv.update("a", b"v", last=6)


def sequences(it: Bucket) -> list[str]:
    return [msg.headers["Nats-Expected-Last-Subject-Sequence"] for msg in it.stored]


@pytest.mark.parametrize("refusal", [WRONG, WRONG_CONSTANT])
async def test_create_replaces_a_marker(refusal: Any) -> None:
    async with bucket(allow_direct=True) as it:
        it.server.answers["STREAM.MSG.GET"] = DELETED  # the leader's; a replica may lag behind
        it.answers.append(refusal)
        assert await it.kv.create("a", b"v") == 7
        assert sequences(it) == ["0", "6"]


async def test_create_by_a_copy_asks_its_origin_for_the_marker() -> None:
    far = "$JS.far.API"
    mirror = StreamSource("KV_o", external=ExternalStream(far))
    async with bucket(f"{far}.$KV") as it:
        it.server.answers["STREAM.MSG.GET"] = held("a", 4)  # the copy lags behind

        def answer(msg: Any) -> None:
            it.server.bus.publish(msg.reply, jsonvalue.dumps(DELETED))

        await it.server.bus.subscribe(f"{far}.STREAM.MSG.GET.KV_o", cb=answer)
        it.answers.append(WRONG)
        copy = KeyValue(it.js, "b", StreamConfig(mirror=mirror))
        assert await copy.create("a", b"v") == 7
        assert sequences(it) == ["0", "6"]


async def test_create_refuses_a_key_that_has_a_value() -> None:
    async with bucket() as it:
        it.server.answers["STREAM.MSG.GET"] = held("a", 6)
        it.answers.append(WRONG)
        with pytest.raises(WrongLastSequence):
            await it.kv.create("a", b"v")
        assert sequences(it) == ["0"]


async def test_create_of_a_key_whose_marker_changes_has_few_attempts() -> None:
    async with bucket() as it:
        it.server.answers["STREAM.MSG.GET"] = [DELETED, NO_MESSAGE]
        it.answers.extend([WRONG] * CREATE_ATTEMPTS)
        with pytest.raises(WrongLastSequence):
            await it.kv.create("a", b"v")
        assert sequences(it) == ["0", "6", "0"]  # the marker has gone before the last one


async def test_other_refusals_are_passed_on() -> None:
    async with bucket() as it:
        it.answers.append({"error": {"code": 400, "err_code": 10166, "description": "no TTL"}})
        with pytest.raises(APIError, match="no TTL"):
            await it.kv.create("a", b"v", msg_ttl=1)


async def test_keys_are_checked_unless_that_is_left_to_the_server() -> None:
    async with bucket() as it:
        for call in (
            it.kv.get("a b"),
            it.kv.put("a b", b""),
            it.kv.create("a b", b""),
            it.kv.update("a b", b""),
            it.kv.delete("a b"),
            it.kv.purge("a b"),
            it.kv.history("a b"),
            it.kv.watch("a b"),
            it.kv.keys("a b"),
        ):
            with pytest.raises(InvalidKeyName):
                await call
        assert it.stored == []
        await it.kv.put("a:b", b"", validate_keys=False)
        await it.kv.create("a:b", b"", validate_keys=False)
        await it.kv.update("a:b", b"", validate_keys=False)
        await it.kv.delete("a:b", validate_keys=False)
        await it.kv.purge("a:b", validate_keys=False)
        assert {msg.subject for msg in it.stored} == {"$KV.b.a:b"}


async def test_where_a_bucket_is_written() -> None:
    async with jetstream(prefix="from.A") as (js, _), jetstream(domain="hub") as (other, _):
        external = ExternalStream(api="$JS.far.API")
        origin = StreamSource("KV_o")
        for context, config, prefix, target in (
            (js, {}, "$KV.b.", "from.A.$KV.b."),
            (other, {}, "$KV.b.", "$JS.hub.API.$KV.b."),
            (other, {"mirror": origin}, "$KV.o.", "$JS.hub.API.$KV.o."),
            (other, {"mirror": origin.evolve(external=external)}, "$KV.o.", "$JS.far.API.$KV.o."),
            (
                other,
                {"mirror": origin.evolve(external=ExternalStream(""))},
                "$KV.o.",
                "$JS.hub.API.$KV.o.",
            ),
        ):
            kv = KeyValue(context, "b", StreamConfig(**config))
            assert (kv._prefix, kv._target) == (prefix, target)


async def test_status_and_the_names_of_nats_py() -> None:
    async with bucket() as it:
        status = await it.kv.status()
        assert isinstance(status, KeyValue.BucketStatus)
        assert (status.bucket, status.values) == ("b", 3)
        it.server.answers["STREAM.MSG.GET"] = held("a", 4)
        assert isinstance(await it.kv.get("a"), KeyValue.Entry)


# -- what is read by a watch


async def test_nothing_to_list() -> None:
    async with bucket() as it:
        it.server.answers["CONSUMER.CREATE"] = consumer(0)
        with pytest.raises(NoKeys, match="has no such keys"):
            await it.kv.keys()
        with pytest.raises(NoKeys):
            await it.kv.history("a")
        assert await it.kv.purge_deletes()


async def test_the_history_of_a_key_ends_with_the_initial_data() -> None:
    async with bucket() as it:
        it.server.answers["CONSUMER.CREATE"] = consumer(2)
        reading = asyncio.create_task(it.kv.history("a"))
        request = await it.server.pull()
        it.deliver(request, 1, "a", 4, b"one", pending=1)
        it.deliver(request, 2, "a", 9, b"", headers={"KV-Operation": "DEL"})
        it.deliver(request, 3, "a", 10, b"later")
        assert [(entry.value, entry.operation) for entry in await reading] == [
            (b"one", None),
            (b"", "DEL"),
        ]


async def test_a_key_that_is_deleted_while_it_is_listed() -> None:
    async with bucket() as it:
        it.server.answers["CONSUMER.CREATE"] = consumer(3)
        listed = asyncio.create_task(it.kv.keys(["x.*", "a", "b"]))
        created = await it.server.expect("CONSUMER.CREATE")
        assert created.body["config"]["filter_subjects"] == ["$KV.b.x.*", "$KV.b.a", "$KV.b.b"]
        assert created.body["config"]["headers_only"] is True
        request = await it.server.pull()
        it.deliver(request, 1, "a", 4)
        it.deliver(request, 2, "b", 5)
        it.deliver(request, 3, "b", 8, headers={"KV-Operation": "DEL"})
        assert await listed == ["a"]


async def test_old_markers_go_with_what_is_before_them_and_young_ones_stay() -> None:
    async with bucket() as it:
        it.server.answers["CONSUMER.CREATE"] = consumer(3)
        it.server.answers["STREAM.PURGE"] = {"success": True}
        purging = asyncio.create_task(it.kv.purge_deletes(olderthan=1800))
        request = await it.server.pull()
        it.deliver(request, 1, "old", 4, headers={"KV-Operation": "DEL"})  # of 2023
        it.deliver(request, 2, "kept", 5)
        now = int(datetime.now(UTC).timestamp() * 1e9)
        it.deliver(request, 3, "young", 8, headers={"KV-Operation": "DEL"}, when=now)
        assert await purging
        bodies = [(await it.server.expect("STREAM.PURGE.KV_b")).body for _ in range(2)]
        assert bodies == [
            {"seq": 5, "filter": "$KV.b.old"},
            {"seq": 8, "filter": "$KV.b.young"},
        ]
        assert await it.server.none("STREAM.PURGE")


@pytest.mark.parametrize(("olderthan", "before"), [(1800.0, 4), (float("inf"), 4), (60.0, 5)])
async def test_a_marker_is_as_old_as_the_server_says(olderthan: float, before: int) -> None:
    async with bucket() as it:  # the markers are of 2023, and by our own clock it is later
        it.server.answers["STREAM.INFO"] |= {"ts": "2023-11-14T22:15:00Z"}  # 100 s later
        it.server.answers["CONSUMER.CREATE"] = consumer(1)
        it.server.answers["STREAM.PURGE"] = {"success": True}
        purging = asyncio.create_task(it.kv.purge_deletes(olderthan))
        request = await it.server.pull()
        it.deliver(request, 1, "a", 4, headers={"KV-Operation": "DEL"})
        assert await purging
        body = (await it.server.expect("STREAM.PURGE.KV_b")).body
        assert body == {"seq": before, "filter": "$KV.b.a"}
        with pytest.raises(ValueError, match="not a number of seconds"):
            await it.kv.purge_deletes(float("nan"))


@pytest.mark.parametrize(
    "options",
    [
        {"include_history": True, "updates_only": True},
        {"include_history": True, "resume_from_revision": 1},
        {"updates_only": True, "resume_from_revision": 1},
    ],
)
async def test_a_watch_has_one_beginning(options: dict[str, Any]) -> None:
    async with bucket() as it:
        with pytest.raises(InvalidOption):
            await it.kv.watchall(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, {"deliver_policy": "last_per_subject", "inactive_threshold": 300_000_000_000}),
        ({"include_history": True}, {"deliver_policy": "all"}),
        ({"updates_only": True}, {"deliver_policy": "new"}),
        (
            {"resume_from_revision": 7},
            {"deliver_policy": "by_start_sequence", "opt_start_seq": 7},
        ),
        ({"headers_only": True}, {"headers_only": True}),
        ({"meta_only": True}, {"headers_only": True}),
        ({"inactive_threshold": 9}, {"inactive_threshold": 9_000_000_000}),
    ],
)
async def test_what_a_watch_asks_for(options: dict[str, Any], said: dict[str, Any]) -> None:
    async with bucket() as it:
        it.server.answers["CONSUMER.CREATE"] = consumer(0)
        async with await it.kv.watch("a.*", **options):
            config = (await it.server.expect("CONSUMER.CREATE")).body["config"]
            assert config["filter_subject"] == "$KV.b.a.*"
            assert config == config | said
