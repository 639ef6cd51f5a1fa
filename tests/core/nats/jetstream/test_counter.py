"""Counters: what is sent, and numbers of any size."""

from __future__ import annotations

import asyncio

import pytest

from agents_core.nats.jetstream import CounterEntry
from agents_core.nats.jetstream.counter import DIGITS_MAX
from agents_core.nats.jetstream.errors import InvalidAnswer, InvalidOption
from agents_core.nats.msg import Msg
from tests.core.nats.jetstream.fake import jetstream


async def added(value: int, answer: bytes) -> tuple[str, int]:
    """What is sent to add a number, and what comes of the answer."""
    async with jetstream() as (js, server):
        asked: list[Msg] = []

        def take(msg: Msg) -> None:
            asked.append(msg)
            msg.respond(answer)

        await server.bus.subscribe("a", cb=take)
        total = await js.counter("s").add("a", value)
        return asked[0].headers["Nats-Incr"], total


async def test_adding() -> None:
    huge = 10**DIGITS_MAX - 1
    assert await added(5, b'{"stream":"s","seq":1,"val":"7"}') == ("+5", 7)
    assert await added(-5, b'{"stream":"s","seq":1,"val":"-7"}') == ("-5", -7)
    assert await added(0, b'{"stream":"s","seq":1,"val":"%d"}' % huge) == ("+0", huge)


async def test_a_number_that_could_not_be_read_again_is_not_added() -> None:
    for value in (10**DIGITS_MAX, -(10**DIGITS_MAX), 10**9999):
        with pytest.raises(InvalidOption):
            await added(value, b'{"stream":"s","seq":1,"val":"1"}')


@pytest.mark.parametrize("said", [b'"val":7', b'"val":"x"', b'"val":"%d"' % 10**1000, b'"x":1'])
async def test_what_is_no_number(said: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        await added(1, b'{"stream":"s","seq":1,%b}' % said)


async def got(data: bytes, **headers: str) -> CounterEntry:
    async with jetstream() as (js, server):
        getting = asyncio.create_task(js.counter("s").get("a"))
        request = await server.expect("DIRECT.GET.s.a")
        said = {
            "Nats-Stream": "s",
            "Nats-Subject": "a",
            "Nats-Sequence": "1",
            "Nats-Time-Stamp": "2026-01-01T00:00:00Z",
        }
        server.bus.publish(request.reply, data, headers=said | headers)
        return await getting


async def test_reading() -> None:
    assert await got(b'{"val":"7"}') == CounterEntry("a", 7, 0)
    sources = {"Nats-Incr": "-2", "Nats-Counter-Sources": '{"other":{"b":"9"}}'}
    assert await got(b'{"val":"7"}', **sources) == CounterEntry("a", 7, -2, {"other": {"b": 9}})


@pytest.mark.parametrize("subjects", [["a.*"], "a.*"])
async def test_reading_several(subjects: str | list[str]) -> None:
    async with jetstream() as (js, server):
        getting = asyncio.create_task(js.counter("s").get_multiple(subjects))
        request = await server.expect("DIRECT.GET.s")
        assert request.body == {"multi_last": ["a.*"]}
        server.say(request, 404, "No Results")
        assert await getting == []


@pytest.mark.parametrize("sources", ["[]", '{"other":1}', '{"other":{"b":9}}'])
async def test_sources_that_are_none(sources: str) -> None:
    with pytest.raises(InvalidAnswer):
        await got(b'{"val":"7"}', **{"Nats-Counter-Sources": sources})
