"""What happened to agents: starts, crashes, restarts; and the memory of it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agents_core import jsonvalue
from agents_core.errors import AgentsError, InvalidMessage
from agents_core.exit import Exit, Kind
from agents_core.listeners import Listeners

if TYPE_CHECKING:
    from agents_core.nats.msg import Msg

EVENTS_MAX = 200
"""Events that a node remembers for whoever looks later."""


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


class History:
    """What a node knows of the events of all nodes: the last ones, and who is told of the next.

    Args:
        own: this node's name, whose events come back and are passed over.

    Attributes:
        recent: the last `EVENTS_MAX` events, in the order they became known here.
        listeners: called with each.
    """

    def __init__(self, own: str) -> None:
        self.recent: deque[Event] = deque(maxlen=EVENTS_MAX)
        self.listeners: Listeners[[Event]] = Listeners()
        self._own = own

    def add(self, event: Event) -> None:
        """One more."""
        self.recent.append(event)
        self.listeners.call(event)

    def take(self, msg: Msg) -> None:
        """An event from the bus; one that can't be read is passed over, as anybody may publish."""
        node = msg.subject.rpartition(".")[2]
        if node == self._own:
            return
        try:
            event = Event.from_json(jsonvalue.loads(msg.data), node)
        except AgentsError:
            return
        self.add(event)
