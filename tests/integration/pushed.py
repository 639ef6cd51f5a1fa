"""What the tests of push consumers share: callbacks that count, waiting for the server."""

from __future__ import annotations

import asyncio

from agents_core.nats.jetstream import JetStreamContext, JSMsg, PushSubscription


class Seen(list[int]):
    """A callback that keeps the numbers in what it is called with."""

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self.complete = asyncio.Event()

    def take(self, msg: JSMsg) -> None:
        self.append(int(msg.data))
        if len(self) == self.count:
            self.complete.set()

    async def take_async(self, msg: JSMsg) -> None:
        await asyncio.sleep(0)
        self.take(msg)


async def acknowledged(js: JetStreamContext, name: str, consumer: str) -> None:
    """Wait until the server has every acknowledgement."""
    while (await js.consumer_info(name, consumer)).num_ack_pending:
        await asyncio.sleep(0)


async def unbound(js: JetStreamContext, name: str, consumer: str) -> None:
    """Wait until the server knows that nobody is subscribed."""
    while (await js.consumer_info(name, consumer)).push_bound:
        await asyncio.sleep(0)


async def acknowledged_to(js: JetStreamContext, name: str, consumer: str, sequence: int) -> None:
    """Wait until the server has every acknowledgement up to a message."""
    while (await js.consumer_info(name, consumer)).ack_floor.stream_seq < sequence:
        await asyncio.sleep(0)


async def numbers(subscription: PushSubscription, count: int) -> list[int]:
    found = []
    async for msg in subscription:
        found.append(int(msg.data))
        msg.ack()
        if len(found) == count:
            break
    return found
