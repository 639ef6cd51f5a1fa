"""The hosts of a node: who runs where, and which interpreter that is at the moment."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from agents_core import platform
from agents_core.errors import HostFull, HostLost, InvalidSpec
from agents_core.exit import MESSAGE_CHARS_MAX, Exit, Kind
from agents_core.hosts.errands import Errands
from agents_core.hosts.host import Host
from agents_core.hosts.interpreter import Interpreter
from agents_core.hosts.pipe import Opener

if TYPE_CHECKING:
    from agents_core.hosts.hosted import HostedCell
    from agents_core.mailbox import Reply
    from agents_core.node import Node

_log = logging.getLogger("agents_core")


class Hosts:
    """All hosts of one node.

    Args:
        node: whose.
        opener: starts interpreters; the platform's by default.
    """

    def __init__(self, node: Node, opener: Opener | None) -> None:
        self._node = node
        self._opener = opener
        self._running: dict[str, RunningHost] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def place(self, agent: str, spec: Host) -> RunningHost:
        """The host for an agent; its interpreter comes with the agent's start.

        Raises:
            InvalidSpec: other children give other bounds for a host of that name.
        """
        name = spec.name or f"worker of {agent}"
        host = self._running.get(name)
        if host is None:
            opener = self._opener or platform.current().open_host
            host = self._running[name] = RunningHost(spec, name, self, self._node, opener)
        elif host.spec != spec:
            raise InvalidSpec(f"host {name!r} is there already, with other bounds")
        return host

    def info(self) -> dict[str, dict[str, Any]]:
        """For each host its `agents`, the messages `waiting` for them, and bytes of its `heap`."""
        return {name: host.info() for name, host in self._running.items()}

    def forget(self, host: RunningHost) -> None:
        """Its last agent has gone."""
        self._running.pop(host.name, None)

    def bury(self, interpreter: Interpreter) -> None:
        """Wait for the end of one that is not used any more; `close` returns when there is none."""
        task = asyncio.get_running_loop().create_task(interpreter.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Return when all interpreters that are not used any more are gone."""
        while self._closing:
            await asyncio.wait(list(self._closing))


class RunningHost:
    """The agents that share an interpreter, and its lives one after the other.

    Args:
        spec: its bounds.
        name: unique on this node.
        hosts: of the node.
        node: whose.
        opener: starts interpreters.

    Attributes:
        cells: its agents by id.
        load: their messages that were taken and not answered.
    """

    def __init__(self, spec: Host, name: str, hosts: Hosts, node: Node, opener: Opener) -> None:
        self.spec = spec
        self.name = name
        self.cells: dict[str, HostedCell] = {}
        self.load = 0
        self._hosts = hosts
        self._node = node
        self._opener = opener
        self._errands = Errands(node, self)
        self._interpreter: Interpreter | None = None
        self._opening: asyncio.Task[None] | None = None

    # -- who is in it

    def attach(self, cell: HostedCell) -> None:
        """Take an agent in.

        Raises:
            HostFull: it has as many as it may.
        """
        if len(self.cells) >= self.spec.agents:
            raise HostFull(self.name, self.spec.agents, "agents")
        self.cells[cell.id] = cell

    def detach(self, cell: HostedCell) -> None:
        """Let an agent go for good; with the last one the interpreter ends."""
        self.post("discard", cell.id)
        del self.cells[cell.id]
        if not self.cells:
            self._hosts.forget(self)
            if self._interpreter is not None:
                interpreter, self._interpreter = self._interpreter, None
                self._hosts.bury(interpreter)
                self._errands.close()

    def info(self) -> dict[str, Any]:
        """See `Hosts.info`; the heap as it was told last."""
        heap = self._interpreter.heap if self._interpreter is not None else 0
        return {"agents": list(self.cells), "waiting": self.load, "heap": heap}

    def check(self) -> None:
        """Refuse more messages when too many wait.

        Raises:
            HostFull: they do.
        """
        if self.load >= self.spec.mailbox:
            raise HostFull(self.name, self.spec.mailbox, "messages")

    # -- its interpreter

    async def start(self, spec: dict[str, Any], before: Exit | None) -> Exit | None:
        """Start an agent, and an interpreter if there is none; why it failed, or None."""
        try:
            interpreter = await self._open()
            failed = await interpreter.start(spec, before)
        except HostLost as error:
            return Exit(Kind.KILLED, "Killed", error.reason)
        return self.judged(failed) if failed is not None else None

    async def _open(self) -> Interpreter:
        if self._interpreter is None:
            self._make()
        interpreter, opening = self._interpreter, self._opening
        assert interpreter is not None
        assert opening is not None
        await asyncio.wait([opening])  # others may wait for it too: never cancelled from here
        opening.result()
        return interpreter

    def _make(self) -> None:
        def lost(reason: str) -> None:
            self._lost(interpreter, reason)

        interpreter = Interpreter(
            self.spec, self.name, self._node.timers, self._errands.verbs(), lost
        )
        opening = interpreter.open(self._opener, self._welcome())
        self._interpreter = interpreter
        self._opening = asyncio.get_running_loop().create_task(opening)
        self._opening.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _welcome(self) -> dict[str, Any]:
        node = self._node
        names = ("agents", "agents_core")
        return {
            "name": node.name,
            "root": node.root,
            "host": node.host,
            "version": node.version,
            "max_payload": node.bus.max_payload,
            "level": min(logging.getLogger(name).getEffectiveLevel() for name in names),
        }

    def _lost(self, interpreter: Interpreter, reason: str) -> None:
        if self._interpreter is not interpreter:
            return  # it was buried before
        self._interpreter = None
        self._hosts.bury(interpreter)
        self._errands.close()
        surprised = any(cell.phase == "running" for cell in self.cells.values())
        _log.log(
            logging.ERROR if surprised else logging.INFO, "host %s is lost: %s", self.name, reason
        )
        exit = Exit(Kind.KILLED, "Killed", reason)  # one, so that supervisors know it for one death
        for cell in list(self.cells.values()):
            cell.lost(exit)

    def judged(self, exit: Exit) -> Exit:
        """Why an agent ended; when memory ran out, that is the end of the interpreter too."""
        if exit.type != "MemoryError" or self._interpreter is None:
            return exit
        reason = f"heap ceiling: {self.spec.heap} bytes were not enough"
        self._interpreter.terminate(reason)
        return Exit(Kind.KILLED, "Killed", reason)

    def drop(self, cell: HostedCell) -> None:
        """The instance of an agent is gone; what it has begun here must not outlast it."""
        self._errands.close(cell.id)

    def kill(self, cell: HostedCell, message: str) -> None:
        """End an agent: by the end of its interpreter, if no other agent is in there."""
        if len(self.cells) > 1:
            self.post("kill", cell.id, message[:MESSAGE_CHARS_MAX])
        elif self._interpreter is not None:
            self._interpreter.terminate(message or "killed")

    # -- talking to it

    @property
    def room(self) -> bool:
        """Whether it is there and keeps up."""
        interpreter = self._interpreter
        return (
            interpreter is not None and not interpreter.channel.closed and interpreter.channel.room
        )

    def post(self, verb: str, *fields: Any, payload: bytes = b"") -> None:
        """Tell it, if it is there."""
        if self._interpreter is not None:
            self._interpreter.channel.post(verb, *fields, payload=payload)

    def call(self, reply: Reply, verb: str, *fields: Any, payload: bytes) -> None:
        """Call it; only while there is `room`."""
        assert self._interpreter is not None
        self._interpreter.channel.call(reply, verb, *fields, payload=payload)

    def sender_of(self, task: asyncio.Task[Any] | None) -> str:
        """For which of its agents a task works."""
        return self._errands.sender_of(task)
