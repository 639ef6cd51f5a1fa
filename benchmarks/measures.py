"""What is measured: one function each, the same source on CPython and in the tab.

Every rate is counted at the receiver: the clock stops when the last message has been handled, not
when the last one was handed over.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from agents_core import Agent, AgentRef, Node, on
from agents_core.bus import Bus
from agents_core.nats.msg import Msg

BATCH, BATCH_BYTES = 500, 256 * 1024
"""Messages, or bytes, that are sent before the event loop gets a turn."""

BATCHES = 4
"""Batches under way: as many as a careful publisher would have, so that no buffer overflows."""

DEADLINE_S = 60.0
"""A run that takes longer has lost messages."""


def batch_of(size: int) -> int:
    """Messages in a batch."""
    return max(1, min(BATCH, BATCH_BYTES // size))


@dataclass
class Add:
    n: int


class Counter(Agent):
    """Adds up what it is told and says how much it is."""

    def on_start(self) -> None:
        self.total = 0

    @on
    def add(self, message: Add) -> int:
        self.total += message.n
        return self.total


async def publish_receive(bus: Bus, size: int, count: int) -> float:
    """Messages per second through one connection that subscribes to what it publishes."""
    subject, payload = bus.new_inbox(), bytes(size)
    received = 0
    all_received: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def receive(_: Msg) -> None:
        nonlocal received
        received += 1
        if received == count:
            all_received.set_result(perf_counter())

    subscription = await bus.subscribe(subject, cb=receive)
    await bus.flush()
    began = perf_counter()
    batch = batch_of(size)
    for done in range(0, count, batch):
        for _ in range(min(batch, count - done)):
            bus.publish(subject, payload)
        while done - received > BATCHES * batch:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    async with asyncio.timeout(DEADLINE_S):
        ended = await all_received
    await subscription.unsubscribe()
    return count / (ended - began)


async def round_trip(bus: Bus, count: int) -> float:
    """Median seconds of a request that is answered by a subscription on the same connection."""
    subject = bus.new_inbox()
    subscription = await bus.subscribe(subject, cb=lambda msg: msg.respond(msg.data))
    await bus.flush()
    seconds = []
    for _ in range(count):
        began = perf_counter()
        await bus.request(subject, b"ping", timeout=DEADLINE_S)
        seconds.append(perf_counter() - began)
    await subscription.unsubscribe()
    return median(seconds)


async def tells(node: Node, id: str, count: int) -> float:
    """Messages per second told to an agent and handled by it."""
    ref = node.agent(id)
    before = await ref.ask(Add(0), timeout=DEADLINE_S)
    began = perf_counter()
    for done in range(0, count, BATCH):
        for _ in range(min(BATCH, count - done)):
            ref.tell(Add(1))
        # An ask waits for what was told before it: the mailbox never overflows, nothing is lost.
        await ref.ask(Add(0), timeout=DEADLINE_S)
    total = await ref.ask(Add(0), timeout=DEADLINE_S)
    ended = perf_counter()
    if total != before + count:
        raise RuntimeError(f"{before + count - total} of {count} messages were lost")
    return count / (ended - began)


async def ask_time(ref: AgentRef, count: int) -> float:
    """Median seconds of one ask, one after the other."""
    seconds = []
    for _ in range(count):
        began = perf_counter()
        await ref.ask(Add(1), timeout=DEADLINE_S)
        seconds.append(perf_counter() - began)
    return median(seconds)
