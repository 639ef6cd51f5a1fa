"""An agent's bounded queue, with a lane for control that goes first."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from agents_core.errors import MailboxFull

CONTROL_MAX = 64
"""Control messages that may wait; beyond that somebody floods."""


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


class Envelope:
    """A message on its way into a handler."""

    __slots__ = ("id", "payload", "reply", "sender", "timestamp", "type")

    def __init__(
        self,
        payload: Any,
        sender: str,
        reply: Reply | None = None,
        type: str = "",
        id: str = "",
        timestamp: float = 0.0,
    ) -> None:
        self.payload = payload
        self.sender = sender
        self.reply = reply
        self.type = type
        self.id = id
        self.timestamp = timestamp

    def answer(self, value: Any) -> None:
        """Reply, if somebody still waits."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_result(value)

    def fail(self, error: Exception) -> None:
        """Reply with an error, if somebody still waits."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(error)


Control = Callable[[], Awaitable[None]]
"""Something to do between two messages."""


class Mailbox:
    """The queue of one agent; it outlives the agent's instances.

    Args:
        owner: the agent's id, for errors.
        limit: messages that may wait.
    """

    __slots__ = ("_control", "_limit", "_messages", "_owner")

    def __init__(self, owner: str, limit: int) -> None:
        self._owner = owner
        self._limit = limit
        self._messages: deque[Envelope] = deque()
        self._control: deque[Control] = deque()

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def waiting(self) -> bool:
        """Whether anything waits, messages or control."""
        return bool(self._messages or self._control)

    def put(self, envelope: Envelope) -> None:
        """Add a message.

        Raises:
            MailboxFull: `limit` messages wait already.
        """
        if len(self._messages) >= self._limit:
            raise MailboxFull(self._owner, self._limit)
        self._messages.append(envelope)

    def put_control(self, control: Control) -> None:
        """Add to the lane that goes first.

        Raises:
            MailboxFull: too much control waits already.
        """
        if len(self._control) >= CONTROL_MAX:
            raise MailboxFull(self._owner, CONTROL_MAX)
        self._control.append(control)

    def take(self) -> Envelope | Control | None:
        """The next thing to do, control first; None when there is nothing."""
        if self._control:
            return self._control.popleft()
        return self._messages.popleft() if self._messages else None

    def clear(self) -> list[Envelope]:
        """Take all messages that wait, to be answered with an error."""
        left = list(self._messages)
        self._messages.clear()
        self._control.clear()
        return left
