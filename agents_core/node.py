"""One process or tab that hosts agents."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from math import inf
from typing import Any, Self

from agents_core import jsonvalue, platform
from agents_core.agent import Agent
from agents_core.bus import Bus, Callback, Status, Subscription
from agents_core.cell import Cell
from agents_core.child import MAILBOX_MAX, SHUTDOWN_S, Child, Supervisor
from agents_core.discovery import Announcer, Directory, NodeInfo
from agents_core.errors import (
    AgentExists,
    AgentsError,
    AskTimeout,
    ConnectionClosed,
    InvalidMessage,
    InvalidSpec,
    NotConnected,
    OutboundBufferFull,
    RequestTimeout,
)
from agents_core.events import Event, History, Slow
from agents_core.exit import Exit
from agents_core.hosts.host import INLINE, Host
from agents_core.hosts.hosted import HostedCell
from agents_core.hosts.pipe import Opener
from agents_core.hosts.registry import Hosts
from agents_core.ids import agent_id, unique
from agents_core.listeners import Listeners
from agents_core.nats.msg import Msg
from agents_core.nats.subject import check_subject
from agents_core.ref import AgentRef
from agents_core.restart import Restart
from agents_core.router import CONTROL_S, Router
from agents_core.service import NodeService
from agents_core.state import actions
from agents_core.state.actions import StateAction
from agents_core.state.backend import MemoryBackend
from agents_core.state.memory import InMemoryBackend
from agents_core.supervisor import Tree
from agents_core.timers import Timers
from agents_core.version import VERSION

FLUSH_S = 2.0
"""Seconds that a start waits for the server to know of its agents; a server that needs more is as
good as gone, and they run without it."""

UNTOLD = (NotConnected, ConnectionClosed, RequestTimeout, OutboundBufferFull)
"""Why a server may not know of them; the last one, as too many starts wait for it already."""

HOOKS_S = 1.0
"""Seconds that agents have for `on_suspend`: a browser gives a page little more. They are not
stopped when it is over, only not waited for."""

AGENTS_MAX = 2000
"""Agents in one announcement, so that it stays below a server's default max_payload of 1 MiB; how
many more there are is said in its `more`."""

_log = logging.getLogger("agents_core")


class Node:
    """Hosts agents, finds those of other nodes, and carries messages between them.

    Make one with `connect`; directly only to bring a bus of one's own. Use it as an async context
    manager: leaving it stops the agents in order.

    Args:
        bus: to the other nodes; the node closes it.
        name: unique in the space; a random one by default.
        space: nodes of one space see one another; subjects begin with `acore.<space>`.
        root: the beginning of all subjects instead.
        hosts: starts other interpreters for agents; the platform's by default.

    Raises:
        InvalidAgentId: the name or the space can't be a token of a subject.
        InvalidSubject: the root is no subject.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        name: str = "",
        space: str = "default",
        root: str = "",
        hosts: Opener | None = None,
    ) -> None:
        self.host = "browser" if sys.platform == "emscripten" else "server"
        self.name = agent_id(name or f"{self.host}-{unique(6)}")
        self.root = root or f"acore.{agent_id(space)}"
        check_subject(self.root)
        self.version = VERSION
        self.bus = bus
        self.timers = Timers()
        self.router = Router(bus, self.root, self.name, self.timers, self._control)
        self.hosts = Hosts(self, hosts)
        self._history = History(self.name)
        self.recent = self._history.recent
        self._trees: list[Tree] = []  # the top ones, as they were started
        self._memory = InMemoryBackend()
        self._changes: Listeners[[]] = Listeners()
        self._slow: Listeners[[Slow]] = Listeners()
        self._directory = Directory(self.name, self.timers, self._changes.call)
        self._announcer = Announcer(self.timers, self._announce)
        self._sequence = 0
        self._leaving: asyncio.Task[None] | None = None
        self._endings: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Join: subscribe, announce this node, and ask the others who they are."""
        for subject, callback in (
            ("status.*", self._directory.take),
            ("event.*", self._history.take),
            ("hello.*", self._take_hello),
        ):
            await self.bus.subscribe(f"{self.root}.{subject}", cb=callback)
        await NodeService(self).start()
        self._announcer.start()
        _log.info("%s: %s", self.bus.url, self.bus.status)  # who waits in vain sees what for
        self.bus.on_status(self._on_status)
        self._hello()

    def _hello(self) -> None:
        self._say("hello", {})
        self._announce()

    def _say(self, what: str, value: Any) -> None:
        """Tell the other nodes something; what can't be sent is logged, as nobody waits for it."""
        if self.bus.status not in {Status.CONNECTED, Status.DRAINING}:
            return
        try:
            self.publish_json(f"{self.root}.{what}.{self.name}", value)
        except AgentsError as error:  # too large, or the buffer is full: the next one may go
            _log.warning("the %s of node %s can't be sent: %s", what, self.name, error)

    def _on_status(self, status: Status) -> None:
        _log.info("%s: %s", self.bus.url, status)
        if status is Status.CONNECTED:
            self._hello()
        self._changes.call()

    # -- agents

    async def spawn(
        self,
        cls: type[Agent],
        id: str,
        *args: Any,
        restart: Restart = "permanent",
        state: str | MemoryBackend = "memory",
        mailbox: int = MAILBOX_MAX,
        shutdown: float = SHUTDOWN_S,
        host: str | Host = INLINE,
        deadline: float | None = None,
        max_restarts: float = 3,
        max_seconds: float = 5.0,
        **kwargs: Any,
    ) -> AgentRef:
        """Run one agent under a supervisor of its own; return when its `on_start` is done.

        Args:
            cls: the agent's class.
            id: its name in the space.
            *args: for the class.
            restart: see `Child`.
            state: see `Child`.
            mailbox: see `Child`.
            shutdown: see `Child`.
            host: see `Child`.
            deadline: see `Child`.
            max_restarts: see `Supervisor`.
            max_seconds: see `Supervisor`.
            **kwargs: for the class.

        Raises:
            AgentExists: this node hosts that id already.
            RemoteError: the class or its `on_start` raised.
            ConnectionClosed: the node is closed.
            InvalidAgentId, InvalidSpec: see `Child`.
            Unsupported: see `Timers.check_loop`.
        """
        child = Child(cls, id, args, kwargs, restart, state, mailbox, shutdown, host, deadline)
        await self.supervise(
            Supervisor([child], name=id, max_restarts=max_restarts, max_seconds=max_seconds)
        )
        return self.agent(id)

    async def supervise(self, spec: Supervisor) -> Tree:
        """Run a supervisor and everything below it; return when all of it has started.

        While there is a server, it knows of the agents then, and other nodes can reach them.

        Raises:
            AgentExists: this node hosts an agent of the same id already; nothing was started.
            InvalidSpec: it is no supervisor.
            RemoteError: an agent could not start; those before it were stopped again.
            ConnectionClosed: the node is closed.
            Unsupported: see `Timers.check_loop`.
        """
        self.timers.check_loop()
        if not isinstance(spec, Supervisor):
            raise InvalidSpec(f"{spec!r} is no Supervisor: write Supervisor([…]), or use spawn")
        if self._leaving:
            raise ConnectionClosed(self.bus.url)
        tree = Tree(self, spec)
        tree.on_exit = lambda _: self._forget_tree(tree)  # it gave up: the node goes on
        self._trees.append(tree)
        try:
            tree.make()
            await tree.start()
            if self.bus.status is Status.CONNECTED:
                with suppress(*UNTOLD):  # it runs all the same
                    await self.bus.flush(FLUSH_S)
        except BaseException:  # also when the caller gives up waiting
            try:
                await tree.stop()
            finally:
                self._forget_tree(tree)
            raise
        return tree

    def cell(self, child: Child, owner: Tree) -> Cell:
        """Make the cell of a child and take its id; called by supervisors."""
        if child.id in self.router.cells:
            raise AgentExists(child.id)
        backend, host = self._backend(child.state), Host.of(child.host)
        if host is None:
            cell = Cell(self, child, backend, owner)
        else:
            cell = HostedCell(self, child, backend, owner, host)
        self.router.cells[child.id] = cell
        return cell

    def _backend(self, state: str | MemoryBackend) -> MemoryBackend:
        if not isinstance(state, str):
            return state
        return self._memory if state == "memory" else platform.current().open_backend(state)

    def forget(self, cell: Cell) -> None:
        """Release an agent's id; called by supervisors."""
        self.router.forget(cell)
        self._trees = [tree for tree in self._trees if tree.children]
        self.changed()

    def _forget_tree(self, tree: Tree) -> None:
        """None of it will run again: its ids are free."""
        cells = tree.cells()  # none, unless its stop was given up, too
        for cell in cells:
            cell.kill("nobody supervises it")
        tree.discard()
        for cell in cells:
            self.forget(cell)
        self._trees = [other for other in self._trees if other is not tree]

    def agent(self, id: str, *, sender: str = "") -> AgentRef:
        """A handle to an agent of any node; it need not exist yet.

        Raises:
            InvalidAgentId: the id can't be a token of a subject.
        """
        return AgentRef(agent_id(id), self.router, sender or self.name)

    async def _control(self, cell: Cell, body: dict[str, Any]) -> Any:
        match body.get("action"):
            case "stop":
                stopping = cell.owner.stop_child(cell)
                if not cell.runs(asyncio.current_task()):  # else it would wait for itself
                    await asyncio.shield(stopping)
            case "kill":
                cell.kill(str(body.get("reason", "")))
            case "info":
                return self.describe(cell)
            case "state":
                return await self._act(cell, actions.from_json(body.get("state")))
            case other:
                raise InvalidMessage(f"no control action {other!r}")

    async def _act(self, cell: Cell, action: StateAction) -> Any:
        if cell.runs(asyncio.current_task()):  # it is between two messages only when this is done
            return await cell.state.handle(action)
        try:
            async with self.timers.timeout(CONTROL_S):
                return await cell.act(action)
        except AgentsError:
            raise  # a backend's own RequestTimeout, too
        except TimeoutError:
            raise AskTimeout(cell.id, CONTROL_S) from None

    # -- the other nodes

    def describe(self, cell: Cell) -> dict[str, Any]:
        """An agent's entry in the status."""
        return {
            "id": cell.id,
            "type": cell.child.cls.__name__,
            "state": cell.phase,
            "mailbox": len(cell.mailbox),
            "handled": cell.handled,
            "restarts": cell.restarts,
            "supervisor": cell.owner.path,
            "host": cell.host,
        }

    def info(self) -> NodeInfo:
        """This node, as it announces itself."""
        bus = {
            "url": self.bus.url,
            "status": str(self.bus.status),
            "reconnects": self.bus.stats.reconnects,
        }
        agents = [self.describe(cell) for cell in self.router.cells.values()]
        return NodeInfo(self.name, self.host, self.version, bus, agents)

    def nodes(self) -> list[NodeInfo]:
        """This node, then all others that announced themselves within the last 6 s."""
        return [self.info(), *self._directory]

    def agents(self) -> list[dict[str, Any]]:
        """The agents of all nodes; each entry names its `node`."""
        return [{**agent, "node": info.node} for info in self.nodes() for agent in info.agents]

    def changed(self) -> None:
        """Something in the status changed; announced within a quarter of a second."""
        self._announcer.changed(len(self.router.cells))

    def _announce(self, *, left: bool = False) -> None:
        self._sequence += 1
        status = {**self.info().to_json(), "seq": self._sequence, "left": left}
        if (more := len(status["agents"]) - AGENTS_MAX) > 0:
            status |= {"agents": status["agents"][:AGENTS_MAX], "more": more}
        self._say("status", status)
        self._changes.call()

    def _take_hello(self, msg: Msg) -> None:
        if msg.subject.rpartition(".")[2] != self.name:
            self.changed()

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when `nodes()` may have changed; the returned function ends it."""
        return self._changes.add(listener)

    # -- events

    def event(self, cell: Cell, kind: str, reason: Exit | None) -> None:
        """Something happened to an agent; called by its cell."""
        event = Event(self.name, cell.id, cell.child.cls.__name__, kind, reason)
        crashed = kind == "crashed"
        why = reason.traceback.rstrip() if crashed and reason else ""
        more = f":\n{why}" if why else f": {reason.message}" if reason and reason.message else ""
        _log.log(logging.ERROR if crashed else logging.INFO, "%s %s%s", cell.id, kind, more)
        self._happened(event)

    def gave_up(self, tree: Tree, reason: Exit) -> None:
        """A supervisor gave up; called by it."""
        _log.error("%s", reason.message)
        self._happened(Event(self.name, tree.path, "Supervisor", "gave_up", reason))

    def _happened(self, event: Event) -> None:
        self._history.add(event)
        self.changed()
        self._say("event", event.to_json())

    def on_event(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` with each event of any node, until the returned function is called."""
        return self._history.listeners.add(listener)

    def slow(self, handling: Slow) -> None:
        """A handler took long; called by its cell."""
        self._slow.call(handling)

    def on_slow(self, listener: Callable[[Slow], None]) -> Callable[[], None]:
        """Call `listener` with each slow handler of this node, until the returned function is."""
        return self._slow.add(listener)

    # -- NATS

    def publish(self, subject: str, payload: bytes = b"") -> None:
        """See `Bus.publish`; the subject is used as it is.

        Raises:
            Unsupported: see `Timers.check_loop`.
        """
        self.timers.check_loop()
        self.bus.publish(subject, payload)

    def publish_json(self, subject: str, value: Any) -> None:
        """Publish a JSON value.

        Raises:
            EncodeError: it has no JSON form.
            Unsupported: see `Timers.check_loop`.
        """
        self.publish(subject, jsonvalue.dumps(value))

    async def subscribe(
        self, subject: str, queue: str = "", cb: Callback | None = None
    ) -> Subscription:
        """See `Bus.subscribe`."""
        return await self.bus.subscribe(subject, queue, cb)

    async def request(self, subject: str, payload: bytes = b"", timeout: float = 0.5) -> Msg:
        """See `Bus.request`."""
        return await self.bus.request(subject, payload, timeout)

    # -- standing still

    async def suspend(self, why: str, *, leave: bool = False, within: float = inf) -> None:
        """Tell the agents that they may stop running at any moment, by `Agent.on_suspend`.

        Returns when they have done what they wanted to, or after `within`, or `HOOKS_S` if less.

        Args:
            why: see there.
            leave: also say good-bye to the other nodes and leave the server, as nothing will run
                here for a while. Who sends something to an agent of this node is told at once that
                it is not there, instead of waiting for an answer.
            within: seconds that the agents have; what takes longer must not keep this node here.
        """
        await self._hooks("on_suspend", why, within)
        if leave and not self._leaving:
            self.router.leave()  # before others hear of it, and still send something here
            self._say_good_bye()
            await self.bus.suspend()

    async def resume(self, slept: float = 0.0) -> None:
        """Come back, or look after the connection, and call `Agent.on_resume`.

        Returns when the agents have done what they wanted to, or after `HOOKS_S`.

        Args:
            slept: seconds in which nothing ran here.
        """
        if not self._leaving:
            self._announcer.start()
            for cell in list(self.router.cells.values()):
                await self.router.listen(cell)
        await self.bus.resume()
        self.changed()
        await self._hooks("on_resume", slept, inf)

    async def _hooks(self, name: str, argument: object, within: float) -> None:
        calls = {cell.hook(name, argument): cell.id for cell in self.router.cells.values()}
        if not calls:
            return
        seconds = min(within, HOOKS_S)
        done, late = await asyncio.wait(calls, timeout=seconds)
        for call in late:
            _log.warning("%s: %s takes longer than %s s", calls[call], name, seconds)
            call.cancel()
        for call in done:
            call.exception()  # that of a host which is lost; its agents know

    # -- ending

    async def drain(self) -> None:
        """Stop the agents in order, say good-bye, let what is under way arrive, and close.

        It goes on also when whoever waits for it gives up. In an agent's own handler it only
        begins: the agent has to end first.

        Raises:
            Unsupported: see `Timers.check_loop`; then nothing has ended.
        """
        self.timers.check_loop()
        self._go_on(self._drain())
        if not self._is_agent(asyncio.current_task()):
            await self._drain()  # here, too: a bus does not wait for a callback that waits for it

    async def _drain(self) -> None:
        await self._leave()
        await self.bus.drain()

    async def close(self) -> None:
        """Stop the agents in order, say good-bye, and close; a second call waits for the first.

        One that is given up closes at once: the agents end in order all the same, but what they
        send in `on_stop` is lost. In an agent's own handler it only begins, as `drain`.

        Raises:
            Unsupported: see `Timers.check_loop`; then nothing has ended.
        """
        self.timers.check_loop()
        if self._is_agent(asyncio.current_task()):
            self._go_on(self.close())
            return
        try:
            await self._leave()
        except asyncio.CancelledError:
            self._say_good_bye()
            raise
        finally:
            await self.bus.close()

    def _is_agent(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether one of the agents is at work in this task, and would wait for itself."""
        return any(cell.runs(task) for cell in self.router.cells.values())

    def _go_on(self, end: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(end)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _leave(self) -> None:
        """Wait until the agents have stopped: one task's work, whoever waits for it or gives up."""
        if self._leaving is None:
            self._leaving = asyncio.get_running_loop().create_task(self._stop_agents())
        await asyncio.shield(self._leaving)

    async def _stop_agents(self) -> None:
        try:
            for tree in reversed(self._trees):
                await tree.stop()
                self._forget_tree(tree)
        finally:
            self._say_good_bye()
            await self.hosts.close()
            self.timers.close()

    def _say_good_bye(self) -> None:
        self._announcer.stop()
        self._announce(left=True)

    def __repr__(self) -> str:
        return f"Node({self.name!r}, {self.bus!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
