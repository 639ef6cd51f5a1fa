"""What runs inside of another interpreter: agents, and what they have for a node.

The same source in a worker of a page and in a process. It does what the parent says, and hands on
what the agents want of the world.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from agents_core import jsonvalue, modules
from agents_core.cell import Cell
from agents_core.child import Child
from agents_core.codec import Encoded
from agents_core.errors import (
    AgentsError,
    AgentStopped,
    MaxPayloadExceeded,
    RemoteError,
    Unsupported,
)
from agents_core.events import Slow
from agents_core.exit import Exit, Kind
from agents_core.hosts import log
from agents_core.hosts.backend import PipeBackend
from agents_core.hosts.channel import Channel, PipeReply
from agents_core.hosts.modules import MAIN
from agents_core.hosts.passage import WINDOW, Passage
from agents_core.hosts.pipe import Line
from agents_core.ids import AgentId, agent_id
from agents_core.mailbox import Control, Envelope
from agents_core.nats.subject import check_subject
from agents_core.ref import AgentRef
from agents_core.state import actions
from agents_core.timers import Timers

if TYPE_CHECKING:
    from agents_core.node import Node
    from agents_core.supervisor import Tree

SIGN_S = 0.25
"""Seconds after which an interpreter that works off many messages in a row says that it lives."""

AGAIN = 'A host runs the script, too: what starts it belongs below `if __name__ == "__main__":`.'
"""Beside what a script raised that was not written for that."""


class Guest:
    """Runs the agents of a host; to them it is `ctx.node`, with what reaches through a pipe.

    Args:
        heap: how many bytes this interpreter has.
        on_close: called when the parent has no more use for it, or is gone.
        capture: sends log records to the parent, from a level on.

    Attributes:
        name, root, host, version: of the node that the host belongs to.
    """

    def __init__(
        self,
        heap: Callable[[], int],
        on_close: Callable[[], None],
        capture: Callable[[Channel, int], object] = log.capture,
    ) -> None:
        self.name = self.root = self.host = self.version = ""
        self.timers = Timers()
        self._heap = heap
        self._on_close = on_close
        self._capture = capture
        self._channel = Channel(
            {
                "act": self._act,
                "close": self._close,
                "discard": self._discard,
                "finish": self._finish,
                "hook": self._hook,
                "kill": self._kill,
                "message": self._message,
                "module": self._module,
                "ping": self._ping,
                "start": self._start_soon,
                "welcome": self._welcome,
            }
        )
        self.router = Passage(self._channel, self.timers)
        self._max_payload = 0
        self._starts: dict[str, asyncio.Task[None]] = {}
        self._said = self.timers.now()

    def attach(self, pipe: Line) -> None:
        """Begin to speak."""
        self._channel.attach(pipe)

    # -- what the parent says

    def arrived(self, data: bytes) -> None:
        """See `Receiver.arrived`."""
        self._channel.arrived(data)

    def lost(self, reason: str) -> None:
        """See `Receiver.lost`: nobody supervises these agents any more."""
        self._on_close()

    def _welcome(self, _: PipeReply, payload: bytes) -> None:
        words = json.loads(payload)
        self.name, self.root = words["name"], words["root"]
        self.host, self.version = words["host"], words["version"]
        self._max_payload = words["max_payload"]
        self._capture(self._channel, words["level"])
        self._pong()

    def _ping(self, _: PipeReply, __: bytes) -> None:
        self._pong()

    def _pong(self) -> None:
        counts = {c.id: [c.handled, c.busy_ns] for c in self.router.cells.values()}
        self._channel.post("pong", self._heap(), payload=json.dumps(counts).encode())
        self._channel.flush()
        self._said = self.timers.now()

    def _close(self, _: PipeReply, __: bytes) -> None:
        self._on_close()

    def _module(self, _: PipeReply, payload: bytes, name: str, package: bool) -> None:
        modules.keep(name, payload.decode(), package=package)

    # -- agents

    def _start_soon(self, reply: PipeReply, payload: bytes) -> None:
        spec: dict[str, Any] = json.loads(payload)
        starting = self._start(reply, self._starts.get(spec["id"]), **spec)
        task = self._starts[spec["id"]] = asyncio.get_running_loop().create_task(starting)
        task.add_done_callback(lambda _: self._started(spec["id"], task, reply))

    def _started(self, agent: str, task: asyncio.Task[None], reply: PipeReply) -> None:
        if self._starts.get(agent) is task:
            del self._starts[agent]
        if not reply.done():  # it was cancelled
            reply.set_result({"exit": Exit(Kind.KILLED).to_json(whole=True)})

    def _stop_starting(self, agent: str) -> None:
        """Also what has only been asked for, and has no cell yet."""
        if (starting := self._starts.get(agent)) is not None:
            starting.cancel()

    async def _start(
        self,
        reply: PipeReply,
        earlier: asyncio.Task[None] | None,
        before: dict[str, Any] | None,
        epoch: int,
        **spec: Any,
    ) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        try:
            cell = self._cell(**spec)
            cell.on_exit = lambda reason: self._exited(cell, epoch, reason)
            await cell.start(Exit.from_json(before) if before else None)
        except ModuleNotFoundError as error:
            reply.set_result({"missing": error.name or str(error)})
        except RemoteError as error:
            exit = Exit(Kind.ERROR, error.type, error.message, error.traceback)
            reply.set_result({"exit": exit.to_json(whole=True)})
        except Exception as error:
            reply.set_result({"exit": Exit.of(error).to_json(whole=True)})
        else:
            reply.set_result({})

    def _cell(self, id: str, cls: str, mailbox: int, **spec: Any) -> Cell:
        """The agent's cell; it outlives its instances, as inline."""
        cell = self.router.cells.get(id)
        if cell is None:
            kind = self._load(cls)
            backend = PipeBackend(AgentId(id), self._channel)
            child = Child(kind, id, state=backend, mailbox=mailbox + WINDOW, **spec)
            nobody = cast("Tree", None)  # its supervisor is with the parent, as is all control
            cell = self.router.cells[id] = Cell(cast("Node", self), child, backend, nobody)
        return cell

    def _load(self, path: str) -> Any:
        """Import a class; the parent is told, as that may take longer than any message."""
        if path.partition(":")[0] in sys.modules:
            return modules.imported(path)
        self._channel.post("importing", True)
        self._channel.flush()
        try:
            return modules.imported(path)
        except Exception as error:
            if path.startswith(f"{MAIN}:"):
                error.add_note(AGAIN)
            raise
        finally:
            self._channel.post("importing", False)

    def _exited(self, cell: Cell, epoch: int, reason: Exit) -> None:
        body = json.dumps(reason.to_json(whole=True)).encode()
        self._channel.post("exit", cell.id, epoch, payload=body)

    def _finish(self, _: PipeReply, payload: bytes, agent: str) -> None:
        cell = self.router.cells.get(agent)
        if cell is not None and cell.phase == "running":
            cell.finish(Exit.from_json(json.loads(payload)))

    def _kill(self, _: PipeReply, __: bytes, agent: str, message: str) -> None:
        self._stop_starting(agent)
        if (cell := self.router.cells.get(agent)) is not None:
            cell.kill(message)

    def _discard(self, _: PipeReply, __: bytes, agent: str) -> None:
        self._stop_starting(agent)
        if (cell := self.router.cells.pop(agent, None)) is not None:
            cell.kill("nobody supervises it")
            cell.discard()

    # -- messages

    def _message(
        self,
        reply: PipeReply,
        payload: bytes,
        agent: str,
        sender: str,
        name: str,
        id: str,
        timestamp: float,
        wanted: bool,
    ) -> None:
        reply.wanted = wanted
        value = Encoded(name, payload).plain()
        try:
            self._found(agent).put(Envelope(value, sender, reply, name, id, timestamp))
        except AgentsError as error:
            reply.set_exception(error)

    def _act(self, reply: PipeReply, payload: bytes, agent: str) -> None:
        try:
            action, cell = actions.from_json(json.loads(payload)), self._found(agent)
            cell.mailbox.put_control(Control(lambda: cell.state.handle(action), reply))
            cell.wake()
        except AgentsError as error:
            reply.set_exception(error)

    def _hook(self, reply: PipeReply, payload: bytes, agent: str, name: str) -> None:
        try:
            called = self._found(agent).hook(name, json.loads(payload))
            called.add_done_callback(lambda _: reply.set_result(None))
        except AgentsError as error:
            reply.set_exception(error)

    def _found(self, agent: str) -> Cell:
        cell = self.router.cells.get(agent)
        if cell is None:
            raise AgentStopped(agent)
        return cell

    # -- what the agents want

    def agent(self, id: str, *, sender: str = "") -> AgentRef:
        """See `Node.agent`."""
        return AgentRef(agent_id(id), self.router, sender or self.name)

    def publish(self, subject: str, payload: bytes = b"") -> None:
        """See `Node.publish`; what goes wrong on the way is logged by the parent.

        Raises:
            InvalidSubject: it is no subject.
            MaxPayloadExceeded: the payload is larger than the server accepts.
            OutboundBufferFull: more waits to be sent than may.
        """
        check_subject(subject)
        if len(payload) > self._max_payload:
            raise MaxPayloadExceeded(len(payload), self._max_payload)
        self._channel.check()
        self._channel.post("publish", subject, payload=payload)

    def publish_json(self, subject: str, value: Any) -> None:
        """See `Node.publish_json`."""
        self.publish(subject, jsonvalue.dumps(value))

    def __getattr__(self, name: str) -> Any:
        """What else a node can do does not reach through a pipe."""
        if name.startswith("_"):
            raise AttributeError(name)
        instead = "have an inline agent do it, and send it a message"
        raise Unsupported(f"ctx.node.{name} in a host", instead)

    # -- what its cells tell

    def event(self, cell: Cell, kind: str, reason: Exit | None) -> None:
        """The parent tells the rest by itself."""
        if kind == "unhandled" and reason is not None:
            body = json.dumps(reason.to_json(whole=True)).encode()
            self._channel.post("unhandled", cell.id, payload=body)

    def slow(self, handling: Slow) -> None:
        """The parent has those who listen; in a flood it does without."""
        if self._channel.room:
            body = json.dumps(asdict(handling)).encode()
            self._channel.post("slow", handling.agent, payload=body)

    def changed(self) -> None:
        """A message was handled; called after each, so an interpreter that is busy is not hung."""
        if self.timers.now() - self._said > SIGN_S:
            self._pong()

    # -- ending

    async def end(self) -> None:
        """End what still runs, as when the interpreter itself goes on."""
        for cell in self.router.cells.values():
            cell.kill("its host closes")
            cell.discard()
        self.timers.close()
        tasks = list(self._starts.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
