"""Readers are served in turn, and what one leaves is the next one's."""

from __future__ import annotations

import asyncio

from agents_core.nats.waiters import Waiters


async def waiting(waiters: Waiters, found: list[str], name: str) -> None:
    await waiters.wait()
    found.append(name)


async def test_each_arrival_wakes_the_one_that_waits_longest() -> None:
    waiters, found = Waiters(), list[str]()
    waiters.wake()  # nobody is there
    tasks = [asyncio.create_task(waiting(waiters, found, name)) for name in "abc"]
    await asyncio.sleep(0)
    waiters.wake()
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert (found, len(waiters)) == (["a"], 2)
    waiters.wake_all()
    await asyncio.gather(*tasks)
    assert (found, len(waiters)) == (["a", "b", "c"], 0)


async def test_one_that_was_cancelled_is_passed_over() -> None:
    waiters, found = Waiters(), list[str]()
    left, stays = [asyncio.create_task(waiting(waiters, found, name)) for name in "ab"]
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    assert len(waiters) == 1  # nothing is left of it, however long nobody comes
    waiters.wake()
    await stays
    assert found == ["b"]


async def test_one_that_was_passed_over_before_it_could_go() -> None:
    waiters, found = Waiters(), list[str]()
    left, stays = [asyncio.create_task(waiting(waiters, found, name)) for name in "ab"]
    await asyncio.sleep(0)
    left.cancel()
    waiters.wake()
    await stays
    assert (found, left.cancelled(), len(waiters)) == (["b"], True, 0)


async def test_one_that_is_woken_and_cancelled_at_once_wakes_the_next() -> None:
    waiters, found = Waiters(), list[str]()
    left, stays = [asyncio.create_task(waiting(waiters, found, name)) for name in "ab"]
    await asyncio.sleep(0)
    waiters.wake()
    left.cancel()
    await stays
    assert (found, left.cancelled()) == (["b"], True)
