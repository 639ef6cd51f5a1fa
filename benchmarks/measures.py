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
from agents_core.ids import unique
from benchmarks.peer import DEADLINE_S, Counter, Peer

BATCH, BATCH_BYTES = 500, 256 * 1024
"""Messages, or bytes, that are sent before the event loop gets a turn."""

BATCHES = 4
"""Batches under way: a careful publisher sends the next one when the first of them has come back.

So no buffer overflows, and nobody polls.
"""

IN_FLIGHT = 64
"""Requests under way at once."""


def batch_of(size: int) -> int:
    """Messages in a batch."""
    return max(1, min(BATCH, BATCH_BYTES // size))


async def publish_receive(peer: Peer, size: int, count: int) -> float:
    """Messages per second through one connection that subscribes to what it publishes."""
    subject, payload, batch, counter = unique(), bytes(size), batch_of(size), Counter()
    await peer.subscribe(subject, counter)
    await peer.flush()
    began = perf_counter()
    async with asyncio.timeout(DEADLINE_S):
        for done in range(0, count, batch):
            await counter.reach(done - (BATCHES - 1) * batch)
            await peer.publish(subject, payload, min(batch, count - done))
        return count / (await counter.reach(count) - began)


async def there_and_back(peer: Peer, count: int) -> float:
    """Median seconds from the publish of one message to its callback on the same connection."""
    subject, counter, seconds = unique(), Counter(), []
    await peer.subscribe(subject, counter)
    await peer.flush()
    for _ in range(count):
        counter.begin()
        began = perf_counter()
        await peer.publish(subject, b"ping", 1)
        seconds.append(await counter.reach(1) - began)
    return median(seconds)


async def request_reply(peer: Peer, count: int) -> float:
    """Median seconds of a request that is answered by a subscription on the same connection."""
    subject, seconds = unique(), []
    await peer.echo(subject)
    await peer.flush()
    for _ in range(count):
        began = perf_counter()
        await peer.request(subject)
        seconds.append(perf_counter() - began)
    return median(seconds)


async def requests_in_flight(peer: Peer, count: int) -> float:
    """Requests per second with so many under way at once."""
    subject = unique()
    await peer.echo(subject)
    await peer.flush()

    async def one_after_the_other() -> None:
        for _ in range(max(1, count // IN_FLIGHT)):
            await peer.request(subject)

    began = perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(IN_FLIGHT)))
    return max(1, count // IN_FLIGHT) * IN_FLIGHT / (perf_counter() - began)


@dataclass
class Add:
    n: int


class Adder(Agent):
    """Adds up what it is told and says how much it is."""

    def on_start(self) -> None:
        self.total = 0

    @on
    def add(self, message: Add) -> int:
        self.total += message.n
        return self.total


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
