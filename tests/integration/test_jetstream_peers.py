"""JetStream with other servers, and beside nats-py as another client."""

from __future__ import annotations

import asyncio
from pathlib import Path

import nats as nats_py
import pytest

from agents_core import nats
from agents_core.ids import unique
from agents_core.localbus import LocalBus
from agents_core.nats.jetstream import (
    ConsumerConfig,
    JetStreamContext,
)
from agents_core.nats.jetstream.errors import (
    JetStreamNotEnabled,
    NoStreamResponse,
)
from agents_server.nats_server import NatsServer
from tests.integration.streams import BUSES, fill, jetstream, stream

pytestmark = pytest.mark.nats
ROOT = Path(__file__).parents[2]


@BUSES
async def test_acknowledgements_of_the_second_form(tmp_path: Path, kind: str) -> None:
    server = NatsServer(tmp_path / "nats", extra="feature_flags { js_ack_fc_v2: true }")
    server.start()
    try:
        async with stream(server, kind) as (js, name):
            await fill(js, name, 10)
            subscription = await js.pull_subscribe(f"{name}.a", "d")
            (msg,) = await subscription.fetch()
            assert len(msg.reply.split(".")) >= 11
            assert (msg.metadata.stream, msg.metadata.consumer) == (name, "d")
            assert (msg.metadata.sequence, msg.metadata.num_pending) == ((1, 1), 9)
            assert msg.metadata.domain is None
            await msg.ack_sync()
            async with await subscription.consume() as messages:
                async for msg in messages:
                    msg.ack()
                    if msg.metadata.num_pending == 0:
                        break
            seen = []
            async with await js.ordered_consumer(name) as ordered:
                async for msg in ordered:
                    seen.append(msg.metadata.sequence.stream)
                    if ordered.num_pending == 0:
                        break
            assert seen == list(range(1, 11))
            while (await subscription.consumer_info()).ack_floor.stream_seq < 10:
                await asyncio.sleep(0)
    finally:
        server.kill()


async def test_a_domain(tmp_path: Path) -> None:
    folder = (tmp_path / "store").as_posix()
    extra = f'jetstream {{ store_dir: "{folder}", domain: hub }}\n'
    server = NatsServer(tmp_path / "nats", extra=extra)
    server.start()
    try:
        async with jetstream(server, domain="hub") as js:
            assert js.prefix == "$JS.hub.API"
            assert (await js.account_info()).domain == "hub"
            await js.add_stream(name="s", subjects=["a"], allow_direct=True)
            ack = await js.publish("a", b"one")
            assert (ack.stream, ack.domain) == ("s", "hub")
            assert (await js.get_msg("s", 1, direct=True)).data == b"one"
            (msg,) = await (await js.pull_subscribe("a", "d")).fetch()
            await msg.ack_sync()
        async with jetstream(server, domain="other") as js:
            with pytest.raises(JetStreamNotEnabled):
                await js.account_info()
    finally:
        server.kill()


async def test_streams_of_another_account(tmp_path: Path) -> None:
    section = (ROOT / "docs" / "jetstream.md").read_text().partition("## Domains")[2]
    exports, imports = section.partition("```\n")[2].partition("```")[0].split("imports:")
    rules = f"""
accounts: {{
  A: {{ users: [ {{user: a, password: a}} ], jetstream: enabled, {exports} }}
  I: {{ users: [ {{user: i, password: i}} ], imports: {imports} }}
}}
"""
    server = NatsServer(tmp_path / "nats", extra=rules)
    server.start()
    try:
        away = await nats.connect(server.url, user="i", password="i")
        js = away.jetstream(prefix="fromA")
        await js.add_stream(name="s", subjects=["orders.>"])
        for _ in range(2):
            await js.publish("orders.new", b"one")
        for msg in await (await js.pull_subscribe("orders.new", "pulls")).fetch(2):
            await msg.ack_sync()
        wanted = ConsumerConfig(deliver_subject="deliver.billing")
        async with await js.subscribe(
            "orders.new", durable="pushes", config=wanted, flow_control=True
        ) as subscription:
            for _ in range(2):
                await (await subscription.next_msg(timeout=5)).ack_sync()
        for name in ("pulls", "pushes"):
            assert (await js.consumer_info("s", name)).ack_floor.stream_seq == 2
        await away.close()
    finally:
        server.kill()


@pytest.mark.parametrize("kind", ["tcp", "websocket"])
async def test_what_nats_py_stores_and_what_it_reads(nats_server: NatsServer, kind: str) -> None:
    peer = await nats_py.connect(nats_server.url)
    theirs = peer.jetstream()
    name = unique()
    try:
        async with jetstream(nats_server, kind) as js:
            await theirs.add_stream(
                name=name,
                subjects=[f"{name}.>"],
                max_age=60,
                allow_direct=True,
                metadata={"a": "b"},
            )
            config = (await js.stream_info(name)).config
            assert (config.max_age, config.allow_direct) == (60, True)
            await theirs.publish(f"{name}.a", b"theirs", headers={"K": "v"}, msg_ttl=None)
            await js.publish(f"{name}.a", b"ours", headers={"K": "w"})
            await js.update_stream(config, max_msgs=10)
            assert (await theirs.stream_info(name)).config.max_msgs == 10
            our_config = ConsumerConfig(ack_wait=10)
            subscription = await js.pull_subscribe(f"{name}.a", "shared", config=our_config)
            their_subscription = await theirs.pull_subscribe(f"{name}.a", "shared")
            assert (await their_subscription.consumer_info()).config.ack_wait == 10
            (theirs_first,) = await their_subscription.fetch(1)
            assert (theirs_first.data, theirs_first.headers) == (b"theirs", {"K": "v"})
            await theirs_first.ack_sync()
            (ours,) = await subscription.fetch()
            assert (ours.data, ours.headers["K"]) == (b"ours", "w")
            assert ours.metadata.sequence.stream == 2
            await ours.ack_sync()
            assert (await their_subscription.consumer_info()).ack_floor.stream_seq == 2
            assert (await theirs.get_msg(name, 2, direct=True)).data == b"ours"
            async with await js.ordered_consumer(name) as messages:
                seen = []
                async for msg in messages:
                    seen.append(msg.data)
                    if len(seen) == 2:
                        break
            assert seen == [b"theirs", b"ours"]
    finally:
        await peer.close()


async def test_a_bus_without_jetstream() -> None:
    bus = LocalBus()
    js = JetStreamContext(bus)
    with pytest.raises(JetStreamNotEnabled, match="nobody answers"):
        await js.add_stream(name="s")
    with pytest.raises(NoStreamResponse):
        await js.publish("a")
    await bus.close()
