"""What the checks in `suite` work with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

from agents_core import Agent, AgentRef, Event, Node, connect
from agents_core.hosts.host import Host
from agents_core.hosts.pipe import Opener
from agents_core.ids import unique

ASK_S = 20.0
"""Seconds for an answer, a new host's start included."""


class Kit:
    """A node, and agents in two hosts of it, `a` and `b`.

    Args:
        node: which.
        answer: seconds that its hosts have to answer.
    """

    def __init__(self, node: Node, answer: float = 0.5) -> None:
        self.node = node
        self.answer = answer
        self.agents: list[AgentRef] = []
        self.events: list[Event] = []
        self._news = asyncio.Event()
        node.on_event(self._take)

    @classmethod
    @asynccontextmanager
    async def over(
        cls, url: str, hosts: Opener | None = None, **options: Any
    ) -> AsyncIterator[Kit]:
        """A kit with a node of its own."""
        async with connect(url, hosts=hosts) as node:
            yield cls(node, **options)

    def host(self, name: str = "a") -> Host:
        """A host with bounds that suit a test; `own` is for one that nobody shares."""
        return Host("" if name == "own" else name, heap=512 * 1024**2, answer=self.answer)

    async def spawn(
        self, cls: type[Agent], *args: Any, host: str | Host = "a", **options: Any
    ) -> AgentRef:
        """Start an agent, by default in host `a`; it is stopped at the end of the check."""
        where = self.host(host) if isinstance(host, str) and host != "inline" else host
        options = {"max_restarts": 100, **options}
        ref = await self.node.spawn(cls, f"agent-{unique(8)}", *args, host=where, **options)
        self.agents.append(ref)
        return ref

    async def clean(self) -> None:
        """Stop the agents of a check."""
        agents, self.agents = self.agents, []
        for ref in agents:
            if ref.id in self.node.router.cells:
                await ref.stop()
        self.events.clear()

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def event(self, kind: str, ref: AgentRef) -> Event:
        """The next event of that kind."""
        async with asyncio.timeout(ASK_S):
            while True:
                for event in self.events:
                    if event.kind == kind and event.agent == ref.id:
                        self.events.remove(event)
                        return event
                self._news.clear()
                await self._news.wait()

    async def waiting(self, ref: AgentRef) -> asyncio.Task[Any]:
        """An ask whose handler has begun and does not end."""
        state = self.node.router.cells[ref.id].state
        await state.delete("waits")
        asking = asyncio.create_task(ref.ask("wait", ASK_S))
        await until(lambda: state.get("waits"))
        return asking

    def hang(self, ref: AgentRef) -> asyncio.Task[Any]:
        """Have an agent's host do nothing but compute, for ever; the task fails when it ends."""
        return asyncio.create_task(ref.ask("spin", timeout=ASK_S))

    def exhaust(self, ref: AgentRef) -> asyncio.Task[Any]:
        """Have an agent take all memory of its host."""
        return asyncio.create_task(ref.ask("exhaust", timeout=ASK_S))


Check: TypeAlias = Callable[[Kit], Awaitable[None]]


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    """Ask again and again until it is so."""
    async with asyncio.timeout(ASK_S):
        while not await condition():  # noqa: ASYNC110 - what is in another interpreter has no event
            await asyncio.sleep(0.01)


class Caught:
    """What `raises` gives.

    Attributes:
        error: what was raised.
    """

    error: Any


@contextmanager
def raises(kind: type[Exception], text: str = "") -> Iterator[Caught]:
    """The block has to raise an error of that kind, with that text."""
    caught = Caught()
    try:
        yield caught
    except kind as error:
        caught.error = error
    else:
        raise AssertionError(f"no {kind.__name__}")
    assert text in str(caught.error), f"{text!r} is not in {str(caught.error)!r}"
