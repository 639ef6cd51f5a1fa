"""Services: endpoints under one name, groups, counters, life."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from agents_core import LocalBus
from agents_core.errors import ConnectionClosed, InvalidService, NoResponders, NotConnected
from agents_core.nats import micro
from agents_core.nats.micro import Request, Service
from agents_core.testing.server import ScriptedServer
from tests.core.nats.scripted import client, until


def echo(request: Request) -> None:
    request.respond(request.subject.encode())


async def service(bus: LocalBus, **options: Any) -> Service:
    return await micro.add_service(bus, name="math", version="1.0.0", **options)


async def test_endpoints_are_reached_by_their_subjects() -> None:
    bus = LocalBus()
    made = await service(bus)
    await made.add_endpoint(name="one", handler=echo)
    await made.add_endpoint(name="two", handler=echo, subject="sums.*", metadata={"unit": "m"})
    group = made.add_group(name="v1", queue_group="g")
    await group.add_endpoint(name="three", handler=echo)
    await group.add_group(name="deep.er").add_endpoint(name="four", handler=echo, subject="x.>")
    await group.add_group().add_endpoint(name="five", handler=echo, queue_group="")
    for subject in ("one", "sums.all", "v1.three", "v1.deep.er.x.y.z", "v1.five"):
        assert (await bus.request(subject, timeout=5)).data == subject.encode()
    found = [(e.name, e.subject, e.queue_group) for e in made.info().endpoints]
    assert found == [
        ("one", "one", "q"),
        ("two", "sums.*", "q"),
        ("three", "v1.three", "g"),
        ("four", "v1.deep.er.x.>", "g"),
        ("five", "v1.five", ""),
    ]
    assert [e.metadata for e in made.info().endpoints][:2] == [{}, {"unit": "m"}]
    assert [e.num_requests for e in made.stats().endpoints] == [1, 1, 1, 1, 1]
    await bus.close()


async def test_instances_share_requests_unless_there_is_no_queue_group() -> None:
    bus = LocalBus()
    made = [await service(bus), await service(bus), await service(bus, queue_group="other")]
    for each in made:
        await each.add_endpoint(name="shared", handler=echo)
        await each.add_endpoint(name="everybody", handler=echo, queue_group="")
    for _ in range(50):
        bus.publish("shared", reply="nobody")
        bus.publish("everybody", reply="nobody")
    await bus.flush()
    shared, everybody = zip(
        *([e.num_requests for e in s.stats().endpoints] for s in made), strict=True
    )
    assert shared[0] + shared[1] == shared[2] == 50
    assert min(shared) > 0
    assert everybody == (50, 50, 50)
    alone = await service(bus, queue_group="")
    await alone.add_endpoint(name="shared", handler=echo)
    assert alone.info().endpoints[0].queue_group == ""
    await bus.close()


async def test_a_service_is_described_by_what_it_was_given() -> None:
    bus, metadata = LocalBus(), {"zone": "a"}
    made = await service(bus, description="adds up", metadata=metadata)
    metadata["zone"] = "b"  # does not change what was said (ADR-32)
    other = await service(bus)
    assert made.id != other.id
    assert made.info().to_dict() == {
        "type": "io.nats.micro.v1.info_response",
        "name": "math",
        "id": made.id,
        "version": "1.0.0",
        "metadata": {"zone": "a"},
        "description": "adds up",
        "endpoints": [],
    }
    assert (made.ping().name, made.ping().id, made.ping().metadata) == (
        "math",
        made.id,
        {"zone": "a"},
    )
    await bus.close()


async def test_reset_counts_from_zero_again() -> None:
    bus = LocalBus()
    made = await service(bus)
    await made.add_endpoint(name="e", handler=echo)
    await bus.request("e", timeout=5)
    started = made.stats().started
    assert datetime.now(UTC) >= started
    await made.reset()
    assert made.stats().endpoints[0].num_requests == 0
    assert made.stats().started >= started
    await bus.close()


async def test_the_stats_handler_adds_its_data(caplog: pytest.LogCaptureFixture) -> None:
    bus = LocalBus()

    def more(stats: micro.EndpointStats) -> Any:
        return {"good": {"for": stats.name}, "no json": {1, 2}, "bad": 1 / (stats.name != "bad")}[
            stats.name
        ]

    made = await service(bus, stats_handler=more)
    for name in ("good", "no_json", "bad"):
        await made.add_endpoint(name=name, handler=echo)
    assert [e.data for e in made.stats().endpoints] == [{"for": "good"}, None, None]
    assert caplog.text.count("the stats_handler of service math failed") == 2
    assert [s.endpoints[0].data for s in await micro.stats(bus)] == [{"for": "good"}]
    await bus.close()


async def test_stop_answers_what_is_under_way_and_nothing_after() -> None:
    bus, go = LocalBus(), asyncio.Event()

    async def wait(request: Request) -> None:
        await go.wait()
        request.respond(b"late")

    made = await service(bus)
    await made.add_endpoint(name="e", handler=wait)
    asked = [asyncio.create_task(bus.request("e", timeout=5)) for _ in range(3)]
    await bus.flush()
    stopping = asyncio.create_task(made.stop())
    await bus.flush()
    assert not made.stopped.is_set()
    go.set()
    assert [msg.data for msg in await asyncio.gather(*asked)] == [b"late"] * 3
    await stopping
    await made.stop()
    assert made.stopped.is_set()
    assert await micro.ping(bus, timeout=0.1) == []
    with pytest.raises(NoResponders):
        await bus.request("e")
    with pytest.raises(InvalidService, match="stopped"):
        await made.add_endpoint(name="f", handler=echo)
    await bus.close()


async def test_stop_ends_all_endpoints_before_it_waits_for_a_handler() -> None:
    bus, started, go = LocalBus(), asyncio.Event(), asyncio.Event()

    async def wait(request: Request) -> None:
        started.set()
        await go.wait()
        request.respond(b"late")

    made = await service(bus)
    await made.add_endpoint(name="e", handler=wait)
    await made.add_endpoint(name="f", handler=echo)
    asked = asyncio.create_task(bus.request("e", timeout=5))
    await started.wait()
    stopping = asyncio.create_task(made.stop())
    for _ in range(10):  # there is no server to wait for
        await asyncio.sleep(0)
    with pytest.raises(NoResponders):
        await bus.request("f", timeout=5)
    with pytest.raises(NoResponders):
        await bus.request("$SRV.PING", timeout=5)
    assert not stopping.done()
    go.set()
    assert (await asked).data == b"late"
    await stopping
    await bus.close()


class Slow(LocalBus):
    """One whose `subscribe` takes a turn of the event loop, as over nats-py."""

    async def subscribe(self, *args: Any, **options: Any) -> Any:
        await asyncio.sleep(0)
        return await super().subscribe(*args, **options)


async def test_an_endpoint_that_comes_while_it_stops_is_ended_too() -> None:
    bus = Slow()
    made = await service(bus)
    adding = asyncio.create_task(made.add_endpoint(name="late", handler=echo))
    await asyncio.sleep(0)
    await made.stop()
    with pytest.raises(InvalidService, match="has stopped"):
        await adding
    with pytest.raises(NoResponders):
        await bus.request("late", timeout=5)
    await bus.close()


async def half_started(bus: Slow) -> tuple[Service, asyncio.Task[None]]:
    """A service that is being started, some of whose subscriptions are there."""
    made = Service(bus, name="math", version="1.0.0")
    starting = asyncio.create_task(made.start())
    for _ in range(4):
        await asyncio.sleep(0)
    return made, starting


async def test_a_start_that_is_given_up_leaves_nothing_behind_and_can_be_made_again() -> None:
    bus = Slow()
    made, starting = await half_started(bus)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert await micro.ping(bus) == []
    await made.start()
    assert len(await micro.ping(bus, "math", made.id)) == 1
    await bus.close()


async def test_two_starts_at_once_answer_once() -> None:
    bus = Slow()
    made = Service(bus, name="math", version="1.0.0")
    await asyncio.gather(made.start(), made.start())
    assert len(await micro.ping(bus, "math", stall=0.05)) == 1
    await bus.close()


async def test_a_service_that_is_stopped_while_it_starts_is_not_found() -> None:
    bus = Slow()
    made, starting = await half_started(bus)
    await made.stop()
    await starting
    assert await micro.stats(bus) == []
    await made.start()  # nor afterwards
    assert await micro.stats(bus) == []
    await bus.close()


async def test_a_handler_may_stop_its_own_service() -> None:
    bus = LocalBus()

    async def last(request: Request) -> None:
        request.respond(b"bye")
        await made.stop()

    made = await service(bus)
    await made.add_endpoint(name="e", handler=last)
    assert (await bus.request("e", timeout=5)).data == b"bye"
    await made.stopped.wait()
    await bus.close()


async def test_two_handlers_may_stop_their_service_at_once() -> None:
    bus, both = LocalBus(), asyncio.Barrier(2)

    async def last(request: Request) -> None:
        await both.wait()
        await made.stop()
        request.respond(b"bye")

    made = await service(bus)
    for name in ("e", "f"):
        await made.add_endpoint(name=name, handler=last)
    async with asyncio.timeout(5):
        asked = await asyncio.gather(*(bus.request(name, timeout=5) for name in ("e", "f")))
        assert [msg.data for msg in asked] == [b"bye", b"bye"]
        await made.stopped.wait()
    await bus.close()


async def test_who_gives_up_stopping_has_it_stopped_all_the_same() -> None:
    bus = LocalBus()
    made = await service(bus)
    await made.add_endpoint(name="one", handler=echo)
    stopping = asyncio.create_task(made.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert made.stopped.is_set()
    with pytest.raises(NoResponders):
        await bus.request("one", timeout=5)
    await bus.close()


async def test_who_gives_up_starting_leaves_nothing_that_answers() -> None:
    bus = LocalBus()
    subscribe = bus.subscribe

    async def slowly(*arguments: Any, **options: Any) -> Any:
        await asyncio.sleep(0)
        return await subscribe(*arguments, **options)

    bus.subscribe = slowly  # type: ignore[method-assign]
    starting = asyncio.create_task(service(bus))
    for _ in range(4):
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    with pytest.raises(NoResponders):
        await bus.request("$SRV.PING", timeout=5)
    await bus.close()


async def test_a_context_manager_stops_it() -> None:
    bus = LocalBus()
    async with Service(bus, name="math", version="1.0.0") as made:
        await made.start()  # a second time does nothing
        assert len(await micro.ping(bus, stall=0.05)) == 1
    assert made.stopped.is_set()
    await Service(bus, name="math", version="1.0.0").stop()  # never started
    await bus.close()


async def test_closing_the_bus_stops_it() -> None:
    bus = LocalBus()
    made = await service(bus)
    await bus.drain()
    assert made.stopped.is_set()
    with pytest.raises(ConnectionClosed):
        await service(bus)


async def test_stopping_while_the_connection_is_down() -> None:
    server = ScriptedServer()
    async with client(server) as nc:
        session = await server.accept()
        made = await micro.add_service(nc, name="math", version="1.0.0")
        await made.add_endpoint(name="e", handler=echo)
        server.down = {"one"}
        session.cut()
        await until(lambda: not nc.is_connected)
        with pytest.raises(NotConnected):
            await micro.ping(nc)
        await made.stop()
        assert made.stopped.is_set()


async def test_an_endpoint_that_the_server_refuses_is_not_listed() -> None:
    server = ScriptedServer()
    errors: list[Exception] = []
    async with client(server, error_cb=errors.append) as nc:
        session = await server.accept()
        made = await micro.add_service(nc, name="math", version="1.0.0")
        for name in ("secret", "open"):
            await made.add_endpoint(name=name, handler=echo)
        session.error('Permissions Violation for Subscription to "secret" using queue "q"')
        await until(lambda: errors)
        assert [endpoint.name for endpoint in made.info().endpoints] == ["open"]
        await made.stop()


@pytest.mark.parametrize(
    "version", ["", "1", "1.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0-01", None, 1.0]
)
async def test_a_version_is_semver(version: Any) -> None:
    with pytest.raises(InvalidService, match="SemVer"):
        Service(LocalBus(), name="a", version=version)
    for good in ("0.0.0", "1.20.300", "1.0.0-alpha.1", "1.0.0-0a.x-y+build.01", "1.0.0+a"):
        Service(LocalBus(), name="a", version=good)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "é", "a*", None])
async def test_a_name_is_one_token(name: Any) -> None:
    with pytest.raises(InvalidService):
        Service(LocalBus(), name=name, version="1.0.0")
    made = Service(LocalBus(), name="A-z_9", version="1.0.0")
    with pytest.raises(InvalidService):
        await made.add_endpoint(name=name, handler=echo)


async def test_what_can_not_be_subscribed_to_is_refused() -> None:
    made = Service(LocalBus(), name="a", version="1.0.0")
    subject: Any
    for subject in ("a b", "a..b", "a.>.b", ".a", 5, "\ud800"):
        with pytest.raises(InvalidService):
            await made.add_endpoint(name="e", handler=echo, subject=subject)
    group: Any
    for group in ("a b", "a..b", ">", "a.>", "a.", 5, "\ud800"):
        with pytest.raises(InvalidService):
            made.add_group(name=group)
    with pytest.raises(InvalidService):
        made.add_group(name="a", queue_group="b c")
    with pytest.raises(InvalidService):
        await made.add_endpoint(name="e", handler=echo, queue_group="b c")
    with pytest.raises(InvalidService):
        Service(LocalBus(), name="a", version="1.0.0", queue_group="b c")
    metadata: Any
    for metadata in ({"a": 1}, {1: "a"}, {"a": "\ud800"}, {"\ud800": "a"}, "ab", 5):
        with pytest.raises(InvalidService):
            Service(LocalBus(), name="a", version="1.0.0", metadata=metadata)
    description: Any
    for description in (5, b"x", None, "\ud800"):  # the answer to INFO would be no JSON
        with pytest.raises(InvalidService):
            Service(LocalBus(), name="a", version="1.0.0", description=description)
    handler: Any = "stats"
    with pytest.raises(InvalidService, match="give a plain function"):
        Service(LocalBus(), name="a", version="1.0.0", stats_handler=handler)
