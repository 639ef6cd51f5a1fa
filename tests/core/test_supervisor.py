"""Supervision by the OTP rules, seen from the outside."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

import pytest

from agents_core import Agent, Child, Supervisor, connect, on
from agents_core.errors import AgentExists, AgentNotFound, AgentStopped, RemoteError
from tests.core.sample import Add, Counter, Events, Member, until


class Flaky(Agent):
    """Fails to start as often as its list says: 1 fails, 0 starts, 2 hangs."""

    def __init__(self, plan: list[int]) -> None:
        self.plan = plan

    async def on_start(self) -> None:
        step = self.plan.pop(0) if self.plan else 0
        if step == 1:
            raise RuntimeError("not yet")
        if step == 2:
            await asyncio.get_running_loop().create_future()

    @on("crash")
    def crash(self) -> None:
        raise RuntimeError("crash")


def members(names: str, log: list[str], **options: Any) -> list[Child | Supervisor]:
    return [Child(Member, name, (log,), **options) for name in names]


async def test_s1_children_start_in_order_and_stop_in_reverse() -> None:
    log: list[str] = []
    async with connect("local://") as node:
        await node.supervise(Supervisor(members("abc", log)))
        assert log == ["start a", "start b", "start c"]
        log.clear()
    assert log == ["stop c shutdown", "stop b shutdown", "stop a shutdown"]


async def test_s2_a_start_that_fails_stops_those_before_it_in_reverse() -> None:
    log: list[str] = []
    async with connect("local://") as node:
        with pytest.raises(RemoteError, match="not yet"):
            await node.supervise(
                Supervisor([*members("ab", log), Child(Flaky, "f", ([1],)), *members("c", log)])
            )
        assert log == ["start a", "start b", "stop b shutdown", "stop a shutdown"]
        assert node.agents() == []
        await node.spawn(Flaky, "f", [])


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("one_for_one", ["restart b", "start b"]),
        (
            "one_for_all",
            ["stop c shutdown", "stop a shutdown", "start a", "start b", "start c"],
        ),
        ("rest_for_one", ["stop c shutdown", "restart b", "start b", "restart c", "start c"]),
    ],
    ids=["s4", "s5", "s6"],
)
async def test_strategies(strategy: Any, expected: list[str]) -> None:
    async with connect("local://") as node:
        events, log = Events(node), []
        await node.supervise(Supervisor(members("abc", log), strategy=strategy))
        log.clear()
        node.agent("b").tell("crash")
        await events.wait("restarted", expected[-1].split()[1])
        wanted = [line for line in expected if not line.startswith("restart")]
        assert [line for line in log if not line.startswith("restart")] == wanted


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (
            "one_for_all",
            ["stop c shutdown", *["stop a shutdown", "start a"] * 2, "start c"],
        ),
        ("rest_for_one", ["stop c shutdown", "start c"]),
    ],
)
async def test_a_restart_that_fails_midway_is_tried_again_by_the_strategy(
    strategy: Any, expected: list[str]
) -> None:
    async with connect("local://") as node:
        events, log, plan = Events(node), [], []
        children = [*members("a", log), Child(Flaky, "b", (plan,)), *members("c", log)]
        await node.supervise(Supervisor(children, strategy=strategy))
        log.clear()
        plan.append(1)
        node.agent("b").tell("crash")
        await events.wait("restarted", "c")
        assert [line for line in log if not line.startswith("restart")] == expected


async def test_s8_temporary_children_that_end_because_of_a_sibling_do_not_come_back() -> None:
    async with connect("local://") as node:
        events, log = Events(node), []
        children = [*members("a", log), *members("t", log, restart="temporary")]
        await node.supervise(Supervisor(children, strategy="one_for_all"))
        node.agent("a").tell("crash")
        await events.wait("restarted", "a")
        assert [agent["id"] for agent in node.agents()] == ["a"]


@pytest.mark.parametrize(
    ("restart", "message", "again"),
    [
        ("permanent", "finish", True),
        ("permanent", "crash", True),
        ("transient", "finish", False),
        ("transient", "crash", True),
        ("temporary", "finish", False),
        ("temporary", "crash", False),
    ],
)
async def test_r1_to_r3(restart: Any, message: str, again: bool) -> None:
    async with connect("local://") as node:
        events, log = Events(node), []
        member = await node.spawn(Member, "m", log, restart=restart)
        member.tell(message)
        await events.wait("stopped" if message == "finish" else "crashed")
        if again:
            await events.wait("restarted")
        else:
            await until(lambda: not node.agents())
            await node.spawn(Member, "m", log)
        assert log.count("start m") == 2


async def test_i1_and_i4_failed_restarts_count_and_a_supervisor_gives_up() -> None:
    async with connect("local://") as node:
        events, plan = Events(node), []
        flaky = await node.spawn(Flaky, "f", plan, max_restarts=3)
        plan += [0, 1, 1]
        flaky.tell("crash")
        await events.wait("restarted")
        assert (await flaky.info())["restarts"] == 1
        flaky.tell("crash")
        gave_up = await events.wait("gave_up")
        assert gave_up.reason is not None
        assert (gave_up.type, gave_up.reason.type) == ("Supervisor", "RestartLimitReached")
        with pytest.raises(AgentNotFound):
            await flaky.ask("crash")
        await node.spawn(Flaky, "f", [])


async def test_i2_the_children_share_one_window() -> None:
    async with connect("local://") as node:
        events, log = Events(node), []
        await node.supervise(Supervisor(members("ab", log), max_restarts=1))
        node.agent("a").tell("crash")
        await events.wait("restarted", "a")
        node.agent("b").tell("crash")
        await events.wait("gave_up")


async def test_i3_giving_up_ends_the_others_in_reverse_and_answers_who_waits() -> None:
    async with connect("local://") as node:
        events, log = Events(node), []
        await node.supervise(Supervisor(members("abc", log), max_restarts=0))
        log.clear()
        node.agent("b").tell("crash")
        waiting = asyncio.create_task(node.agent("b").ask("x"))
        await events.wait("gave_up")
        assert log == ["stop c shutdown", "stop a shutdown"]
        with pytest.raises(AgentStopped):
            await waiting
        assert node.agents() == []


@pytest.mark.parametrize("most", [inf, 3.0])
async def test_i1_a_bound_may_be_any_number(most: float) -> None:
    async with connect("local://") as node:
        flaky = await node.spawn(Flaky, "f", [], max_restarts=most)
        events = Events(node)
        for _ in range(3):
            with pytest.raises(RemoteError):
                await flaky.ask("crash")
            await events.wait("restarted")
        assert (await flaky.info())["restarts"] == 3


async def test_i3_a_supervisor_above_restarts_one_that_gave_up_and_messages_wait() -> None:
    async with connect("local://") as node:
        events = Events(node)
        inner = Supervisor([Child(Counter, "deep")], name="inner", max_restarts=0)
        await node.supervise(Supervisor([inner, Child(Counter, "beside")], name="outer"))
        deep = node.agent("deep")
        await deep.ask(Add(1))
        deep.tell("boom")
        waiting = asyncio.create_task(deep.ask(Add(1)))
        assert (await events.wait("gave_up")).agent == "outer/inner"
        assert await waiting == 2
        await events.wait("restarted", "deep")
        assert (await node.agent("beside").info())["restarts"] == 0
        assert (await deep.info())["supervisor"] == "outer/inner"


async def test_i3_a_transient_supervisor_that_gave_up_is_gone() -> None:
    async with connect("local://") as node:
        events, log = Events(node), []
        inner = Supervisor(members("a", log), name="inner", max_restarts=0, restart="transient")
        await node.supervise(Supervisor([inner, *members("b", log)]))
        node.agent("a").tell("crash")
        await events.wait("gave_up")
        await until(lambda: [agent["id"] for agent in node.agents()] == ["b"])


async def test_i5_giving_up_climbs_to_the_top() -> None:
    async with connect("local://") as node:
        events, log = Events(node), []
        inner = Supervisor(members("a", log), name="inner", max_restarts=1)
        await node.supervise(Supervisor([inner], name="outer", max_restarts=1))
        for _ in range(3):
            node.agent("a").tell("crash")
            await events.wait("restarted", "a")
        node.agent("a").tell("crash")
        await events.wait("gave_up", "outer/inner")
        await events.wait("gave_up", "outer/inner")
        await events.wait("gave_up", "outer")
        await until(lambda: not node.agents())


async def test_one_for_all_takes_nested_supervisors_along() -> None:
    async with connect("local://") as node:
        events, log = Events(node), []
        inner = Supervisor(members("ab", log), name="inner")
        await node.supervise(
            Supervisor([inner, *members("c", log)], strategy="one_for_all", name="outer")
        )
        log.clear()
        node.agent("c").tell("crash")
        await events.wait("restarted", "c")
        stops = [line for line in log if line.startswith("stop")]
        starts = [line for line in log if line.startswith("start")]
        assert stops == ["stop b shutdown", "stop a shutdown"]
        assert starts == ["start a", "start b", "start c"]


async def test_two_crashes_at_once_are_both_seen_to() -> None:
    for strategy in ("one_for_one", "one_for_all"):
        async with connect("local://") as node:
            events, log = Events(node), []
            await node.supervise(Supervisor(members("ab", log), strategy=strategy))  # type: ignore[arg-type]
            node.agent("a").tell("crash")
            node.agent("b").tell("crash")
            await events.wait("restarted", "a")
            await events.wait("restarted", "b")
            assert [agent["state"] for agent in node.agents()] == ["running", "running"]


async def test_a_hanging_sibling_is_killed_and_its_late_end_does_not_stop_the_next() -> None:
    async with connect("local://") as node:
        events, log = Events(node), []
        children = members("ab", log, shutdown=0.001, restart="transient")
        await node.supervise(Supervisor(children, strategy="one_for_all"))
        node.agent("b").tell("hang")
        await until(lambda: node.router.cells["b"]._runner.task)
        node.agent("a").tell("crash")
        await events.wait("restarted", "b")
        assert [agent["state"] for agent in node.agents()] == ["running", "running"]


async def test_a_stop_during_a_restart_ends_it() -> None:
    async with connect("local://") as node:
        plan: list[int] = []
        flaky = await node.spawn(Flaky, "f", plan)
        plan.append(2)
        flaky.tell("crash")
        await until(lambda: node.agents()[0]["state"] == "restarting")
        await flaky.stop()
        assert node.agents() == []


async def test_a_stop_before_a_restart_has_begun_ends_it_too() -> None:
    async with connect("local://") as node:
        log: list[str] = []
        member = await node.spawn(Member, "m", log)
        member.tell("crash")
        await until(lambda: node.agents()[0]["state"] == "failed")
        await member.stop()
        assert node.agents() == []
        assert log == ["start m"]


async def test_who_is_stopped_while_its_siblings_are_restarted_stays_stopped() -> None:
    class Reluctant(Member):
        async def on_stop(self, reason: Any) -> None:
            super().on_stop(reason)
            await may_end.wait()

    may_end, log = asyncio.Event(), list[str]()
    async with connect("local://") as node:
        events = Events(node)
        children = [*members("a", log), Child(Reluctant, "b", (log,))]
        await node.supervise(Supervisor(children, strategy="one_for_all"))
        node.agent("a").tell("crash")
        await until(lambda: "stop b shutdown" in log)
        stopping = asyncio.create_task(node.agent("b").stop())
        await until(lambda: node.router.cells["b"].owner._unwanted)
        may_end.set()
        await stopping
        await events.wait("restarted", "a")
        assert [agent["id"] for agent in node.agents()] == ["a"]
        assert log.count("start b") == 1


async def test_i4_who_is_stopped_in_its_restart_is_no_failed_attempt() -> None:
    async with connect("local://") as node:
        plan, events = list[int](), Events(node)
        children = [*members("a", []), Child(Flaky, "f", (plan,)), *members("c", [])]
        await node.supervise(Supervisor(children, strategy="one_for_all", max_restarts=1))
        plan.append(2)
        node.agent("a").tell("crash")
        await until(lambda: not plan)
        await node.agent("f").stop()
        assert (await node.agent("c").info())["restarts"] == 1
        assert [agent["id"] for agent in node.agents()] == ["a", "c"]
        assert "gave_up" not in [event.kind for event in events.seen]


@pytest.mark.parametrize("nested", [False, True])
async def test_r2_a_transient_one_that_ends_as_a_sibling_crashes_does_not_come_back(
    nested: bool,
) -> None:
    async with connect("local://") as node:
        events, log = Events(node), list[str]()
        children = members("b", log, restart="transient") + members("c", log)
        inside: list[Child | Supervisor] = [Supervisor(children, name="inner")]
        await node.supervise(
            Supervisor(
                members("a", log) + (inside if nested else children),
                strategy="one_for_all",
            )
        )
        node.agent("a").tell("crash")
        node.agent("b").tell("finish")
        await events.wait("restarted", "c")
        await until(lambda: "b" not in node.router.cells)
        assert [agent["state"] for agent in node.agents()] == ["running", "running"]
        assert log.count("start b") == 1


async def test_a_kill_during_a_restart_is_a_failed_attempt() -> None:
    async with connect("local://") as node:
        events, plan = Events(node), []
        flaky = await node.spawn(Flaky, "f", plan)
        plan.append(2)
        flaky.tell("crash")
        await until(lambda: node.agents()[0]["state"] == "restarting")
        await flaky.kill()
        await events.wait("restarted")


async def test_closing_ends_a_restart_that_hangs() -> None:
    async with connect("local://") as node:
        plan: list[int] = []
        inner = Supervisor([Child(Flaky, "f", (plan,))], name="inner", max_restarts=0)
        await node.supervise(Supervisor([inner]))
        plan.append(2)
        node.agent("f").tell("crash")
        await until(lambda: node.agents()[0]["state"] == "restarting")
    assert node.agents() == []


async def test_closing_ends_a_start_that_hangs() -> None:
    async with connect("local://") as node:
        log: list[str] = []
        children = [*members("a", log), Child(Flaky, "f", ([2],)), *members("b", log)]
        starting = asyncio.create_task(node.supervise(Supervisor(children)))
        await until(lambda: len(log) == 1)
        await until(lambda: node.router.cells["f"]._killed)
    with pytest.raises(RemoteError, match="supervisor stops"):
        await starting
    assert log == ["start a", "stop a shutdown"]


async def test_every_id_is_taken_before_anything_starts() -> None:
    async with connect("local://") as node:
        log: list[str] = []
        await node.spawn(Counter, "c")
        for taken in (
            [*members("a", log), Child(Counter, "c")],
            [*members("aa", log)],
            [*members("a", log), Supervisor([Supervisor([Child(Counter, "c")])])],
        ):
            with pytest.raises(AgentExists):
                await node.supervise(Supervisor(taken))
        assert log == []
        assert [agent["id"] for agent in node.agents()] == ["c"]
        await node.agent("c").ask(Add(1))


async def test_a_supervisor_whose_children_are_all_gone_is_forgotten() -> None:
    async with connect("local://") as node:
        log: list[str] = []
        for _ in range(3):
            member = await node.spawn(Member, "m", log, restart="temporary")
            await member.stop()
        await node.supervise(Supervisor([]))
        member = await node.spawn(Member, "m", log, restart="temporary")
        member.tell("finish")
        await until(lambda: not node.agents())
        assert not [tree for tree in node._trees if tree.children]


async def test_a_supervisor_that_is_stopped_is_gone_with_its_agents() -> None:
    async with connect("local://") as node:
        log: list[str] = []
        inner = Supervisor(members("bc", log), name="inner")
        tree = await node.supervise(Supervisor([*members("a", log), inner]))
        await tree.stop()
        assert log[3:] == ["stop c shutdown", "stop b shutdown", "stop a shutdown"]
        with pytest.raises(AgentNotFound):
            await node.agent("b").ask("hang")
        await node.spawn(Member, "b", log)
        await tree.stop()
        assert [agent["id"] for agent in node.agents()] == ["b"]


class Curious(Agent):
    """Asks the sibling that stopped before it."""

    def __init__(self, found: list[str]) -> None:
        self.found = found

    async def on_stop(self, reason: Any) -> None:
        self.ctx.agent("last").tell("bye")
        try:
            await self.ctx.agent("last").ask("x", timeout=3600)
        except AgentNotFound:
            self.found.append(self.id)


@pytest.mark.parametrize("how", ["close", "give up", "fail to start"])
async def test_who_asks_one_that_has_stopped_for_good_is_told_at_once(how: str) -> None:
    async with connect("local://") as node, asyncio.timeout(5):
        found: list[str] = []
        inner = Supervisor([Child(Curious, "in", (found,))], name="inner")
        flaky = Child(Flaky, "flaky", ([1 if how == "fail to start" else 0],))
        children = [Child(Curious, "out", (found,)), inner, Child(Counter, "last"), flaky]
        starting = node.supervise(Supervisor(children, max_restarts=0))
        if how == "fail to start":
            with pytest.raises(RemoteError):
                await starting
        else:
            await starting
        if how == "give up":
            node.agent("flaky").tell("crash")
            await until(lambda: not node.agents())
        await node.close()
        assert found == ["in", "out"]


async def test_stopping_one_child_leaves_its_siblings() -> None:
    async with connect("local://") as node:
        log: list[str] = []
        inner = Supervisor(members("ab", log), name="inner", strategy="one_for_all")
        await node.supervise(Supervisor([inner], strategy="one_for_all"))
        await node.agent("a").stop()
        assert [agent["id"] for agent in node.agents()] == ["b"]
        assert log == ["start a", "start b", "stop a shutdown"]
