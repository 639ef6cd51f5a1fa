"""Who else is there: each node announces its status, each keeps a directory of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agents_core import jsonvalue
from agents_core.errors import AgentsError, InvalidMessage

if TYPE_CHECKING:
    from agents_core.nats.msg import Msg
    from agents_core.timers import Timer, Timers

HEARTBEAT_S = 2.0
"""Seconds between two announcements when nothing changes."""

CHANGE_S = 0.25
"""Seconds that changes are collected before they are announced.

At most 4 announcements a second.
"""

AGENTS_PER_S = 1000
"""Agents that a node lists a second, at some 150 bytes each, for changes alone."""

MISSED = 3
"""Heartbeats that may be missed before a node is forgotten."""

NODES_MAX = 4096
"""Nodes in a directory; more are a flood."""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What a node says of itself.

    Attributes:
        node: its name.
        host: `server` or `browser`.
        version: of agents-core.
        bus: url, status and reconnects of its connection.
        agents: one entry per agent: id, type, state, mailbox, handled, restarts, supervisor.
    """

    node: str
    host: str = ""
    version: str = ""
    bus: dict[str, Any] = field(default_factory=dict)
    agents: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def from_json(cls, data: Any, node: str) -> NodeInfo:
        """Read a status; the node's name comes from the subject, not from the body.

        Raises:
            InvalidMessage: it is no status.
        """
        if not isinstance(data, dict):
            raise InvalidMessage("a status is an object")
        bus, agents = data.get("bus"), data.get("agents")
        if not isinstance(bus, dict) or not isinstance(agents, list):
            raise InvalidMessage("a status has a bus and agents")
        listed = [a for a in agents if isinstance(a, dict) and isinstance(a.get("id"), str)]
        return cls(node, str(data.get("host", "")), str(data.get("version", "")), bus, listed)

    def to_json(self) -> dict[str, Any]:
        """For the wire and for the page."""
        return {
            "node": self.node,
            "host": self.host,
            "version": self.version,
            "bus": self.bus,
            "agents": self.agents,
        }


class Directory:
    """The other nodes, as they announced themselves last.

    Args:
        own: this node's name, whose announcements come back and are passed over.
        timers: for forgetting.
        on_change: called when a node came, changed or went.
    """

    def __init__(self, own: str, timers: Timers, on_change: Callable[[], None]) -> None:
        self._own = own
        self._timers = timers
        self._on_change = on_change
        self._nodes: dict[str, tuple[NodeInfo, Timer]] = {}

    def __iter__(self) -> Iterator[NodeInfo]:
        return iter([info for info, _ in self._nodes.values()])

    def take(self, msg: Msg) -> None:
        """A status from the bus; one that can't be read is passed over, as anybody may publish."""
        node = msg.subject.rpartition(".")[2]
        if node == self._own:
            return
        try:
            data = jsonvalue.loads(msg.data)
            info = NodeInfo.from_json(data, node)
        except AgentsError:
            return
        if data.get("left"):
            self._forget(node)
        elif node in self._nodes or len(self._nodes) < NODES_MAX:
            self._remember(info)

    def _remember(self, info: NodeInfo) -> None:
        known = self._nodes.get(info.node)
        if known is not None:
            known[1].cancel()
        timer = self._timers.after(HEARTBEAT_S * MISSED, lambda: self._forget(info.node))
        self._nodes[info.node] = info, timer
        if known is None or known[0] != info:
            self._on_change()

    def _forget(self, node: str) -> None:
        known = self._nodes.pop(node, None)
        if known is not None:
            known[1].cancel()
            self._on_change()


class Announcer:
    """Publishes this node's status: soon after a change, and as a heartbeat.

    Args:
        timers: for both.
        announce: publishes once.
    """

    def __init__(self, timers: Timers, announce: Callable[[], None]) -> None:
        self._timers = timers
        self._announce = announce
        self._changed = False
        self._timer: Timer | None = None

    def start(self) -> None:
        """Announce from now on, also after a `stop`."""
        self.stop()
        self._timer = self._timers.after(HEARTBEAT_S, self._due)

    def changed(self, agents: int) -> None:
        """Announce soon; any number of calls make one announcement.

        Args:
            agents: how many the announcement will list: a long one is made less often, at most
                with each heartbeat.
        """
        if not self._changed and self._timer is not None:
            self._changed = True
            if (delay := max(CHANGE_S, agents / AGENTS_PER_S)) < HEARTBEAT_S:
                self._timer.cancel()
                self._timer = self._timers.after(delay, self._due)

    def _due(self) -> None:
        self._changed = False
        self._timer = self._timers.after(HEARTBEAT_S, self._due)
        self._announce()

    def stop(self) -> None:
        """No more announcements."""
        self._changed = False
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
