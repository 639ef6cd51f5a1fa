"""Another thread is told how to ask and tell; it does not wait for ever, nor does anybody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agents_core import Agent, Node, connect, nats, on
from agents_core.bus import Status
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


@pytest.mark.nats
async def test_a_subscription(nats_server: NatsServer) -> None:
    nc = await nats.connect(nats_server.url)
    subscription = await from_another_thread(lambda: nc.subscribe("greet"))
    nc.publish("greet", b"hello")
    assert (await subscription.next_msg(5)).data == b"hello"
    await nc.close()


@pytest.mark.parametrize("end", [Node.drain, Node.close])
async def test_the_end_of_a_node(end: Callable[[Node], Coroutine[Any, Any, None]]) -> None:
    async with connect("local://") as node:
        echo = await node.spawn(Echo, "echo")
        with pytest.raises(Unsupported, match="run_coroutine_threadsafe"):
            await asyncio.to_thread(lambda: asyncio.run(end(node)))
        assert await echo.ask("echo") == "here"  # nothing has ended
        await end(node)
        assert node.bus.status is Status.CLOSED


async def test_a_start() -> None:
    async with connect("local://") as node:
        await node.spawn(Echo, "first")
        echo = await from_another_thread(lambda: node.spawn(Echo, "echo"))
        assert (await echo.info())["restarts"] == 0
        assert await echo.ask("echo") == "here"


@pytest.mark.nats
@pytest.mark.parametrize("url", ["local://", "nats://"])
async def test_what_a_node_publishes(nats_server: NatsServer, url: str) -> None:
    async with connect(nats_server.url if url == "nats://" else url) as node:
        news = await node.subscribe("news")
        for publish in (node.publish_json, node.publish):
            with pytest.raises(Unsupported, match="call_soon_threadsafe"):
                await asyncio.to_thread(publish, "news", b"" if publish == node.publish else 1)
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(loop.call_soon_threadsafe, node.publish_json, "news", 2)
        assert (await news.next_msg(5)).data == b"2"


@pytest.mark.parametrize("host", ["inline", "worker"])
async def test_an_agent(host: str) -> None:
    async with connect("local://") as node:
        echo = await node.spawn(Echo, "echo", host=host)
        assert await from_another_thread(lambda: echo.ask("echo")) == "here"


async def test_a_tell_from_a_thread_without_a_loop_is_refused_and_its_agent_goes_on() -> None:
    async with connect("local://") as node:
        echo = await node.spawn(Echo, "echo")
        with pytest.raises(Unsupported, match="call_soon_threadsafe"):
            await asyncio.to_thread(echo.tell, "echo")
        assert (await echo.info())["mailbox"] == 0
        assert await echo.ask("echo") == "here"
