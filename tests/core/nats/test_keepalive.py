"""Whether the other side lives: what is evidence, and what only looks like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from agents_core.errors import AgentsError
from agents_core.nats.keepalive import LATE_S, KeepAlive
from agents_core.timers import Timer, Timers

INTERVAL = 10.0
LIMIT = 2


class Clock:
    """Timers whose time the test sets, and that fire when it says so."""

    def __init__(self) -> None:
        self.time = 100.0
        self.timer: Timer | None = None

    def now(self) -> float:
        return self.time

    def after(self, seconds: float, callback: Callable[[], object]) -> Timer:
        self.timer = Timer(self.time + seconds, callback, cast("Timers", self))
        return self.timer

    def fire(self, late: float = 0.0) -> None:
        """What the event loop does when the deadline has come, so many seconds after it."""
        timer, self.timer = self.timer, None
        assert timer is not None
        self.time = timer.when + late
        callback = timer._take()
        assert callback is not None
        callback()

    def _forget(self) -> None:
        self.timer = None


class Peer:
    """A connection: when something arrived, and what was asked."""

    url = "nats://one:4222"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.received_at = clock.time
        self.pings: list[float] = []
        self.lost: AgentsError | None = None

    def ping(self) -> None:
        self.pings.append(self._clock.time)

    def hear(self, after: float = 0.0) -> None:
        self._clock.time += after
        self.received_at = self._clock.time

    def lose(self, error: AgentsError) -> None:
        self.lost = error


def watched(limit: int = LIMIT) -> tuple[Clock, Peer, KeepAlive]:
    clock = Clock()
    peer = Peer(clock)
    arguments: Any = (peer, clock)
    return clock, peer, KeepAlive(*arguments, INTERVAL, limit)


def test_after_silence_it_asks() -> None:
    clock, peer, _ = watched()
    clock.fire()
    assert peer.pings == [110.0]


def test_what_arrived_puts_the_question_off() -> None:
    clock, peer, _ = watched()
    peer.hear(after=4.0)
    clock.fire()
    assert peer.pings == []
    clock.fire()
    assert peer.pings == [114.0]


def test_as_many_silent_questions_as_allowed_and_it_is_lost() -> None:
    clock, peer, _ = watched()
    for _ in range(LIMIT):
        clock.fire()
        assert peer.lost is None
    clock.fire()
    assert len(peer.pings) == LIMIT
    assert str(peer.lost) == "nats://one:4222: stale connection: no answer to PING"
    assert clock.timer is None


def test_it_is_asked_at_least_once() -> None:
    clock, peer, _ = watched(limit=0)
    clock.fire()
    assert (len(peer.pings), peer.lost) == (1, None)
    clock.fire()
    assert peer.lost is not None


def test_any_arrival_is_an_answer() -> None:
    clock, peer, _ = watched()
    for _ in range(5 * LIMIT):
        clock.fire()
        peer.hear(after=0.1)
    assert peer.lost is None


def test_an_answer_forgives_the_questions_before() -> None:
    clock, peer, _ = watched()
    for _ in range(3):
        clock.fire()
        clock.fire()
        peer.hear(after=0.1)
        clock.fire()
    assert peer.lost is None


@pytest.mark.parametrize("late", [LATE_S + 0.1, 600.0])
def test_a_timer_that_was_late_proves_nothing_until_a_fresh_question_is_not_answered(
    late: float,
) -> None:
    clock, peer, _ = watched()
    clock.fire()
    clock.fire()
    clock.fire(late)  # it slept: answers may wait to be read
    assert peer.lost is None
    assert len(peer.pings) == LIMIT + 1
    clock.fire(late)  # and again
    assert peer.lost is None
    clock.fire()
    assert peer.lost is not None


def test_an_answer_that_waited_to_be_read_while_it_slept() -> None:
    clock, peer, _ = watched()
    clock.fire()
    clock.fire()
    clock.fire(600.0)
    peer.hear()
    clock.fire()
    assert peer.lost is None


def test_stopped_it_asks_no_more() -> None:
    clock, peer, watcher = watched()
    watcher.stop()
    assert clock.timer is None
    assert peer.pings == []


def test_a_hint_asks_at_once_and_silence_then_is_a_loss() -> None:
    clock = Clock()
    peer = Peer(clock)
    keep_alive = KeepAlive(cast("Any", peer), cast("Timers", clock), INTERVAL, LIMIT)
    clock.time += 1.0
    keep_alive.look(2.0)
    assert peer.pings == [clock.time]
    clock.fire()
    assert "no answer to PING" in str(peer.lost)


def test_a_late_look_after_a_hint_asks_anew_and_waits_as_long_as_before() -> None:
    clock, peer, keep_alive = watched()
    clock.time += 1.0
    keep_alive.look(2.0)
    clock.fire(late=600.0)
    assert (len(peer.pings), peer.lost) == (2, None)
    assert clock.timer is not None
    assert clock.timer.when == clock.time + 2.0
    peer.hear()
    clock.fire()
    assert clock.timer.when == peer.received_at + INTERVAL


def test_a_hint_that_was_wrong_changes_nothing() -> None:
    clock = Clock()
    peer = Peer(clock)
    keep_alive = KeepAlive(cast("Any", peer), cast("Timers", clock), INTERVAL, LIMIT)
    keep_alive.look(2.0)
    peer.hear(after=0.1)
    clock.fire()
    assert peer.lost is None
    assert clock.timer is not None
    assert clock.timer.when == peer.received_at + INTERVAL
