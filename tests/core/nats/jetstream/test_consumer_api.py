"""Consumers: subjects of requests, and what they say."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agents_core.nats.jetstream import ConsumerConfig
from agents_core.nats.jetstream.errors import ConsumerNotFound, InvalidName
from tests.core.nats.jetstream.fake import CONSUMER, NOT_FOUND, jetstream


@pytest.mark.parametrize(
    ("fields", "tail"),
    [
        ({"name": "c"}, "c"),
        ({"durable_name": "c"}, "c"),
        ({"name": "c", "filter_subject": "a.b"}, "c.a.b"),
        ({"name": "c", "filter_subject": "a.*"}, "c"),  # a wildcard can't be published to
        ({"name": "c", "filter_subject": "a.>"}, "c"),
        ({"name": "c", "filter_subject": "ü" * 1010}, "c"),  # the subject would be too long
        ({"name": "c", "filter_subjects": ["a", "b"]}, "c"),
    ],
)
async def test_the_subject_names_consumer_and_filter(fields: dict[str, str], tail: str) -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER"] = CONSUMER
        await js.add_consumer("s", ConsumerConfig(**fields))
        sent = await server.expect("CONSUMER.CREATE")
        assert sent.operation == f"CONSUMER.CREATE.s.{tail}"
        assert sent.body["stream_name"] == "s"
        assert sent.body["config"] == {"ack_policy": "explicit", "name": "c", **fields}
        assert "action" not in sent.body


async def test_a_consumer_without_a_name_gets_one() -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER"] = CONSUMER
        await js.create_consumer("s")
        sent = await server.expect("CONSUMER.CREATE")
        name = sent.body["config"]["name"]
        assert sent.operation == f"CONSUMER.CREATE.s.{name}"
        assert (len(name), sent.body["action"]) == (22, "create")
        await js.update_consumer("s", name="c", max_deliver=3)
        sent = await server.expect("CONSUMER.CREATE")
        assert (sent.body["action"], sent.body["config"]["max_deliver"]) == ("update", 3)


async def test_names_are_checked() -> None:
    async with jetstream() as (js, _):
        for call in (js.consumer_info("a.b", "c"), js.delete_consumer("s", "*")):
            with pytest.raises(InvalidName):
                await call


async def test_pause_and_resume() -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.PAUSE"] = {"paused": True, "pause_remaining": 1_500_000_000}
        paused = await js.pause_consumer("s", "c", datetime(2026, 1, 1, tzinfo=UTC))
        assert (paused.paused, paused.pause_remaining) == (True, 1.5)
        sent = await server.expect("CONSUMER.PAUSE.s.c")
        assert sent.body == {"pause_until": "2026-01-01T00:00:00Z"}
        await js.pause_consumer("s", "c", "2027-01-01T00:00:00Z")
        assert (await server.expect("CONSUMER.PAUSE")).body["pause_until"].startswith("2027")
        await js.resume_consumer("s", "c")
        assert (await server.expect("CONSUMER.PAUSE")).body["pause_until"].startswith("1970")


async def test_reset_asks_first_whether_there_is_one() -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.INFO"] = CONSUMER
        server.answers["CONSUMER.RESET"] = {**CONSUMER, "reset_seq": 7}
        reset = await js.reset_consumer("s", "c", 7)
        assert (reset.reset_seq, reset.info.name) == (7, "c")
        assert (await server.expect("CONSUMER.RESET.s.c")).body == {"seq": 7}
        await js.reset_consumer("s", "c")
        assert (await server.expect("CONSUMER.RESET.s.c")).body == {}
        server.answers["CONSUMER.INFO"] = NOT_FOUND
        with pytest.raises(ConsumerNotFound):
            await js.reset_consumer("s", "c")


async def test_lists_deletion_and_unpinning() -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.LIST"] = {"total": 1, "consumers": [CONSUMER]}
        assert [info.name for info in await js.consumers_info("s")] == ["c"]
        server.answers["CONSUMER.NAMES"] = {"total": 1, "consumers": ["c"]}
        assert await js.consumer_names("s") == ["c"]
        server.answers["CONSUMER.DELETE"] = {"success": True}
        assert await js.delete_consumer("s", "c")
        server.answers["CONSUMER.UNPIN"] = {}
        await js.unpin_consumer("s", "c", "g")
        assert (await server.expect("CONSUMER.UNPIN.s.c")).body == {"group": "g"}
