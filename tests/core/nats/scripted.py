"""What the tests of the client share: clients on a scripted server, and waiting for events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from random import Random
from typing import Any

from agents_core import nats
from agents_core.bus import Stats, Status
from agents_core.nats.msg import Msg
from agents_core.nats.subscription import Bounds, Subscription
from agents_core.testing.server import ScriptedServer, Session


@asynccontextmanager
async def client(
    server: ScriptedServer, urls: str = "nats://one", **options: Any
) -> AsyncIterator[nats.Client]:
    """A client that is closed at the end; reconnects do not wait long."""
    quick = {"reconnect_time_wait": 0.001, "rng": Random(1), "dont_randomize": True}
    nc = await nats.connect(urls, dialer=server, **(quick | options))
    try:
        yield nc
    finally:
        await nc.close()


@asynccontextmanager
async def session(**options: Any) -> AsyncIterator[tuple[nats.Client, Session, ScriptedServer]]:
    """A client of one server, its connection as the server sees it, and the server."""
    server = ScriptedServer()
    async with client(server, **options) as nc:
        yield nc, await server.accept(), server


async def reached(nc: nats.Client, *wanted: Status) -> None:
    """Wait until the client has been in these states, in this order; from now on."""
    left = list(wanted)
    done = asyncio.Event()

    def see(status: Status) -> None:
        if left and status is left[0]:
            left.pop(0)
        if not left:
            done.set()

    remove = nc.on_status(see)
    see(nc.status)
    await done.wait()
    remove()


async def until(condition: Callable[[], object]) -> None:
    """Give everybody else a turn until it holds; the test's deadline bounds it."""
    while not condition():
        await asyncio.sleep(0)


def cancelled() -> asyncio.Future[str]:
    """What somebody else has cancelled."""
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    future.cancel()
    return future


@contextmanager
def unhandled() -> Iterator[list[BaseException]]:
    """Collect what reaches the event loop's exception handler."""
    errors: list[BaseException] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    try:
        yield errors
    finally:
        loop.set_exception_handler(before)


class Source:
    """A subscription without a bus: `deliver` to it, and see what it asks of a bus."""

    def __init__(self, cb: Any = None, max_msgs: int = 0, **bounds: Any) -> None:
        self.asked: list[object] = []
        self.errors: list[Exception] = []
        self.flushed = asyncio.Event()
        self.flushed.set()
        self.stats = Stats()
        self.subscription = Subscription(
            "a",
            "",
            cb,
            max_msgs,
            Bounds(**bounds),
            on_unsub=lambda _, limit: self.asked.append(limit),
            on_end=lambda _: self.asked.append("end"),
            flush=self.flushed.wait,
            on_error=self.errors.append,
            stats=self.stats,
        )

    def deliver(self, *payloads: bytes) -> None:
        """As the bus does, one message each."""
        self.subscription.deliver([Msg("a", payload) for payload in payloads])
