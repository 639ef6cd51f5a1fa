"""A running supervisor.

Starts children in order, restarts them by the OTP rules, gives up in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from agents_core.cell import Cell
from agents_core.child import Supervisor
from agents_core.errors import AgentsError, RestartLimitReached
from agents_core.exit import SHUTDOWN, Exit, Kind
from agents_core.restart import Intensity, Restart, affected, wants_restart

if TYPE_CHECKING:
    from agents_core.node import Node


STARTING = frozenset({"starting", "restarting"})
"""Phases in which an agent can be killed, but not yet stopped."""


class Tree:
    """A supervisor with its children; itself a child of the one above.

    Its children are cells or trees; an agent in another worker or process is a cell, too.
    """

    def __init__(self, node: Node, spec: Supervisor, path: str = "") -> None:
        self.spec = spec
        self.restart: Restart = spec.restart
        self.path = f"{path}/{spec.name}".lstrip("/")
        self.phase = "starting"
        self.on_exit: Callable[[Exit], None] = lambda _: None
        self.children: list[Cell | Tree] = []
        self._top = not path  # nobody above starts it again: what ends, ends for good
        self._node = node
        self._intensity = Intensity(spec.max_restarts, spec.max_seconds)
        self._killed: Exit | None = None
        self._lock = asyncio.Lock()
        self._unwanted: set[Cell | Tree] = set()  # ended for good, or about to
        self._tasks: set[asyncio.Task[None]] = set()

    # -- life

    def make(self) -> None:
        """Make the children, all the way down: every id is taken before anything starts.

        Raises:
            AgentExists: an id is taken already.
            Unsupported: a child's state can't be kept here.
        """
        for spec in self.spec.children:
            if isinstance(spec, Supervisor):
                tree = Tree(self._node, spec, self.path)
                self._add(tree)
                tree.make()
            else:
                self._add(self._node.cell(spec, self))

    def _add(self, child: Cell | Tree) -> None:
        self.children.append(child)
        child.on_exit = lambda reason: self._exited(child, reason)

    async def start(self, before: Exit | None = None) -> None:
        """Start the children in order (S1); if one fails, stop those that run, in reverse (S2).

        Children that were removed before, as temporary ones that ended, do not come back.

        Raises:
            RemoteError: a child could not start.
        """
        async with self._lock:
            self._intensity = Intensity(self.spec.max_restarts, self.spec.max_seconds)
            self.phase = "running"
            for child in self._unwanted & set(self.children):
                self._remove(child)
            try:
                for child in self.children:
                    await child.start(before)
            except BaseException:  # also when whoever waits for the start gives up
                self.phase = "failed"
                await self._stop_children(self.children, for_good=self._top)
                raise

    async def stop(self, *, for_good: bool = False) -> None:
        """Stop the children in reverse order, each within its shutdown time.

        Args:
            for_good: none of them will run again: each is gone for the others when it has stopped.
                So it is in any case where no supervisor is above.
        """
        self.phase = "stopped"
        for cell in self.cells():
            if cell.phase in STARTING:
                cell.kill("its supervisor stops")  # else a start that hangs would hold the lock
        async with self._lock:
            await self._stop_children(self.children, for_good=for_good or self._top)

    async def _stop_children(self, children: list[Cell | Tree], *, for_good: bool = False) -> None:
        for child in reversed(list(children)):
            if isinstance(child, Tree):
                await child.stop(for_good=for_good)
            else:
                await child.stop()
            if for_good:
                self._remove(child)

    def discard(self) -> None:
        """None of it will run again."""
        for child in self.children:
            child.discard()
        self.children.clear()

    def cells(self) -> list[Cell]:
        """Every agent below, in start order."""
        found: list[Cell] = []
        for child in self.children:
            found += child.cells() if isinstance(child, Tree) else [child]
        return found

    def stop_child(self, child: Cell) -> asyncio.Task[None]:
        """Stop an agent for good: an orderly end that somebody asked for is not restarted (M1).

        The returned task goes on also when whoever waits for it gives up.
        """
        self._unwanted.add(child)
        if child.phase in STARTING:
            child.kill("stopped before it had started")
        return self._begin(self._stop_child(child))

    async def _stop_child(self, child: Cell) -> None:
        async with self._lock:
            await child.stop()
            if child in self.children:  # else: it ended by itself meanwhile
                self._remove(child)

    def _remove(self, child: Cell | Tree) -> None:
        self.children.remove(child)
        cells = child.cells() if isinstance(child, Tree) else [child]
        child.discard()
        self._unwanted.discard(child)
        for cell in cells:
            self._node.forget(cell)

    # -- restarting

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _exited(self, child: Cell | Tree, reason: Exit) -> None:
        if not wants_restart(child.restart, reason):  # nor is it to come back with a sibling
            self._unwanted.add(child)
        self._begin(self._handle_exit(child, reason))

    async def _handle_exit(self, child: Cell | Tree, reason: Exit) -> None:
        async with self._lock:
            if self.phase != "running" or child not in self.children or child.phase == "running":
                return  # a sibling's exit, or the end of all, has seen to it
            if child in self._unwanted:
                self._remove(child)
            else:
                await self._restart(child, reason)

    async def _restart(self, child: Cell | Tree, reason: Exit) -> None:
        """Restart until it holds or the intensity is exceeded.

        A start that fails counts too (I4).
        """
        todo = await self._end_with(child)
        counted = reason.kind is Kind.KILLED and reason is self._killed
        self._killed = reason  # the death of a host is one failure, however many were in there
        while (todo := self._wanted(todo)) and self.phase == "running":
            if not counted:
                self._intensity = self._intensity.restarted(self._node.timers.now())
            counted = False
            if self._intensity.exceeded:
                await self._give_up()
                return
            try:
                while todo := self._wanted(todo):
                    await todo[0].start(reason)
                    todo.pop(0)
            except AgentsError as error:
                reason = Exit.of(error)
                await asyncio.sleep(0)  # everybody else gets a turn between attempts
                counted = todo[0] in self._unwanted  # it was stopped, which is no failure
                if not counted:
                    todo = await self._end_with(todo[0])  # the strategy again (S5)

    def _wanted(self, children: list[Cell | Tree]) -> list[Cell | Tree]:
        return [child for child in children if child not in self._unwanted]

    async def _end_with(self, child: Cell | Tree) -> list[Cell | Tree]:
        """Stop those that the strategy ties to a child that failed; who is to start again."""
        todo = affected(self.spec.strategy, self.children, child)
        await self._stop_children([other for other in todo if other is not child])
        for other in [o for o in todo if o is not child and o.restart == "temporary"]:
            todo.remove(other)
            self._remove(other)  # S8: ended because of a sibling, it does not come back
        return todo

    async def _give_up(self) -> None:
        """End the remaining children in reverse order and tell the supervisor above (I3)."""
        self.phase = "failed"
        error = RestartLimitReached(self.path, self.spec.max_restarts, self.spec.max_seconds)
        await self._stop_children(self.children, for_good=self._top)
        self._node.gave_up(self, Exit.of(error))
        self.on_exit(SHUTDOWN)
