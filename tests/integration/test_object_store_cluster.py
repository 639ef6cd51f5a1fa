"""The object store in a cluster that loses servers and changes its leaders."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agents_core import nats
from agents_core.nats.jetstream import ObjectStore
from agents_server.nats_server import NatsServer
from tests.integration.objects import CHUNK, MIB, chunks_in, subject_of
from tests.nats_cluster import cluster, elected, named

pytestmark = pytest.mark.nats
TIMEOUT_S = 1.0
"""For an answer; one that was lost with a leader is waited for in vain."""


@asynccontextmanager
async def replicated(folder: Path) -> AsyncIterator[tuple[list[NatsServer], ObjectStore]]:
    """A bucket on three servers."""
    with cluster(folder, jetstream=True) as servers:
        urls = [server.url for server in servers]
        nc = await nats.connect(urls, reconnect_time_wait=0.1)
        js = nc.jetstream(timeout=TIMEOUT_S)
        yield servers, await elected(lambda: js.create_object_store("b", replicas=3))
        await nc.close()


async def test_putting_goes_on_while_leaders_change(tmp_path: Path) -> None:
    async with replicated(tmp_path) as (servers, store):
        js, pieces = store._js, [os.urandom(CHUNK) for _ in range(64)]

        async def source() -> AsyncIterator[bytes]:
            for number, piece in enumerate(pieces):
                yield piece
                if number == 10:
                    await js.request("STREAM.LEADER.STEPDOWN.OBJ_b")
                elif number == 30:
                    info = await elected(store.status)
                    assert info.stream_info.cluster is not None
                    named(servers, info.stream_info.cluster.leader).kill()

        info = await store.put("a", source())
        assert (info.chunks, info.size) == (64, 64 * CHUNK)
        assert (await elected(lambda: store.get("a"))).data == b"".join(pieces)
        assert await elected(lambda: chunks_in(store)) == {subject_of(info): 64}


async def test_reading_goes_on_when_the_server_of_its_consumer_is_down(tmp_path: Path) -> None:
    async with replicated(tmp_path) as (servers, store):
        data = os.urandom(12 * MIB)
        await store.put("a", data)
        found: list[bytes] = []
        async with await store.open("a") as reader:
            async for chunk in reader:
                found.append(chunk)
                if len(found) == 3:
                    info = await store._js.consumer_info("OBJ_b", reader._consumer)
                    assert info.cluster is not None
                    named(servers, info.cluster.leader).kill()
        assert b"".join(found) == data
