"""What the agents of a host want of their node, done here, where the node is."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any

from agents_core.codec import Encoded
from agents_core.errors import AgentsError, AgentStopped, HostFull, RemoteError
from agents_core.events import Slow
from agents_core.exit import Exit
from agents_core.hosts import log
from agents_core.hosts.backend import perform
from agents_core.hosts.hosted import HostedCell
from agents_core.mailbox import Envelope, Reply

if TYPE_CHECKING:
    from agents_core.hosts.channel import Verbs
    from agents_core.hosts.registry import RunningHost
    from agents_core.node import Node

CALLS_MAX = 1000
"""Calls of one host under way at once, asks to agents of this node not counted: those wait in a
mailbox, which has a bound of its own."""

WARN_S = 1.0
"""Seconds between two warnings of one host: a flood of lost messages is no flood of those."""

_log = logging.getLogger("agents_core")


class Errands:
    """Does what one interpreter asks for.

    Args:
        node: where.
        host: for whom.
    """

    def __init__(self, node: Node, host: RunningHost) -> None:
        self._node = node
        self._host = host
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._lost = 0
        self._warned = -WARN_S

    def verbs(self) -> Verbs:
        """See `Interpreter`."""
        return {
            "ask": self._ask,
            "control": self._control,
            "counts": self._counts,
            "exit": self._exit,
            "log": self._log,
            "publish": self._publish,
            "room": self._room,
            "slow": self._slow,
            "state": self._state,
            "tell": self._tell,
            "unhandled": self._unhandled,
        }

    # -- about its agents

    def _exit(self, _: Reply, payload: bytes, agent: str, epoch: int) -> None:
        reason = self._host.judged(Exit.from_json(json.loads(payload)))
        self.close(agent)  # also what was on its way when the instance was given up
        if (cell := self._host.cells.get(agent)) is not None:  # else: it was given up meanwhile
            cell.exited(epoch, reason)

    def _unhandled(self, _: Reply, payload: bytes, agent: str) -> None:
        if (cell := self._host.cells.get(agent)) is not None:
            cell.unhandled(Exit.from_json(json.loads(payload)))

    def _slow(self, _: Reply, payload: bytes, agent: str) -> None:
        if agent in self._host.cells:
            self._node.slow(Slow(**json.loads(payload)))

    def _counts(self, counts: dict[str, list[int]]) -> None:
        for agent, values in counts.items():
            if (cell := self._host.cells.get(agent)) is not None:
                cell.counted(*values)

    def _room(self) -> None:
        for cell in list(self._host.cells.values()):
            cell.wake()

    def _log(self, _: Reply, payload: bytes, name: str, level: int) -> None:
        log.write(name, level, payload.decode(), self._host.name)

    def _pinned(self, sender: str) -> str:
        """Who sends: an agent of this host, else its node; nobody's name can be borrowed."""
        return sender if sender in self._host.cells else self._node.name

    # -- messages

    def _tell(self, _: Reply, payload: bytes, to: str, sender: str, name: str) -> None:
        """Nobody can be told any more that it failed; as for a message from another node."""
        sender, encoded = self._pinned(sender), Encoded(name, payload)
        try:
            if not self._put(to, encoded, sender, None):
                self._node.router.tell(to, encoded, sender)
        except AgentsError as error:
            self._warn(f"what {sender} told {to}", error)

    def _ask(
        self, reply: Reply, payload: bytes, to: str, sender: str, name: str, timeout: float
    ) -> None:
        """Without a task where the agent is on this node: the asker looks after the deadline."""
        sender, encoded = self._pinned(sender), Encoded(name, payload)
        try:
            if not self._put(to, encoded, sender, reply):
                self._begin(sender, self._node.router.ask(to, encoded, sender, timeout), reply)
        except AgentsError as error:
            reply.set_exception(error)

    def _put(self, to: str, encoded: Encoded, sender: str, reply: Reply | None) -> bool:
        """Into the mailbox of an agent of this node; False if it is none."""
        cell = self._node.router.cells.get(to)
        if cell is None:
            return False
        inside = isinstance(cell, HostedCell)  # it has to be encoded there anyway
        payload = encoded if inside else encoded.plain()
        cell.put(Envelope(payload, sender, reply, encoded.name))
        return True

    def _publish(self, _: Reply, payload: bytes, subject: str) -> None:
        try:
            self._node.publish(subject, payload)
        except AgentsError as error:
            self._warn(f"what it published on {subject}", error)

    def _warn(self, what: str, error: AgentsError) -> None:
        self._lost += 1
        now = self._node.timers.now()
        if now - self._warned >= WARN_S:
            self._warned = now
            _log.warning("host %s: %s is lost: %s", self._host.name, what, error)
            if self._lost > 1:
                _log.warning("host %s: %s more were lost before", self._host.name, self._lost - 1)
            self._lost = 0

    # -- calls that take their time

    def _state(self, reply: Reply, payload: bytes, agent: str, what: str, key: str | None) -> None:
        cell = self._host.cells.get(agent)
        if cell is None:
            reply.set_exception(AgentStopped(agent))
        else:
            self._begin(agent, perform(cell.state.backend, what, key, payload), reply)

    def _control(self, reply: Reply, payload: bytes, to: str, sender: str) -> None:
        sender = self._pinned(sender)
        self._begin(sender, self._node.router.control(to, json.loads(payload), sender), reply)

    def _begin(self, sender: str, work: Coroutine[Any, Any, Any], reply: Reply) -> None:
        if len(self._tasks) >= CALLS_MAX:
            work.close()
            reply.set_exception(HostFull(self._host.name, CALLS_MAX, "calls"))
            return
        task = asyncio.get_running_loop().create_task(_answer(work, sender, reply))
        self._tasks[task] = sender
        task.add_done_callback(self._tasks.pop)
        task.add_done_callback(lambda _: work.close())  # if it was cancelled before its first step

    def sender_of(self, task: asyncio.Task[Any] | None) -> str:
        """For which agent a task works; empty if it is none of ours."""
        return self._tasks.get(task, "") if task is not None else ""

    def close(self, agent: str = "") -> None:
        """Nobody waits any more; or no instance of an agent."""
        for task, sender in list(self._tasks.items()):
            if agent in {"", sender}:
                task.cancel()


async def _answer(work: Awaitable[Any], sender: str, reply: Reply) -> None:
    try:
        result = await work
    except AgentsError as error:
        reply.set_exception(error)
    except Exception as error:  # a backend of the user's own, for example
        why = Exit.of(error)
        reply.set_exception(RemoteError(sender, why.type, why.message, why.traceback))
    else:
        reply.set_result(result)
