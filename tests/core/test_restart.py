"""Restart decisions by the OTP rules, as pure functions."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_core.exit import NORMAL, SHUTDOWN, Exit, Kind
from agents_core.restart import Intensity, affected, wants_restart

KILLED, ERROR = Exit(Kind.KILLED), Exit(Kind.ERROR)


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, KILLED, ERROR])
def test_r1_permanent_always_restarts(reason: Exit) -> None:
    assert wants_restart("permanent", reason)


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, KILLED, ERROR])
def test_r2_transient_restarts_unless_it_ended_in_order(reason: Exit) -> None:
    assert wants_restart("transient", reason) is (reason in {KILLED, ERROR})


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, KILLED, ERROR])
def test_r3_temporary_never_restarts(reason: Exit) -> None:
    assert not wants_restart("temporary", reason)


def test_s4_one_for_one_restarts_only_the_dead_child() -> None:
    assert affected("one_for_one", "abcd", "b") == ["b"]


def test_s5_one_for_all_restarts_all_in_start_order() -> None:
    assert affected("one_for_all", "abcd", "b") == list("abcd")


def test_s6_rest_for_one_restarts_the_dead_child_and_those_after_it() -> None:
    assert affected("rest_for_one", "abcd", "b") == list("bcd")
    assert affected("rest_for_one", "abcd", "d") == ["d"]


def test_i1_so_many_restarts_are_allowed_and_one_more_is_too_many() -> None:
    intensity = Intensity(2, 5.0)
    for _ in range(2):
        intensity = intensity.restarted(1.0)
        assert not intensity.exceeded
    assert intensity.restarted(6.0).exceeded  # a stamp as old as the window still counts
    assert not intensity.restarted(6.1).exceeded


def test_i1_a_bound_need_be_no_int() -> None:
    two = Intensity(2.5, 5.0).restarted(0.0).restarted(0.0)
    assert (two.exceeded, two.restarted(0.0).exceeded) == (False, True)
    never = Intensity(inf, inf)
    for _ in range(10):
        never = never.restarted(0.0)
    assert (never.exceeded, never.stamps) == (False, ())  # it keeps nothing, however long it runs


def test_i1_none_allowed_gives_up_at_the_first() -> None:
    assert Intensity(0, 5.0).restarted(0.0).exceeded


@given(
    st.integers(0, 5),
    st.floats(0.1, 10),
    st.lists(st.floats(0, 3), max_size=40),
)
def test_i1_agrees_with_counting(limit: int, window: float, steps: list[float]) -> None:
    intensity, now, stamps = Intensity(limit, window), 0.0, []
    for step in steps:
        now += step
        stamps.append(now)
        intensity = intensity.restarted(now)
        in_window = sum(stamp >= now - window for stamp in stamps)
        assert intensity.exceeded == (in_window > limit)
        assert len(intensity.stamps) <= limit + 1
