"""Waiting before the next attempt: at once, then longer, never beyond the cap."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from agents_core.nats.backoff import FIRST_S, delay


@given(st.integers(1, 10_000), st.floats(0.001, 3600), st.integers())
def test_bounds(attempt: int, cap: float, seed: int) -> None:
    wait = delay(attempt, cap, Random(seed))
    assert 0 < wait <= cap
    assert wait <= FIRST_S * 2.0 ** (attempt - 1) if attempt < 1000 else True


def test_the_first_is_immediate_and_the_others_grow() -> None:
    rng = Random(1)
    assert delay(0, 2.0, rng) == 0.0
    assert delay(-1, 2.0, rng) == 0.0
    for attempt in range(1, 5):
        assert delay(attempt, 100.0, rng) >= FIRST_S * 2.0 ** (attempt - 1) / 2
    assert delay(50, 2.0, rng) >= 1.0


def test_clients_do_not_come_back_in_step() -> None:
    assert len({delay(10, 2.0, Random(seed)) for seed in range(50)}) == 50
