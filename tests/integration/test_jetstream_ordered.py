"""The ordered consumer against a real nats-server, over TCP, WebSocket and the nats-py bus."""

from __future__ import annotations

import pytest

from agents_core.errors import RequestTimeout
from agents_core.ids import unique
from agents_core.nats.jetstream import (
    DeliverPolicy,
)
from agents_core.nats.jetstream.errors import (
    StreamNotFound,
)
from agents_server.nats_server import NatsServer
from tests.integration.streams import BUSES, fill, gone, jetstream, restart, stream, waiting

pytestmark = pytest.mark.nats


@BUSES
async def test_a_stream_in_order(nats_server: NatsServer, kind: str) -> None:
    async with stream(nats_server, kind) as (js, name):
        await fill(js, name, 1200)
        async with await js.ordered_consumer(name) as messages:
            assert messages.num_pending == 1200
            found = []
            async for msg in messages:
                found.append(msg.metadata.sequence.stream)
                if messages.num_pending == 0:
                    break
        assert found == list(range(1, 1201))


async def test_an_ordered_consumer_begins_where_it_is_told(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        await fill(js, name, 3, "a")
        await fill(js, name, 3, "b")

        async def first(**options: object) -> tuple[int, int]:
            async with await js.ordered_consumer(name, **options) as messages:
                pending = messages.num_pending
                async for msg in messages:
                    return msg.metadata.sequence.stream, pending
            raise AssertionError

        assert await first() == (1, 6)
        assert await first(filter_subjects=f"{name}.b") == (4, 3)
        assert await first(filter_subjects=[f"{name}.b", f"{name}.c"]) == (4, 3)
        assert await first(deliver_policy=DeliverPolicy.LAST) == (6, 1)
        assert await first(deliver_policy=DeliverPolicy.LAST_PER_SUBJECT) == (3, 2)
        by_sequence = DeliverPolicy.BY_START_SEQUENCE
        assert await first(deliver_policy=by_sequence, opt_start_seq=5) == (5, 2)
        since = (await js.get_msg(name, 2)).time
        by_time = DeliverPolicy.BY_START_TIME
        assert await first(deliver_policy=by_time, opt_start_time=since) == (2, 5)
        await gone(js, name)
        with pytest.raises(StreamNotFound):
            await js.ordered_consumer(unique())


async def test_an_ordered_consumer_that_is_deleted_is_replaced(nats_server: NatsServer) -> None:
    made: list[str] = []
    errors: list[Exception] = []
    async with stream(nats_server) as (js, name):
        messages = await js.ordered_consumer(
            name,
            deliver_policy=DeliverPolicy.NEW,
            created_cb=lambda info: made.append(info.name),
            error_cb=errors.append,
        )
        await waiting(js, name, made[0])
        await js.delete_consumer(name, made[0])
        await fill(js, name, 3)  # the second one begins before these, although it is a new one
        found = []
        async for msg in messages:
            found.append(msg.metadata.sequence.stream)
            if len(found) == 3:
                messages.stop()
        assert found == [1, 2, 3]
        assert [type(error).__name__ for error in errors] == ["ConsumerDeleted"]
        assert len(made) == 2


@BUSES
async def test_an_ordered_consumer_outlives_its_server(
    own_nats_server: NatsServer, kind: str
) -> None:
    async with stream(own_nats_server, kind) as (js, name):
        await fill(js, name, 10)
        found: list[int] = []
        async with await js.ordered_consumer(name) as messages:
            async for msg in messages:
                found.append(msg.metadata.sequence.stream)
                if len(found) == 5:
                    await restart(own_nats_server, js.bus)
                    await fill(js, name, 5)
                if len(found) == 15:
                    break
        assert found == list(range(1, 16))


async def test_an_ordered_consumer_of_a_stream_that_goes(nats_server: NatsServer) -> None:
    async with jetstream(nats_server, timeout=1) as js:
        name = unique()
        await js.add_stream(name=name, subjects=[name])
        messages = await js.ordered_consumer(name, error_cb=lambda _: None)
        await waiting(js, name, (await js.consumer_names(name))[0])
        await js.delete_stream(name)
        with pytest.raises(StreamNotFound):
            async for _ in messages:
                pass
        assert messages.ended


async def test_no_answer_in_time(nats_server: NatsServer) -> None:
    async with jetstream(nats_server) as js:
        silent = unique()
        await js.bus.subscribe(silent)
        with pytest.raises(RequestTimeout):
            await js.publish(silent, timeout=0.01)
