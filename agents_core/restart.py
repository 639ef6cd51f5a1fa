"""When to restart a child, and when to give up.

Decisions as pure functions (OTP rules R1 to R3, I1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor, inf
from typing import Literal, TypeVar

from agents_core.exit import Exit

Restart = Literal["permanent", "transient", "temporary"]
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
T = TypeVar("T")


def wants_restart(restart: Restart, reason: Exit) -> bool:
    """Whether a child that ended for `reason` is to run again.

    permanent: always (R1). transient: unless it ended in order (R2). temporary: never (R3).
    """
    return restart == "permanent" or (restart == "transient" and not reason.orderly)


def affected(strategy: Strategy, children: Sequence[T], failed: T) -> list[T]:
    """The children that stop and start again when `failed` does, in start order (S4, S5, S6)."""
    if strategy == "one_for_one":
        return [failed]
    if strategy == "one_for_all":
        return list(children)
    return list(children[children.index(failed) :])


@dataclass(frozen=True, slots=True)
class Intensity:
    """How many restarts in how many seconds are too many (I1).

    There is one per supervisor, shared by its children (I2).
    Time is an input: seconds of any monotonic clock. OTP counts whole seconds; we do not round.
    """

    max_restarts: float
    max_seconds: float
    stamps: tuple[float, ...] = ()

    def restarted(self, now: float) -> Intensity:
        """The same with one more restart attempt, older ones than the window forgotten."""
        if self.max_restarts == inf:
            return self
        recent = [stamp for stamp in self.stamps if stamp >= now - self.max_seconds]
        return replace(self, stamps=(*recent, now)[-(floor(self.max_restarts) + 1) :])

    @property
    def exceeded(self) -> bool:
        """More than `max_restarts` attempts are in the window: give up."""
        return len(self.stamps) > self.max_restarts
