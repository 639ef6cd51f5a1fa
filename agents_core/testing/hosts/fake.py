"""Interpreters that are none: guests on the loop of the test, which it can freeze, fill and kill.

async with connect("local://", hosts=InProcess()) as node:
    await node.spawn(Counter, "c", host="worker")
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agents_core import AgentRef, connect
from agents_core.hosts import log
from agents_core.hosts.channel import Channel
from agents_core.hosts.guest import Guest
from agents_core.hosts.host import Host
from agents_core.hosts.pipe import Pipe, Receiver
from agents_core.testing.hosts.kit import ASK_S, Kit

HEAP_BYTES = 32 * 1024**2


class InProcess:
    """An `Opener`.

    Attributes:
        running: those that have not ended, in the order of their start.
        opened: how many there were.
    """

    def __init__(self) -> None:
        self.running: list[Interpreter] = []
        self.opened = 0

    async def __call__(self, spec: Host, receiver: Receiver) -> Pipe:
        """See `Opener`."""
        self.opened += 1
        made = Interpreter(receiver, self.running)
        made.start()
        return made

    def of(self, agent: str) -> Interpreter:
        """The one that runs an agent."""
        return next(one for one in self.running if agent in one.guest.router.cells)


class Interpreter:
    """A `Pipe` to a guest in the same interpreter.

    Attributes:
        guest: what is at the other end.
        heap: bytes that it says to have.
        frozen: whether it does nothing, as in an endless loop; what is sent waits, either way.
    """

    def __init__(self, receiver: Receiver, running: list[Interpreter]) -> None:
        self.heap = HEAP_BYTES
        self.frozen = False
        self.guest = Guest(lambda: self.heap, lambda: self.die("closed"), self._capture)
        self._receiver = receiver
        self._running = running
        self._waiting: deque[bytes] = deque()
        self._said: deque[bytes] = deque()
        self._handler: logging.Handler | None = None
        self._loop = asyncio.get_running_loop()
        self._ending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect both ends."""
        self._running.append(self)
        self.guest.attach(_Back(self))

    def _capture(self, channel: Channel, level: int) -> None:
        """Only what agents log: the rest is the test's own."""
        self._handler = log.PipeHandler(channel)
        logging.getLogger("agents").addHandler(self._handler)

    # -- this end

    def post(self, data: bytes) -> None:
        """See `Pipe.post`."""
        self._waiting.append(data)
        self._loop.call_soon(self.deliver)

    def deliver(self) -> None:
        """Hand on what waits, unless it is frozen."""
        while self._waiting and not self.frozen and self._ending is None:
            self.guest.arrived(self._waiting.popleft())

    def terminate(self) -> None:
        """See `Pipe.terminate`."""
        self.die("terminated")

    # -- what a test does to it

    def thaw(self) -> None:
        """Go on."""
        self.frozen = False
        self.deliver()
        self._hear()

    def die(self, reason: str) -> None:
        """End, as when a process is killed."""
        if self._ending is None:
            self._ending = self._loop.create_task(self.guest.end())
            self._running.remove(self)
            if self._handler is not None:
                logging.getLogger("agents").removeHandler(self._handler)
            self._receiver.lost(reason)

    def arrived(self, data: bytes) -> None:
        """Something of the guest's; while it is frozen that waits, too."""
        self._said.append(data)
        self._hear()

    def _hear(self) -> None:
        while self._said and not self.frozen and self._ending is None:
            self._receiver.arrived(self._said.popleft())


class _Back:
    """The guest's end, a `Line`."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter

    def post(self, data: bytes) -> None:
        """See `Line.post`."""
        asyncio.get_running_loop().call_soon(self._interpreter.arrived, data)


class FakeKit(Kit):
    """A kit whose hosts only seem to hang and to fill up."""

    @classmethod
    @asynccontextmanager
    async def made(cls, url: str = "local://") -> AsyncIterator[FakeKit]:
        """With a node of its own."""
        hosts = InProcess()
        async with connect(url, hosts=hosts) as node:
            kit = cls(node, 0.05)
            kit.hosts = hosts
            yield kit

    hosts: InProcess

    def hang(self, ref: AgentRef) -> asyncio.Task[Any]:
        """See `Kit.hang`."""
        self.hosts.of(ref.id).frozen = True
        return asyncio.create_task(ref.ask("wait", ASK_S))

    def exhaust(self, ref: AgentRef) -> asyncio.Task[Any]:
        """See `Kit.exhaust`."""
        self.hosts.of(ref.id).heap = 2 * 1024**3
        return asyncio.create_task(ref.ask("wait", ASK_S))
