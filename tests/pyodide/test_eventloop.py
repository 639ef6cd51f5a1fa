"""The ready-queue in the browser: timers, fairness, installing and removing."""

from __future__ import annotations

import asyncio
import functools
import gc
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import js
import pytest
from pyodide import webloop
from pyodide.ffi import create_proxy, run_sync

from agents_browser import eventloop


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    """Each test begins and ends with the queue in place."""
    assert eventloop.install()
    yield
    assert eventloop.install()


def queue() -> eventloop.ReadyQueue:
    found = eventloop._queue_of(asyncio.get_running_loop())
    assert found is not None
    return found


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def browser_turn() -> None:
    """Wait until a drain has ended that ran all of what is ready, and the browser had its turn.

    That is the second one, if the time of this one is up before: we go on in the next, behind what
    it had left.
    """
    for _ in range(2):
        await message()


async def message() -> None:
    """Wait until the browser has served a message of ours."""
    channel, done = js.MessageChannel.new(), asyncio.get_running_loop().create_future()
    proxy = create_proxy(lambda _: done.set_result(None))
    channel.port1.onmessage = proxy
    channel.port2.postMessage(0)
    await done
    channel.port1.close()
    proxy.destroy()


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def alone(test: Callable[..., Any]) -> Callable[..., None]:
    """Run an async test without the deadline that the others have, as that is a timer too."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        run_sync(test(**fixtures))

    return run


class Timeouts:
    """The browser's timers, counted."""

    def __init__(self) -> None:
        self.pending: dict[int, float] = {}
        self.made = 0
        self._set, self._clear = js.setTimeout, js.clearTimeout
        self._proxies = [create_proxy(self.set_timeout), create_proxy(self.clear_timeout)]
        js.setTimeout, js.clearTimeout = self._proxies

    def set_timeout(self, callback: Any, milliseconds: float = 0, *_: Any) -> int:
        callback = callback.copy() if hasattr(callback, "copy") else callback

        def ring() -> None:
            del self.pending[id]
            callback()
            proxy.destroy()

        proxy = create_proxy(ring)
        id = self._set(proxy, milliseconds)
        self.pending[id] = milliseconds
        self.made += 1
        return id

    def clear_timeout(self, id: int) -> None:
        self.pending.pop(id, None)
        self._clear(id)

    def restore(self) -> None:
        js.setTimeout, js.clearTimeout = self._set, self._clear


@pytest.fixture
def timeouts() -> Iterator[Timeouts]:
    """The browser's timers, as a queue that is installed anew sees them."""
    eventloop.uninstall()
    found = Timeouts()
    eventloop.install()
    yield found
    eventloop.uninstall()
    found.restore()


# -- the browser's timers


@alone
async def test_there_is_one_browser_timer_for_all_deadlines(timeouts: Timeouts) -> None:
    loop = asyncio.get_running_loop()
    timers = [loop.call_later(60 + number, lambda: None) for number in range(50)]
    await browser_turn()
    assert len(timeouts.pending) == 1
    assert 59_000 < next(iter(timeouts.pending.values())) <= 60_000
    made = timeouts.made
    earlier = loop.call_later(30, lambda: None)
    await browser_turn()
    assert len(timeouts.pending) == 1
    assert timeouts.made == made + 1
    for timer in (*timers, earlier):
        timer.cancel()
    await browser_turn()
    assert timeouts.pending == {}


@alone
async def test_a_cancelled_timer_clears_its_browser_timer(timeouts: Timeouts) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(asyncio.sleep(60))
    await browser_turn()
    assert len(timeouts.pending) == 1
    task.cancel()
    await browser_turn()
    assert timeouts.pending == {}
    assert loop.time() > 0


@alone
async def test_timers_of_one_turn_cost_the_browser_nothing(timeouts: Timeouts) -> None:
    for _ in range(100):
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
    assert timeouts.made <= 1
    assert timeouts.pending == {}


@alone
async def test_timers_outside_a_drain_reach_the_browser_at_once(timeouts: Timeouts) -> None:
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def outside(_: object) -> None:
        # The browser calls this while the loop is idle.
        timer = loop.call_later(60, lambda: None)
        waiting = len(timeouts.pending)
        timer.cancel()
        done.set_result((waiting, len(timeouts.pending)))

    channel, proxy = js.MessageChannel.new(), create_proxy(outside)
    channel.port1.onmessage = proxy
    channel.port2.postMessage(0)
    assert await done == (1, 0)
    channel.port1.close()


@alone
async def test_cancelled_timers_do_not_pile_up() -> None:
    loop = asyncio.get_running_loop()
    kept = loop.call_later(60, lambda: None)
    for _ in range(10_000):
        loop.call_later(3600, lambda: None).cancel()
    assert len(queue()._timers) <= 2 * eventloop.CANCELLED_MIN + 2
    kept.cancel()
    await browser_turn()
    assert queue()._timers == []


@alone
async def test_a_deadline_beyond_the_browsers_longest_timer(timeouts: Timeouts) -> None:
    timer = asyncio.get_running_loop().call_later(100 * 86_400, lambda: None)
    await browser_turn()
    assert list(timeouts.pending.values()) == [eventloop.TIMEOUT_MS_MAX]
    timer.cancel()


async def test_a_deadline_that_is_no_number_stands_in_nobodys_way() -> None:
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    ran: list[str] = []
    loop.call_later(math.nan, ran.append, "nan")
    loop.call_later(0.001, done.set_result, None)
    await done
    assert ran == ["nan"]


# -- fairness


async def busy(until: asyncio.Event) -> None:
    while not until.is_set():
        await asyncio.sleep(0)


async def test_the_browsers_timers_and_messages_are_served_while_tasks_never_rest() -> None:
    served, done = [], asyncio.Event()
    spinning = [asyncio.create_task(busy(done)) for _ in range(10)]
    channel = js.MessageChannel.new()

    def serve(name: str) -> None:
        served.append(name)
        if len(served) == 20:
            done.set()
        elif name == "message":
            channel.port2.postMessage(0)
        else:
            js.setTimeout(on_timeout, 1)

    on_message = create_proxy(lambda _: serve("message"))
    on_timeout = create_proxy(lambda *_: serve("timeout"))
    channel.port1.onmessage = on_message
    serve("message")
    serve("timeout")
    await asyncio.gather(*spinning)
    assert {"message", "timeout"} == set(served)
    channel.port1.close()


@pytest.mark.skipif(not hasattr(js, "document"), reason="a worker draws nothing")
async def test_the_page_is_drawn_while_tasks_never_rest() -> None:
    frames, done = 0, asyncio.Event()

    def draw(_: float) -> None:
        nonlocal frames
        frames += 1
        if frames == 5:
            done.set()
        else:
            js.requestAnimationFrame(on_frame)

    on_frame = create_proxy(draw)
    js.requestAnimationFrame(on_frame)
    await busy(done)
    assert frames == 5


async def test_long_callbacks_do_not_fill_a_drain_by_number() -> None:
    """The clock is looked at after each, so that the browser is not kept waiting for sixteen."""
    loop, served = asyncio.get_running_loop(), []
    count = 100

    def work(number: int) -> None:
        spin(0.002)
        served.append(number)

    served_before_the_browser: list[int] = []
    proxy = create_proxy(lambda _: served_before_the_browser.append(len(served)))
    channel = js.MessageChannel.new()
    channel.port1.onmessage = proxy
    for number in range(count):
        loop.call_soon(work, number)
    channel.port2.postMessage(0)
    while len(served) < count:
        await asyncio.sleep(0)
    assert served == list(range(count))
    assert served_before_the_browser
    assert served_before_the_browser[0] < count / 2
    channel.port1.close()


# -- what a callback may do to the loop


async def test_a_second_loop_does_not_take_over() -> None:
    loop, found = asyncio.get_running_loop(), []
    loop.call_soon(asyncio.new_event_loop)  # a new WebLoop sets itself running
    loop.call_soon(lambda: found.append(asyncio.get_running_loop()))
    await turns()
    assert found == [loop]
    asyncio.set_event_loop(loop)


@pytest.mark.parametrize(
    ("error", "handler", "argument"),
    [
        (SystemExit(3), "_system_exit_handler", (3,)),
        (KeyboardInterrupt(), "_keyboard_interrupt_handler", ()),
    ],
)
async def test_an_exit_goes_to_its_handler_and_the_rest_runs(
    error: BaseException, handler: str, argument: tuple[object, ...], monkeypatch: Any
) -> None:
    loop, called, ran = asyncio.get_running_loop(), [], []
    monkeypatch.setattr(loop, handler, lambda *args: called.append(args))

    def leave() -> None:
        raise error

    loop.call_soon(leave)
    loop.call_soon(ran.append, 1)
    await turns()
    assert called == [argument]
    assert ran == [1]


async def test_an_exit_without_handler_reaches_javascript_and_the_rest_runs() -> None:
    loop, ran, errors = asyncio.get_running_loop(), [], []

    def listen(event: Any) -> None:
        event.preventDefault()
        errors.append(event.reason.type)

    proxy = create_proxy(listen)
    js.addEventListener("unhandledrejection", proxy)

    def leave() -> None:
        raise SystemExit(3)

    loop.call_soon(leave)
    loop.call_soon(ran.append, 1)
    while not errors:
        await browser_turn()
    js.removeEventListener("unhandledrejection", proxy)
    assert errors == ["SystemExit"]
    assert ran == [1]


# -- installing and removing


async def test_a_second_install_changes_nothing() -> None:
    before = queue()
    assert eventloop.install()
    assert queue() is before


async def test_uninstall_gives_the_loop_back_as_it_was() -> None:
    loop = asyncio.get_running_loop()
    eventloop.uninstall()
    assert not set(eventloop.TAKEN_OVER) & set(vars(loop))
    eventloop.uninstall()
    assert type(loop.call_soon(int)) is asyncio.Handle
    await turns()


async def test_what_waits_is_handed_over_in_order() -> None:
    loop, ran = asyncio.get_running_loop(), []
    done = loop.create_future()
    loop.call_soon(ran.append, "soon 1")
    loop.call_soon(ran.append, "soon 2").cancel()
    # Not due before the browser has had its turn, however late that comes on a busy machine: of a
    # message and a timeout that both wait it takes which it likes.
    loop.call_later(0.6, done.set_result, None)
    loop.call_later(0.5, ran.append, "timer")
    cancelled = loop.call_later(0.5, ran.append, "cancelled later")
    loop.call_later(float("inf"), ran.append, "never")
    eventloop.uninstall()
    loop.call_soon(ran.append, "soon 3")
    cancelled.cancel()
    assert ran == []
    await done
    assert ran == ["soon 1", "soon 3", "timer"]


async def test_an_uninstall_by_a_callback_ends_its_drain() -> None:
    loop, ran = asyncio.get_running_loop(), []
    loop.call_soon(ran.append, 1)
    loop.call_soon(eventloop.uninstall)
    loop.call_soon(ran.append, 2)
    loop.call_soon(eventloop.install)
    loop.call_soon(ran.append, 3)
    while len(ran) < 3:
        await asyncio.sleep(0)
    assert ran == [1, 2, 3]


async def test_whoever_kept_a_method_is_served_after_the_uninstall() -> None:
    loop, ran = asyncio.get_running_loop(), []
    call_soon, call_later = loop.call_soon, loop.call_later
    eventloop.uninstall()
    done = loop.create_future()
    call_soon(ran.append, 1)
    call_later(0.005, done.set_result, None)
    call_soon(ran.append, "cancelled").cancel()
    await done
    assert ran == [1]


async def test_queues_come_and_go_under_load() -> None:
    found: list[int] = []

    async def work(number: int) -> None:
        for _ in range(20):
            await asyncio.sleep(0 if number % 2 else 0.001)
        found.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(20)]
    for number in range(10):
        await asyncio.sleep(0.002)
        eventloop.uninstall() if number % 2 == 0 else eventloop.install()
    await asyncio.gather(*tasks)
    assert sorted(found) == list(range(20))


async def test_a_removed_queue_is_garbage() -> None:
    def alive() -> int:
        gc.collect()
        return sum(isinstance(found, eventloop.ReadyQueue) for found in gc.get_objects())

    before = alive()
    for _ in range(5):
        eventloop.uninstall()
        await browser_turn()
        eventloop.install()
        await browser_turn()
    eventloop.uninstall()
    for _ in range(5):
        await browser_turn()
    assert alive() <= before


# -- when Pyodide is not what is expected


def not_installed(reason: str) -> None:
    with pytest.warns(RuntimeWarning, match=reason):
        assert not eventloop.install()


async def test_another_loop_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(webloop.WebLoop):
        pass

    loop = asyncio.get_running_loop()
    other = Other()  # it sets itself running
    try:
        not_installed("the running loop is a .*Other, no WebLoop")
        assert not set(eventloop.TAKEN_OVER) & set(vars(other))
    finally:
        asyncio._set_running_loop(loop)


async def test_a_loop_that_is_changed_already_is_left_alone() -> None:
    loop = asyncio.get_running_loop()
    eventloop.uninstall()
    own = type(loop).call_soon.__get__(loop)
    loop.call_soon = own
    try:
        not_installed("something else has replaced the loop's call_soon")
        assert loop.call_soon is own
    finally:
        del loop.call_soon


@pytest.mark.parametrize("name", eventloop.RELIED_ON)
async def test_a_loop_that_lacks_something_is_left_alone(name: str) -> None:
    loop = asyncio.get_running_loop()
    eventloop.uninstall()
    owner = loop if name in vars(loop) else type(loop)
    value = vars(owner)[name]
    delattr(owner, name)
    try:
        not_installed(f"the loop has no {name}")
    finally:
        setattr(owner, name, value)


async def test_a_loop_that_works_in_another_way_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    eventloop.uninstall()
    with monkeypatch.context() as patch:
        patch.setattr(webloop.WebLoop, "call_later", lambda *_: None)
        not_installed("call_later does not call scheduleCallback")
    with monkeypatch.context() as patch:
        patch.delattr(webloop, "scheduleCallback")
        not_installed("there is no scheduleCallback")


async def test_the_loop_goes_on_if_no_drain_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, ran = asyncio.get_running_loop(), []
    eventloop.uninstall()
    monkeypatch.setattr(eventloop.ReadyQueue, "_drain", lambda *_: None)
    with pytest.warns(RuntimeWarning, match="no drain"):  # noqa: PT031  # it comes later
        assert eventloop.install()
        loop.call_soon(ran.append, 1)
        await asyncio.sleep(0.001)
    monkeypatch.undo()
    assert ran == [1]
    assert not set(eventloop.TAKEN_OVER) & set(vars(loop))
