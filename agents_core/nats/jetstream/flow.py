"""How much a reader has under way: in messages or in bytes, and when it asks for more (ADR-37)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Self

from agents_core.nats.jetstream.bounds import whole
from agents_core.nats.jetstream.errors import InvalidOption
from agents_core.nats.jetstream.header import Header
from agents_core.nats.jetstream.pull import MANY_MESSAGES, Pins, PullOptions
from agents_core.timers import check_seconds

MAX_MESSAGES = 500
"""Messages under way by default, as in the Go client."""

EXPIRES_S = 30.0
EXPIRES_S_MIN = 1.0
"""Seconds that one request lives: by default, and at least (ADR-37)."""

HEARTBEAT_S_MIN, HEARTBEAT_S_MAX = 0.5, 30.0
"""Bounds of the heartbeat, which by default is half of the request's life (ADR-37)."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Bounds of what is under way.

    Attributes:
        limit: what may be asked for and not yet taken: messages, or bytes.
        by_count: whether the unit is a message.
        threshold: ask for more when so much is left.
        expires: seconds that one request lives.
        heartbeat: seconds between the server's signs of life.
    """

    limit: int
    by_count: bool
    threshold: int
    expires: float
    heartbeat: float

    @classmethod
    def of(
        cls,
        max_messages: int | None = None,
        max_bytes: int | None = None,
        expires: float = EXPIRES_S,
        heartbeat: float | None = None,
        threshold_messages: int | None = None,
        threshold_bytes: int | None = None,
        *,
        usual_heartbeat: float = HEARTBEAT_S_MAX,
    ) -> Self:
        """Fill in the defaults; for `heartbeat`, `usual_heartbeat`, or half of `expires` if less.

        Raises:
            InvalidOption: one can't be, or is of another unit than the bound.
            ValueError: what is to be a number of seconds is none.
        """
        if max_messages is not None and max_bytes is not None:
            raise InvalidOption("max_bytes", "not together with max_messages")
        check_seconds(expires, "expires")
        if not EXPIRES_S_MIN <= expires < inf:
            raise InvalidOption("expires", f"at least {EXPIRES_S_MIN} s, and not without end")
        by_count = max_bytes is None
        unit, other = ("messages", "bytes") if by_count else ("bytes", "messages")
        limit = (MAX_MESSAGES if max_messages is None else max_messages) if by_count else max_bytes
        assert limit is not None
        whole(f"max_{unit}", limit, 1)
        thresholds = {"messages": threshold_messages, "bytes": threshold_bytes}
        if thresholds[other] is not None:
            raise InvalidOption(f"threshold_{other}", f"not together with max_{unit}")
        threshold = thresholds[unit]
        threshold = limit // 2 if threshold is None else threshold
        whole(f"threshold_{unit}", threshold, 0, limit - 1)
        beat = min(expires / 2, usual_heartbeat) if heartbeat is None else heartbeat
        check_seconds(beat, "heartbeat")
        if not HEARTBEAT_S_MIN <= beat <= min(expires / 2, HEARTBEAT_S_MAX):
            raise InvalidOption(
                "heartbeat", f"{HEARTBEAT_S_MIN} s to half of expires, at most 30 s"
            )
        return cls(limit, by_count, threshold, expires, beat)

    @property
    def pending_header(self) -> Header:
        """Where a status says how much of its request will not come."""
        return Header.PENDING_MESSAGES if self.by_count else Header.PENDING_BYTES

    def body(self, room: int, options: PullOptions, pins: Pins) -> bytes:
        """The request for so much, as JSON."""
        return options.body(
            room if self.by_count else MANY_MESSAGES,
            max_bytes=0 if self.by_count else room,
            expires=self.expires,
            heartbeat=self.heartbeat,
            pin=pins.get(options.group),
        )
