"""What asyncio promises of queues, locks, events and barriers, to every loop that we run on."""

from __future__ import annotations

import asyncio

import pytest


async def let_them_wait() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


# -- queues


async def test_a_queue_is_first_in_first_out() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    found: list[int] = []

    async def consume() -> None:
        for _ in range(100):
            found.append(await queue.get())
            queue.task_done()

    consumer = asyncio.create_task(consume())
    for number in range(100):
        await queue.put(number)
    await queue.join()
    await consumer
    assert found == list(range(100))


async def test_getters_are_served_in_the_order_they_came() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    found: list[tuple[str, int]] = []

    async def consume(name: str) -> None:
        found.append((name, await queue.get()))

    tasks = []
    for name in "abc":
        tasks.append(asyncio.create_task(consume(name)))
        await asyncio.sleep(0)
    for number in range(3):
        queue.put_nowait(number)
    await asyncio.gather(*tasks)
    assert found == [("a", 0), ("b", 1), ("c", 2)]


async def test_a_full_queue_holds_its_putters_back() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(2)
    put: list[int] = []

    async def produce() -> None:
        for number in range(5):
            await queue.put(number)
            put.append(number)

    producer = asyncio.create_task(produce())
    await let_them_wait()
    assert put == [0, 1]
    with pytest.raises(asyncio.QueueFull):
        queue.put_nowait(9)
    assert [await queue.get() for _ in range(5)] == [0, 1, 2, 3, 4]
    await producer
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()


async def test_a_getter_that_gives_up_loses_nothing() -> None:
    queue: asyncio.Queue[str] = asyncio.Queue()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.001)
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await let_them_wait()
    queue.put_nowait("item")
    first.cancel()
    assert await second == "item"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_the_other_queues_have_their_orders() -> None:
    lifo: asyncio.LifoQueue[int] = asyncio.LifoQueue()
    priority: asyncio.PriorityQueue[int] = asyncio.PriorityQueue()
    for number in (2, 3, 1):
        await lifo.put(number)
        await priority.put(number)
    assert [await lifo.get() for _ in range(3)] == [1, 3, 2]
    assert [await priority.get() for _ in range(3)] == [1, 2, 3]


# -- locks


async def test_a_lock_is_fair_and_exclusive() -> None:
    lock, ran = asyncio.Lock(), []

    async def work(name: str) -> None:
        async with lock:
            ran.append(f"{name} in")
            await asyncio.sleep(0)
            ran.append(f"{name} out")

    await asyncio.gather(work("a"), work("b"), work("c"))
    assert ran == ["a in", "a out", "b in", "b out", "c in", "c out"]
    assert not lock.locked()


async def test_a_waiter_that_gives_up_lets_the_next_have_the_lock() -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    first = asyncio.create_task(lock.acquire())
    second = asyncio.create_task(lock.acquire())
    await let_them_wait()
    lock.release()
    first.cancel()
    assert await second
    with pytest.raises(asyncio.CancelledError):
        await first
    lock.release()


async def test_a_semaphore_lets_so_many_in() -> None:
    semaphore = asyncio.Semaphore(2)
    inside, most = 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with semaphore:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(7)))
    assert most == 2
    with pytest.raises(ValueError, match="released too many times"):
        asyncio.BoundedSemaphore(1).release()


async def test_an_event_wakes_everybody_in_order() -> None:
    event, ran = asyncio.Event(), []

    async def work(name: str) -> None:
        await event.wait()
        ran.append(name)

    tasks = [asyncio.create_task(work(name)) for name in "abc"]
    await let_them_wait()
    assert ran == []
    event.set()
    await asyncio.gather(*tasks)
    assert ran == ["a", "b", "c"]
    assert await event.wait()


async def test_a_condition_wakes_as_many_as_it_says() -> None:
    condition, ran = asyncio.Condition(), []

    async def work(name: str) -> None:
        async with condition:
            await condition.wait()
            ran.append(name)

    tasks = [asyncio.create_task(work(name)) for name in "abc"]
    await let_them_wait()
    async with condition:
        condition.notify(1)
    await let_them_wait()
    assert ran == ["a"]
    async with condition:
        condition.notify_all()
    await asyncio.gather(*tasks)
    assert ran == ["a", "b", "c"]


async def test_a_barrier_opens_for_the_last() -> None:
    barrier, ran = asyncio.Barrier(3), []

    async def work(name: str) -> None:
        position = await barrier.wait()
        ran.append((name, position))

    tasks = [asyncio.create_task(work(name)) for name in "ab"]
    await let_them_wait()
    assert ran == []
    await work("c")
    await asyncio.gather(*tasks)
    assert sorted(ran) == [("a", 0), ("b", 1), ("c", 2)]
