"""A server that crashes again and again: nothing is lost that was acknowledged, and all arrives."""

from __future__ import annotations

import asyncio

import pytest

from agents_core.nats.jetstream import ConsumerConfig, JetStreamContext
from agents_server.nats_server import NatsServer
from tests.integration.streams import BUSES, jetstream, restart, stream

pytestmark = pytest.mark.nats
MESSAGES, CRASHES = 1200, 3


async def publish(js: JetStreamContext, name: str) -> None:
    """Each once, by its id, however often the connection is lost."""
    futures = [
        await js.publish_async(f"{name}.a", b"%d" % number, msg_id=str(number))
        for number in range(MESSAGES)
    ]
    await js.publish_async_completed()
    assert {future.result().stream for future in futures} == {name}


async def in_order(js: JetStreamContext, name: str, seen: list[int]) -> None:
    async with await js.ordered_consumer(name) as messages:
        async for msg in messages:
            seen.append(msg.metadata.sequence.stream)
            if len(seen) == MESSAGES:
                break


async def at_least_once(js: JetStreamContext, name: str, seen: set[int]) -> None:
    subscription = await js.pull_subscribe(f"{name}.a", "d", name, ConsumerConfig(ack_wait=1))
    async with await subscription.consume(max_messages=50) as messages:
        async for msg in messages:
            seen.add(msg.metadata.sequence.stream)
            msg.ack()
            if len(seen) == MESSAGES:
                break


@BUSES
async def test_crashes_while_publishing_and_reading(own_nats_server: NatsServer, kind: str) -> None:
    ordered: list[int] = []
    consumed: set[int] = set()
    async with (
        stream(own_nats_server, kind) as (js, name),
        jetstream(own_nats_server, kind, timeout=20) as publisher,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(in_order(js, name, ordered))
        tasks.create_task(at_least_once(js, name, consumed))
        tasks.create_task(publish(publisher, name))
        for crash in range(1, CRASHES + 1):
            while len(ordered) < crash * MESSAGES // (CRASHES + 1):
                await asyncio.sleep(0)
            await restart(own_nats_server, js.bus)
    assert ordered == list(range(1, MESSAGES + 1))
    assert consumed == set(ordered)
