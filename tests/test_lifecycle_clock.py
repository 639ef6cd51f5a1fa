"""The tab's lifecycle by itself, with a clock that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from agents_browser import lifecycle
from agents_browser.lifecycle import PULSE_S, SLEEP_S, Lifecycle
from agents_core import Agent, Node, connect, on
from agents_core.errors import InvalidMessage
from agents_core.nats.msg import Msg


class Diary(Agent):
    notes: list[object]

    def on_suspend(self, why: str) -> None:
        self.notes.append(why)

    def on_resume(self, slept: float) -> None:
        self.notes.append(round(slept, 1))


class Busy(Agent):
    begun: asyncio.Event

    @on("wait")
    async def wait(self) -> None:
        self.begun.set()
        await asyncio.Event().wait()

    def on_suspend(self, why: str) -> None:
        pass

    def on_resume(self, slept: float) -> None:
        pass


class Clock:
    """The wall's, as the lifecycle sees it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now


class Tab:
    """A node with one agent, its lifecycle, and what the agent has noted."""

    def __init__(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        monkeypatch.setattr(lifecycle, "time", self.clock)
        self.notes: list[object] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.node = node
        self.lifecycle = Lifecycle(node, self._spawn)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    async def start(self) -> None:
        class Own(Diary):
            notes = self.notes

        await self.node.spawn(Own, "diary")

    async def look(self, after: float) -> None:
        """The pulse, so many seconds after the one before."""
        self.clock.now += after
        self.lifecycle._look()
        for task in self.tasks:
            await task


async def test_each_suspension_is_resumed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connect("local://") as node:
        tab = Tab(node, monkeypatch)
        await tab.start()
        for event in ("visible", "hidden", "visible", "hidden", "freeze"):
            await tab.lifecycle.take(event)
        tab.clock.now += 60
        for event in ("resume", "visible", "online", "pagehide"):
            await tab.lifecycle.take(event)
        tab.clock.now += 5
        await tab.lifecycle.take("pageshow")
        assert tab.notes == ["hidden", 0.0, "hidden", "frozen", 60.0, "cached", 5.0]
        await tab.lifecycle.take("freeze")
        tab.clock.now -= 3600  # somebody sets the clock
        await tab.lifecycle.take("resume")
        assert tab.notes[-1] == 0.0
        with pytest.raises(InvalidMessage, match="no event 'sleep'"):
            await tab.lifecycle.take("sleep")


async def test_a_late_look_is_a_sleep_unless_it_was_announced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with connect("local://") as node:
        tab = Tab(node, monkeypatch)
        await tab.start()
        await tab.look(PULSE_S)
        await tab.look(PULSE_S + SLEEP_S)
        assert tab.notes == []
        await tab.look(PULSE_S + 100)
        assert tab.notes == [100.0]
        await tab.lifecycle.take("freeze")
        await tab.look(PULSE_S + 100)
        await tab.lifecycle.take("resume")
        assert tab.notes == [100.0, "frozen", 101.0]


async def test_a_tab_that_is_left_does_not_wait_for_what_was_told_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when a user looks at a tab and closes it at once, while a handler is at work."""
    monkeypatch.setattr("agents_core.node.HOOKS_S", 3600.0)
    async with connect("local://") as node, asyncio.timeout(20):
        tab, left = Tab(node, monkeypatch), asyncio.Event()

        def take(msg: Msg) -> None:
            if b'"left":true' in msg.data:
                left.set()

        await node.subscribe(f"{node.root}.status.*", cb=take)

        class Own(Busy):
            begun = asyncio.Event()

        busy = await node.spawn(Own, "busy")
        busy.tell("wait")
        await Own.begun.wait()
        before = asyncio.create_task(tab.lifecycle.take("hidden"))
        await asyncio.sleep(0)  # it waits for the handler
        others = [asyncio.create_task(tab.lifecycle.take(e)) for e in ("visible", "freeze")]
        await asyncio.gather(before, *others)
        await left.wait()
        await tab.lifecycle.take("offline")
        resumed = asyncio.create_task(tab.lifecycle.take("resume"))
        await asyncio.sleep(0)
        assert not resumed.done()  # nothing is left of the hurry
        await busy.kill()
        await resumed
