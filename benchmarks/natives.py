"""nats-py by itself, measured as our own client is."""

from __future__ import annotations

import asyncio
from statistics import median
from time import perf_counter

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from benchmarks.measures import BATCHES, DEADLINE_S, batch_of
from benchmarks.suite import COUNTS, ROUND_TRIPS, SIZES, Figures


async def of_nats_py(url: str, runs: int, scale: float) -> Figures:
    """The same names as `suite.of_bus`."""
    found: Figures = {}
    for _ in range(runs):
        client = await nats.connect(url, pending_size=64 * 1024 * 1024)
        for name, size in SIZES.items():
            value = await _publish_receive(client, size, int(COUNTS[name] * scale))
            found.setdefault(f"publish and receive {name}, per s", []).append(value)
        value = await _round_trip(client, int(ROUND_TRIPS * scale))
        found.setdefault("request and reply, µs", []).append(value * 1e6)
        await client.close()
    return found


async def _publish_receive(client: Client, size: int, count: int) -> float:
    subject, payload = client.new_inbox(), bytes(size)
    received = 0
    all_received: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def receive(_: Msg) -> None:
        nonlocal received
        received += 1
        if received == count:
            all_received.set_result(perf_counter())

    subscription = await client.subscribe(subject, cb=receive)
    await client.flush()
    began = perf_counter()
    batch = batch_of(size)
    for done in range(0, count, batch):
        for _ in range(min(batch, count - done)):
            await client.publish(subject, payload)
        while done - received > BATCHES * batch:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    async with asyncio.timeout(DEADLINE_S):
        ended = await all_received
    await subscription.unsubscribe()
    return count / (ended - began)


async def _round_trip(client: Client, count: int) -> float:
    subject = client.new_inbox()

    async def answer(msg: Msg) -> None:
        await msg.respond(msg.data)

    subscription = await client.subscribe(subject, cb=answer)
    await client.flush()
    seconds = []
    for _ in range(count):
        began = perf_counter()
        await client.request(subject, b"ping", timeout=DEADLINE_S)
        seconds.append(perf_counter() - began)
    await subscription.unsubscribe()
    return median(seconds)
