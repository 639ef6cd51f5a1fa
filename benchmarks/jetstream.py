"""JetStream: how fast messages are stored, and read and acknowledged, beside nats-py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Protocol

import nats as nats_py
from nats.js import api

from agents_core import nats
from agents_core.ids import unique
from agents_core.nats.jetstream import ConsumerConfig, JetStreamContext, StorageType
from benchmarks.natives import PENDING_BYTES
from benchmarks.peer import DEADLINE_S
from benchmarks.suite import Results, note

COUNT = 100_000
PAYLOAD = bytes(128)
FETCH = 500
"""Messages of one `fetch`: neither client is faster with more."""

AHEAD = 2000
"""Messages that `consume` asks for ahead of time."""

ACK_PENDING_MAX = 10_000
"""What may wait for its acknowledgement; by default a server stops at 1,000."""

STORE = "publish with a window 128 B, per s"
INGEST = "fast ingest 128 B, per s"
READ = "pull and acknowledge 128 B, per s"
FETCHED = "fetch and acknowledge 128 B, per s"


class Reader(Protocol):
    """One client, used in the ways that are fastest for it."""

    name: str

    async def store(self, subject: str, count: int) -> None:
        """Publish, and have all acknowledgements."""
        ...

    async def read(self, stream: str, count: int) -> None:
        """Read so many messages and acknowledge each."""
        ...

    async def fetch(self, stream: str, count: int) -> None:
        """The same by `fetch`."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...


class Own:
    """Our client: `consume`."""

    name = "our client over TCP"

    def __init__(self, client: nats.Client) -> None:
        self._client = client
        self._js = JetStreamContext(client)
        self._config = ConsumerConfig(max_ack_pending=ACK_PENDING_MAX)

    async def store(self, subject: str, count: int) -> None:
        for _ in range(count):
            await self._js.publish_async(subject, PAYLOAD)
        await self._js.publish_async_completed()

    async def ingest(self, subject: str, count: int) -> None:
        """What nats-py does not have."""
        async with self._js.fast_ingest() as batch:
            for _ in range(count):
                await batch.add(subject, PAYLOAD)

    async def read(self, stream: str, count: int) -> None:
        subscription = await self._js.pull_subscribe(">", unique(), stream, self._config)
        left = count
        async with await subscription.consume(max_messages=AHEAD) as messages:
            async for msg in messages:
                msg.ack()
                left -= 1
                if not left:
                    break
        await self._client.flush()

    async def fetch(self, stream: str, count: int) -> None:
        subscription = await self._js.pull_subscribe(">", unique(), stream, self._config)
        left = count
        while left:
            for msg in await subscription.fetch(FETCH):
                msg.ack()
                left -= 1
        await self._client.flush()

    async def close(self) -> None:
        await self._client.close()


class NatsPy:
    """nats-py: it has `fetch` only."""

    name = "nats-py"

    def __init__(self, client: Any) -> None:
        self._client = client
        self._js = client.jetstream()
        self._config = api.ConsumerConfig(max_ack_pending=ACK_PENDING_MAX)

    async def store(self, subject: str, count: int) -> None:
        for _ in range(count):
            await self._js.publish_async(subject, PAYLOAD)
        await self._js.publish_async_completed()

    async def read(self, stream: str, count: int) -> None:
        await self.fetch(stream, count)

    async def fetch(self, stream: str, count: int) -> None:
        subscription = await self._js.pull_subscribe(">", unique(), stream, self._config)
        left = count
        while left:
            for msg in await subscription.fetch(FETCH):
                await msg.ack()
                left -= 1
        await self._client.flush()

    async def close(self) -> None:
        await self._client.close()


async def _rate(work: Awaitable[None], count: int) -> float:
    began = perf_counter()
    async with asyncio.timeout(DEADLINE_S):
        await work
    return count / (perf_counter() - began)


@asynccontextmanager
async def _stream(js: JetStreamContext, reader: Reader, **options: Any) -> AsyncIterator[str]:
    """A stream for a client; both end with it."""
    stream = unique()
    await js.add_stream(name=stream, subjects=[stream], storage=StorageType.MEMORY, **options)
    try:
        yield stream
    finally:
        await reader.close()
        await js.purge_stream(stream)


async def of_clients(url: str, runs: int, scale: float) -> Results:
    """All runs of both clients, in turns, each with a stream of its own."""

    async def own() -> Own:
        return Own(await nats.connect(url))

    async def other() -> Reader:
        return NatsPy(await nats_py.connect(url, pending_size=PENDING_BYTES))

    makers: list[Callable[[], Awaitable[Reader]]] = [own, other]
    results: Results = {}
    count = int(COUNT * scale)
    admin = await nats.connect(url)
    js = JetStreamContext(admin)
    for _ in range(runs):
        for make in makers:
            reader = await make()
            async with _stream(js, reader) as stream:
                for what, work in (
                    (STORE, reader.store(stream, count)),
                    (READ, reader.read(stream, count)),
                    (FETCHED, reader.fetch(stream, count)),
                ):
                    rate = await _rate(work, count)
                    note(results, f"JetStream, {reader.name}", what, rate)
    for _ in range(runs):  # behind the others, as it leaves the server's memory in another state
        ours = await own()
        async with _stream(js, ours, allow_batched=True) as stream:
            rate = await _rate(ours.ingest(stream, count), count)
            note(results, f"JetStream, {ours.name}", INGEST, rate)
    await admin.close()
    return results
