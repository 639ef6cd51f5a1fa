"""The other Python clients, each used in the way that its documentation calls fast.

natsio and nats-core need Python 3.13; where they are not installed they are not measured.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Awaitable, Callable
from typing import Any

import nats

from benchmarks.peer import DEADLINE_S, Counter, Peer

PENDING_BYTES = 64 * 1024 * 1024
"""Room for what is sent, so that no client is slowed by a bound of its own."""


class _Awaited:
    """What these clients have in common: `publish` is a coroutine."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def publish(self, subject: str, payload: bytes, count: int) -> None:
        publish = self.client.publish
        for _ in range(count):
            await publish(subject, payload)

    async def request(self, subject: str) -> None:
        await self.client.request(subject, b"ping", timeout=DEADLINE_S)

    async def flush(self) -> None:
        await self.client.flush()

    async def close(self) -> None:
        await self.client.close()


class NatsPy(_Awaited):
    """nats-py: callbacks are coroutine functions."""

    name = "nats-py"

    async def subscribe(self, subject: str, counter: Counter) -> None:
        async def receive(msg: object) -> None:
            counter.one(msg)

        await self.client.subscribe(subject, cb=receive)

    async def echo(self, subject: str) -> None:
        async def answer(msg: Any) -> None:
            await msg.respond(msg.data)

        await self.client.subscribe(subject, cb=answer)


class Natsio(_Awaited):
    """natsio: callbacks may be plain functions."""

    name = "natsio"

    async def subscribe(self, subject: str, counter: Counter) -> None:
        self.client.subscribe(subject, cb=counter.one)

    async def echo(self, subject: str) -> None:
        self.client.subscribe(subject, cb=lambda msg: msg.respond(msg.data))


class NatsCore(_Awaited):
    """nats-core: callbacks are plain functions, so an answer needs a task."""

    name = "nats-core"

    async def subscribe(self, subject: str, counter: Counter) -> None:
        subscription = await self.client.subscribe(subject, max_pending_messages=None)
        subscription.add_callback(counter.one)

    async def echo(self, subject: str) -> None:
        answers: set[asyncio.Task[None]] = set()

        def answer(msg: Any) -> None:
            task = asyncio.ensure_future(self.client.publish(msg.reply, msg.data))
            answers.add(task)
            task.add_done_callback(answers.discard)

        subscription = await self.client.subscribe(subject)
        subscription.add_callback(answer)


def others(url: str) -> list[Callable[[], Awaitable[Peer]]]:
    """How to connect each client that this interpreter has."""

    async def nats_py() -> Peer:
        return NatsPy(await nats.connect(url, pending_size=PENDING_BYTES))

    async def natsio() -> Peer:
        module = importlib.import_module("natsio")
        return Natsio(await module.connect(url))

    async def nats_core() -> Peer:
        module = importlib.import_module("nats.client")
        return NatsCore(await module.connect(url))

    found: list[Callable[[], Awaitable[Peer]]] = [nats_py]
    found += [natsio] * bool(importlib.util.find_spec("natsio"))
    found += [nats_core] * bool(importlib.util.find_spec("nats.client"))
    return found
