"""An agent's bounded queue, with a lane for control that goes first."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from agents_core.errors import AgentStopped, MailboxFull
from agents_core.ids import unique

CONTROL_MAX = 64
"""Control messages from outside that may wait; beyond that somebody floods."""


class Reply(Protocol):
    """Where an answer goes; an `asyncio.Future` is one."""

    def done(self) -> bool:
        """Whether it was answered, or nobody waits any more."""
        ...

    def set_result(self, result: Any, /) -> None:
        """Answer."""
        ...

    def set_exception(self, exception: Any, /) -> None:
        """Answer with an error."""
        ...


class Answerable:
    """What waits in a mailbox, and who, if anybody, waits for its outcome."""

    __slots__ = ("reply",)

    def __init__(self, reply: Reply | None) -> None:
        self.reply = reply

    def answer(self, value: Any) -> None:
        """Reply, if somebody still waits."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_result(value)

    def fail(self, error: Exception) -> None:
        """Reply with an error, if somebody still waits."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(error)


class Envelope(Answerable):
    """A message on its way into a handler."""

    __slots__ = ("id", "payload", "sender", "timestamp", "type")

    def __init__(
        self,
        payload: Any,
        sender: str,
        reply: Reply | None = None,
        type: str = "",
        id: str = "",
        timestamp: float = 0.0,
    ) -> None:
        super().__init__(reply)
        self.payload = payload
        self.sender = sender
        self.type = type
        self.id = id
        self.timestamp = timestamp

    @property
    def name(self) -> str:
        """What it calls itself: its type header, its `"type"` member, a bare string, its class."""
        if self.type:
            return self.type
        if isinstance(self.payload, dict) and isinstance(name := self.payload.get("type"), str):
            return name
        return self.payload if isinstance(self.payload, str) else type(self.payload).__name__

    def stamp(self) -> None:
        """Give it an id and a time; a local one has none until somebody asks."""
        if not self.id:
            self.id, self.timestamp = unique(), time.time()


class Control(Answerable):
    """Something to do between two messages.

    Args:
        run: a plain or a coroutine function.
        reply: where its result goes; None for what the agent set up itself: its end, its timers.
    """

    __slots__ = ("run",)

    def __init__(self, run: Callable[[], Any], reply: Reply | None = None) -> None:
        super().__init__(reply)
        self.run = run


Item: TypeAlias = Envelope | Control


class Mailbox:
    """The queue of one agent; it outlives the agent's instances.

    Args:
        owner: the agent's id, for errors.
        limit: messages that may wait.
    """

    __slots__ = ("_closed", "_control", "_limit", "_messages", "_owner")

    def __init__(self, owner: str, limit: int) -> None:
        self._owner = owner
        self._limit = limit
        self._messages: deque[Envelope] = deque()
        self._control: deque[Control] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def waiting(self) -> bool:
        """Whether anything waits, messages or control."""
        return bool(self._messages or self._control)

    def put(self, envelope: Envelope) -> None:
        """Add a message.

        Raises:
            AgentStopped: the mailbox is closed.
            MailboxFull: `limit` messages wait already.
        """
        if self._closed:
            raise AgentStopped(self._owner)
        if len(self._messages) >= self._limit:
            raise MailboxFull(self._owner, self._limit)
        self._messages.append(envelope)

    def put_control(self, control: Control) -> None:
        """Add to the lane that goes first.

        Raises:
            AgentStopped: the mailbox is closed.
            MailboxFull: too much control from outside waits already; an agent's own timers are
                bounded by their number.
        """
        if self._closed:
            raise AgentStopped(self._owner)
        if control.reply is not None and len(self._control) >= CONTROL_MAX:
            raise MailboxFull(self._owner, CONTROL_MAX)
        self._control.append(control)

    def take(self) -> Item | None:
        """The next thing to do, control first; None when there is nothing."""
        if self._control:
            return self._control.popleft()
        return self._messages.popleft() if self._messages else None

    def drop_own(self) -> None:
        """The instance is gone: its own timers mean nothing to the next one."""
        self._control = deque(control for control in self._control if control.reply is not None)

    def close(self) -> None:
        """Take nothing any more, and tell whoever waits."""
        self._closed = True
        left: list[Item] = [*self._control, *self._messages]
        self._control.clear()
        self._messages.clear()
        for item in left:
            item.fail(AgentStopped(self._owner))
