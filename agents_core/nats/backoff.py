"""How long to wait before the next attempt."""

from __future__ import annotations

from random import Random

FIRST_S = 0.05
"""The first wait after an immediate attempt failed.

A restarted server is back within tens of milliseconds.
"""


def delay(attempt: int, cap: float, rng: Random) -> float:
    """Seconds before attempt number `attempt`, which counts from 0.

    The first attempt is immediate, as most losses are short. Then exponential growth up to `cap`
    with full jitter, so that many clients which lost one server do not come back in step.
    """
    if attempt <= 0:
        return 0.0
    return rng.uniform(0.5, 1.0) * min(cap, FIRST_S * 2.0 ** min(attempt - 1, 32))
