"""One agent's life: instances come and go, nothing of an old one reaches a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from agents_core import Agent, Exit, Get, Store, connect, every, on
from agents_core import node as node_module
from agents_core.errors import AgentStopped, MailboxFull, RemoteError, StateCorrupt
from agents_core.mailbox import CONTROL_MAX
from agents_core.state.memory import InMemoryBackend
from tests.core.sample import Add, Counter, Events, Member, until


async def test_a_restarted_agent_has_its_state_and_its_mailbox() -> None:
    async with connect("local://") as node:
        events = Events(node)
        counter = await node.spawn(Counter, "c")
        await counter.ask(Add(3))
        crashing = asyncio.create_task(counter.ask("boom"))
        after = asyncio.create_task(counter.ask(Add(1)))
        with pytest.raises(RemoteError, match="ValueError: boom") as caught:
            await crashing
        assert "in boom" in caught.value.traceback
        assert await after == 4
        await events.wait("restarted")
        assert (await counter.info())["restarts"] == 1


async def test_a_message_that_takes_longer_than_its_deadline_ends_the_agent() -> None:
    async with connect("local://") as node:
        events = Events(node)
        counter = await node.spawn(Counter, "c", deadline=0.01)
        with pytest.raises(RemoteError, match=r"Killed: a message took longer than 0\.01 s"):
            await counter.ask("hang")
        await events.wait("restarted")
        before = sum(timer._callback is not None for timer in node.timers._heap)
        assert await counter.ask(Add(1)) == 1
        after = sum(timer._callback is not None for timer in node.timers._heap)
        assert after == before, "the deadline of what was handled in time waits"


class Stubborn(Agent):
    """Swallows its cancellation, once let go returns or raises."""

    def __init__(self, gates: list[asyncio.Event], log: list[str]) -> None:
        self.gates, self.log = gates, log

    async def _resist(self, outcome: str) -> str:
        gate = asyncio.Event()
        self.gates.append(gate)
        try:
            await gate.wait()
        except asyncio.CancelledError:
            await gate.wait()
        self.log.append(outcome)
        if outcome == "raise":
            raise RuntimeError("late")
        return outcome

    @on("resist")
    async def resist(self, payload: Any) -> str:
        return await self._resist(payload["outcome"])

    @on("stop stubbornly")
    def stop_stubbornly(self) -> None:
        self.on_stop = self._on_stop  # type: ignore[method-assign]
        self.ctx.stop()

    async def _on_stop(self, reason: Exit) -> None:
        await self._resist("stopped")

    @on("ping")
    def ping(self) -> str:
        return "pong"


@pytest.mark.parametrize("outcome", ["return", "raise"])
async def test_a_killed_handler_that_goes_on_can_not_touch_the_next_instance(outcome: str) -> None:
    async with connect("local://") as node:
        events, gates, log = Events(node), [], []
        agent = await node.spawn(Stubborn, "s", gates, log)
        asking = asyncio.create_task(agent.ask({"type": "resist", "outcome": outcome}))
        await until(lambda: gates)
        await agent.kill("because")
        with pytest.raises(RemoteError, match="Killed: because") as caught:
            await asking
        assert "test_cell.py" in caught.value.traceback
        await events.wait("restarted")
        gates[0].set()
        await until(lambda: log == [outcome])
        assert await agent.ask("ping") == "pong"
        assert (await agent.info())["restarts"] == 1


async def test_an_on_stop_that_goes_on_can_not_touch_the_next_instance() -> None:
    async with connect("local://") as node:
        events, gates, log = Events(node), [], []
        agent = await node.spawn(Stubborn, "s", gates, log, shutdown=0.001)
        agent.tell("stop stubbornly")
        killed = await events.wait("crashed")
        assert killed.reason is not None
        assert killed.reason.message == "on_stop took too long"
        await events.wait("restarted")
        gates[0].set()
        await until(lambda: log)
        assert await agent.ask("ping") == "pong"


async def test_a_tick_that_goes_on_does_not_tick_for_the_next_instance() -> None:
    gates: list[asyncio.Event] = []
    log: list[str] = []

    class Ticker(Stubborn):
        @every(0.001)
        async def tick(self) -> None:
            await self._resist("tick")

    async with connect("local://") as node:
        events = Events(node)
        agent = await node.spawn(Ticker, "t", gates, log)
        await until(lambda: gates)
        await agent.kill()
        await events.wait("restarted")
        gates[0].set()
        await until(lambda: len(gates) == 2)
        gates[1].set()
        await until(lambda: len(gates) == 3)  # one chain of ticks, not two
        assert log == ["tick", "tick"]
        await agent.kill()
        gates[2].set()
        await until(lambda: len(log) == 3)


async def test_a_tick_that_waits_when_the_agent_crashes_is_not_the_next_instance_s() -> None:
    ticks: list[Agent] = []
    release = asyncio.Event()

    class Ticker(Agent):
        @on("crash")
        async def crash(self) -> None:
            await release.wait()
            raise RuntimeError

        @every(0.001)
        def tick(self) -> None:
            ticks.append(self)

    async with connect("local://") as node:
        events = Events(node)
        agent = await node.spawn(Ticker, "t")
        agent.tell("crash")
        cell = node.router.cells["t"]
        await until(lambda: cell.mailbox.waiting and not len(cell.mailbox))
        before = len(ticks)
        release.set()
        await events.wait("restarted")
        await until(lambda: len(ticks) > before)
        assert len(cell.mailbox) == 0
        assert len({id(agent) for agent in ticks[before:]}) == 1


async def test_a_cancelled_await_is_a_crash_and_not_the_end_of_the_agent() -> None:
    class Waiter(Agent):
        @on("wait")
        async def wait(self) -> None:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        @on("result")
        def result(self) -> None:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            future.result()

        @on("ping")
        def ping(self) -> str:
            return "pong"

    async with connect("local://") as node:
        agent = await node.spawn(Waiter, "w")
        for ask in ("wait", "result"):
            crashing = asyncio.create_task(agent.ask(ask, timeout=1))
            behind = asyncio.create_task(agent.ask("ping", timeout=1))
            with pytest.raises(RemoteError, match="CancelledError"):
                await crashing
            assert await behind == "pong"


async def test_a_handler_may_return_any_awaitable() -> None:
    class Lazy(Agent):
        @on("future")
        def future(self) -> Any:
            future = asyncio.get_running_loop().create_future()
            future.set_result(5)
            return future

        @on("coroutine")
        def coroutine(self) -> Any:
            return self.later()

        async def later(self) -> int:
            return 6

    async with connect("local://") as node:
        lazy = await node.spawn(Lazy, "l")
        assert await lazy.ask("future") == 5
        assert await lazy.ask("coroutine") == 6


async def test_an_agent_may_kill_itself() -> None:
    class Tired(Agent):
        @on("die")
        async def die(self) -> None:
            await self.ctx.ref.kill("tired")
            await asyncio.get_running_loop().create_future()

    async with connect("local://") as node:
        tired = await node.spawn(Tired, "t")
        with pytest.raises(RemoteError, match="tired"):
            await tired.ask("die")


async def test_an_agent_may_stop_itself_for_good() -> None:
    class Done(Agent):
        @on("done")
        async def done(self) -> str:
            await self.ctx.ref.stop()
            return "bye"

    async with connect("local://") as node:
        agent = await node.spawn(Done, "d")
        assert await agent.ask("done") == "bye"
        await until(lambda: not node.agents())


class Sleeper(Agent):
    """Does what its state says when it is suspended, and notes it."""

    async def on_start(self) -> None:
        self.notes: list[object] = await self.state.get("notes", [])
        self.gate = asyncio.Event()

    async def on_suspend(self, why: str) -> None:
        self.notes.append(why)
        await self.state.set("notes", self.notes)
        if why == "fails":
            raise ValueError(why)
        if why == "hangs":
            await self.gate.wait()

    def on_resume(self, slept: float) -> None:
        self.notes.append(slept)

    @on("note")
    def note(self, payload: dict[str, Any]) -> None:
        self.notes.append(payload["n"])

    @on("read")
    def read(self) -> list[object]:
        return self.notes

    @on("wait")
    async def wait(self) -> None:
        await self.gate.wait()

    @on("open")
    def open(self) -> None:
        self.gate.set()


async def test_hooks_go_ahead_of_what_waits() -> None:
    async with connect("local://") as node:
        sleeper = await node.spawn(Sleeper, "s")
        await node.spawn(Counter, "without-hooks")
        sleeper.tell({"type": "note", "n": 1})
        await node.suspend("hidden")
        sleeper.tell({"type": "note", "n": 2})
        await node.resume(1.5)
        assert await sleeper.ask("read") == ["hidden", 1, 1.5, 2]


async def test_a_hook_that_raises_is_a_crash() -> None:
    async with connect("local://") as node:
        events = Events(node)
        sleeper = await node.spawn(Sleeper, "s")
        await node.suspend("fails")
        crash = await events.wait("crashed")
        assert crash.reason is not None
        assert crash.reason.message == "fails"
        await events.wait("restarted")
        await node.resume()
        assert await sleeper.ask("read") == ["fails", 0.0]


async def test_a_hook_that_hangs_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(node_module, "HOOKS_S", 0.01)
    async with connect("local://") as node:
        sleeper = await node.spawn(Sleeper, "s")
        await node.suspend("hangs")
        assert "on_suspend takes longer than 0.01 s" in caplog.text
        node.router.cells["s"]._instance.gate.set()  # type: ignore[attr-defined]
        assert await sleeper.ask("read") == ["hangs"]


async def test_the_hook_of_an_agent_that_ends_before_its_turn_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node_module, "HOOKS_S", 3600)
    async with connect("local://") as node, asyncio.timeout(5):
        sleeper = await node.spawn(Sleeper, "s")
        sleeper.tell("wait")
        cell = node.router.cells["s"]
        await until(lambda: cell._runner.task)
        suspending = asyncio.create_task(node.suspend("hidden"))
        await until(lambda: cell.mailbox.waiting)
        await sleeper.kill()
        await suspending
        assert await sleeper.ask("read") == []


async def test_control_goes_ahead_of_messages_and_is_bounded() -> None:
    async with connect("local://") as node:
        counter = await node.spawn(Counter, "c", shutdown=0.01)
        await counter.state(Store("value", 7))
        counter.tell("hang")
        counter.tell(Add(1))
        cell = node.router.cells["c"]
        await until(lambda: len(cell.mailbox) == 1)
        waiting = [asyncio.create_task(counter.state(Get("value"))) for _ in range(CONTROL_MAX)]
        given_up = waiting.pop()
        await asyncio.sleep(0)
        with pytest.raises(MailboxFull):
            await counter.state(Get("value"))
        given_up.cancel()
        await counter.kill()  # what was asked for outlives the instance, as messages do
        assert await asyncio.gather(*waiting) == [7] * (CONTROL_MAX - 1)
        assert await counter.ask(Add(0)) == 8


async def test_stop_is_never_refused_and_what_waits_is_told() -> None:
    async with connect("local://") as node:
        counter = await node.spawn(Counter, "c", shutdown=0.01)
        hanging = asyncio.create_task(counter.ask("hang"))
        cell = node.router.cells["c"]
        await until(lambda: cell._runner.task)
        waiting = [asyncio.create_task(counter.state(Get("value"))) for _ in range(CONTROL_MAX)]
        message = asyncio.create_task(counter.ask(Add(1)))
        await asyncio.sleep(0)
        await counter.stop()
        with pytest.raises(RemoteError, match="shutdown took too long"):
            await hanging
        for task in (*waiting, message):
            with pytest.raises(AgentStopped):
                await task
        with pytest.raises(AgentStopped):
            cell.put(None)  # type: ignore[arg-type]


class Broken(InMemoryBackend):
    """Raises what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def retrieve(self, key: str) -> Any:
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return await super().retrieve(key)


async def test_state_that_fails_is_its_asker_s_error_and_no_crash() -> None:
    async with connect("local://") as node:
        backend = Broken()
        counter = await node.spawn(Counter, "c", state=backend)
        backend.error = OSError("disk")
        with pytest.raises(RemoteError, match="OSError: disk"):
            await counter.state(Get("value"))
        backend.error = StateCorrupt("k", "torn")
        with pytest.raises(StateCorrupt):
            await counter.state(Get("value"))
        assert (await counter.info())["restarts"] == 0


async def test_who_waits_for_the_state_of_a_killed_agent_is_told() -> None:
    async with connect("local://") as node:
        backend = Broken()
        counter = await node.spawn(Counter, "c", state=backend)
        backend.gate = asyncio.Event()
        asking = asyncio.create_task(counter.state(Get("value")))
        await until(lambda: node.router.cells["c"]._runner.task)
        await counter.kill("now")
        with pytest.raises(RemoteError, match="now"):
            await asking
        backend.gate.set()


async def test_the_state_can_be_asked_for_while_an_agent_restarts() -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    gates[0].set()

    class Slow(Counter):
        async def on_start(self) -> None:
            await gates[0].wait()

    async with connect("local://") as node:
        slow = await node.spawn(Slow, "s")
        gates.pop(0)
        slow.tell("boom")
        await until(lambda: node.agents()[0]["state"] == "restarting")
        asking = asyncio.create_task(slow.state(Get("value")))
        await asyncio.sleep(0)
        gates[0].set()
        assert await asking is None


async def starting(node: Any, on_start: Callable[[Agent], Any]) -> Any:
    """Begin to spawn an agent, and let it get to its `on_start`."""
    begun = asyncio.Event()

    class Slow(Agent):
        async def on_start(self) -> None:
            self.ctx.after(3600, print)
            begun.set()
            await on_start(self)

    task = asyncio.create_task(node.spawn(Slow, "s"))
    await begun.wait()
    return task


async def for_ever(_: Agent) -> None:
    await asyncio.get_running_loop().create_future()


async def test_a_kill_ends_a_start_that_hangs() -> None:
    async with connect("local://") as node:
        spawning = await starting(node, for_ever)
        cell = node.router.cells["s"]
        cell.kill("first")
        cell.kill("second")
        with pytest.raises(RemoteError, match="first"):
            await spawning
        assert node.agents() == []


async def test_a_kill_ends_a_start_that_swallows_it() -> None:
    release = asyncio.Event()

    async def swallow(_: Agent) -> None:
        try:
            await release.wait()
        except asyncio.CancelledError:
            await release.wait()
            raise RuntimeError("nobody hears this") from None

    async with connect("local://") as node:
        spawning = await starting(node, swallow)
        await node.agent("s").kill("now")
        with pytest.raises(RemoteError, match="now"):
            await spawning
        release.set()


class Survivor(Agent):
    """Goes on when it is killed: while it starts, or in a handler, for as long as it is told to."""

    def __init__(self, released: asyncio.Event, log: list[str]) -> None:
        self.released = released
        self.log = log

    async def on_start(self) -> None:
        self.value = await self.state.get("value", 0)
        if self.log[-1:] == ["swallow"]:
            await self.swallow()

    @on("swallow")
    async def swallow(self) -> None:
        self.log.append("swallowing")
        while not self.released.is_set():
            with suppress(asyncio.CancelledError):
                await self.released.wait()
        for change in (self.state.set("value", 100), self.state.delete("value")):
            with pytest.raises(AgentStopped):
                await change
        self.log.append(f"left it at {await self.state.get('value')}")

    @on("add")
    async def add(self) -> int:
        self.value += 1
        await self.state.set("value", self.value)
        return self.value

    @every(0.0001)
    async def tick(self) -> None:
        self.log.append(f"tick {self.value}")


async def test_an_instance_that_survives_its_kill_does_not_change_the_state() -> None:
    released, log = asyncio.Event(), list[str]()
    async with connect("local://") as node:
        events = Events(node)
        agent = await node.spawn(Survivor, "s", released, log)
        agent.tell("swallow")
        await until(lambda: "swallowing" in log)
        await agent.kill()
        await events.wait("restarted")
        assert await agent.ask("add") == 1
        released.set()
        await until(lambda: "left it at 1" in log)
        await agent.kill()
        await events.wait("restarted")
        assert await agent.ask("add") == 2


async def test_a_start_that_survives_its_kill_begins_no_timers_in_the_next_instance() -> None:
    released, log = asyncio.Event(), list[str]()
    async with connect("local://") as node:
        events = Events(node)
        agent = await node.spawn(Survivor, "s", released, log)
        log.append("swallow")
        await agent.kill()
        await until(lambda: "swallowing" in log)
        await agent.kill()
        await events.wait("restarted")
        assert await agent.ask("add") == 1
        released.set()
        await until(lambda: "left it at 1" in log)
        log.clear()
        await until(lambda: len(log) > 9)
        assert set(log) == {"tick 1"}


async def test_a_stop_ends_a_start_that_hangs() -> None:
    async with connect("local://") as node:
        spawning = await starting(node, for_ever)
        await node.agent("s").stop()
        with pytest.raises(RemoteError, match="stopped before"):
            await spawning
        await node.spawn(Counter, "s")


async def test_a_start_that_is_cancelled_from_inside_fails() -> None:
    async def cancelled(_: Agent) -> None:
        raise asyncio.CancelledError

    async with connect("local://") as node:
        with pytest.raises(RemoteError, match="CancelledError"):
            await (await starting(node, cancelled))


async def test_a_spawn_that_is_given_up_leaves_nothing() -> None:
    async with connect("local://") as node:
        spawning = await starting(node, for_ever)
        spawning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spawning
        assert node.agents() == []
        await node.spawn(Counter, "s")


async def test_on_stop_that_raises_is_a_crash() -> None:
    class Clumsy(Member):
        def on_stop(self, reason: Any) -> None:
            raise RuntimeError("on the way out")

    async with connect("local://") as node:
        events = Events(node)
        agent = await node.spawn(Clumsy, "c", [], restart="transient")
        agent.tell("finish")
        crash = await events.wait("crashed")
        assert crash.reason is not None
        assert crash.reason.message == "on the way out"
        await events.wait("restarted")
        await agent.stop()


async def test_stopping_twice_at_once_is_stopping_once() -> None:
    async with connect("local://") as node:
        log: list[str] = []
        agent = await node.spawn(Member, "m", log)
        await asyncio.gather(agent.stop(), agent.stop())
        assert log == ["start m", "stop m shutdown"]


async def test_two_may_wait_for_one_end() -> None:
    async with connect("local://") as node:
        log: list[str] = []
        agent = await node.spawn(Member, "m", log, shutdown=0.01)
        agent.tell("hang")
        cell = node.router.cells["m"]
        await until(lambda: cell._runner.task)
        await asyncio.gather(cell.stop(), cell.stop())
        assert cell.phase == "failed"


async def test_a_stop_that_is_not_waited_for_still_stops() -> None:
    async with connect("local://") as node:
        agent = await node.spawn(Counter, "c", shutdown=0.01)
        agent.tell("hang")
        stopping = asyncio.create_task(agent.stop())
        await until(lambda: node.router.cells["c"]._ended)
        stopping.cancel()
        await until(lambda: not node.agents())


class Verdict(BaseException):
    """As of a test's own `fail()`, which is no `Exception` so that nobody swallows it."""


class Judge(Agent):
    @on("now")
    def now(self) -> None:
        raise Verdict("guilty")

    @on("later")
    async def later(self) -> None:
        await asyncio.sleep(0)
        raise Verdict("guilty")

    @on("count")
    def count(self) -> int:
        return 1


@pytest.mark.parametrize("when", ["now", "later"])
async def test_what_is_no_exception_is_a_crash_and_what_waits_is_handled(when: str) -> None:
    async with connect("local://") as node:
        judge = await node.spawn(Judge, "j")
        crashing = asyncio.create_task(judge.ask(when))
        waiting = asyncio.create_task(judge.ask("count"))
        with pytest.raises(RemoteError, match="Verdict: guilty"):
            await crashing
        assert await waiting == 1
        assert (await judge.info())["restarts"] == 1


async def test_what_ends_the_loop_is_left_to_it() -> None:
    class Quitter(Judge):
        def now(self) -> None:
            raise GeneratorExit

        async def later(self) -> None:
            raise GeneratorExit

    told: asyncio.Queue[Any] = asyncio.Queue()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.put_nowait(context))
    async with connect("local://") as node:
        quitter = await node.spawn(Quitter, "q")
        quitter.tell("now")
        async with asyncio.timeout(5):
            assert isinstance((await told.get())["exception"], GeneratorExit)
        quitter.tell("later")
        assert await quitter.ask("count") == 1
        assert (await quitter.info())["restarts"] == 0
