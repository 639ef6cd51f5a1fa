"""Push consumers with other servers, and beside nats-py as another client."""

from __future__ import annotations

import asyncio
from pathlib import Path

import nats as nats_py
import pytest

from agents_core.ids import unique
from agents_core.nats.jetstream import JSMsg, StorageType
from agents_core.nats.jetstream.errors import ConsumerBound
from agents_server.nats_server import NatsServer
from tests.integration.pushed import Seen, acknowledged, acknowledged_to, numbers, unbound
from tests.integration.streams import BUSES, fill, stream

pytestmark = pytest.mark.nats


@BUSES
async def test_both_forms_of_acknowledgements_and_flow_control(tmp_path: Path, kind: str) -> None:
    server = NatsServer(tmp_path / "nats", extra="feature_flags { js_ack_fc_v2: true }")
    server.start()
    try:
        async with stream(server, kind, storage=StorageType.MEMORY) as (js, name):
            beside = await js.bus.subscribe("$JS.FC.>")
            replies: list[str] = []
            done = asyncio.Event()

            def take(msg: JSMsg) -> None:
                replies.append(msg.reply)
                if msg.metadata.num_pending == 0:
                    done.set()

            await fill(js, name, 20_000)
            async with await js.subscribe(
                f"{name}.a", cb=take, durable="d", flow_control=True, idle_heartbeat=0.2
            ):
                await done.wait()
                await acknowledged(js, name, "d")
            assert len(replies) == 20_000
            assert len(replies[0].split(".")) >= 11
            answer = await beside.next_msg()
            assert len(answer.subject.split(".")) >= 7
    finally:
        server.kill()


async def test_a_consumer_of_nats_py_and_one_for_it(nats_server: NatsServer) -> None:
    peer = await nats_py.connect(nats_server.url)
    theirs = peer.jetstream()
    try:
        async with stream(nats_server) as (js, name):
            await fill(js, name, 4)
            first = await theirs.subscribe(f"{name}.a", durable="d", idle_heartbeat=0.1)
            msg = await first.next_msg()
            await msg.ack_sync()
            with pytest.raises(ConsumerBound):
                await js.subscribe(f"{name}.a", durable="d")
            await first.unsubscribe()
            await unbound(js, name, "d")
            await js.reset_consumer(name, "d")
            async with await js.subscribe(f"{name}.a", durable="d") as second:
                assert await numbers(second, 2) == [1, 2]
                await acknowledged_to(js, name, "d", 3)
            await unbound(js, name, "d")
            await js.reset_consumer(name, "d")
            third = await theirs.subscribe(f"{name}.a", durable="d")
            assert (await third.next_msg()).data == b"3"
            await third.unsubscribe()
            # And one that we made, bound by its configuration.
            ours = await js.add_consumer(name, durable_name="o", deliver_subject=unique())
            found = await theirs.consumer_info(name, "o")
            bound = await theirs.subscribe_bind(name, found.config, "o")
            assert (await bound.next_msg()).data == b"0"
            await bound.unsubscribe()
            await unbound(js, name, "o")
            await js.reset_consumer(name, "o")
            again = await js.subscribe_bind(name, ours.config, "o")
            assert await numbers(again, 4) == [0, 1, 2, 3]
            await again.drain()
    finally:
        await peer.close()


async def test_a_group_is_shared_with_nats_py(nats_server: NatsServer) -> None:
    peer = await nats_py.connect(nats_server.url)
    try:
        async with stream(nats_server) as (js, name):
            ours, theirs = Seen(), Seen()
            subscription = await js.subscribe(f"{name}.a", queue="q", cb=ours.take)
            await peer.jetstream().subscribe(f"{name}.a", queue="q", cb=theirs.take_async)
            await peer.flush()
            await fill(js, name, 200)
            while len(ours) + len(theirs) < 200:
                await asyncio.sleep(0)
            assert sorted([*ours, *theirs]) == list(range(200))
            assert ours
            assert theirs
            await acknowledged(js, name, "q")
            await subscription.unsubscribe()
    finally:
        await peer.close()
