"""A running supervisor.

Starts children in order, restarts them by the OTP rules, gives up in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from agents_core.cell import Cell
from agents_core.child import Child, Supervisor
from agents_core.errors import AgentsError, RestartLimitReached
from agents_core.exit import SHUTDOWN, Exit
from agents_core.restart import Intensity, Restart, affected, wants_restart

if TYPE_CHECKING:
    from agents_core.node import Node


class Tree:
    """A supervisor with its children; itself a child of the one above.

    It knows its children, cells or trees, only by `start`, `stop`, `discard`, `phase`, `restart`
    and `on_exit`: a child in another worker or process needs no more than that.
    """

    def __init__(self, node: Node, spec: Supervisor, path: str = "") -> None:
        self.id = spec.name
        self.spec = spec
        self.restart: Restart = spec.restart
        self.path = f"{path}/{spec.name}".lstrip("/")
        self.phase = "starting"
        self.on_exit: Callable[[Exit], None] = lambda _: None
        self.children: list[Cell | Tree] = []
        self._node = node
        self._intensity = Intensity(spec.max_restarts, spec.max_seconds)
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- life

    async def start(self, before: Exit | None = None) -> None:
        """Start the children in order (S1); if one fails, stop those that run, in reverse (S2).

        Raises:
            AgentsError: what a child's start raised.
        """
        self._intensity = Intensity(self.spec.max_restarts, self.spec.max_seconds)
        if not self.children:
            self.children = [self._make(child) for child in self.spec.children]
        self.phase = "running"
        for child in self.children:
            try:
                await child.start(before)
            except AgentsError:
                self.phase = "failed"
                await self._stop_children(self.children)
                raise

    def _make(self, spec: Child | Supervisor) -> Cell | Tree:
        child: Cell | Tree
        if isinstance(spec, Supervisor):
            child = Tree(self._node, spec, self.path)
        else:
            child = self._node.cell(spec, self.path)
        child.on_exit = lambda reason: self._exited(child, reason)
        return child

    async def stop(self, reason: Exit = SHUTDOWN) -> None:
        """Stop the children in reverse order, each within its shutdown time."""
        self.phase = "stopped"
        for cell in self.cells():
            if cell.phase == "restarting":
                cell.kill("its supervisor stops")  # else a start that hangs would hold the lock
        async with self._lock:
            await self._stop_children(self.children)

    async def _stop_children(self, children: list[Cell | Tree]) -> None:
        for child in reversed(children):
            await child.stop()

    def discard(self) -> None:
        """None of it will run again."""
        for child in self.children:
            child.discard()

    def cells(self) -> list[Cell]:
        """Every agent below, in start order."""
        found: list[Cell] = []
        for child in self.children:
            found += child.cells() if isinstance(child, Tree) else [child]
        return found

    def owner_of(self, cell: Cell) -> Tree | None:
        """The supervisor, this one or one below, that has the cell as a child."""
        if cell in self.children:
            return self
        trees = (child for child in self.children if isinstance(child, Tree))
        return next((owner for tree in trees if (owner := tree.owner_of(cell))), None)

    async def stop_child(self, child: Cell | Tree) -> None:
        """Stop one child for good: an orderly end that somebody asked for is not restarted (M1)."""
        async with self._lock:
            await child.stop()
            self._remove(child)

    def _remove(self, child: Cell | Tree) -> None:
        self.children.remove(child)
        child.discard()
        for cell in child.cells() if isinstance(child, Tree) else [child]:
            self._node.forget(cell)

    # -- restarting

    def _exited(self, child: Cell | Tree, reason: Exit) -> None:
        task = asyncio.get_running_loop().create_task(self._handle_exit(child, reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle_exit(self, child: Cell | Tree, reason: Exit) -> None:
        async with self._lock:
            if self.phase != "running" or child not in self.children or child.phase == "running":
                return  # a sibling's exit, or the end of all, has seen to it
            if wants_restart(child.restart, reason):
                await self._restart(child, reason)
            else:
                self._remove(child)

    async def _restart(self, child: Cell | Tree, reason: Exit) -> None:
        """Restart until it holds or the intensity is exceeded.

        A start that fails counts too (I4).
        """
        todo = affected(self.spec.strategy, self.children, child)
        await self._stop_children([other for other in todo if other is not child])
        for other in [o for o in todo if o is not child and o.restart == "temporary"]:
            todo.remove(other)
            self._remove(other)  # S8: ended because of a sibling, it does not come back
        while todo and self.phase == "running":
            self._intensity = self._intensity.restarted(self._node.timers.now())
            if self._intensity.exceeded:
                await self._give_up()
                return
            try:
                while todo:
                    await todo[0].start(reason)
                    todo.pop(0)
            except AgentsError as error:
                reason = Exit.of(error)
                await asyncio.sleep(0)  # everybody else gets a turn between attempts

    async def _give_up(self) -> None:
        """End the remaining children in reverse order and tell the supervisor above (I3)."""
        self.phase = "failed"
        error = RestartLimitReached(self.path, self.spec.max_restarts, self.spec.max_seconds)
        await self._stop_children(self.children)
        self.discard()
        self._node.gave_up(self, Exit.of(error))
        self.on_exit(SHUTDOWN)
