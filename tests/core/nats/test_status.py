"""Who listens for the status hears every change, in order."""

from __future__ import annotations

import asyncio
import gc

from agents_core.bus import Status
from agents_core.nats.status import CHANGES_MAX, StatusHolder


def test_listeners() -> None:
    holder = StatusHolder(Status.CONNECTING)
    heard: list[str] = []
    first = holder.listen(lambda status: heard.append(f"1 {status}"))
    holder.listen(lambda status: heard.append(f"2 {status}"))
    holder.set(Status.CONNECTED)
    holder.set(Status.CONNECTED)
    first()
    first()
    holder.set(Status.CLOSED)
    assert heard == ["1 connected", "2 connected", "2 closed"]


async def test_changes_can_be_read_until_it_is_closed() -> None:
    holder = StatusHolder(Status.CONNECTING)
    changes = holder.changes()
    reading = asyncio.create_task(anext(changes))
    await asyncio.sleep(0)
    holder.set(Status.CONNECTED)
    assert await reading is Status.CONNECTED
    holder.set(Status.RECONNECTING)
    holder.set(Status.CLOSED)
    assert [status async for status in changes] == [Status.RECONNECTING, Status.CLOSED]
    assert [status async for status in changes] == []
    assert [status async for status in holder.changes()] == [Status.CLOSED]


async def test_a_reader_that_is_left_is_forgotten() -> None:
    holder = StatusHolder(Status.CONNECTING)
    changes = holder.changes()
    assert len(holder._readers) == 1
    del changes
    gc.collect()
    assert len(holder._readers) == 0


async def test_a_reader_that_does_not_keep_up_loses_the_oldest() -> None:
    holder = StatusHolder(Status.CONNECTING)
    changes = holder.changes()
    for _ in range(CHANGES_MAX):
        holder.set(Status.CONNECTED)
        holder.set(Status.RECONNECTING)
    holder.set(Status.CLOSED)
    read = [status async for status in changes]
    assert len(read) == CHANGES_MAX
    assert read[-1] is Status.CLOSED
