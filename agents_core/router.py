"""Local mailbox or NATS subject: the one place that knows both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from agents_core import codec, faults, jsonvalue
from agents_core.errors import (
    AgentNotFound,
    AgentsError,
    AskTimeout,
    MailboxFull,
    NoResponders,
    RequestTimeout,
)
from agents_core.mailbox import Envelope
from agents_core.message import Message
from agents_core.nats.micro.request import ERROR_HEADER
from agents_core.nats.msg import Msg

if TYPE_CHECKING:
    from agents_core.bus import Bus, Subscription
    from agents_core.cell import Cell
    from agents_core.timers import Timers

TYPE_HEADER = "Acore-Type"
CONTROL_S = 15.0
"""Seconds for a control request: longer than the default shutdown time of a child."""

CONTROLS_MAX = 1000
"""Control requests from other nodes under way at once; more are refused."""

_log = logging.getLogger("agents_core")

Control = Callable[["Cell", dict[str, Any]], Awaitable[Any]]


class Router:
    """Sends to agents and takes what arrives for those of this node.

    Args:
        bus: to the other nodes.
        root: of all subjects.
        node: this node's name, the last token of what it sends.
        timers: for the deadlines of local asks.
        control: does what a control message says with an agent of this node.
    """

    def __init__(self, bus: Bus, root: str, node: str, timers: Timers, control: Control) -> None:
        self.cells: dict[str, Cell] = {}
        self._bus, self._root, self._node = bus, root, node
        self._timers = timers
        self._control = control
        self._subscriptions: dict[str, Subscription] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # -- sending

    def tell(self, to: str, payload: Any, sender: str) -> None:
        """See `AgentRef.tell`."""
        self._timers.check_loop()
        cell = self.cells.get(to)
        if cell is not None:
            cell.put(Envelope(payload, sender))
        else:
            body, headers = _encode(Message(sender, to, None), payload)
            self._bus.publish(self._subject("to", to), body, headers=headers)

    async def ask(self, to: str, payload: Any, sender: str, timeout: float) -> Any:
        """See `AgentRef.ask`."""
        self._timers.check_loop()
        cell = self.cells.get(to)
        if cell is None:
            body, headers = _encode(Message(sender, to, None), payload)
            return _decode(await self._request("to", to, body, headers, timeout), to)
        return await ask_cell(cell, payload, sender, timeout, self._timers)

    async def control(self, to: str, body: dict[str, Any], sender: str) -> Any:
        """Stop, kill, state, info: by subjects of their own, never out of a message's payload."""
        self._timers.check_loop()
        cell = self.cells.get(to)
        if cell is not None:
            return await self._control(cell, body)
        data = jsonvalue.dumps(Message(sender, to, body).to_json())
        return _decode(await self._request("ctl", to, data, {}, CONTROL_S), to)

    async def _request(
        self, lane: str, to: str, body: bytes, headers: dict[str, str], timeout: float
    ) -> Msg:
        try:
            return await self._bus.request(self._subject(lane, to), body, timeout, headers or None)
        except NoResponders:
            raise AgentNotFound(to) from None
        except RequestTimeout:
            raise AskTimeout(to, timeout) from None

    def _subject(self, lane: str, to: str) -> str:
        return f"{self._root}.{lane}.{to}.{self._node}"

    # -- arriving

    async def listen(self, cell: Cell) -> None:
        """Let other nodes reach an agent: one subscription for messages and control."""
        if cell.id not in self._subscriptions:
            subject = f"{self._root}.*.{cell.id}.*"
            subscription = await self._bus.subscribe(subject, cell.id, self.arrived)
            if self.cells.get(cell.id) is cell and cell.id not in self._subscriptions:
                self._subscriptions[cell.id] = subscription
            else:  # it is gone meanwhile, or somebody else was quicker
                subscription.end()

    def forget(self, cell: Cell) -> None:
        """An agent's id is free again."""
        del self.cells[cell.id]
        subscription = self._subscriptions.pop(cell.id, None)
        if subscription is not None:
            subscription.end()

    def leave(self) -> None:
        """Let nothing more arrive, until `listen` is called again."""
        for subscription in self._subscriptions.values():
            subscription.end()
        self._subscriptions.clear()

    def arrived(self, msg: Msg) -> None:
        """A message from another node, for an agent of this one; the bus's callback."""
        lane, to, sender = msg.subject.rsplit(".", 3)[1:]
        if lane not in {"to", "ctl"}:
            return  # somebody's own subject that happens to have an agent's name in it
        reply = RemoteReply(msg, to) if msg.reply else None
        try:
            cell = self.cells.get(to)
            if cell is None:
                raise AgentNotFound(to)
            message = Message.from_json(jsonvalue.loads(msg.data), recipient=to, sender=sender)
            if lane == "ctl":
                self._start_control(cell, message.payload, reply)
                return
            kind = msg.headers.get(TYPE_HEADER, "") if msg.raw_headers else ""
            cell.put(
                Envelope(
                    message.payload, message.sender, reply, kind, message.id, message.timestamp
                )
            )
        except AgentsError as error:
            if reply is not None:
                reply.set_exception(error)

    def _start_control(self, cell: Cell, body: Any, reply: RemoteReply | None) -> None:
        if len(self._tasks) >= CONTROLS_MAX:
            raise MailboxFull(cell.id, CONTROLS_MAX)
        envelope = Envelope(body, "", reply)

        async def run() -> None:
            try:
                result = await self._control(cell, body if isinstance(body, dict) else {})
            except AgentsError as error:
                envelope.fail(error)
            else:
                envelope.answer(result)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class RemoteReply:
    """Where the answer to a remote ask goes: a message like any other, on the reply subject.

    It never raises: that the asker can't be told is not the agent's fault.
    """

    __slots__ = ("_agent", "_done", "_msg")

    def __init__(self, msg: Msg, agent: str) -> None:
        self._msg = msg
        self._agent = agent
        self._done = False

    def done(self) -> bool:
        """Whether it was answered."""
        return self._done

    def set_result(self, result: Any) -> None:
        """Send the reply; one that can't be sent is answered with the error that says so."""
        self._done = True
        try:
            self._send(result, {})
        except AgentsError as error:
            self.set_exception(error)

    def set_exception(self, exception: Exception) -> None:
        """Send an error reply; the asker of one that can't be sent will time out."""
        self._done = True
        try:
            self._send(faults.to_json(exception), faults.headers(exception))
        except AgentsError as error:
            _log.warning("agent %s can't answer %s: %s", self._agent, self._msg.subject, error)

    def _send(self, payload: Any, extra: dict[str, str]) -> None:
        asker = self._msg.subject.rpartition(".")[2]
        body, headers = _encode(Message(self._agent, asker, None), payload)
        self._msg.respond(body, headers={**headers, **extra} or None)


def _encode(message: Message, payload: Any) -> tuple[bytes, dict[str, str]]:
    name, message.payload = codec.encode(payload)
    return jsonvalue.write(message.to_json()), {TYPE_HEADER: name} if name else {}


def _decode(msg: Msg, agent: str) -> Any:
    """A reply's payload, of its type where that is known here; an error reply is raised."""
    payload = Message.from_json(jsonvalue.loads(msg.data), sender=agent).payload
    if not msg.raw_headers:
        return payload
    if ERROR_HEADER in msg.headers:
        raise faults.from_json(payload, agent)
    return codec.decode_named(msg.headers.get(TYPE_HEADER, ""), payload)


async def ask_cell(cell: Cell, payload: Any, sender: str, timeout: float, timers: Timers) -> Any:
    """Ask an agent of this interpreter; raises what `AgentRef.ask` does."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    cell.put(Envelope(payload, sender, future))
    timer = timers.after(timeout, lambda: expire(future, cell.id, timeout))
    try:
        return await future
    finally:
        timer.cancel()


def expire(future: asyncio.Future[Any], to: str, timeout: float) -> None:
    """The deadline of an ask: raise, unless it was answered."""
    if not future.done():
        future.set_exception(AskTimeout(to, timeout))
