"""Whether the other side still lives, judged by what arrives and never by a timer that was late."""

from __future__ import annotations

from typing import Protocol

from agents_core.errors import TransportError
from agents_core.timers import Timers

LATE_S = 1.0
"""Seconds after which a timer proves nothing: this side slept, and answers may wait to be read."""


class Asked(Protocol):
    """A connection that can be asked, and given up.

    Attributes:
        url: the server's, without credentials.
        received_at: when something arrived last, on the loop's clock.
    """

    url: str
    received_at: float

    def ping(self) -> object:
        """Send PING."""
        ...

    def lose(self, error: TransportError) -> None:
        """End it because of `error`."""
        ...


class KeepAlive:
    """Asks after silence, and gives the connection up when several questions had no answer.

    Anything that arrives is an answer, not only PONG.

    Args:
        connection: whose.
        timers: where its one deadline is.
        interval: seconds of silence before PING is sent, and between two.
        limit: PINGs in a row without an answer after which the connection is lost.
    """

    def __init__(self, connection: Asked, timers: Timers, interval: float, limit: int) -> None:
        self._connection, self._timers = connection, timers
        self._interval, self._limit = interval, max(1, limit)
        self._asked = 0
        self._asked_at = 0.0
        self._given = interval  # seconds for an answer
        self._look_at(timers.now() + interval)

    def stop(self) -> None:
        """Ask no more."""
        self._timer.cancel()

    def look(self, seconds: float) -> None:
        """Something hints at a loss: ask at once, and have the answer decide after `seconds`."""
        self._timer.cancel()
        now = self._timers.now()
        self._asked, self._asked_at, self._given = self._limit, now, seconds
        self._connection.ping()
        self._look_at(now + seconds)

    def _look_at(self, when: float) -> None:
        self._timer = self._timers.after(when - self._timers.now(), self._look)

    def _look(self) -> None:
        now, heard_at = self._timers.now(), self._connection.received_at
        if heard_at >= self._asked_at:
            self._asked, self._given = 0, self._interval
        if not self._asked and heard_at + self._interval > now:
            self._look_at(heard_at + self._interval)
            return
        late = now - self._timer.when > LATE_S
        if self._asked >= self._limit and not late:
            reason = "stale connection: no answer to PING"
            self._connection.lose(TransportError(self._connection.url, reason))
            return
        self._asked = min(self._asked + 1, self._limit)  # late: one fresh question decides
        self._asked_at = now
        self._connection.ping()
        self._look_at(now + self._given)
