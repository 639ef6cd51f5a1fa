"""An agent that runs in another interpreter, as its supervisor and the router see it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from agents_core import codec, jsonvalue
from agents_core.cell import Cell
from agents_core.codec import Encoded
from agents_core.errors import AgentsError, HostLost, InvalidMessage, RemoteError
from agents_core.exit import NORMAL, Exit
from agents_core.hosts import frames, modules
from agents_core.hosts.passage import WINDOW
from agents_core.mailbox import Envelope, Item
from agents_core.state import actions

if TYPE_CHECKING:
    from agents_core.child import Child
    from agents_core.hosts.host import Host
    from agents_core.hosts.registry import RunningHost
    from agents_core.node import Node
    from agents_core.state.actions import StateAction
    from agents_core.state.backend import MemoryBackend
    from agents_core.supervisor import Tree


class HostedCell(Cell):
    """A cell whose instances are elsewhere: its mailbox is here, and goes there in small portions.

    So what waits outlives the host. What the host has and has not answered when it dies is lost,
    as its outcome is unknown: an ask is told so.

    Args:
        node: where its supervisor is.
        child: what to run.
        backend: where its state is kept.
        owner: its supervisor.
        host: where it runs.

    Raises:
        InvalidSpec: its class can't be found by a name, or its host has other bounds already.
        EncodeError: its arguments have no JSON form.
        HostFull: the host has as many agents as it may.
    """

    def __init__(
        self, node: Node, child: Child, backend: MemoryBackend, owner: Tree, host: Host
    ) -> None:
        super().__init__(node, child, backend, owner)
        self._spec = {
            "id": child.id,
            "cls": modules.path_of(child.cls),
            "args": codec.encode(child.args)[1],
            "kwargs": codec.encode(child.kwargs)[1],
            "mailbox": child.mailbox,
            "shutdown": child.shutdown,
            "deadline": child.deadline,
        }
        jsonvalue.dumps(self._spec)
        self._host: RunningHost = node.hosts.place(child.id, host)
        self._epoch = 0
        self._exit: Exit | None = None
        self._flights: set[Flight] = set()
        self._before = (0, 0)  # handled, and nanoseconds, by the hosts before this one
        self._host.attach(self)

    @property
    def host(self) -> str:
        """The name of its host."""
        return self._host.name

    # -- life

    async def _hooks(self, before: Exit | None) -> Exit | None:
        await self._node.router.listen(self)
        self._epoch += 1
        self._exit = None
        try:
            return await self._host.start({**self._spec, "epoch": self._epoch}, before)
        except asyncio.CancelledError:
            self._host.post("kill", self.id, "")  # an earlier one came before there was a start
            raise

    def kill(self, message: str = "") -> None:
        """See `Cell.kill`. Alone in its host, its end is certain; else it is asked to cancel."""
        alive = self.phase in {"starting", "restarting", "running"}
        super().kill(message)
        if alive:
            self._host.kill(self, message)

    def finish(self, reason: Exit = NORMAL) -> None:
        """See `Cell.finish`."""
        self._host.post("finish", self.id, payload=json.dumps(reason.to_json(whole=True)).encode())

    def _drop_instance(self) -> None:
        super()._drop_instance()
        self._host.drop(self)

    def lost(self, reason: Exit) -> None:
        """The host is gone; what it had of this agent's messages was told so already."""
        self._before = (self.handled, self.busy_ns)
        self._exit = self._exit or reason  # its start may have been told to be done just now
        self.wake()

    def runs(self, task: asyncio.Task[Any] | None) -> bool:
        """See `Cell.runs`: whether the task waits on behalf of this agent."""
        return self._host.sender_of(task) == self.id

    def discard(self) -> None:
        """See `Cell.discard`; for what its host still has, the host answers."""
        self._host.detach(self)
        self._host.load -= len(self.mailbox)
        super().discard()

    # -- what its host tells

    def exited(self, epoch: int, reason: Exit) -> None:
        """An instance ended."""
        if epoch == self._epoch:  # else: it was given up before
            self._exit = reason
            self.wake()

    def unhandled(self, why: Exit) -> None:
        """A message did not fit."""
        self._count_failure(why)
        self._node.event(self, "unhandled", why)

    def counted(self, handled: int, busy_ns: int) -> None:
        """What its cell there has counted, messages of its host's other agents included."""
        self.handled, self.busy_ns = self._before[0] + handled, self._before[1] + busy_ns

    # -- messages

    def put(self, envelope: Envelope) -> None:
        """See `Cell.put`.

        Raises:
            EncodeError: the message has no JSON form.
            MaxPayloadExceeded: it is too large.
            InvalidMessage: its sender, type or id is.
            HostFull: too many wait for the agents of the host.
        """
        encoded = Encoded.of(envelope.payload)
        frames.check(encoded.data)
        frames.check_names(envelope.sender, envelope.type or encoded.name, envelope.id)
        self._host.check()
        envelope.type, envelope.payload = envelope.type or encoded.name, encoded
        self.mailbox.put(envelope)
        self._host.load += 1
        self.wake()

    async def act(self, action: StateAction) -> Any:
        """See `Cell.act`: done with the state that is kept here, when the agent has time for it.

        Raises:
            MaxPayloadExceeded: it is too large.
        """
        body = jsonvalue.dumps(actions.to_json(action))
        frames.check(body)
        return await self.control(lambda: body)

    def _begin_hook(self, name: str, argument: Any, done: asyncio.Future[Any]) -> None:
        if self._host.room:
            self._host.call(done, "hook", self.id, name, payload=jsonvalue.dumps(argument))
        else:
            done.set_result(None)  # it is on its way to its end, or too busy

    def wake(self) -> None:
        """Hand on what waits, as far as the host keeps up; or end, if it has ended there."""
        if self.phase != "running":
            return
        if self._exit is not None:
            reason, self._exit = self._exit, None
            self._end(reason)
            return
        while len(self._flights) < WINDOW and self._host.room:
            item = self.mailbox.take()
            if item is None:
                return
            self._fly(Flight(self, item), item)

    def _fly(self, flight: Flight, item: Item) -> None:
        """Hand on one item."""
        self._flights.add(flight)
        if isinstance(item, Envelope):
            encoded: Encoded = item.payload
            wants = item.reply is not None
            fields = (item.sender, item.type, item.id, item.timestamp, wants)
            self._host.call(flight, "message", self.id, *fields, payload=encoded.data)
        else:
            self._host.call(flight, "act", self.id, payload=item.run())

    def landed(self, flight: Flight, item: Item, *, handled: bool) -> None:
        """It was answered, or never will be."""
        self._flights.discard(flight)
        if isinstance(item, Envelope):
            self._host.load -= 1
            self.handled += handled
            self._node.changed()
        self.wake()


class Flight:
    """One item that the host has and has not answered yet; the `Reply` to it."""

    __slots__ = ("_cell", "_item", "_landed")

    def __init__(self, cell: HostedCell, item: Item) -> None:
        self._cell = cell
        self._item = item
        self._landed = False

    def done(self) -> bool:
        """Whether its outcome is known."""
        return self._landed

    def set_result(self, result: Encoded) -> None:
        """It was handled."""
        self._landed = True
        try:
            here = isinstance(self._item.reply, asyncio.Future)
            self._item.answer(result.decoded() if here else result)
        except InvalidMessage as error:  # another version of the type is known here
            self._item.fail(error)
        finally:
            self._cell.landed(self, self._item, handled=True)

    def set_exception(self, exception: AgentsError) -> None:
        """It failed, or its host was lost: then its outcome is unknown."""
        self._landed = True
        if isinstance(exception, HostLost):
            exception = RemoteError(self._cell.id, "Killed", exception.reason)
        self._item.fail(exception)
        self._cell.landed(self, self._item, handled=False)
