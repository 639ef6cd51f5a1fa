"""What hosts one agent: its mailbox, its current instance, and the loop between them.

The cell outlives the instances: a restarted agent is a new instance in the same cell. An idle cell
has no task. It works off its mailbox in a callback, and in one task from the first handler on that
has to be awaited.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from agents_core.agent import TYPE_CHARS_MAX, Agent
from agents_core.context import Context
from agents_core.errors import AgentsError, InvalidMessage, RemoteError, UnhandledMessage
from agents_core.events import Slow
from agents_core.exit import NORMAL, SHUTDOWN, TRACEBACK_CHARS_MAX, Exit, Kind
from agents_core.handlers import Refused
from agents_core.hosts.host import INLINE
from agents_core.ids import AgentId
from agents_core.mailbox import Control, Envelope, Item, Mailbox
from agents_core.state.actions import StateAction
from agents_core.state.agent_state import AgentState
from agents_core.state.backend import MemoryBackend
from agents_core.timers import Timer

if TYPE_CHECKING:
    from agents_core.child import Child
    from agents_core.node import Node
    from agents_core.supervisor import Tree

FAIR_MSGS = 500
"""Messages handled in a row before everybody else on the loop gets a turn."""

SLOW_NS = 50_000_000
"""Nanoseconds from which on a handler is slow: what browsers call a long task. Where that was one
that did not wait, everybody else gets a turn after each of the agent's next messages."""

BETWEEN_MESSAGES = "(between messages)"
"""What stands for a message's name where a timer or somebody's control was slow."""


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
        self._current: Item | None = None
        self._task: asyncio.Task[None] | None = None
        self._scheduled = False
        self._in_a_row = FAIR_MSGS
        self._finishing: Exit | None = None
        self._killed: asyncio.Future[Exit] | None = None
        self._timers: set[Timer] = set()
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
        task = loop.create_task(self._hooks(before))
        failed: Exit | None = Exit(Kind.KILLED)  # as when whoever waits for the start gives up
        try:
            await asyncio.wait([task, killed], return_when=asyncio.FIRST_COMPLETED)
            failed = killed.result() if killed.done() else _outcome(task)
        finally:
            self._killed = None
            if failed is not None:
                _abandon(task)
                self._drop_instance()
                self.phase = "failed"
        return failed

    async def _hooks(self, before: Exit | None) -> Exit | None:
        """Raises why it failed, or returns it; None when the instance is ready."""
        await self._node.listen(self)
        agent = self._agent = self.child.cls(*self.child.args, **self.child.kwargs)
        self._context = Context(self._node, self)
        agent.id, agent.state, agent.ctx = self.id, self.state, self._context
        if before is not None:
            await _maybe(agent.on_restart(before))
        await _maybe(agent.on_start())
        for seconds, name in agent.handlers.every:
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
            if self._task is not None:
                reason = replace(reason, traceback=_stack(self._task))
                self._task.cancel()
            self._end(reason)

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
        self._task = None
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
        else:
            self.on_exit(reason)

    def _count_failure(self, reason: Exit) -> None:
        self.failures += 1
        self.last_error = f"{reason.type}: {reason.message}"

    def _drop_instance(self) -> None:
        self._agent = None
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
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
            Done when the hook is, or when there is nothing to call.
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
                if not done.done():  # else: whoever waited has given up
                    done.set_result(None)

        self.mailbox.put_control(Control(call))
        self.wake()

    def runs(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether `task` is the one in which this agent handles its messages."""
        return task is not None and task is self._task

    def wake(self) -> None:
        """See to it that what waits is worked off."""
        if self.phase == "running" and self._task is None and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        """Work off the mailbox right here; in a task from the first awaitable on."""
        self._scheduled = False
        began = perf_counter_ns()  # per batch, as a clock per message would cost what one costs
        last, count = None, 0
        try:
            last, count = self._work_some()
        finally:
            took = perf_counter_ns() - began
            self.busy_ns += took
            self._in_a_row = 1 if took > SLOW_NS else min(2 * self._in_a_row, FAIR_MSGS)
        if took > SLOW_NS and last is not None:
            self._tell_slow(last, took, count)

    def _work_some(self) -> tuple[Item | None, int]:
        """Handle messages up to the first awaitable; the last one, and how many there were."""
        item, count = None, 0
        while count < self._in_a_row and self.phase == "running" and self._task is None:
            following = self._next()
            if following is None:
                return item, count
            item, count = following, count + 1
            pending = self._call(item)
            if pending is not None:
                self._begin_task(item, pending)
        self.wake()
        return item, count

    def _tell_slow(
        self, item: Item, took: int, messages: int = 1, *, awaited: bool = False
    ) -> None:
        name = item.name[:TYPE_CHARS_MAX] if isinstance(item, Envelope) else BETWEEN_MESSAGES
        self._node.slow(Slow(self.id, name, took / 1e9, messages, awaited))

    def _begin_task(self, item: Item, pending: Awaitable[Any]) -> None:
        task = self._task = asyncio.get_running_loop().create_task(self._run(item, pending))
        if inspect.iscoroutine(pending):  # a task that is killed before its first step never does
            task.add_done_callback(lambda _: pending.close())

    async def _run(self, item: Item, pending: Awaitable[Any] | None) -> None:
        """Work off the mailbox in a task, beginning with what `item` left to be awaited."""
        me = asyncio.current_task()
        began = since = perf_counter_ns()
        count = 0
        try:
            while True:
                if pending is not None:
                    await self._complete(item, pending)
                if self._task is not me:
                    return  # ended, and maybe another instance runs
                now = perf_counter_ns()
                if now - since > SLOW_NS:
                    self._tell_slow(item, now - since, awaited=pending is not None)
                count += 1
                if count % FAIR_MSGS == 0:
                    await asyncio.sleep(0)
                    now = perf_counter_ns()
                since = now
                following = self._next()
                if following is None:
                    return
                item, pending = following, self._call(following)
        finally:
            self.busy_ns += perf_counter_ns() - began
            if self._task is me:
                self._task = None
                self.wake()

    def _next(self) -> Item | None:
        return Control(self._finish) if self._finishing else self.mailbox.take()

    def _call(self, item: Item) -> Awaitable[Any] | None:
        """Begin with an item; None when that was all, else what is to be awaited."""
        self._current = item
        try:
            result = self._handle(item) if isinstance(item, Envelope) else item.run()
        except Exception as error:
            self._failed(item, error)
            return None
        if hasattr(result, "__await__"):
            return result  # type: ignore[no-any-return]
        self._done(item, result)
        return None

    async def _complete(self, item: Item, pending: Awaitable[Any]) -> None:
        deadline, timer = self.child.deadline, None
        if deadline is not None and isinstance(item, Envelope):
            timer = self._kill_after(deadline, f"a message took longer than {deadline} s")
        try:
            result = await pending
        except (Exception, asyncio.CancelledError) as error:
            self._failed(item, error)
        else:
            self._done(item, result)
        finally:
            if timer is not None:
                timer.cancel()

    def _handle(self, envelope: Envelope) -> Any:
        """Call the handler of a message, or `on_message`."""
        self._context.begin(envelope)
        agent, payload = self._instance, envelope.payload
        handlers = agent.handlers
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
            self._timers.discard(timer)
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


def _abandon(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and never mind what it raises."""
    task.cancel()
    task.add_done_callback(lambda done: done.cancelled() or done.exception())


def _stack(task: asyncio.Task[None]) -> str:
    """Where a task was when it was killed, down to what it waited for."""
    lines = ["killed while at"]
    awaited: Any = task.get_coro()
    while frame := getattr(awaited, "cr_frame", None):
        code = frame.f_code
        lines.append(f'  File "{code.co_filename}", line {frame.f_lineno}, in {code.co_name}')
        awaited = awaited.cr_await
    return "\n".join(lines)[-TRACEBACK_CHARS_MAX:]
