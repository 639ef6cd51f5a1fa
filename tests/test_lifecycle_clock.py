"""The tab's lifecycle by itself, with a clock that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from agents_browser import lifecycle
from agents_browser.lifecycle import PULSE_S, SLEEP_S, Lifecycle
from agents_core import Agent, Node, connect
from agents_core.errors import InvalidMessage


class Diary(Agent):
    notes: list[object]

    def on_suspend(self, why: str) -> None:
        self.notes.append(why)

    def on_resume(self, slept: float) -> None:
        self.notes.append(round(slept, 1))


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
