"""A node as a NATS service (ADR-32): `nats micro ls` and every SDK can see it and its agents."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from agents_core.ids import unique
from agents_core.nats.micro.responses import (
    EndpointInfo,
    EndpointStats,
    ServiceInfo,
    ServicePing,
    ServiceStats,
)
from agents_core.nats.micro.verbs import Verbs

if TYPE_CHECKING:
    from agents_core.cell import Cell
    from agents_core.node import Node

NAME = "acore"
"""The service's name, the same for every node: one service per node, not per agent."""

ENDPOINTS_MAX = 1000
"""Agents in one answer, so that it stays below a server's default max_payload of 1 MiB."""


class NodeService:
    """Describes a node's agents as endpoints; requests to them are the router's business."""

    def __init__(self, node: Node) -> None:
        self._node = node
        metadata = {"node": node.name, "host": node.host}
        self._identity = (NAME, unique(), node.version, metadata)
        self._started = datetime.now(UTC)

    async def start(self) -> None:
        """Answer the verbs, until the node's bus is closed."""
        await Verbs(self._node.bus, self).start()

    def ping(self) -> ServicePing:
        """The node."""
        return ServicePing(*self._identity)

    def info(self) -> ServiceInfo:
        """The node and its agents."""
        endpoints = [
            EndpointInfo(cell.id, self._subject(cell), cell.id, {"type": cell.child.cls.__name__})
            for cell in self._cells()
        ]
        return ServiceInfo(*self._identity, "agents-core node", endpoints)

    def stats(self) -> ServiceStats:
        """What its agents have done."""
        endpoints = [
            EndpointStats(
                cell.id,
                self._subject(cell),
                cell.id,
                cell.handled,
                cell.failures,
                cell.last_error,
                cell.busy_ns,
                cell.busy_ns // cell.handled if cell.handled else 0,
            )
            for cell in self._cells()
        ]
        return ServiceStats(*self._identity, self._started, endpoints)

    def _cells(self) -> list[Cell]:
        return list(islice(self._node.router.cells.values(), ENDPOINTS_MAX))

    def _subject(self, cell: Cell) -> str:
        return f"{self._node.root}.to.{cell.id}.*"
