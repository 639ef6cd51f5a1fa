"""What hosts one agent: its mailbox, its current instance, and what becomes of its messages.

The cell outlives the instances: a restarted agent is a new instance in the same cell. When it works
off its mailbox is up to its runner.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from agents_core.agent import Agent
from agents_core.context import Context
from agents_core.errors import AgentsError, InvalidMessage, RemoteError, UnhandledMessage
from agents_core.exit import NORMAL, SHUTDOWN, Exit, Kind
from agents_core.handlers import Refused
from agents_core.hosts.host import INLINE
from agents_core.ids import AgentId
from agents_core.mailbox import Control, Envelope, Item, Mailbox
from agents_core.runner import Runner
from agents_core.state.actions import StateAction
from agents_core.state.agent_state import AgentState
from agents_core.state.backend import MemoryBackend
from agents_core.timers import Timer

if TYPE_CHECKING:
    from agents_core.child import Child
    from agents_core.node import Node
    from agents_core.supervisor import Tree

OF_THE_INTERPRETER = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What a handler may raise that is no crash of the agent: it ends the loop, or closes the task."""


class Cell:
    """One supervised agent on this node.

    Args:
        node: where it runs.
        child: what to run.
        backend: where its state is kept.
        owner: its supervisor.
    """

    def __init__(self, node: Node, child: Child, backend: MemoryBackend, owner: Tree) -> None:
        self.id = AgentId(child.id)
        self.child = child
        self.restart = child.restart
        self.owner = owner
        self.mailbox = Mailbox(child.id, child.mailbox)
        self.state = AgentState(self.id, backend)
        self.phase = "starting"
        self.handled = 0
        self.failures = 0
        self.last_error = ""
        self.busy_ns = 0
        self.restarts = 0
        self.on_exit: Callable[[Exit], None] = lambda _: None
        self._node = node
        self._agent: Agent | None = None
        self._context = Context(node, self)
        self._own_state = AgentState(self.id, backend)  # of the instance
        self._current: Item | None = None
        self._runner = Runner(node, self)
        self._finishing: Exit | None = None
        self._killed: asyncio.Future[Exit] | None = None
        self._starting: asyncio.Task[Exit | None] | None = None
        self._timers: WeakSet[Timer] = WeakSet()  # one that the agent cancels is kept by nobody
        self._hooked: set[asyncio.Future[Any]] = set()
        self._ended: asyncio.Future[None] | None = None

    @property
    def host(self) -> str:
        """In which interpreter it runs."""
        return INLINE

    # -- life

    async def start(self, before: Exit | None = None) -> None:
        """Run a new instance up to the end of `on_start`.

        Args:
            before: why the instance before this one ended; None at the first start.

        Raises:
            RemoteError: the class, `on_restart` or `on_start` raised, or it was killed meanwhile.
        """
        self.phase = "starting" if before is None else "restarting"
        self._finishing = None
        self._node.changed()
        failed = await self._begin(before)
        if failed is not None:
            self._count_failure(failed)
            self._node.event(self, "crashed", failed)
            raise RemoteError(self.id, failed.type, failed.message, failed.traceback)
        self.phase = "running"
        self.restarts += before is not None
        self._node.event(self, "started" if before is None else "restarted", before)
        self.wake()

    async def _begin(self, before: Exit | None) -> Exit | None:
        """Make an instance and call its hooks; why it failed, or None."""
        loop = asyncio.get_running_loop()
        killed = self._killed = loop.create_future()
        task = self._starting = loop.create_task(self._hooks(before))
        failed: Exit | None = Exit(Kind.KILLED)  # as when whoever waits for the start gives up
        try:
            await asyncio.wait([task, killed], return_when=asyncio.FIRST_COMPLETED)
            failed = killed.result() if killed.done() else _outcome(task)
        finally:
            self._killed = self._starting = None
            if failed is not None:
                _abandon(task)
                self._drop_instance()
                self.phase = "failed"
        return failed

    async def _hooks(self, before: Exit | None) -> Exit | None:
        """Raises why it failed, or returns it; None when the instance is ready."""
        await self._node.router.listen(self)
        agent = self._agent = self.child.cls(*self.child.args, **self.child.kwargs)
        self._context = Context(self._node, self)
        self._own_state = AgentState(self.id, self.state.backend)
        agent.id, agent.state, agent.ctx = self.id, self._own_state, self._context
        if before is not None:
            await _maybe(agent.on_restart(before))
        await _maybe(agent.on_start())
        if self._agent is agent:  # else: killed, and on_start swallowed it
            for seconds, name in agent.__agents_handlers__.every:
                self._every(seconds, getattr(agent, name))
        return None

    @property
    def _instance(self) -> Agent:
        assert self._agent is not None
        return self._agent

    async def stop(self, reason: Exit = SHUTDOWN) -> None:
        """End in order after the current message, or by force after `child.shutdown` seconds."""
        if self.phase != "running":
            return
        ended = self._ended = self._ended or asyncio.get_running_loop().create_future()
        timer = self._kill_after(self.child.shutdown, "shutdown took too long")
        self.finish(reason)
        try:
            await asyncio.wait([ended])
        finally:
            timer.cancel()

    def kill(self, message: str = "") -> None:
        """End at once, as a crash does: the current handler is cancelled, `on_stop` is not called.

        A handler that swallows the cancellation is left to itself: its reply was given already,
        and the cell goes on without it.
        """
        reason = Exit(Kind.KILLED, "Killed", message)
        if self._killed is not None:
            if not self._killed.done():
                self._killed.set_result(reason)
        elif self.phase == "running":
            self._end(replace(reason, traceback=self._runner.cancel()))

    def finish(self, reason: Exit = NORMAL) -> None:
        """End in order when the current handler is done."""
        self._finishing = self._finishing or reason
        self.wake()

    async def _finish(self) -> None:
        """The orderly end: `on_stop`, within the shutdown time, then the exit."""
        agent, reason = self._instance, self._finishing or NORMAL
        timer = self._kill_after(self.child.shutdown, "on_stop took too long")
        try:
            await _maybe(agent.on_stop(reason))
        finally:
            timer.cancel()
        if self._agent is agent:  # else: killed, and on_stop swallowed it
            self._end(reason)

    def _kill_after(self, seconds: float, message: str) -> Timer:
        return self._node.timers.after(seconds, lambda: self.kill(message))

    def _end(self, reason: Exit) -> None:
        """The instance is gone, for whatever reason; the cell and its mailbox remain."""
        self._runner.release()
        self.phase = "stopped" if reason.orderly else "failed"
        if not reason.orderly:
            self._count_failure(reason)
        self._drop_instance()
        current, self._current = self._current, None
        if current is not None:
            current.fail(RemoteError(self.id, reason.type, reason.message, reason.traceback))
        self._node.event(self, "stopped" if reason.orderly else "crashed", reason)
        ended, self._ended = self._ended, None
        if ended is not None:
            ended.set_result(None)
        if ended is None or reason.kind is Kind.NORMAL:  # it was about to end by itself
            self.on_exit(reason)

    def _count_failure(self, reason: Exit) -> None:
        self.failures += 1
        self.last_error = f"{reason.type}: {reason.message}"

    def _drop_instance(self) -> None:
        self._agent = None
        self._context.end()
        self._own_state.end()
        for timer in self._timers:
            timer.cancel()
        for done in self._hooked:
            _settle(done)
        self.mailbox.drop_own()

    def discard(self) -> None:
        """It will not run again: whoever waits is told."""
        self.mailbox.close()

    # -- messages

    def put(self, envelope: Envelope) -> None:
        """Take a message.

        Raises:
            AgentStopped: the agent has ended and will not run again.
            MailboxFull: too many wait.
        """
        self.mailbox.put(envelope)
        self.wake()

    async def control(self, action: Callable[[], Any]) -> Any:
        """Run `action` between two messages, ahead of those that wait; return what it returns.

        Raises:
            AgentStopped: the agent has ended and will not run again.
            MailboxFull: too much control waits already.
            RemoteError: the action raised, or the agent was killed meanwhile.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.mailbox.put_control(Control(action, future))
        self.wake()
        return await future

    async def act(self, action: StateAction) -> Any:
        """Do something with the state, between two messages; raises what `control` does."""
        return await self.control(lambda: self.state.handle(action))

    def hook(self, name: str, argument: Any) -> asyncio.Future[Any]:
        """Call a hook, if the class has its own, between two messages; what it raises is a crash.

        Returns:
            Done when the hook is, when there is nothing to call, or when the agent ends before.
        """
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.phase == "running" and self._has(name):
            self._begin_hook(name, argument, done)
        else:
            done.set_result(None)
        return done

    def _has(self, name: str) -> bool:
        return getattr(self.child.cls, name) is not getattr(Agent, name)

    def _begin_hook(self, name: str, argument: Any, done: asyncio.Future[Any]) -> None:
        method = getattr(self._instance, name)

        async def call() -> None:
            try:
                await _maybe(method(argument))
            finally:
                _settle(done)

        self._hooked.add(done)
        done.add_done_callback(self._hooked.discard)
        self.mailbox.put_control(Control(call))
        self.wake()

    def runs(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether `task` is the one in which this agent starts, or handles its messages."""
        return task is not None and task in {self._starting, self._runner.task}

    def wake(self) -> None:
        """See to it that what waits is worked off."""
        if self.phase == "running" and self._runner.idle:
            self._runner.start()

    # -- what its runner calls

    def take(self) -> Item | None:
        """What is to be handled next; None while there is nothing, or nobody who could."""
        if self.phase != "running":
            return None
        return Control(self._finish) if self._finishing else self.mailbox.take()

    def handle(self, item: Item) -> Awaitable[Any] | None:
        """Begin with an item; None when that was all, else what is to be awaited."""
        self._current = item
        try:
            result = self._dispatch(item) if isinstance(item, Envelope) else item.run()
        except OF_THE_INTERPRETER:
            raise
        except BaseException as error:  # what it waits for may be cancelled, too
            self._failed(item, error)
            return None
        if hasattr(result, "__await__"):
            return result  # type: ignore[no-any-return]
        self._done(item, result)
        return None

    async def complete(self, item: Item, pending: Awaitable[Any]) -> None:
        """Await the rest of an item."""
        deadline, timer = self.child.deadline, None
        if deadline is not None and isinstance(item, Envelope):
            timer = self._kill_after(deadline, f"a message took longer than {deadline} s")
        try:
            result = await pending
        except OF_THE_INTERPRETER:
            raise
        except BaseException as error:
            self._failed(item, error)
        else:
            self._done(item, result)
        finally:
            if timer is not None:
                timer.cancel()

    def _dispatch(self, envelope: Envelope) -> Any:
        """Call the handler of a message, or `on_message`."""
        self._context.begin(envelope)
        agent, payload = self._agent, envelope.payload
        assert agent is not None  # as in `_instance`, without its cost for each message
        handlers = agent.__agents_handlers__
        handler = handlers.by_type.get(type(payload))
        if handler is not None:
            return getattr(agent, handler.name)(payload)
        handler = handlers.by_name.get(envelope.name)
        if handler is None:
            return agent.on_message(self._context.read(envelope))
        method = getattr(agent, handler.name)
        return method(handler.argument(envelope)) if handler.takes_payload else method()

    def _done(self, item: Item, result: Any) -> None:
        if self._current is not item:
            return  # ended meanwhile, and answered
        self._current = None
        if isinstance(item, Envelope):
            self._context.begin(None)
            self.handled += 1
            self._node.changed()
        item.answer(result)

    def _failed(self, item: Item, error: BaseException) -> None:
        """What others asked for wrongly is their fault and only answered; the rest is a crash."""
        if self._current is not item:
            return  # as above
        answer = self._fault_of_others(item, error)
        if answer is None:
            self._end(Exit.of(error))
            return
        self._current = None
        self._context.begin(None)
        if isinstance(item, Envelope):
            why = Exit(Kind.ERROR, type(answer).__name__, str(answer))
            self._count_failure(why)
            self._node.event(self, "unhandled", why)
        item.fail(answer)

    def _fault_of_others(self, item: Item, error: BaseException) -> AgentsError | None:
        """The answer to a message that does not fit or control that failed; None for a crash."""
        if isinstance(item, Control):
            if item.reply is None:
                return None
            if isinstance(error, AgentsError):
                return error
            why = Exit.of(error)
            return RemoteError(self.id, why.type, why.message, why.traceback)
        if isinstance(error, Refused):
            return InvalidMessage(error.reason)
        if isinstance(error, UnhandledMessage) and error.agent == self.id:
            return error
        return None

    # -- time

    def after(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call once, between two messages, while this instance runs."""

        def due() -> None:
            self.mailbox.put_control(Control(call))
            self.wake()

        timer = self._node.timers.after(seconds, due)
        self._timers.add(timer)
        return timer

    def _every(self, seconds: float, method: Callable[[], Any]) -> None:
        """Call a method again and again, never twice at a time."""
        agent = self._agent

        async def tick() -> None:
            await _maybe(method())
            if self._agent is agent:  # else: killed, and the tick swallowed it
                self.after(seconds, tick)

        self.after(seconds, tick)


async def _maybe(result: Any) -> Any:
    """Await what a hook returned, if it is to be awaited."""
    return await result if inspect.isawaitable(result) else result


def _outcome(task: asyncio.Task[Exit | None]) -> Exit | None:
    """Why a finished task failed; None if it did not."""
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    return Exit.of(error) if error else task.result()


def _settle(done: asyncio.Future[None]) -> None:
    """Say that it is over, unless that was said, or whoever waited has given up."""
    if not done.done():
        done.set_result(None)


def _abandon(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and never mind what it raises."""
    task.cancel()
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
