"""Watching: entries, the one None at the end of the initial data, silence, losses and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agents_core import jsonvalue
from agents_core.bus import Status
from agents_core.errors import ConnectionClosed
from agents_core.nats.jetstream import Entry, KeyWatcher, watch
from agents_core.nats.jetstream.errors import FetchTimeout, ServiceUnavailable, StreamNotFound
from tests.core.nats.jetstream.bucket import (
    NO_MESSAGE,
    NO_STREAM,
    Bucket,
    bucket,
    consumer,
    message,
    stream,
)
from tests.core.nats.jetstream.fake import CONSUMER, NOT_FOUND, Request, set_status, settle

DEL = {"KV-Operation": "DEL"}
BUSY = {"error": {"code": 503, "err_code": 10008, "description": "busy"}}


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is noticed soon."""
    monkeypatch.setattr(watch, "QUIET_S", 0.05)


@asynccontextmanager
async def watching(
    pending: int, keys: str | list[str] = ">", **options: Any
) -> AsyncIterator[tuple[Bucket, KeyWatcher, Request]]:
    """A watch of a bucket whose last message is 9, and its first request for messages."""
    async with bucket() as it:
        it.server.answers["CONSUMER.CREATE"] = consumer(pending)
        async with await it.kv.watch(keys, **options) as watcher:
            yield it, watcher, await it.server.pull()


async def keys_of(watcher: KeyWatcher, count: int) -> list[str | None]:
    """The keys of the next entries; None for the end of the initial data."""
    entries = [await watcher.updates(None) for _ in range(count)]
    return [entry and entry.key for entry in entries]


async def test_what_an_entry_is() -> None:
    async with watching(2) as (it, watcher, request):
        it.deliver(request, 1, "a.b", 4, b"one", pending=1)
        it.deliver(request, 2, "c", 9, b"", headers=DEL)
        entry = await watcher.updates()
        assert isinstance(entry, Entry)
        assert (entry.bucket, entry.key, entry.value) == ("b", "a.b", b"one")
        assert (entry.revision, entry.delta, entry.operation) == (4, 1, None)
        assert entry.created.isoformat() == "2023-11-14T22:13:20+00:00"
        marker = await watcher.updates()
        assert marker is not None
        assert (marker.value, marker.operation) == (b"", "DEL")
        assert await watcher.updates() is None


async def test_the_end_of_the_initial_data_is_told_once() -> None:
    async with watching(1) as (it, watcher, request):
        it.deliver(request, 1, "a", 4)
        it.deliver(request, 2, "b", 10)  # it is here already, but comes behind the end
        assert await keys_of(watcher, 3) == ["a", None, "b"]
        it.deliver(request, 3, "c", 11)
        assert await keys_of(watcher, 1) == ["c"]
        assert await it.server.none("STREAM.INFO")
        assert await it.server.none("CONSUMER.INFO")


async def test_an_empty_bucket_is_complete_at_once() -> None:
    async with watching(0) as (it, watcher, request):
        assert await watcher.updates() is None
        it.deliver(request, 1, "a", 10)
        assert await keys_of(watcher, 1) == ["a"]


async def test_the_end_is_also_told_behind_what_is_passed_over() -> None:
    async with watching(2, ignore_deletes=True) as (it, watcher, request):
        it.deliver(request, 1, "a", 4)
        it.deliver(request, 2, "b", 5, headers=DEL)
        it.deliver(request, 3, "c", 10, headers=DEL)
        it.deliver(request, 4, "d", 11)
        assert await keys_of(watcher, 3) == ["a", None, "d"]


async def test_iterating() -> None:
    async with watching(1, meta_only=True) as (it, watcher, request):
        it.deliver(request, 1, "a", 4, b"", headers={"Nats-Msg-Size": "7"})
        seen = []
        async for entry in watcher:
            seen.append(entry and (entry.key, entry.value))
            if entry is None:
                watcher.stop()
        assert seen == [("a", None), None]


async def test_a_replaced_key_comes_before_the_end() -> None:
    async with watching(2) as (it, watcher, request):
        it.server.answers["STREAM.INFO"] = stream(11, {"$KV.b.a": 1, "$KV.b.b": 1, "$KV.b.x": 1})
        it.deliver(request, 1, "a", 4)
        it.deliver(request, 2, "x", 10)  # new, and the server counts nothing behind it
        it.deliver(request, 3, "b", 11)  # was 5, but was replaced just before its turn
        it.deliver(request, 4, "y", 12)
        assert await keys_of(watcher, 5) == ["a", "x", "b", None, "y"]
        compared = await it.server.expect("STREAM.INFO")
        assert compared.body == {"subjects_filter": "$KV.b.>", "offset": 0}


async def test_keys_are_compared_for_each_pattern() -> None:
    async with watching(3, ["a.*", "b"]) as (it, watcher, request):
        it.server.answers["STREAM.INFO"] = [
            stream(10, {"$KV.b.a.1": 1}),
            stream(12, {"$KV.b.b": 1}),
        ]
        it.deliver(request, 1, "a.1", 9)
        it.deliver(request, 2, "b", 11)
        assert await keys_of(watcher, 3) == ["a.1", "b", None]


async def test_keys_that_cannot_be_compared_now_are_compared_later() -> None:
    async with watching(2) as (it, watcher, request):
        it.server.answers["STREAM.INFO"] = [BUSY, stream(11, {"$KV.b.a": 1, "$KV.b.c": 1})]
        it.deliver(request, 1, "a", 9)
        assert await keys_of(watcher, 1) == ["a"]
        waiting = asyncio.create_task(keys_of(watcher, 2))
        await it.server.expect("STREAM.INFO")
        await settle(it.server.bus)
        it.deliver(request, 2, "c", 11)
        assert await waiting == ["c", None]


async def test_keys_that_have_not_changed_since_a_revision_are_not_waited_for() -> None:
    async with watching(2, resume_from_revision=5) as (it, watcher, request):
        it.server.answers["STREAM.INFO"] = stream(11, {"$KV.b.old": 1, "$KV.b.a": 1, "$KV.b.b": 1})
        it.deliver(request, 1, "a", 6)
        it.deliver(request, 2, "b", 11)  # was 9
        it.deliver(request, 3, "b", 12)
        assert await keys_of(watcher, 4) == ["a", "b", None, "b"]
        assert await it.server.none("STREAM.INFO")


async def test_news_begin_at_once_although_the_connection_is_lost_first() -> None:
    async with watching(0, updates_only=True) as (it, watcher, _):
        it.server.answers["CONSUMER.CREATE"] = consumer(2, 9)
        set_status(it.js, Status.RECONNECTING)
        set_status(it.js, Status.CONNECTED)
        again = await it.server.pull()
        it.deliver(again, 1, "a", 10)
        it.deliver(again, 2, "b", 11)
        assert await keys_of(watcher, 3) == [None, "a", "b"]


# -- silence


@pytest.mark.usefixtures("quiet")
async def test_what_has_gone_before_its_turn_is_not_waited_for() -> None:
    async with watching(2) as (it, watcher, request):
        it.server.answers["CONSUMER.INFO"] = consumer(1)
        it.server.answers["CONSUMER.CREATE"] = consumer(0, 9)
        it.deliver(request, 1, "a", 4)
        assert await keys_of(watcher, 2) == ["a", None]
        created = await it.server.expect("CONSUMER.CREATE")
        assert created.body["config"]["opt_start_seq"] == 5
        it.deliver(await it.server.pull(), 1, "b", 10)
        assert await keys_of(watcher, 1) == ["b"]


@pytest.mark.usefixtures("quiet")
async def test_a_new_consumer_delivers_what_the_server_would_not() -> None:
    async with watching(3) as (it, watcher, request):
        it.server.answers["CONSUMER.INFO"] = consumer(1)
        it.server.answers["STREAM.INFO"] = stream(9, {"$KV.b.a": 1, "$KV.b.c": 1})
        it.server.answers["CONSUMER.CREATE"] = consumer(1, 4)
        it.deliver(request, 1, "a", 4)
        waiting = asyncio.create_task(keys_of(watcher, 3))
        it.deliver(await it.server.pull(), 1, "c", 9)
        assert await waiting == ["a", "c", None]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("answer", [NOT_FOUND, BUSY])
async def test_a_consumer_that_is_just_being_replaced_is_left_alone(answer: Any) -> None:
    async with watching(1) as (it, watcher, request):
        it.server.answers["CONSUMER.INFO"] = answer
        waiting = asyncio.create_task(keys_of(watcher, 2))
        for _ in range(2):
            await it.server.expect("CONSUMER.INFO")
        assert await it.server.none("CONSUMER.CREATE")
        it.deliver(request, 1, "a", 9)
        assert await waiting == ["a", None]


@pytest.mark.usefixtures("quiet")
async def test_silence_hinders_no_replacement_that_takes_longer() -> None:
    async with watching(2) as (it, watcher, request):
        it.server.answers["CONSUMER.INFO"] = consumer(1)  # of the old one: it is still there
        it.server.answers["CONSUMER.CREATE"] = [*[BUSY] * 4, consumer(0, 9)]
        it.deliver(request, 1, "a", 4)
        assert await keys_of(watcher, 2) == ["a", None]


@pytest.mark.usefixtures("quiet")
async def test_a_replica_that_lags_behind_is_waited_for() -> None:
    """The leader knows of a key that the server of the consumer has not yet."""
    async with bucket(num_replicas=3) as it:
        it.server.answers["CONSUMER.CREATE"] = consumer(1)
        it.server.answers["CONSUMER.INFO"] = CONSUMER
        it.server.answers["STREAM.MSG.GET"] = message("b", 9)
        async with await it.kv.watch(["a", "b"]) as watcher:
            assert (await it.server.expect("STREAM.MSG.GET")).body == {"last_by_subj": "$KV.b.a"}
            request = await it.server.pull()
            it.deliver(request, 1, "a", 4)
            assert await keys_of(watcher, 1) == ["a"]
            it.server.answers["CONSUMER.CREATE"] = consumer(0)
            told = asyncio.create_task(keys_of(watcher, 2))
            request = await it.server.pull()  # of a new consumer, after the silence
            it.server.answers["STREAM.INFO"] = stream(9, {"$KV.b.a": 1, "$KV.b.b": 1})
            it.deliver(request, 1, "b", 9)
            assert await told == ["b", None]


@pytest.mark.usefixtures("quiet")
async def test_what_a_replica_has_not_yet_may_be_gone_meanwhile() -> None:
    async with bucket(num_replicas=3) as it:
        it.server.answers["CONSUMER.CREATE"] = consumer(0)
        it.server.answers["CONSUMER.INFO"] = CONSUMER
        it.server.answers["STREAM.MSG.GET"] = [message("b", 9), NO_MESSAGE]
        async with await it.kv.watchall() as watcher:
            assert await watcher.updates() is None


async def test_a_slow_line_is_no_silence() -> None:
    async with watching(1) as (it, watcher, request):
        waiting = asyncio.create_task(keys_of(watcher, 2))
        asked = await it.server.expect("CONSUMER.INFO")
        it.deliver(request, 1, "a", 9)  # it was under way, so the answer comes behind it
        it.server.bus.publish(asked.reply, jsonvalue.dumps(consumer(0)))
        assert await waiting == ["a", None]
        assert await it.server.none("CONSUMER.CREATE")


# -- losses and ends


async def test_after_a_lost_connection_it_goes_on() -> None:
    async with watching(2) as (it, watcher, request):
        it.deliver(request, 1, "a", 4)
        it.server.answers["CONSUMER.CREATE"] = consumer(1, 4)
        it.server.answers["STREAM.INFO"] = stream(9, {"$KV.b.a": 1, "$KV.b.b": 1})
        set_status(it.js, Status.RECONNECTING)
        set_status(it.js, Status.CONNECTED)
        again = await it.server.pull()
        it.deliver(again, 1, "b", 9)
        it.deliver(again, 2, "c", 10)
        assert await keys_of(watcher, 4) == ["a", "b", None, "c"]
        it.server.answers["CONSUMER.CREATE"] = consumer(1, 10)
        set_status(it.js, Status.RECONNECTING)
        set_status(it.js, Status.CONNECTED)
        it.deliver(await it.server.pull(), 1, "d", 11)
        assert await keys_of(watcher, 1) == ["d"]


async def test_a_lost_connection_with_nothing_behind_it() -> None:
    async with watching(2) as (it, watcher, request):
        it.deliver(request, 1, "a", 4)
        assert await keys_of(watcher, 1) == ["a"]
        it.server.answers["CONSUMER.CREATE"] = consumer(0, 4)
        set_status(it.js, Status.RECONNECTING)
        set_status(it.js, Status.CONNECTED)
        await it.server.pull()
        assert await watcher.updates() is None


async def test_what_was_not_taken_comes_before_the_end() -> None:
    async with watching(2) as (it, watcher, request):
        it.deliver(request, 1, "a", 9)
        it.server.answers["CONSUMER.CREATE"] = consumer(0, 9)
        it.server.answers["STREAM.INFO"] = stream(9, {"$KV.b.a": 1})
        set_status(it.js, Status.RECONNECTING)
        set_status(it.js, Status.CONNECTED)
        await it.server.pull()
        assert watcher.pending_msgs == 1
        assert await keys_of(watcher, 2) == ["a", None]


async def test_nothing_comes_in_time() -> None:
    async with watching(1) as (it, watcher, request):
        with pytest.raises(FetchTimeout, match=r"within 0\.01 s"):
            await watcher.updates(0.01)
        it.deliver(request, 1, "a", 9)
        assert await keys_of(watcher, 2) == ["a", None]


async def test_stopping() -> None:
    async with watching(1) as (it, watcher, request):
        assert not watcher.ended
        it.deliver(request, 1, "a", 9)
        await watcher.stop()
        assert watcher.ended
        assert watcher.pending_msgs == 0
        assert [entry async for entry in watcher] == []
        with pytest.raises(ConnectionClosed):
            await watcher.updates()
        watcher.stop()
        await it.server.expect("CONSUMER.DELETE")


async def test_a_bucket_that_is_deleted() -> None:
    async with watching(0, error_cb=lambda _: None) as (it, watcher, request):
        assert await watcher.updates() is None
        it.server.answers["CONSUMER.CREATE"] = NO_STREAM
        waiting = asyncio.create_task(watcher.updates())
        it.server.say(request, 409, "Consumer Deleted")
        with pytest.raises(StreamNotFound):
            await waiting


async def test_a_watch_that_cannot_begin() -> None:
    async with bucket() as it:
        it.server.answers["CONSUMER.CREATE"] = BUSY
        with pytest.raises(ServiceUnavailable):
            await it.kv.watchall()
        watcher = KeyWatcher(it.js, "KV_b", "$KV.b.", [">"], lambda msg: pytest.fail(str(msg)))
        assert (watcher.pending_msgs, watcher.ended) == (0, False)
        watcher.stop()  # it was never opened
