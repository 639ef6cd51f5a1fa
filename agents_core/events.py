"""What happened to agents: starts, crashes, restarts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from agents_core.errors import InvalidMessage
from agents_core.exit import Exit, Kind


@dataclass(frozen=True, slots=True)
class Slow:
    """A handler that took long, on this node.

    Attributes:
        agent: its id.
        message: what the message calls itself; `(between messages)` for a timer.
        seconds: from the beginning to the reply.
        messages: more than 1 if so many were handled in a row, and which of them took how long is
            not known; then `message` is the last one. Right after, they are handled one by one.
        awaited: whether it may have waited for something, and the others went on meanwhile. If not,
            nothing else could run in this interpreter.
    """

    agent: str
    message: str
    seconds: float
    messages: int
    awaited: bool


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one agent, or to a supervisor.

    Attributes:
        node: where.
        agent: its id, or the path of a supervisor.
        type: the agent's class.
        kind: `started`, `stopped`, `crashed`, `restarted`, `gave_up` or `unhandled`.
        reason: why; None for a first start.
        timestamp: seconds since 1970.
    """

    node: str
    agent: str
    type: str
    kind: str
    reason: Exit | None = None
    timestamp: float = field(default_factory=time.time)

    @classmethod
    def from_json(cls, data: Any, node: str) -> Event:
        """Read an event; the node's name comes from the subject, not from the body.

        Raises:
            InvalidMessage: it is no event.
        """
        if not isinstance(data, dict) or not isinstance(
            stamp := data.get("timestamp"), int | float
        ):
            raise InvalidMessage("an event is an object with a timestamp")
        agent, type, kind = (str(data.get(key, "")) for key in ("agent", "type", "kind"))
        reason = data.get("reason")
        found = None
        if isinstance(reason, dict) and reason.get("kind") in list(Kind):
            words = (str(reason.get("type", "")), str(reason.get("message", "")))
            found = Exit(Kind(reason["kind"]), *words, str(data.get("traceback", "")))
        return cls(node, agent, type, kind, found, stamp)

    def to_json(self) -> dict[str, Any]:
        """For the wire and for the page."""
        return {
            "node": self.node,
            "agent": self.agent,
            "type": self.type,
            "kind": self.kind,
            "reason": self.reason.to_json() if self.reason else None,
            "traceback": self.reason.traceback if self.reason else "",
            "timestamp": self.timestamp,
        }
