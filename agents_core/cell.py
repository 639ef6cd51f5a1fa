"""What hosts one agent: its mailbox, its current instance, and the loop between them.

The cell outlives the instances: a restarted agent is a new instance in the same cell. An idle cell
    has
no task. It works off its mailbox in a callback, and in one task while a handler is a coroutine.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agents_core import codec
from agents_core.agent import Agent, type_of
from agents_core.context import Context
from agents_core.errors import AgentStopped, InvalidMessage, RemoteError, UnhandledMessage
from agents_core.exit import NORMAL, SHUTDOWN, Exit, Kind
from agents_core.handlers import Handler
from agents_core.ids import AgentId
from agents_core.mailbox import Envelope, Mailbox
from agents_core.state.agent_state import AgentState
from agents_core.state.backend import MemoryBackend
from agents_core.timers import Timer

if TYPE_CHECKING:
    from agents_core.child import Child
    from agents_core.node import Node

FAIR_MSGS = 500
"""Messages handled in a row before everybody else on the loop gets a turn."""


class Cell:
    """One supervised agent on this node.

    Args:
        node: where it runs.
        child: what to run.
        backend: where its state is kept.
        supervisor: the name of its supervisor, for people.
    """

    def __init__(self, node: Node, child: Child, backend: MemoryBackend, supervisor: str) -> None:
        self.id = AgentId(child.id)
        self.child = child
        self.restart = child.restart
        self.supervisor = supervisor
        self.mailbox = Mailbox(child.id, child.mailbox)
        self.state = AgentState(self.id, backend)
        self.phase = "starting"
        self.handled = 0
        self.restarts = 0
        self.on_exit: Callable[[Exit], None] = lambda _: None
        self._node = node
        self._agent: Agent | None = None
        self._context = Context(node, self)
        self._current: Envelope | None = None
        self._task: asyncio.Task[None] | None = None
        self._scheduled = False
        self._finishing = False
        self._killed: Exit | None = None
        self._timers: set[Timer] = set()
        self._ended: asyncio.Future[None] | None = None

    # -- life

    async def start(self, before: Exit | None = None) -> None:
        """Run a new instance up to the end of `on_start`.

        Args:
            before: why the instance before this one ended; None at the first start.

        Raises:
            RemoteError: the class, `on_restart` or `on_start` raised.
        """
        self.phase = "starting" if before is None else "restarting"
        self._killed, self._finishing = None, False
        self._node.changed()
        task = self._task = asyncio.get_running_loop().create_task(self._begin(before))
        await asyncio.wait([task])
        self._task = None
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            self.phase = "failed"
            reason = Exit.of(error) if error else self._killed or Exit(Kind.KILLED)
            self._node.event(self, "crashed", reason)
            raise RemoteError(self.id, reason.type, reason.message, reason.traceback)
        self.phase = "running"
        self.restarts += before is not None
        for seconds, handler in self._instance.handlers.every:
            self._every(seconds, handler)
        await self._node.listen(self)
        self._node.event(self, "started" if before is None else "restarted", before)
        self.wake()

    async def _begin(self, before: Exit | None) -> None:
        agent = self._agent = self.child.cls(*self.child.args, **self.child.kwargs)
        agent.id, agent.state, agent.ctx = self.id, self.state, self._context
        if before is not None:
            await _maybe(agent.on_restart(before))
        await _maybe(agent.on_start())

    @property
    def _instance(self) -> Agent:
        assert self._agent is not None
        return self._agent

    async def stop(self, reason: Exit = SHUTDOWN) -> None:
        """End in order after the current message, or by force after `child.shutdown` seconds."""
        if self.phase != "running":
            return
        self._ended = asyncio.get_running_loop().create_future()

        async def end() -> None:
            await self._finish(reason)

        self.mailbox.put_control(end)
        self.wake()
        timer = self._node.timers.after(
            self.child.shutdown, lambda: self.kill("shutdown took too long")
        )
        try:
            await self._ended
        finally:
            timer.cancel()
            self._ended = None

    def kill(self, message: str = "") -> None:
        """End at once, as a crash does: the current handler is cancelled, `on_stop` is not called.

        A handler that swallows the cancellation is left to itself: its reply was given already,
        and the cell goes on without it.
        """
        reason = Exit(Kind.KILLED, "Killed", message)
        if self.phase in {"starting", "restarting"} and self._task is not None:
            self._killed = reason
            self._task.cancel()
        elif self.phase == "running":
            task, self._task = self._task, None
            if task is not None and task is not asyncio.current_task():
                reason = Exit(Kind.KILLED, "Killed", message, _stack(task))
                task.cancel()
            self._end(reason)

    def finish(self) -> None:
        """End with reason `normal` when the current handler is done."""
        self._finishing = True
        self.wake()

    async def _finish(self, reason: Exit) -> None:
        """The orderly end: `on_stop`, then the exit."""
        try:
            await _maybe(self._instance.on_stop(reason))
        except Exception as error:  # the agent is ending anyway; its supervisor hears why
            reason = Exit.of(error)
        self._end(reason)

    def _end(self, reason: Exit) -> None:
        """The instance is gone, for whatever reason; the cell and its mailbox remain."""
        if self.phase != "running":
            return
        self.phase = "stopped" if reason.orderly else "failed"
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        current, self._current = self._current, None
        if current is not None:
            current.fail(RemoteError(self.id, reason.type, reason.message, reason.traceback))
        self._node.event(self, "stopped" if reason.orderly else "crashed", reason)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        else:
            self.on_exit(reason)

    def discard(self) -> None:
        """It will not run again: whoever waits is told."""
        for envelope in self.mailbox.clear():
            envelope.fail(AgentStopped(self.id))

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
        """Run `action` between two messages, ahead of those that wait; return what it returns."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            try:
                result = await _maybe(action())
            except Exception as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        if self.phase != "running":
            raise AgentStopped(self.id)
        self.mailbox.put_control(run)
        self.wake()
        return await future

    def wake(self) -> None:
        """See to it that what waits is worked off."""
        if self.phase == "running" and self._task is None and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        """Handle plain handlers' messages right here; begin a task at the first that needs one."""
        self._scheduled = False
        if self.phase != "running" or self._task is not None:
            return
        for _ in range(FAIR_MSGS):
            item = None if self._finishing else self.mailbox.take()
            if isinstance(item, Envelope) and self._begins_inline(item):
                if self.phase != "running":
                    return
                continue
            if item is not None or self._finishing:
                self._task = asyncio.get_running_loop().create_task(self._run(item))
            return
        self.wake()

    def _begins_inline(self, envelope: Envelope) -> bool:
        """Handle a message whose handler is a plain method; False if it needs a task."""
        handler = self._handler(envelope)
        if handler is None or handler.is_async:
            return False
        self._current = envelope
        self._context.begin(envelope)
        try:
            argument = _argument(handler, envelope)
            self._answer(envelope, self._call(handler, argument))
        except Exception as error:
            self._failed(envelope, error)
        return True

    async def _run(self, item: Any) -> None:
        """Work off the mailbox in a task, beginning with `item`."""
        me = asyncio.current_task()
        count = 0
        while item is not None:
            await (self._handle(item) if isinstance(item, Envelope) else item())
            count += 1
            if count % FAIR_MSGS == 0:
                await asyncio.sleep(0)
            if self._finishing or self.phase != "running" or self._task is not me:
                break  # nothing is taken that this instance will not handle
            item = self.mailbox.take()
        if self._finishing and self.phase == "running" and self._task is me:
            await self._finish(NORMAL)
        if self._task is me:
            self._task = None
            if self.mailbox.waiting:
                self.wake()

    async def _handle(self, envelope: Envelope) -> None:
        self._current = envelope
        self._context.begin(envelope)
        handler = self._handler(envelope)
        try:
            if handler is None:
                result = self._instance.on_message(self._context.current())
            else:
                result = self._call(handler, _argument(handler, envelope))
            if inspect.isawaitable(result):
                result = await result
        except Exception as error:
            if self._current is envelope:  # else: killed meanwhile, and answered
                self._failed(envelope, error)
        else:
            if self._current is envelope:
                self._answer(envelope, result)

    def _answer(self, envelope: Envelope, result: Any) -> None:
        self._current = None
        self._context.begin(None)
        self.handled += 1
        self._node.changed()
        envelope.answer(result)

    def _failed(self, envelope: Envelope, error: Exception) -> None:
        """A bad message is its sender's fault and only answered; anything else is a crash."""
        self._context.begin(None)
        unhandled = isinstance(error, UnhandledMessage) and error.agent == self.id
        if unhandled or isinstance(error, _Refused):
            self._current = None
            reason = Exit(Kind.ERROR, type(error).__name__.lstrip("_"), str(error))
            self._node.event(self, "unhandled", reason)
            envelope.fail(InvalidMessage(error.reason) if isinstance(error, _Refused) else error)
        else:
            self._task = None
            self._end(Exit.of(error))

    def _handler(self, envelope: Envelope) -> Handler | None:
        handlers, payload = self._instance.handlers, envelope.payload
        found = handlers.by_type.get(type(payload))
        return found or handlers.by_name.get(envelope.type or type_of(payload))

    def _call(self, handler: Handler, argument: Any) -> Any:
        method = getattr(self._agent, handler.name)
        return method(argument) if handler.takes_payload else method()

    # -- time

    def after(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call once while this instance runs."""

        def due() -> None:
            self._timers.discard(timer)
            call()

        timer = self._node.timers.after(seconds, due)
        self._timers.add(timer)
        return timer

    def _every(self, seconds: float, handler: Handler) -> None:
        """Call a method again and again, as control between messages, never twice at a time."""

        async def tick() -> None:
            try:
                await _maybe(getattr(self._agent, handler.name)())
            except Exception as error:  # a tick that raises is a crash like any other
                self._end(Exit.of(error))
                return
            self.after(seconds, due)

        def due() -> None:
            self.mailbox.put_control(tick)
            self.wake()

        self.after(seconds, due)


class _Refused(InvalidMessage):
    """A payload that does not fit; apart from an `InvalidMessage` that a handler raises."""


def _argument(handler: Handler, envelope: Envelope) -> Any:
    """What a handler is called with: the object itself, or one made from JSON.

    Raises:
        _Refused: the payload does not fit the handler's type.
    """
    payload = envelope.payload
    if handler.kind is type(payload):
        return payload
    if isinstance(payload, dict) and not envelope.type:
        payload = {name: value for name, value in payload.items() if name != "type"}
    if handler.kind is None:
        return payload
    try:
        return codec.decode(handler.kind, payload)
    except InvalidMessage as error:
        raise _Refused(error.reason) from None


async def _maybe(result: Any) -> Any:
    """Await what a hook returned, if it is to be awaited."""
    return await result if inspect.isawaitable(result) else result


def _stack(task: asyncio.Task[None]) -> str:
    """Where a task was when it was killed."""
    lines = [f"  {frame.f_code.co_filename}:{frame.f_lineno}" for frame in task.get_stack()]
    return "\n".join(["killed while at", *lines])
