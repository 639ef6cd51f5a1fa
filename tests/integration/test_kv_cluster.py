"""Key-value buckets in a cluster of which one server lags behind."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agents_core import nats
from agents_core.nats.jetstream import KeyValue
from tests.nats_cluster import cluster, elected, named, tell

pytestmark = pytest.mark.nats


@asynccontextmanager
async def lagging(folder: Path) -> AsyncIterator[KeyValue]:
    """A bucket of which the third server has missed the last 300 keys."""
    with cluster(folder, jetstream=True) as servers:
        nc = await nats.connect([server.url for server in servers], reconnect_time_wait=0.1)
        js = nc.jetstream()
        kv = await elected(lambda: js.create_key_value(bucket="b", replicas=3))
        info = await elected(lambda: js.stream_info("KV_b"))
        assert info.cluster is not None
        busy = {named(servers, info.cluster.leader).url, nc.url}
        third = next(server for server in servers if server.url not in busy)
        tell(third, signal.SIGSTOP)
        for number in range(300):
            await kv.put(f"new.{number}", bytes(2000))
        tell(third, signal.SIGCONT)
        yield kv
        await nc.close()


async def test_keys_are_all_there(tmp_path: Path) -> None:
    """Wherever the server places the consumers."""
    async with lagging(tmp_path) as kv:
        found = await asyncio.gather(*(kv.keys("new.*") for _ in range(16)))
        assert [len(keys) for keys in found] == [300] * 16
