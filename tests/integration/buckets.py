"""What the tests of key-value buckets share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agents_core.ids import unique
from agents_core.nats.jetstream import Entry, JetStreamContext, KeyValue, KeyWatcher
from agents_server.nats_server import NatsServer
from tests.integration.streams import jetstream


@asynccontextmanager
async def bucket(
    server: NatsServer, kind: str = "tcp", **config: Any
) -> AsyncIterator[tuple[KeyValue, JetStreamContext]]:
    """A fresh bucket. It stays, as the streams of the other tests."""
    async with jetstream(server, kind) as js:
        yield await js.create_key_value(bucket=unique(), **config), js


async def fill(kv: KeyValue, js: JetStreamContext, count: int, value: bytes = b"v") -> list[str]:
    """Keys with a value each, stored many at a time."""
    keys = [f"key.{number}" for number in range(count)]
    for key in keys:
        await js.publish_async(f"$KV.{kv.bucket}.{key}", value)
    await js.publish_async_completed()
    return keys


async def initial(watcher: KeyWatcher) -> list[Entry]:
    """The entries before the end of the initial data."""
    found = []
    async for entry in watcher:
        if entry is None:
            break
        found.append(entry)
    return found


async def take(watcher: KeyWatcher, count: int) -> list[Entry]:
    """The next entries; the end of the initial data is passed over."""
    found: list[Entry] = []
    while len(found) < count:
        entry = await watcher.updates(None)
        if entry is not None:
            found.append(entry)
    return found


def brief(entry: Entry) -> tuple[str, bytes | None, str | None]:
    """What most tests look at."""
    return entry.key, entry.value, entry.operation
