"""A message between agents: the seed's five fields."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from agents_core.errors import InvalidMessage
from agents_core.ids import unique

FIELDS = frozenset({"id", "from", "to", "payload", "timestamp"})


@dataclass(slots=True)
class Message:
    """What one agent sends to another.

    In JSON the fields are `id`, `from`, `to`, `payload` and `timestamp`; `from` is a keyword of
    Python.

    Attributes:
        sender: the id of the agent or node that sent it.
        recipient: the id of the agent that it is for.
        payload: any JSON value; between agents of one node, any object.
        id: unique.
        timestamp: seconds since 1970, by the sender's clock.
    """

    sender: str
    recipient: str
    payload: Any
    id: str = field(default_factory=unique)
    timestamp: float = field(default_factory=time.time)

    def to_json(self) -> dict[str, Any]:
        """The five fields, named as on the wire."""
        return {
            "id": self.id,
            "from": self.sender,
            "to": self.recipient,
            "payload": self.payload,
            "timestamp": self.timestamp,
        }

    @classmethod
    def from_json(cls, data: object, *, recipient: str = "", sender: str = "") -> Message:
        """Read what any NATS client may send; only `payload` is required.

        Args:
            data: a decoded JSON value.
            recipient: who got it, as the subject says; the body is not asked.
            sender: who sent it, where the body does not say.

        Raises:
            InvalidMessage: it is not an object with a payload, or a field has the wrong type.
        """
        if not isinstance(data, dict) or "payload" not in data:
            raise InvalidMessage('a message is an object with a "payload"')
        if not data.keys() <= FIELDS:
            raise InvalidMessage(f"unknown fields {sorted(data.keys() - FIELDS)}")
        identity, timestamp = data.get("id") or unique(), data.get("timestamp") or time.time()
        origin = data.get("from") or sender
        if not isinstance(identity, str) or not isinstance(origin, str):
            raise InvalidMessage('"id" and "from" are strings')
        if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
            raise InvalidMessage('"timestamp" is a number of seconds')
        return cls(origin, recipient, data["payload"], identity, timestamp)
