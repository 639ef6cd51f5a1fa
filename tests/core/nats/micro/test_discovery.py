"""Asking who is there: all of them, in bounded time, whatever else answers."""

from __future__ import annotations

import asyncio

import pytest

from agents_core import LocalBus
from agents_core.errors import InvalidService, InvalidSubject, NotConnected
from agents_core.nats import micro
from agents_core.nats.micro import discovery


async def services(bus: LocalBus, *names: str) -> list[micro.Service]:
    made = [await micro.add_service(bus, name=name, version="1.0.0") for name in names]
    for service in made:
        await service.add_endpoint(name="e", handler=lambda request: request.respond())
    return made


async def test_all_of_them_those_of_a_name_or_one() -> None:
    bus = LocalBus()
    made = await services(bus, "a", "a", "b")
    ids = [service.id for service in made]
    found = await micro.ping(bus, stall=0.05)
    assert sorted((s.name, s.id) for s in found) == sorted((s.ping().name, s.id) for s in made)
    assert {s.id for s in await micro.ping(bus, "a", stall=0.05)} == set(ids[:2])
    assert [s.id for s in await micro.ping(bus, "a", ids[1])] == [ids[1]]
    assert await micro.ping(bus, "c") == []  # the server knows at once
    infos = await micro.info(bus, "b", stall=0.05)
    assert infos == [made[2].info()]
    stats = await micro.stats(bus, "b", stall=0.05)
    assert [s.endpoints[0].name for s in stats] == ["e"]
    await bus.close()


async def test_one_instance_is_not_waited_for_longer_than_needed() -> None:
    bus = LocalBus()
    (made,) = await services(bus, "a")
    async with asyncio.timeout(5):
        assert len(await micro.ping(bus, "a", made.id, timeout=60, stall=60)) == 1
    await bus.close()


async def test_who_never_answers_costs_the_timeout_and_no_more() -> None:
    bus = LocalBus()
    await bus.subscribe("$SRV.PING")
    began = asyncio.get_running_loop().time()
    assert await micro.ping(bus, timeout=0.05, stall=10) == []
    assert asyncio.get_running_loop().time() - began >= 0.04
    await bus.close()


async def test_the_timeout_ends_a_trickle_of_answers() -> None:
    bus = LocalBus()

    async def trickle(msg: micro.Request) -> None:
        while bus.status == "connected":
            bus.publish(msg.reply, b"{}")  # type: ignore[attr-defined]
            await asyncio.sleep(0.005)

    await bus.subscribe("$SRV.PING", cb=trickle)
    async with asyncio.timeout(5):
        assert await micro.ping(bus, timeout=0.05, stall=1) == []
    await bus.close()


async def test_garbage_among_the_answers_is_passed_over() -> None:
    bus = LocalBus()
    (made,) = await services(bus, "a")
    for answer in (b"", b"{", b"[]", b'{"type": "other"}'):
        await bus.subscribe("$SRV.PING", cb=lambda msg, answer=answer: msg.respond(answer))
    assert [s.id for s in await micro.ping(bus, stall=0.05)] == [made.id]
    await bus.close()


async def test_a_flood_of_answers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "ANSWERS_MAX", 2)
    bus = LocalBus()
    await services(bus, "a", "a", "a")
    assert len(await micro.ping(bus, timeout=60, stall=60)) == 2
    await bus.close()


async def test_nothing_is_left_behind() -> None:
    bus = LocalBus()
    await services(bus, "a")
    before = len(bus._subscriptions)
    await micro.ping(bus, stall=0.05)
    assert len(bus._subscriptions) == before
    await bus.close()


async def test_another_prefix() -> None:
    bus = LocalBus()
    (made,) = await services(bus, "a")

    async def import_it(msg: object) -> None:
        answer = await bus.request("$SRV.PING")
        msg.respond(answer.data)  # type: ignore[attr-defined]

    await bus.subscribe("imported.PING", cb=import_it)
    assert [s.id for s in await micro.ping(bus, prefix="imported", stall=0.05)] == [made.id]
    await bus.close()


async def test_what_can_not_be_asked() -> None:
    bus = LocalBus()
    for name, id in (("a b", ""), ("", "a"), ("a", "*")):
        with pytest.raises(InvalidService):
            await micro.ping(bus, name, id)
    with pytest.raises(InvalidSubject):
        await micro.ping(bus, prefix="a b")
    assert not bus._subscriptions
    await bus.close()
    for ask in (micro.ping, micro.info, micro.stats):
        with pytest.raises(NotConnected):
            await ask(bus)
