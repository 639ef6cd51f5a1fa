"""The object store: how fast a large object is put and got, beside nats-py."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

import nats as nats_py

from agents_core import nats
from agents_core.ids import unique
from agents_core.nats.jetstream import StorageType
from benchmarks.natives import PENDING_BYTES
from benchmarks.peer import DEADLINE_S
from benchmarks.suite import Results, note

MIB = 1024 * 1024
SIZE = 32 * MIB
PUT, GET = "put 32 MiB, MiB per s", "get 32 MiB, MiB per s"


async def _run(who: str, js: Any, bucket: str, data: bytes, results: Results) -> None:
    """One put and one get; the methods of both clients have the same names."""
    store = await js.object_store(bucket)
    async with asyncio.timeout(DEADLINE_S):
        began = perf_counter()
        await store.put("object", data)
        put = perf_counter()
        got = await store.get("object")
        ended = perf_counter()
    if got.data != data:
        raise RuntimeError("the content is another one")
    note(results, who, PUT, len(data) / MIB / (put - began))
    note(results, who, GET, len(data) / MIB / (ended - put))


async def of_clients(url: str, websocket_url: str, runs: int, scale: float) -> Results:
    """All runs of the clients, in turns, with one bucket in the server's memory."""
    results: Results = {}
    data = bytes(range(256)) * max(1, int(SIZE * scale) // 256)
    tcp, websocket = await nats.connect(url), await nats.connect(websocket_url)
    other = await nats_py.connect(url, pending_size=PENDING_BYTES)
    js, bucket = tcp.jetstream(), unique()
    await js.create_object_store(bucket, storage=StorageType.MEMORY)
    clients = {
        "object store, our client over TCP": js,
        "object store, our client over WebSocket": websocket.jetstream(),
        "object store, nats-py": other.jetstream(),
    }
    try:
        for _ in range(runs):
            for who, client in clients.items():
                await _run(who, client, bucket, data, results)
    finally:
        await js.delete_object_store(bucket)
        for connection in (tcp, websocket, other):
            await connection.close()
    return results
