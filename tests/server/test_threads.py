"""Another thread, with an event loop of its own, is told how to ask; it does not wait for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agents_core import Agent, connect, nats, on
from agents_core.errors import Unsupported
from agents_server.nats_server import NatsServer

Ask = Callable[[], Coroutine[Any, Any, Any]]


class Echo(Agent):
    @on("echo")
    def echo(self) -> str:
        return "here"


async def from_another_thread(ask: Ask) -> Any:
    """What is asked there by mistake is refused; the answer as it should be done."""
    with pytest.raises(Unsupported, match="run_coroutine_threadsafe"):
        await asyncio.to_thread(lambda: asyncio.run(ask()))
    loop = asyncio.get_running_loop()
    return await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(ask(), loop).result(10))


@pytest.mark.nats
async def test_a_request(nats_server: NatsServer) -> None:
    nc = await nats.connect(nats_server.url)
    await nc.subscribe("echo", cb=lambda msg: msg.respond(msg.data))
    reply = await from_another_thread(lambda: nc.request("echo", b"here", timeout=5))
    assert reply.data == b"here"
    await nc.close()


async def test_an_agent() -> None:
    async with connect("local://") as node:
        echo = await node.spawn(Echo, "echo")
        assert await from_another_thread(lambda: echo.ask("echo")) == "here"
