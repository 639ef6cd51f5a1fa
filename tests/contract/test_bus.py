"""Every bus keeps the same promises; the one in a process does in tests/core."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from agents_core import nats
from agents_core.bus import Bus
from agents_core.nats.options import Options
from agents_core.testing import bus
from agents_server.nats_py import NatsPyBus
from agents_server.nats_server import NatsServer


async def tcp(server: NatsServer) -> Bus:
    return await nats.connect(server.url)


async def websocket(server: NatsServer) -> Bus:
    return await nats.connect(server.websocket_url)


async def nats_py(server: NatsServer) -> Bus:
    made = NatsPyBus(Options(servers=[server.url]))
    await made.connect()
    return made


Make = Callable[[NatsServer], Awaitable[Bus]]


@pytest.mark.nats
@pytest.mark.parametrize("make", [tcp, websocket, nats_py], ids=lambda make: make.__name__)
@pytest.mark.parametrize("check", bus.CHECKS, ids=lambda check: check.__name__)
async def test_promise(make: Make, check: bus.Check, nats_server: NatsServer) -> None:
    one, other = await make(nats_server), await make(nats_server)
    try:
        await check(one, other)
    finally:
        await one.close()
        await other.close()
