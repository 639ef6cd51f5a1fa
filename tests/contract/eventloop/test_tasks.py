"""What asyncio promises of futures, tasks, groups and timeouts, to every loop that we run on."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import pytest

NAME = contextvars.ContextVar("NAME", default="outside")


class Oops(Exception):
    pass


async def fail(after: int = 0) -> None:
    for _ in range(after):
        await asyncio.sleep(0)
    raise Oops


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


# -- futures


async def test_done_callbacks_run_later_and_in_order() -> None:
    loop, ran = asyncio.get_running_loop(), []
    future: asyncio.Future[int] = loop.create_future()
    for number in range(3):
        future.add_done_callback(lambda f, number=number: ran.append((number, f.result())))
    future.set_result(7)
    loop.call_soon(ran.append, "after")
    assert ran == []
    await asyncio.sleep(0)
    future.add_done_callback(lambda _: ran.append("late"))
    await asyncio.sleep(0)
    assert ran == [(0, 7), (1, 7), (2, 7), "after", "late"]


async def test_a_removed_done_callback_does_not_run() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ran: list[Any] = []
    future.add_done_callback(ran.append)
    assert future.remove_done_callback(ran.append) == 1
    future.set_result(None)
    await asyncio.sleep(0)
    assert ran == []


async def test_a_future_is_set_once() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    with pytest.raises(asyncio.InvalidStateError):
        future.result()
    future.set_result(1)
    with pytest.raises(asyncio.InvalidStateError):
        future.set_result(2)
    with pytest.raises(asyncio.InvalidStateError):
        future.set_exception(Oops())
    assert not future.cancel()
    assert await future == 1


async def test_whoever_awaits_gets_the_exception() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def waits() -> None:
        with pytest.raises(Oops):
            await future

    tasks = [asyncio.create_task(waits()) for _ in range(3)]
    await asyncio.sleep(0)
    future.set_exception(Oops())
    await asyncio.gather(*tasks)


# -- tasks


async def test_a_task_starts_in_a_later_turn() -> None:
    ran: list[str] = []

    async def work() -> str:
        ran.append("task")
        return "result"

    task = asyncio.create_task(work(), name="named")
    ran.append("creator")
    assert await task == "result"
    assert ran == ["creator", "task"]
    assert task.get_name() == "named"


async def test_each_task_is_the_current_one_in_its_steps() -> None:
    async def work() -> asyncio.Task[Any] | None:
        mine = asyncio.current_task()
        for _ in range(3):
            await asyncio.sleep(0)
            assert asyncio.current_task() is mine
            assert asyncio.get_running_loop() is loop
        return mine

    loop = asyncio.get_running_loop()
    tasks = [asyncio.create_task(work()) for _ in range(3)]
    assert await asyncio.gather(*tasks) == tasks
    assert not set(tasks) & asyncio.all_tasks()


async def test_variables_of_a_task_are_its_own() -> None:
    async def work(name: str) -> str:
        assert NAME.get() == "creator"
        NAME.set(name)
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return NAME.get()

    NAME.set("creator")
    assert await asyncio.gather(*(work(name) for name in "abc")) == ["a", "b", "c"]
    assert NAME.get() == "creator"


async def test_a_cancelled_task_cleans_up() -> None:
    ran: list[str] = []

    async def work() -> None:
        try:
            await forever()
        except asyncio.CancelledError as cancelled:
            ran.append(str(cancelled))
            await asyncio.sleep(0)
            ran.append("cleaned up")
            raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    assert task.cancel("message")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ran == ["message", "cleaned up"]
    assert task.cancelled()
    assert not task.cancel()


async def test_a_task_can_be_cancelled_before_it_starts() -> None:
    task = asyncio.create_task(fail())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_may_refuse_to_be_cancelled() -> None:
    async def stubborn() -> str:
        try:
            await forever()
        except asyncio.CancelledError:
            current = asyncio.current_task()
            assert current is not None
            assert current.cancelling() == 1
            assert current.uncancel() == 0
        return "went on"

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "went on"


async def test_gather_keeps_the_order_and_the_exceptions() -> None:
    async def after(turns: int, value: str) -> str:
        for _ in range(turns):
            await asyncio.sleep(0)
        return value

    assert await asyncio.gather(after(3, "a"), after(1, "b"), after(2, "c")) == ["a", "b", "c"]
    with pytest.raises(Oops):
        await asyncio.gather(after(3, "a"), fail())
    found = await asyncio.gather(after(1, "a"), fail(), return_exceptions=True)
    assert found[0] == "a"
    assert isinstance(found[1], Oops)


async def test_wait_and_as_completed() -> None:
    async def after(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    tasks = [asyncio.create_task(after(turns)) for turns in (30, 10, 20)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert done == {tasks[1]}
    assert pending == {tasks[0], tasks[2]}
    assert [await found for found in asyncio.as_completed(pending)] == [20, 30]
    done, pending = await asyncio.wait([asyncio.create_task(forever())], timeout=0.001)
    assert not done
    for task in pending:
        task.cancel()


async def test_shield_protects_from_the_canceller() -> None:
    inner = asyncio.create_task(asyncio.sleep(0.005, "result"))
    outer = asyncio.create_task(asyncio.wait_for(asyncio.shield(inner), 60))
    await asyncio.sleep(0)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    assert await inner == "result"


async def test_an_abandoned_async_generator_is_closed() -> None:
    ran: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            ran.append("closed")

    async for number in numbers():
        assert number == 1
        break
    while not ran:
        await asyncio.sleep(0)


# -- groups


async def test_a_group_waits_for_its_tasks() -> None:
    ran: list[int] = []

    async def work(number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)
        ran.append(number)
        if number == 2:
            group.create_task(work(1))

    async with asyncio.TaskGroup() as group:
        for number in (3, 2, 0):
            group.create_task(work(number))
    assert sorted(ran) == [0, 1, 2, 3]


async def test_a_group_ends_the_siblings_of_a_failure() -> None:
    ran: list[str] = []

    async def sibling() -> None:
        try:
            await forever()
        finally:
            ran.append("cancelled")

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(sibling())
            group.create_task(fail(after=1))
            group.create_task(fail(after=1))
            await forever()
    assert [type(error) for error in caught.value.exceptions] == [Oops, Oops]
    assert ran == ["cancelled"]
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_a_cancelled_group_cancels_its_tasks() -> None:
    ran: list[str] = []

    async def child() -> None:
        try:
            await forever()
        finally:
            ran.append("child")

    async def parent() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    task = asyncio.create_task(parent())
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ran == ["child"]


# -- timeouts


async def test_a_timeout_ends_what_takes_too_long() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.005) as timeout:
            await forever()
    assert timeout.expired()
    assert loop.time() - began >= 0.005 - 1e-6
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(forever(), 0.001)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(-1):
            await forever()


async def test_a_timeout_in_time_leaves_nothing_behind() -> None:
    async with asyncio.timeout(60) as timeout:
        await asyncio.sleep(0)
    assert not timeout.expired()
    assert await asyncio.wait_for(asyncio.sleep(0, "result"), 60) == "result"
    async with asyncio.timeout(None):
        await asyncio.sleep(0)


async def test_the_inner_of_two_timeouts_is_the_one_that_expires() -> None:
    async with asyncio.timeout(60) as outer:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await forever()
        await asyncio.sleep(0)
    assert not outer.expired()


async def test_a_timeout_can_be_moved() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60) as timeout:
            timeout.reschedule(loop.time() + 0.001)
            await forever()
    async with asyncio.timeout(0.001) as timeout:
        timeout.reschedule(None)
        await asyncio.sleep(0.005)
