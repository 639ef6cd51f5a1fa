"""What every bus returns from a plain function."""

from __future__ import annotations

from agents_core.bus import DONE, Stats, Status


async def test_done_may_be_awaited_any_number_of_times() -> None:
    for _ in range(3):
        assert await DONE is None


def test_counters_begin_at_zero_and_a_status_is_its_word() -> None:
    assert Stats() == Stats(0, 0, 0, 0, 0, 0, 0)
    assert f"{Status.CONNECTED}" == "connected"
