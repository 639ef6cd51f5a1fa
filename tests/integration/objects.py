"""What the tests of the object store share: buckets over every bus, and what is in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agents_core.ids import unique
from agents_core.nats.jetstream import ObjectInfo, ObjectStore
from agents_server.nats_server import NatsServer
from tests.integration.streams import jetstream

CHUNK = 128 * 1024
MIB = 1024 * 1024


@asynccontextmanager
async def bucket(
    server: NatsServer, kind: str = "tcp", **config: object
) -> AsyncIterator[ObjectStore]:
    """A fresh bucket, gone at the end."""
    async with jetstream(server, kind) as js:
        store = await js.create_object_store(unique(), **config)
        yield store
        await js.delete_object_store(store.bucket)


async def chunks_in(store: ObjectStore) -> dict[str, int]:
    """The chunks that the bucket holds, by the subject of their object."""
    info = await store._js.stream_info(store._stream, f"$O.{store.bucket}.C.>")
    return info.state.subjects or {}


def subject_of(info: ObjectInfo) -> str:
    return f"$O.{info.bucket}.C.{info.nuid}"
