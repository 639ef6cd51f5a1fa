"""A node as a NATS service (ADR-32): `nats micro ls` and every SDK can see it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agents_core import jsonvalue
from agents_core.ids import unique

if TYPE_CHECKING:
    from agents_core.bus import Subscription
    from agents_core.nats.msg import Msg
    from agents_core.node import Node

NAME = "acore"
"""The service's name, the same for every node: one service per node, not per agent."""

_VERBS = ("PING", "INFO", "STATS")


class Service:
    """Answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS` for one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._id = unique()
        self._started = time.time()
        self._subscriptions: list[Subscription] = []

    async def start(self) -> None:
        """Subscribe to the verbs, alone, by name, and by name and id."""
        for verb in _VERBS:
            for suffix in ("", f".{NAME}", f".{NAME}.{self._id}"):
                subject = f"$SRV.{verb}{suffix}"
                self._subscriptions.append(await self._node.bus.subscribe(subject, cb=self._answer))

    def _answer(self, msg: Msg) -> None:
        if msg.reply:
            verb = msg.subject.split(".")[1]
            msg.respond(jsonvalue.dumps(self.describe(verb)))

    def describe(self, verb: str) -> dict[str, Any]:
        """The JSON that a verb asks for."""
        found: dict[str, Any] = {
            "type": f"io.nats.micro.v1.{verb.lower()}_response",
            "name": NAME,
            "id": self._id,
            "version": self._node.version,
            "metadata": {"node": self._node.name, "host": self._node.host},
        }
        cells = self._node.router.cells.values()
        subject = f"{self._node.root}.to.{{}}.*"
        endpoints = [
            {"name": cell.id, "subject": subject.format(cell.id), "queue_group": cell.id}
            for cell in cells
        ]
        if verb == "INFO":
            found |= {"description": "agents-core node", "endpoints": endpoints}
        elif verb == "STATS":
            handled = {
                str(cell.id): {"num_requests": cell.handled, "num_errors": cell.failures}
                for cell in cells
            }
            found |= {
                "started": datetime.fromtimestamp(self._started, UTC).isoformat(),
                "endpoints": [{**e, **handled[e["name"]]} for e in endpoints],
            }
        return found
