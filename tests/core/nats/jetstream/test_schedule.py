"""Schedules: the headers for what is wanted."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from agents_core.nats.jetstream import schedule


@pytest.mark.parametrize(
    ("when", "said"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "@at 2026-01-02T03:04:05Z"),
        (90, "@every 90s"),
        (1.5, "@every 1.5s"),
        (2_592_000, "@every 2592000s"),
        (100_000.25, "@every 100000.25s"),
        ("@hourly", "@hourly"),
        ("0 0 5 * * *", "0 0 5 * * *"),
    ],
)
def test_when(when: datetime | float | str, said: str) -> None:
    assert schedule(when, "a") == {"Nats-Schedule": said, "Nats-Schedule-Target": "a"}


@pytest.mark.parametrize("when", [date(2026, 1, 2), timedelta(seconds=5), None, float("nan")])
def test_what_is_no_moment(when: Any) -> None:
    with pytest.raises(ValueError, match=r"when: .* is not a number of seconds"):
        schedule(when, "a")


def test_everything_else() -> None:
    headers = schedule(
        "@daily", "a", source="b", msg_ttl=300, time_zone="Europe/Amsterdam", rollup=True
    )
    assert headers == {
        "Nats-Schedule": "@daily",
        "Nats-Schedule-Target": "a",
        "Nats-Schedule-Source": "b",
        "Nats-Schedule-TTL": "300",
        "Nats-Schedule-Time-Zone": "Europe/Amsterdam",
        "Nats-Schedule-Rollup": "sub",
    }
