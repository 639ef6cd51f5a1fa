"""The user's callbacks: what they raise, how many run, and that close does not wait for ever."""

from __future__ import annotations

import asyncio

from agents_core.errors import OutboundBufferFull
from agents_core.nats.callbacks import RUNNING_MAX, Callbacks
from tests.core.nats.scripted import cancelled, unhandled, until


async def test_plain_and_async_ones() -> None:
    callbacks, heard = Callbacks(), []

    async def later(word: str) -> None:
        await asyncio.sleep(0)
        heard.append(word)

    callbacks.call(None)
    callbacks.call(heard.append, "now")
    callbacks.call(later, "later")
    assert heard == ["now"]
    await callbacks.settle(30)
    await callbacks.settle(30)
    assert heard == ["now", "later"]


async def test_what_they_raise_goes_to_the_loop() -> None:
    callbacks = Callbacks()

    async def later() -> None:
        await asyncio.sleep(0)
        raise ValueError("late")

    def at_once() -> None:
        raise ValueError("at once")

    with unhandled() as errors:
        callbacks.call(later)
        callbacks.call(at_once)
        callbacks.call(cancelled().result)
        await until(lambda: len(errors) == 3)
        assert [str(error) for error in errors] == ["at once", "", "late"]


async def test_those_under_way_are_bounded() -> None:
    callbacks, release = Callbacks(), asyncio.Event()

    async def hang() -> None:
        await release.wait()

    with unhandled() as errors:
        for _ in range(RUNNING_MAX + 3):
            callbacks.call(hang)
        assert [type(error) for error in errors] == [OutboundBufferFull] * 3
        release.set()
        await callbacks.settle(30)


async def test_those_that_hang_are_ended() -> None:
    callbacks, ended = Callbacks(), asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    callbacks.call(hang)
    await callbacks.settle(0.001)
    assert not ended.is_set()
    callbacks.cancel()
    await ended.wait()


async def test_one_may_settle_and_cancel_the_others() -> None:
    callbacks, ended = Callbacks(), asyncio.Event()

    async def last() -> None:
        await callbacks.settle(0.001)
        callbacks.cancel()
        ended.set()

    callbacks.call(last)
    callbacks.call(asyncio.Event().wait)
    await ended.wait()
