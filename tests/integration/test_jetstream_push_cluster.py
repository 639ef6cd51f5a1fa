"""Push consumers in a cluster that loses servers and changes its leaders."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agents_core import nats
from agents_core.nats.jetstream import ConsumerConfig, JSMsg
from agents_core.nats.jetstream.errors import NoHeartbeat
from tests.nats_cluster import cluster, elected, named

pytestmark = pytest.mark.nats


@pytest.mark.parametrize("goes", ["the leader", "the server of the subscriber"])
async def test_a_durable_consumer_goes_on(tmp_path: Path, goes: str) -> None:
    with cluster(tmp_path, jetstream=True) as servers:
        urls = [server.url for server in servers]
        nc = await nats.connect(urls, reconnect_time_wait=0.1)
        js = nc.jetstream(timeout=1)
        await elected(lambda: js.add_stream(name="s", subjects=["a"], num_replicas=3))
        seen: set[int] = set()
        errors: list[Exception] = []
        subscription = await js.subscribe(
            "a",
            cb=lambda msg: seen.add(int(msg.data)),
            durable="d",
            config=ConsumerConfig(ack_wait=1, num_replicas=3),
            idle_heartbeat=0.2,
            error_cb=errors.append,
        )

        async def publish(numbers: range) -> None:
            for number in numbers:
                await elected(lambda n=number: js.publish("a", b"%d" % n, msg_id=str(n)))  # type: ignore[misc]
            while not seen.issuperset(numbers):
                await asyncio.sleep(0)

        await publish(range(10))
        await js.request("CONSUMER.LEADER.STEPDOWN.s.d")
        await publish(range(10, 20))
        if goes == "the leader":
            info = await elected(subscription.consumer_info)
            assert info.cluster is not None
            named(servers, info.cluster.leader).kill()
        else:
            next(server for server in servers if server.url == nc.url).kill()
        await publish(range(20, 30))
        assert not subscription.ended
        await subscription.unsubscribe()
        await nc.close()


async def test_a_consumer_whose_server_is_away_is_waited_for(tmp_path: Path) -> None:
    """Its only replica is down: that is reported, and when the server is back it goes on."""
    with cluster(tmp_path, jetstream=True) as servers:
        nc = await nats.connect(servers[0].url)
        js = nc.jetstream(timeout=1)
        await elected(lambda: js.add_stream(name="s", subjects=["a"]))
        info = await elected(lambda: js.stream_info("s"))
        assert info.cluster is not None
        server = named(servers, info.cluster.leader)
        await nc.close()
        other = next(other for other in servers if other is not server)
        nc = await nats.connect(other.url, ignore_cluster_updates=True)
        js = nc.jetstream(timeout=1)
        silent = asyncio.Event()
        errors: list[Exception] = []

        def tell(error: Exception) -> None:
            errors.append(error)
            silent.set()

        seen: list[JSMsg] = []
        subscription = await js.subscribe(
            "a", cb=seen.append, durable="d", idle_heartbeat=0.2, error_cb=tell
        )
        server.kill()
        await silent.wait()
        assert isinstance(errors[0], NoHeartbeat)
        server.start()
        await elected(lambda: js.publish("a", b"back"))
        while not seen:
            await asyncio.sleep(0)
        assert not subscription.ended
        await nc.close()
