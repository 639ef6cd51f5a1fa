"""What an agent sees of the world: `self.ctx`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from agents_core.errors import Unsupported
from agents_core.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_core.cell import Cell
    from agents_core.mailbox import Envelope
    from agents_core.node import Node
    from agents_core.ref import AgentRef
    from agents_core.timers import Timer


class Context:
    """The surroundings of one agent.

    Attributes:
        node: the node that hosts it.
    """

    def __init__(self, node: Node, cell: Cell) -> None:
        self.node = node
        self._cell = cell
        self._envelope: Envelope | None = None
        self._ended = False

    def end(self) -> None:
        """Its instance is gone, and what outlives it can't touch the next; called by its cell."""
        self._ended = True

    def begin(self, envelope: Envelope | None) -> None:
        """The agent turns to this message; called by its cell."""
        self._envelope = envelope

    @property
    def log(self) -> logging.Logger:
        """A logger named after the agent, made when it is used: Python keeps each for ever."""
        return logging.getLogger(f"agents.{self._cell.id}")

    @property
    def ref(self) -> AgentRef:
        """The agent itself."""
        return self.agent(self._cell.id)

    @property
    def sender(self) -> str:
        """The id of who sent the current message; empty outside of a handler.

        Another node says it in the message's body, and nobody checks it.
        """
        return self._envelope.sender if self._envelope else ""

    @property
    def message(self) -> Message | None:
        """The current message; None outside of a handler."""
        return self.read(self._envelope) if self._envelope else None

    @property
    def type(self) -> str:
        """What the current message calls itself; empty outside of a handler.

        The name of a dataclass, an object's `"type"` member, or a bare string.
        """
        return self._envelope.name if self._envelope else ""

    def read(self, envelope: Envelope) -> Message:
        """The message in an envelope."""
        envelope.stamp()
        return Message(
            envelope.sender, self._cell.id, envelope.payload, envelope.id, envelope.timestamp
        )

    def agent(self, id: str) -> AgentRef:
        """A handle to an agent, local or remote; what it sends comes from this agent."""
        return self.node.agent(id, sender=self._cell.id)

    async def publish(self, subject: str, value: Any) -> None:
        """Publish a JSON value on a subject of this space: `<root>.` is put before it."""
        self.node.publish_json(f"{self.node.root}.{subject}", value)

    def after(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call a function once, between two messages, unless the agent ends before.

        What it raises is a crash, as in a handler.

        Raises:
            Unsupported: it can't be called, as a coroutine can't.
            ValueError: the seconds are no number.
        """
        if not callable(call):
            kind = type(call).__name__
            raise Unsupported(f"{kind} as a call for later", "give a function, plain or async")
        if self._ended:
            return self.node.timers.after(seconds, lambda: None)
        return self._cell.after(seconds, call)

    def stop(self) -> None:
        """End in order when the current handler is done; a permanent agent then starts again."""
        if not self._ended:
            self._cell.finish()
