"""Agents on nodes: local and remote the same, failures with names, supervision that shows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from agents_core import (
    Agent,
    Child,
    Clear,
    Delete,
    Event,
    Get,
    List,
    Message,
    Node,
    Store,
    Supervisor,
    connect,
    every,
    on,
)
from agents_core.errors import (
    AgentExists,
    AgentNotFound,
    AgentStopped,
    AskTimeout,
    EncodeError,
    InvalidAgentId,
    InvalidMessage,
    InvalidSpec,
    MailboxFull,
    RemoteError,
    UnhandledMessage,
)
from agents_core.ids import unique


@dataclass
class Add:
    n: int


@dataclass
class Total:
    value: int


class Counter(Agent):
    async def on_start(self) -> None:
        self.value = await self.state.get("value", 0)

    @on
    async def add(self, m: Add) -> int:
        self.value += m.n
        await self.state.set("value", self.value)
        return self.value

    @on("total")
    def total(self) -> Total:
        return Total(self.value)

    @on("boom")
    def boom(self, payload: dict[str, Any]) -> None:
        raise ValueError(payload.get("why", "boom"))

    @on("hang")
    async def hang(self) -> None:
        await asyncio.get_running_loop().create_future()

    @on("who")
    def who(self) -> str:
        return self.ctx.sender

    @on("odd")
    def odd(self) -> object:
        return object()


class Events:
    """Collects a node's events and waits for one."""

    def __init__(self, node: Node) -> None:
        self.seen: list[Event] = []
        self._news = asyncio.Event()
        node.on_event(self._take)

    def _take(self, event: Event) -> None:
        self.seen.append(event)
        self._news.set()

    async def wait(self, kind: str, agent: str = "") -> Event:
        while True:
            for event in self.seen:
                if event.kind == kind and agent in {"", event.agent}:
                    self.seen.remove(event)
                    return event
            self._news.clear()
            await self._news.wait()


def pair() -> tuple[Any, Any]:
    """Two nodes that share a hub nobody else has."""
    hub = f"local://{unique()}"
    return connect(hub, name="one"), connect(hub, name="two")


async def test_ask_and_tell_are_the_same_locally_and_remotely() -> None:
    first, second = pair()
    async with first as one, second as two:
        local = await one.spawn(Counter, "c")
        remote = two.agent("c")
        for ref in (local, remote):
            ref.tell(Add(1))
            assert await ref.ask(Add(1)) in {2, 4}
            assert await ref.ask({"type": "Add", "n": 0}) in {2, 4}
            assert await ref.ask("total") in [Total(2), Total(4)]
        assert (await local.ask("who"), await remote.ask("who")) == ("one", "two")


async def test_a_local_message_is_neither_encoded_nor_copied() -> None:
    class Keeper(Agent):
        def on_message(self, message: Message) -> Any:
            return message.payload

    async with connect("local://") as node:
        keeper, thing = await node.spawn(Keeper, "k"), object()
        assert await keeper.ask(thing) is thing


async def test_a_plain_request_is_answered_with_the_five_fields() -> None:
    async with connect("local://") as node:
        await node.spawn(Counter, "c")
        reply = await node.request(
            "acore.default.to.c.anybody", b'{"payload": {"type": "Add", "n": 5}}'
        )
        assert b'"payload":5' in reply.data
        assert b'"from":"c","to":"anybody"' in reply.data
        reply = await node.request("acore.default.to.c.anybody", b"not json")
        assert reply.headers["Nats-Service-Error-Code"] == "400"


@pytest.mark.parametrize("remote", [False, True])
async def test_errors_have_the_same_names_everywhere(remote: bool) -> None:
    first, second = pair()
    async with first as one, second as two:
        await one.spawn(Counter, "c")
        ref = (two if remote else one).agent("c")
        with pytest.raises(UnhandledMessage, match="nope"):
            await ref.ask({"type": "nope"})
        for bad in ({"n": "1"}, {}, {"n": 1, "m": 2}, {"n": True}):
            with pytest.raises(InvalidMessage):
                await ref.ask({"type": "Add", **bad})
        with pytest.raises(RemoteError, match="because") as caught:
            await ref.ask({"type": "boom", "why": "because"})
        assert "ValueError: because" in caught.value.traceback
        with pytest.raises(AskTimeout, match="unknown"):
            await ref.ask("hang", timeout=0.01)
        await ref.kill()
        assert await ref.ask(Add(0)) == 0
        with pytest.raises(AgentNotFound):
            await (two if remote else one).agent("nobody").ask("x")


async def test_what_has_no_json_form_can_not_leave_the_node() -> None:
    first, second = pair()
    async with first as one, second as two:
        await one.spawn(Counter, "c")
        for value in (object(), float("nan"), {1: 2}, "\ud800", [[object()]]):
            with pytest.raises(EncodeError):
                two.agent("c").tell(value)
        with pytest.raises(EncodeError):
            await two.agent("c").ask("odd")


async def test_a_restarted_agent_has_its_state_and_its_mailbox() -> None:
    async with connect("local://") as node:
        events = Events(node)
        counter = await node.spawn(Counter, "c")
        await counter.ask(Add(3))
        counter.tell({"type": "boom"})
        after = asyncio.create_task(counter.ask(Add(1)))
        crash = await events.wait("crashed")
        assert crash.reason is not None
        assert "ValueError: boom" in crash.reason.traceback
        assert await after == 4
        await events.wait("restarted")
        assert (await counter.info())["restarts"] == 1


async def test_a_full_mailbox_refuses() -> None:
    first, second = pair()
    async with first as one, second as two:
        counter = await one.spawn(Counter, "c", mailbox=2)
        counter.tell("hang")
        counter.tell("hang")
        with pytest.raises(MailboxFull, match="2 messages"):
            counter.tell("hang")
        await asyncio.sleep(0)
        counter.tell("hang")
        with pytest.raises(MailboxFull):
            await two.agent("c").ask(Add(1))


async def test_stopping_answers_who_waits() -> None:
    async with connect("local://") as node:
        counter = await node.spawn(Counter, "c", shutdown=0.01)
        hanging = asyncio.create_task(counter.ask("hang"))
        waiting = asyncio.create_task(counter.ask(Add(1)))
        while node.agents()[0]["mailbox"] != 1:  # the first one is in its handler
            await asyncio.sleep(0)
        await counter.stop()
        with pytest.raises(RemoteError, match="Killed"):
            await hanging
        with pytest.raises(AgentStopped):
            await waiting
        with pytest.raises(AgentNotFound):
            await counter.ask(Add(1))
        assert node.agents() == []


class Flaky(Agent):
    """Fails to start as often as its list says."""

    failures: list[int]

    def __init__(self, failures: list[int]) -> None:
        self.failures = failures

    def on_start(self) -> None:
        if self.failures and self.failures.pop():
            raise RuntimeError("not yet")

    @on("crash")
    def crash(self) -> None:
        raise RuntimeError("crash")


async def test_a_start_that_fails_is_the_spawners_error_and_leaves_nothing() -> None:
    async with connect("local://") as node:
        with pytest.raises(RemoteError, match="not yet"):
            await node.spawn(Flaky, "f", [1])
        assert node.agents() == []
        await node.spawn(Flaky, "f", [])
        with pytest.raises(AgentExists):
            await node.spawn(Flaky, "f", [])
        assert len(node.agents()) == 1


async def test_failed_restarts_count_and_a_supervisor_gives_up() -> None:
    async with connect("local://") as node:
        events, failures = Events(node), []
        flaky = await node.spawn(Flaky, "f", failures, max_restarts=3)
        failures += [0, 1, 1]
        flaky.tell("crash")
        await events.wait("restarted")
        assert (await flaky.info())["restarts"] == 1
        flaky.tell("crash")
        gave_up = await events.wait("gave_up")
        assert gave_up.reason is not None
        assert gave_up.reason.type == "RestartLimitReached"
        with pytest.raises(AgentNotFound):
            await flaky.ask("crash")
        await node.spawn(Flaky, "f", [])


class Member(Agent):
    """Writes down what happens to it."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def on_start(self) -> None:
        self.log.append(f"start {self.id}")

    def on_stop(self, reason: Any) -> None:
        self.log.append(f"stop {self.id} {reason.kind}")

    @on("crash")
    def crash(self) -> None:
        raise RuntimeError("crash")

    @on("finish")
    def finish(self) -> None:
        self.ctx.stop()


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("one_for_one", ["start b"]),
        ("one_for_all", ["stop c shutdown", "stop a shutdown", "start a", "start b", "start c"]),
        ("rest_for_one", ["stop c shutdown", "start b", "start c"]),
    ],
)
async def test_strategies(strategy: Any, expected: list[str]) -> None:
    """OTP rules S1 and S4 to S6."""
    async with connect("local://") as node:
        events, log = Events(node), []
        children = [Child(Member, name, (log,)) for name in "abc"]
        await node.supervise(Supervisor(children, strategy=strategy))
        assert log == ["start a", "start b", "start c"]
        log.clear()
        node.agent("b").tell("crash")
        last = expected[-1].removeprefix("start ")
        await events.wait("restarted", last)
        assert log == expected
        log.clear()
        await node.close()
        assert log == ["stop c shutdown", "stop b shutdown", "stop a shutdown"]


@pytest.mark.parametrize(
    ("restart", "message", "again"),
    [
        ("permanent", "finish", True),
        ("permanent", "crash", True),
        ("transient", "finish", False),
        ("transient", "crash", True),
        ("temporary", "crash", False),
    ],
)
async def test_restart_values(restart: Any, message: str, again: bool) -> None:
    """OTP rules R1 to R3."""
    async with connect("local://") as node:
        events, log = Events(node), []
        member = await node.spawn(Member, "m", log, restart=restart)
        member.tell(message)
        await events.wait("stopped" if message == "finish" else "crashed")
        if again:
            await events.wait("restarted")
        else:
            while node.agents():  # in the next turns of the loop
                await asyncio.sleep(0)
        assert log.count("start m") == 1 + again


async def test_a_supervisor_that_gives_up_escalates() -> None:
    async with connect("local://") as node:
        events, log = Events(node), []
        inner = Supervisor([Child(Member, "deep", (log,))], name="inner", max_restarts=0)
        await node.supervise(Supervisor([inner], name="outer"))
        node.agent("deep").tell("crash")
        assert (await events.wait("gave_up")).agent == "outer/inner"
        await events.wait("restarted", "deep")
        assert log == ["start deep", "start deep"]


async def test_every_runs_and_its_crash_is_a_crash() -> None:
    class Ticker(Agent):
        ticks = 0

        @every(0.001)
        async def tick(self) -> None:
            Ticker.ticks += 1
            if Ticker.ticks == 3:
                raise RuntimeError("third")

    async with connect("local://") as node:
        events = Events(node)
        await node.spawn(Ticker, "t")
        await events.wait("crashed", "t")
        await events.wait("restarted", "t")
        assert Ticker.ticks >= 3


async def test_state_actions_return_their_results() -> None:
    first, second = pair()
    async with first as one, second as two:
        await one.spawn(Counter, "c")
        for ref in (one.agent("c"), two.agent("c")):
            assert await ref.state(Store("k", [1, None])) is None
            assert await ref.state(Get("k")) == [1, None]
            assert await ref.state(List()) == ["k"]
            assert await ref.state(Delete("k")) is True
            assert await ref.state(Delete("k")) is False
            assert await ref.state(Clear()) is None


async def test_a_payload_is_never_a_state_action() -> None:
    async with connect("local://") as node:
        counter = await node.spawn(Counter, "c")
        await counter.ask(Add(1))
        for payload in ("Clear", {"Store": {"key": "value", "value": 9}}):
            with pytest.raises(UnhandledMessage):
                await counter.ask(payload)
        assert await counter.state(Get("value")) == 1


async def test_nodes_see_one_another_come_and_go() -> None:
    first, second = pair()
    async with first as one:
        changed = asyncio.Event()
        one.on_change(changed.set)
        async with second as two:
            await two.spawn(Counter, "c")
            while not any(agent["id"] == "c" for agent in one.agents()):
                changed.clear()
                await changed.wait()
            entry = one.agents()[0]
            assert (entry["node"], entry["type"], entry["state"]) == ("two", "Counter", "running")
        while len(one.nodes()) > 1:
            changed.clear()
            await changed.wait()


async def test_a_node_is_a_nats_service() -> None:
    async with connect("local://", name="n1") as node:
        await node.spawn(Counter, "c")
        for verb in ("PING", "INFO", "STATS"):
            reply = await node.request(f"$SRV.{verb}.acore")
            assert f"io.nats.micro.v1.{verb.lower()}_response".encode() in reply.data
            assert b'"node":"n1"' in reply.data


async def test_bad_specifications_are_refused_at_once() -> None:
    async with connect("local://") as node:
        for name in ("", "a.b", "a b", "*", "x" * 129):
            with pytest.raises(InvalidAgentId):
                await node.spawn(Counter, name)
            with pytest.raises(InvalidAgentId):
                node.agent(name)
        with pytest.raises(InvalidSpec):
            await node.spawn(Counter, "c", restart="sometimes")  # type: ignore[arg-type]
        with pytest.raises(InvalidSpec):
            await node.spawn(int, "c")  # type: ignore[arg-type]
        with pytest.raises(InvalidSpec):
            Supervisor(strategy="two_for_one")  # type: ignore[arg-type]
        with pytest.raises(InvalidSpec):
            every(0)
        with pytest.raises(InvalidSpec, match="dataclass"):

            class Wrong(Agent):
                @on
                def handle(self, x: int) -> None: ...

        with pytest.raises(InvalidSpec, match="both"):

            class Twice(Agent):
                @on("a")
                def one(self) -> None: ...

                @on("a")
                def two(self) -> None: ...
