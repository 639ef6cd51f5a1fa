"""The loop of one agent: it works off what waits, and sees how long that takes.

An idle agent has no task. What waits is worked off in a callback, and in one task from the first
item on that has to be awaited.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from agents_core.agent import TYPE_CHARS_MAX
from agents_core.events import Slow
from agents_core.exit import TRACEBACK_CHARS_MAX
from agents_core.mailbox import Envelope, Item

if TYPE_CHECKING:
    from agents_core.cell import Cell
    from agents_core.node import Node

FAIR_MSGS = 500
"""Messages handled in a row before everybody else on the loop gets a turn."""

SLOW_NS = 50_000_000
"""Nanoseconds from which on a handler is slow: what browsers call a long task. Where that was one
that did not wait, everybody else gets a turn after each of the agent's next messages."""

BETWEEN_MESSAGES = "(between messages)"
"""What stands for a message's name where a timer or somebody's control was slow."""


class Runner:
    """Takes what waits from a cell, one item after the other, and has the cell handle it.

    Args:
        node: told of slow handlers.
        cell: whose items they are, and whose `busy_ns` is counted.

    Attributes:
        idle: neither at work nor about to be.
        task: in which it is at work, if something had to be awaited; else None.
    """

    def __init__(self, node: Node, cell: Cell) -> None:
        self.idle = True
        self.task: asyncio.Task[None] | None = None
        self._node = node
        self._cell = cell
        self._in_a_row = FAIR_MSGS
        self._turn: object | None = None  # of `_work`, while it is at work

    def start(self) -> None:
        """Begin soon; for one that is idle."""
        self.idle = False
        asyncio.get_running_loop().call_soon(self._work)

    def cancel(self) -> str:
        """Cancel the task, if there is one; where it was."""
        if self.task is None:
            return ""
        where = _stack(self.task)
        self.task.cancel()
        return where

    def release(self) -> None:
        """Be idle. Whoever goes on, as it swallowed its end, takes nothing more."""
        self.task = self._turn = None
        self.idle = True

    def _work(self) -> None:
        """Work off what waits right here; in a task from the first awaitable on."""
        if self._turn is not None:
            return  # a handler is in the midst of `run_sync`, which lets the browser's loop go on
        self._turn = turn = object()
        self.idle = False
        began = perf_counter_ns()  # per batch, as a clock per message would cost what one costs
        last, count = None, 0
        try:
            last, count = self._work_some(turn)
        finally:
            self._rest(turn)
            took = perf_counter_ns() - began
            self._cell.busy_ns += took
            self._in_a_row = 1 if took > SLOW_NS else min(2 * self._in_a_row, FAIR_MSGS)
        if took > SLOW_NS and last is not None:
            self._tell_slow(last, took, count)

    def _work_some(self, turn: object) -> tuple[Item | None, int]:
        """Handle items up to the first awaitable; the last one, and how many there were."""
        cell, item, count = self._cell, None, 0
        while count < self._in_a_row and self.task is None and self._turn is turn:
            following = cell.take()
            if following is None:
                return item, count
            item, count = following, count + 1
            pending = cell.handle(item)
            if pending is not None:
                self._begin_task(item, pending)
        self._rest(turn)
        cell.wake()
        return item, count

    def _rest(self, turn: object) -> None:
        if self._turn is turn:
            self._turn = None
            self.idle = self.task is None

    def _tell_slow(
        self, item: Item, took: int, messages: int = 1, *, awaited: bool = False
    ) -> None:
        name = item.name[:TYPE_CHARS_MAX] if isinstance(item, Envelope) else BETWEEN_MESSAGES
        self._node.slow(Slow(self._cell.id, name, took / 1e9, messages, awaited))

    def _begin_task(self, item: Item, pending: Awaitable[Any]) -> None:
        self.idle = False
        task = self.task = asyncio.get_running_loop().create_task(self._run(item, pending))
        if inspect.iscoroutine(pending):  # a task that is killed before its first step never does
            task.add_done_callback(lambda _: pending.close())

    async def _run(self, item: Item, pending: Awaitable[Any] | None) -> None:
        """Work off what waits in a task, beginning with what `item` left to be awaited."""
        cell, me = self._cell, asyncio.current_task()
        began = since = perf_counter_ns()
        count = 0
        try:
            while True:
                if pending is not None:
                    await cell.complete(item, pending)
                if self.task is not me:
                    return  # ended, and maybe another instance runs
                now = perf_counter_ns()
                if now - since > SLOW_NS:
                    self._tell_slow(item, now - since, awaited=pending is not None)
                count += 1
                if count % FAIR_MSGS == 0:
                    await asyncio.sleep(0)
                    now = perf_counter_ns()
                since = now
                following = cell.take()
                if following is None:
                    return
                item, pending = following, cell.handle(following)
        finally:
            cell.busy_ns += perf_counter_ns() - began
            if self.task is me:
                self.release()
                cell.wake()


def _stack(task: asyncio.Task[None]) -> str:
    """Where a task was when it was killed, down to what it waited for."""
    lines = ["killed while at"]
    awaited: Any = task.get_coro()
    while frame := getattr(awaited, "cr_frame", None):
        code = frame.f_code
        lines.append(f'  File "{code.co_filename}", line {frame.f_lineno}, in {code.co_name}')
        awaited = awaited.cr_await
    return "\n".join(lines)[-TRACEBACK_CHARS_MAX:]
