"""One process that hosts agents: ids, events, listeners, what happens at the end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from agents_core import (
    Agent,
    AgentConfig,
    AgentId,
    Child,
    Event,
    InMemoryBackend,
    LocalBus,
    Node,
    Supervisor,
    connect,
    platform,
)
from agents_core.bus import Status
from agents_core.errors import (
    AgentExists,
    AgentNotFound,
    AgentStopped,
    ConnectionClosed,
    EncodeError,
    InvalidAgentId,
    InvalidSpec,
    InvalidSubject,
    NotConnected,
    OutboundBufferFull,
    RemoteError,
    Unsupported,
)
from agents_core.events import EVENTS_MAX
from agents_core.ids import unique
from tests.core.nats.scripted import unhandled
from tests.core.sample import Add, Counter, Events, Member, pair, until


async def test_spawn_gives_a_handle_to_an_agent_that_has_started() -> None:
    async with connect("local://", name="n") as node:
        counter = await node.spawn(Counter, "c")
        assert counter == node.agent("c")
        assert [(agent["id"], agent["node"]) for agent in node.agents()] == [("c", "n")]
        with pytest.raises(AgentExists):
            await node.spawn(Counter, "c")
        assert await counter.ask(Add(1)) == 1


async def test_spawn_passes_arguments_at_each_start() -> None:
    class Named(Agent):
        def __init__(self, first: str, *, last: str) -> None:
            self.name = first + last

        def on_message(self, message: Any) -> str:
            return self.name

    async with connect("local://") as node:
        named = await node.spawn(Named, "a", "x", last="y")
        assert await named.ask("") == "xy"
        await named.kill()
        assert await named.ask("") == "xy"


async def test_spawn_returns_when_the_server_knows_of_the_agent() -> None:
    flushed = []

    class Away(LocalBus):
        async def flush(self, timeout: float = 10.0) -> None:
            flushed.append("c" in node.router.cells)
            if len(flushed) == 2:
                raise NotConnected(self.url)

    async with Node(Away()) as node:
        await node.spawn(Counter, "c")
        assert flushed == [True]
        counter = await node.spawn(Counter, "d")  # the connection is lost meanwhile: it runs
        assert await counter.ask(Add(1)) == 1


async def test_a_class_that_can_not_be_made_is_the_spawner_s_error_and_leaves_nothing() -> None:
    async with connect("local://") as node:
        with pytest.raises(RemoteError, match="TypeError"):
            await node.spawn(Member, "m")
        assert node.agents() == []
        await node.spawn(Member, "m", [])


async def test_bad_specifications_are_refused() -> None:
    async with connect("local://") as node:
        with pytest.raises(InvalidAgentId):
            await node.spawn(Counter, "a.b")
        with pytest.raises(InvalidSpec):
            await node.spawn(Counter, "c", restart="sometimes")  # type: ignore[arg-type]
        with pytest.raises(InvalidSpec):
            await node.spawn(int, "c")  # type: ignore[type-var, arg-type]
        for wrong in (Child(Counter, "c"), [Child(Counter, "c")]):
            with pytest.raises(InvalidSpec, match="is no Supervisor"):
                await node.supervise(wrong)  # type: ignore[arg-type]


async def test_names_and_roots_are_checked() -> None:
    for options in ({"name": "a.b"}, {"space": "a b"}):
        with pytest.raises(InvalidAgentId):
            Node(LocalBus(), **options)
    with pytest.raises(InvalidSubject):
        Node(LocalBus(), root="a..b")


async def test_the_log_tells_whether_there_is_a_server(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "agents_core")
    async with connect("local://room"):
        assert caplog.messages == ["local://room: connected"]


async def test_what_is_printed_says_which_node_it_is() -> None:
    async with connect("local://room", name="one") as node:
        assert repr(node) == "Node('one', LocalBus('local://room', connected))"


async def test_state_is_kept_where_the_child_says(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, backend = [], InMemoryBackend()

    class Host:
        def open_backend(self, url: str) -> InMemoryBackend:
            opened.append(url)
            if url == "tape:":
                raise Unsupported("tape:", "use file:")
            return backend

    monkeypatch.setattr(platform, "current", Host)
    config = AgentConfig(AgentId("c"), "file:./state")
    async with connect("local://") as node:
        await (await node.spawn(Counter, config.id, state=config.state)).ask(Add(1))
        await (await node.spawn(Counter, "m")).ask(Add(1))
        with pytest.raises(Unsupported):
            await node.spawn(Counter, "t", state="tape:")
        assert len(node.agents()) == 2
    async with connect("local://") as node:
        assert await (await node.spawn(Counter, "c", state=backend)).ask(Add(1)) == 2
        assert await (await node.spawn(Counter, "m")).ask(Add(1)) == 1
    assert opened == ["file:./state", "tape:"]


async def test_events_are_seen_on_every_node() -> None:
    first, second = pair()
    async with first as one, second as two:
        here, there = Events(one), Events(two)
        await one.spawn(Counter, "c")
        one.agent("c").tell("boom")
        for events in (here, there):
            await events.wait("started")
            crash = await events.wait("crashed")
            assert (crash.node, crash.agent, crash.type) == ("one", "c", "Counter")
            assert crash.reason is not None
            assert crash.reason.type == "ValueError"
            assert "in boom" in crash.reason.traceback
            await events.wait("restarted")
        assert [event.kind for event in two.recent] == ["started", "crashed", "restarted"]


async def test_events_of_others_are_read_with_care() -> None:
    async with connect("local://", name="n") as node:
        for data in (b"garbage", b"{}", b'{"timestamp": 1, "reason": {"kind": []}}'):
            node.publish("acore.default.event.other", data)
            node.publish("acore.default.event.n", data)
        await node.bus.flush()
        assert [event.node for event in node.recent] == ["other"]


async def test_so_many_events_are_remembered() -> None:
    async with connect("local://") as node:
        counter = await node.spawn(Counter, "c")
        for _ in range(EVENTS_MAX + 5):
            counter.tell("nope")
        await until(lambda: node.agents()[0]["mailbox"] == 0)
        assert [event.kind for event in node.recent] == ["unhandled"] * EVENTS_MAX


async def test_a_listener_that_raises_is_reported_and_nobody_else_suffers() -> None:
    def fail(*_: Event) -> None:
        raise RuntimeError("listener")

    async with connect("local://") as node:
        ends = [node.on_event(fail), node.on_change(fail)]
        events = Events(node)
        with unhandled() as errors:
            counter = await node.spawn(Counter, "c")
            counter.tell("boom")
            await events.wait("restarted")
        assert {str(error) for error in errors} == {"listener"}
        for end in ends:
            end()
        with unhandled() as errors:
            await counter.kill()
            await events.wait("restarted")
        assert errors == []


class Narrow(LocalBus):
    """A bus that takes only small messages, or none."""

    limit = 2000

    def publish(self, subject: str, payload: bytes = b"", *args: Any, **more: Any) -> Any:
        if len(payload) > self.limit:
            raise ConnectionClosed("full")
        return super().publish(subject, payload, *args, **more)


async def test_a_bus_that_refuses_does_not_stop_supervision(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = Narrow()
    async with Node(bus) as node:
        await node.start()
        counter = await node.spawn(Counter, "c")
        bus.limit = -1
        counter.tell("boom")
        assert await counter.ask(Add(1)) == 1
        assert {record.levelno for record in caplog.records if "can't be sent" in record.msg} == {
            logging.WARNING
        }


class Shaky(LocalBus):
    """A bus whose connection comes and goes when it is told."""

    async def turn(self, status: Status) -> None:
        self._status.set(status)


async def test_a_node_works_while_it_is_not_connected_and_says_hello_when_it_is_back() -> None:
    bus = Shaky()
    async with Node(bus, name="n") as node:
        await node.start()
        counter, changes = await node.spawn(Counter, "c"), []
        node.on_change(lambda: changes.append(bus.status))
        hello = await node.subscribe("acore.default.hello.*")
        await bus.turn(Status.RECONNECTING)
        assert await counter.ask(Add(1)) == 1
        await bus.turn(Status.CONNECTED)
        assert (await hello.next_msg()).subject == "acore.default.hello.n"
        assert changes[0] is Status.RECONNECTING


async def test_publish_subscribe_and_request_are_the_bus_s() -> None:
    async with connect("local://") as node:
        found = []
        news = await node.subscribe("news.*")
        await node.subscribe("ask", "queue", lambda msg: msg.respond(b"answer"))
        await node.subscribe("news.*", cb=found.append)
        node.publish("news.a", b"x")
        node.publish_json("news.b", {"k": 1})
        assert [(await news.next_msg()).data for _ in "ab"] == [b"x", b'{"k":1}']
        assert len(found) == 2
        assert (await node.request("ask")).data == b"answer"
        with pytest.raises(EncodeError):
            node.publish_json("news.c", object())


async def test_leaving_stops_the_agents_in_order_and_says_good_bye() -> None:
    log: list[str] = []
    first, second = pair()
    async with first as one:
        async with second as two:
            await two.supervise(Supervisor([Child(Member, name, (log,)) for name in "ab"]))
            await two.spawn(Member, "c", log)
            await until(lambda: len(one.nodes()) == 2)
            log.clear()
        assert log == ["stop c shutdown", "stop b shutdown", "stop a shutdown"]
        await until(lambda: len(one.nodes()) == 1)


@pytest.mark.parametrize("end", ["close", "drain"])
async def test_ending_twice_is_ending_once(end: str) -> None:
    log: list[str] = []
    node = await connect("local://")
    await node.spawn(Member, "m", log)
    await asyncio.gather(getattr(node, end)(), node.close(), node.close())
    await getattr(node, end)()
    assert log == ["start m", "stop m shutdown"]
    assert node.bus.status is Status.CLOSED


async def test_who_waits_when_a_node_closes_is_told() -> None:
    async with connect("local://") as node:
        counter = await node.spawn(Counter, "c", shutdown=0.01)
        hanging = asyncio.create_task(counter.ask("hang", timeout=3600))
        waiting = asyncio.create_task(counter.ask(Add(1), timeout=3600))
        await until(lambda: node.agents()[0]["mailbox"] == 1)
    with pytest.raises(RemoteError, match="shutdown took too long"):
        await hanging
    with pytest.raises(AgentStopped):
        await waiting


async def test_a_spawn_that_is_given_up_while_the_server_is_told_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def flush(_: float = 0) -> None:
        flushing.set()
        await asyncio.get_running_loop().create_future()

    flushing, log = asyncio.Event(), list[str]()
    async with connect("local://") as node:
        monkeypatch.setattr(node.bus, "flush", flush)
        spawning = asyncio.create_task(node.spawn(Member, "m", log))
        await flushing.wait()
        spawning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spawning
        assert (node.agents(), log) == ([], ["start m", "stop m shutdown"])


async def test_a_spawn_that_is_given_up_twice_frees_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reluctant(Agent):
        async def on_stop(self, reason: Any) -> None:
            stopping.set()
            await asyncio.get_running_loop().create_future()

    async def flush(_: float = 0) -> None:
        flushing.set()
        await asyncio.get_running_loop().create_future()

    flushing, stopping = asyncio.Event(), asyncio.Event()
    async with connect("local://") as node:
        monkeypatch.setattr(node.bus, "flush", flush)
        spawning = asyncio.create_task(node.spawn(Reluctant, "r"))
        for begun in (flushing, stopping):
            await begun.wait()
            spawning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spawning
        monkeypatch.undo()
        assert await (await node.spawn(Counter, "r")).ask(Add(1)) == 1


async def test_more_starts_than_may_wait_for_the_server_are_starts_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def flush(_: float = 0) -> None:
        raise OutboundBufferFull(10_000, "barriers")

    async with connect("local://") as node:
        monkeypatch.setattr(node.bus, "flush", flush)
        assert await (await node.spawn(Counter, "c")).ask(Add(1)) == 1


async def test_a_closed_node_says_so() -> None:
    async with connect("local://") as node:
        await node.spawn(Counter, "c")
    assert (node.agents(), node.info().bus["status"]) == ([], "closed")
    with pytest.raises(ConnectionClosed):
        await node.spawn(Counter, "c")
    with pytest.raises(ConnectionClosed):
        node.publish("x")
    with pytest.raises(ConnectionClosed):
        await node.subscribe("x")
    with pytest.raises(ConnectionClosed):
        await node.request("x")


async def test_a_close_that_is_given_up_still_closes_the_bus() -> None:
    node = await connect("local://")
    counter = await node.spawn(Counter, "c")
    counter.tell("hang")
    closing = asyncio.create_task(node.close())
    await until(lambda: node.router.cells["c"]._ended)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert node.bus.status is Status.CLOSED
    node.router.cells["c"].kill()


@pytest.mark.parametrize("end", ["close", "drain"])
async def test_an_end_that_is_given_up_goes_on_and_the_next_one_waits_for_it(end: str) -> None:
    log: list[str] = []
    node = await connect("local://")
    for name in "ab":
        await node.spawn(Member, name, log)
    node.agent("b").tell("hang")
    ending = asyncio.create_task(getattr(node, end)())
    await until(lambda: node.router.cells["b"]._ended)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    node.router.cells["b"].kill()
    await node.close()
    assert log == ["start a", "start b", "stop a shutdown"]
    assert (node.agents(), node.bus.status) == ([], Status.CLOSED)


async def test_a_close_that_is_given_up_says_good_bye() -> None:
    first, second = pair()
    async with first as one:
        two = await second
        await two.spawn(Counter, "c")
        two.agent("c").tell("hang")
        await until(lambda: len(one.nodes()) == 2)
        closing = asyncio.create_task(two.close())
        await until(lambda: two.router.cells["c"]._ended)
        closing.cancel()
        await until(lambda: len(one.nodes()) == 1)
        two.router.cells["c"].kill()
        await two.close()


@pytest.mark.parametrize("end", ["close", "drain"])
async def test_an_agent_that_ends_its_node_ends_in_order_and_is_the_last_to_use_the_bus(
    end: str,
) -> None:
    class Last(Agent):
        async def on_message(self, message: Any) -> None:
            await getattr(self.ctx.node, end)()

        async def on_stop(self, reason: Any) -> None:
            await self.ctx.publish("said", self.id)

    first, second = pair()
    async with first as other:
        words: list[Any] = []
        await other.subscribe(f"{other.root}.said", cb=lambda msg: words.append(msg.data))
        node = await second
        for name in "ab":
            await node.spawn(Last, name)
        node.agent("b").tell("off")
        await until(lambda: node.bus.status is Status.CLOSED)
        await until(lambda: len(words) == 2)
        assert [event.kind for event in node.recent if event.agent == "b"] == ["started", "stopped"]


async def test_a_drain_that_is_given_up_drains_the_bus_when_the_agents_have_ended() -> None:
    node = await connect("local://")
    (await node.spawn(Counter, "c")).tell("hang")
    ending = asyncio.create_task(node.drain())
    await until(lambda: node.router.cells["c"]._ended)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert node.bus.status is Status.CONNECTED
    node.router.cells["c"].kill()
    await until(lambda: node.bus.status is Status.CLOSED)


@pytest.mark.parametrize("end", ["close", "drain"])
async def test_a_callback_of_the_bus_may_wait_for_the_end_of_its_node(end: str) -> None:
    async def off(_: Any) -> None:
        await getattr(node, end)()
        ended.append(node.bus.status)

    ended: list[Status] = []
    node = await connect("local://")
    await node.spawn(Counter, "c")
    await node.subscribe("off", cb=off)
    node.publish("off")
    await until(lambda: ended)
    assert ended == [Status.CLOSED]


async def test_an_agent_that_waits_for_the_end_of_its_node_is_killed_and_the_others_stop() -> None:
    class Last(Agent):
        async def on_message(self, message: Any) -> None:
            await asyncio.create_task(self.ctx.node.close())

    log: list[str] = []
    node = await connect("local://")
    await node.spawn(Member, "a", log)
    last = await node.spawn(Last, "l", shutdown=0.001)
    await node.spawn(Member, "b", log)
    last.tell("off")
    await until(lambda: not node.agents())
    assert log == ["start a", "start b", "stop b shutdown", "stop a shutdown"]
    await node.close()
    assert node.bus.status is Status.CLOSED


async def test_an_agent_may_close_its_node() -> None:
    class Last(Agent):
        async def on_message(self, message: Any) -> None:
            closing.append(asyncio.create_task(self.ctx.node.close()))

    closing: list[asyncio.Task[None]] = []
    node = await connect("local://")
    (await node.spawn(Last, "l")).tell("off")
    await until(lambda: closing)
    await closing[0]
    assert node.bus.status is Status.CLOSED


async def test_a_node_that_leaves_is_gone_for_the_others_until_it_is_back() -> None:
    connecting, meeting = pair()
    async with connecting as one, meeting as other:
        await one.spawn(Counter, "c")
        await until(lambda: any(agent["id"] == "c" for agent in other.agents()))
        await one.suspend("frozen", leave=True)
        await until(lambda: [info.node for info in other.nodes()] == [other.name])
        await one.resume(9.0)
        await until(lambda: any(agent["id"] == "c" for agent in other.agents()))
    await one.suspend("closed", leave=True)
    await one.resume()


async def test_who_comes_while_a_node_is_away_does_not_see_it() -> None:
    hub = f"local://{unique()}"
    async with connect(hub, name="one") as one, connect(hub, name="other") as other:
        await one.suspend("frozen", leave=True)
        async with connect(hub, name="late") as late:  # asks all who they are
            await until(lambda: len(late.nodes()) > 1)
            counter = await other.spawn(Counter, "c")
            await until(late.agents)
            await counter.stop()  # which is said after what others had to answer
            await until(lambda: not late.agents())
            assert [info.node for info in late.nodes()] == ["late", "other"]
            await one.resume(9.0)
            await until(lambda: len(late.nodes()) == 3)


async def test_a_node_does_not_wait_for_its_agents_longer_than_it_may() -> None:
    class Busy(Counter):
        async def on_suspend(self, why: str) -> None:
            told.append(why)

    told: list[str] = []
    connecting, meeting = pair()
    async with connecting as one, meeting as other:
        busy = await one.spawn(Busy, "b")
        busy.tell("hang")
        await until(lambda: one.router.cells["b"]._runner.task)
        await one.suspend("frozen", leave=True, within=0)
        with pytest.raises(AgentNotFound):
            await other.agent("b").ask(Add(1), timeout=60)
        await busy.kill()
        assert told == []


async def test_who_hears_that_a_node_has_left_reaches_nobody_there() -> None:
    connecting, meeting = pair()
    async with connecting as one, meeting as other:
        await one.spawn(Counter, "c")
        asked: list[asyncio.Task[Any]] = []

        def ask() -> None:
            if one.name not in {info.node for info in other.nodes()} and not asked:
                asked.append(asyncio.ensure_future(other.agent("c").ask(Add(1), timeout=60)))

        await until(lambda: len(other.nodes()) == 2)
        other.on_change(ask)
        await one.suspend("frozen", leave=True)
        await until(lambda: asked)
        with pytest.raises(AgentNotFound):
            await asked[0]
        await one.resume(1.0)
        await until(lambda: len(other.nodes()) == 2)
        assert await other.agent("c").ask(Add(1)) == 1
