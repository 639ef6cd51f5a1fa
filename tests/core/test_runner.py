"""The loop of one agent: turns for others, and handlers that are slow."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from agents_core import Agent, connect, on
from agents_core import runner as runner_module
from agents_core.errors import RemoteError
from agents_core.events import Slow
from tests.core.sample import Counter, until


async def test_a_burst_leaves_turns_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "FAIR_MSGS", 3)

    class Worker(Agent):
        @on("plain")
        def plain(self) -> None: ...

        @on("async")
        async def coroutine(self) -> None: ...

    async with connect("local://") as node:
        worker = await node.spawn(Worker, "w")
        for word in ("plain", "async"):
            for _ in range(10):
                worker.tell(word)
            done: list[int] = []
            cell, before = node.router.cells["w"], node.router.cells["w"].handled
            while cell.handled < before + 10:
                done.append(cell.handled - before)
                await asyncio.sleep(0)
            assert all(later - earlier <= 3 for earlier, later in itertools.pairwise(done))


async def test_a_kill_before_the_first_step_of_a_handler_leaves_no_coroutine_behind() -> None:
    async with connect("local://") as node:
        counter = await node.spawn(Counter, "c")
        asking = asyncio.create_task(counter.ask("hang"))
        cell = node.router.cells["c"]
        await until(lambda: cell._runner.task)
        cell.kill("early")  # a warning about a coroutine that was never awaited fails the tests
        with pytest.raises(RemoteError, match="early"):
            await asking


async def test_a_turn_in_the_midst_of_a_handler_takes_nothing() -> None:
    """As a browser gives one while a handler waits by `run_sync`."""
    words: list[str] = []

    class Waiting(Agent):
        @on("first")
        def first(self) -> None:
            words.append("begun")
            node.router.cells["w"]._runner._work()
            words.append("done")

        @on("second")
        def second(self) -> None:
            words.append("second")

    async with connect("local://") as node:
        waiting = await node.spawn(Waiting, "w")
        waiting.tell("first")
        await waiting.ask("second")
        assert words == ["begun", "done", "second"]


class Busy(Agent):
    """Each of its messages takes as long as it says, on a clock of the test's."""

    def __init__(self, clock: list[int]) -> None:
        self.clock = clock

    def _work(self, payload: dict[str, Any]) -> None:
        self.clock[0] += payload["ms"] * 1_000_000

    @on("work")
    def work(self, payload: Any) -> None:
        self._work(payload)

    @on("wait")
    async def wait(self, payload: Any) -> None:
        await asyncio.sleep(0)
        self._work(payload)

    @on("later")
    def later(self, payload: Any) -> None:
        self.ctx.after(0, lambda: self._work(payload))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Nanoseconds; they pass when an agent says so."""
    now = [0]
    monkeypatch.setattr(runner_module, "perf_counter_ns", lambda: now[0])
    return now


async def test_a_slow_handler_is_told_with_its_agent_and_message(clock: list[int]) -> None:
    found: list[Slow] = []
    async with connect("local://") as node:
        end = node.on_slow(found.append)
        busy = await node.spawn(Busy, "b", clock)
        await busy.ask({"type": "work", "ms": 50})
        assert found == []
        await busy.ask({"type": "work", "ms": 51})
        await busy.ask({"type": "wait", "ms": 70})
        busy.tell({"type": "later", "ms": 80})
        await until(lambda: len(found) == 3)
        assert found == [
            Slow("b", "work", 0.051, 1, awaited=False),
            Slow("b", "wait", 0.07, 1, awaited=True),
            Slow("b", "(between messages)", 0.08, 1, awaited=False),
        ]
        end()
        await busy.ask({"type": "work", "ms": 51})
        assert len(found) == 3


async def test_after_a_slow_row_messages_are_handled_and_told_one_by_one(clock: list[int]) -> None:
    found: list[Slow] = []
    async with connect("local://") as node:
        node.on_slow(found.append)
        busy = await node.spawn(Busy, "b", clock)
        for _ in range(4):
            busy.tell({"type": "work", "ms": 20})
        await until(lambda: len(found) == 1)
        assert found == [Slow("b", "work", 0.08, 4, awaited=False)]
        for _ in range(3):
            busy.tell({"type": "work", "ms": 60})
        await until(lambda: len(found) == 4)
        assert found[1:] == [Slow("b", "work", 0.06, 1, awaited=False)] * 3
        busy.tell({"type": "work", "ms": 20})  # alone in its turn, and quick
        for _ in range(6):
            busy.tell({"type": "work", "ms": 30})
        await until(lambda: len(found) == 6)
        assert [slow.messages for slow in found[4:]] == [2, 2]  # two, one, two, one


async def test_a_slow_message_in_the_task_of_one_that_waits_is_told(clock: list[int]) -> None:
    found: list[Slow] = []
    async with connect("local://") as node:
        node.on_slow(found.append)
        busy = await node.spawn(Busy, "b", clock)
        busy.tell({"type": "wait", "ms": 1})
        busy.tell({"type": "work", "ms": 60})
        await until(lambda: found)
        assert found == [Slow("b", "work", 0.06, 1, awaited=False)]
