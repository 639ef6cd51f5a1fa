"""What an outage must not do: grow. In objects, after a few rounds that fill the caches."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from agents_core import nats
from agents_core.bus import Status
from agents_server.nats_server import NatsServer, free_port

pytestmark = pytest.mark.nats
SCHEMES = pytest.mark.parametrize("scheme", ["nats", "ws"])

ROUNDS = 1000
WARM = 50
OBJECTS_MAX = 200
"""More than that is one for every five rounds, and a leak; timers and the like come and go."""


def count() -> Counter[str]:
    gc.collect()
    return Counter(type(item).__qualname__ for item in gc.get_objects())


async def grows_not(one_round: Callable[[], Awaitable[object]]) -> None:
    for _ in range(WARM):
        await one_round()
    before = count()
    for _ in range(ROUNDS):
        await one_round()
    await asyncio.sleep(0)
    grown = count() - before
    assert grown.total() < OBJECTS_MAX, grown.most_common(5)


@SCHEMES
async def test_a_thousand_reconnects(nats_server: NatsServer, scheme: str) -> None:
    url = nats_server.url if scheme == "nats" else nats_server.websocket_url
    nc = await nats.connect(url, reconnect_time_wait=0.0)
    await nc.subscribe("growth", cb=lambda _: None)
    changed = asyncio.Event()
    nc.on_status(lambda status: changed.set() if status is Status.CONNECTED else None)

    async def reconnect() -> None:
        changed.clear()
        nc.publish("growth", b"x")
        await nc.force_reconnect()
        await changed.wait()

    await grows_not(reconnect)
    await nc.flush()
    assert nc.stats.reconnects == ROUNDS + WARM
    await nc.close()


@SCHEMES
async def test_a_thousand_dials_that_fail(scheme: str) -> None:
    failed = asyncio.Event()
    nc = await nats.connect(
        f"{scheme}://127.0.0.1:{free_port()}",
        retry_on_failed_connect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.0,
        error_cb=lambda _: failed.set(),
    )

    async def fail() -> None:
        failed.clear()
        await failed.wait()

    await grows_not(fail)
    assert nc.is_reconnecting
    await nc.close()


async def test_a_thousand_clients_one_after_the_other(nats_server: NatsServer) -> None:
    async def use() -> None:
        nc = await nats.connect(nats_server.url)
        await nc.subscribe("growth")
        await nc.flush()
        await nc.close()

    await grows_not(use)
