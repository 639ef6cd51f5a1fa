"""Timestamps: exact to the nanosecond, in both forms that servers send."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_core.nats.jetstream.timestamp import from_datetime, parse_ns, to_datetime


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2022-08-06T00:29:27.587861324Z", 1659745767587861324),
        ("2022-08-06 00:29:27.587861324 +0000 UTC", 1659745767587861324),
        ("2022-08-06T02:29:27.58+02:00", 1659745767580000000),
        ("2022-08-05t22:29:27.5878613249999-02:00", 1659745767587861324),
        ("0001-01-01T00:00:00Z", -62135596800000000000),
    ],
)
def test_forms(text: str, ns: int) -> None:
    assert parse_ns(text) == ns


@pytest.mark.parametrize("text", ["", "now", "2022-08-06", "2022-13-06T00:29:27Z", "1700000000"])
def test_what_is_no_timestamp(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_ns(text)


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES))
def test_there_and_back(moment: datetime) -> None:
    assert to_datetime(parse_ns(from_datetime(moment))) == moment.astimezone(UTC)


@pytest.mark.parametrize("wrong", [30, None, date(2026, 1, 2)])
def test_what_is_no_moment(wrong: Any) -> None:
    with pytest.raises(TypeError, match="a moment is a datetime, not"):
        from_datetime(wrong)


def test_a_moment_without_a_zone_is_utc() -> None:
    assert from_datetime(datetime(2026, 1, 2, 3, 4, 5)) == "2026-01-02T03:04:05Z"
    east = timezone(timedelta(hours=2))
    assert from_datetime(datetime(2026, 1, 2, 3, 4, 5, 6, east)) == "2026-01-02T01:04:05.000006Z"


def test_what_is_no_moment_of_ours_is_a_value_error() -> None:
    west = timezone(timedelta(hours=-2))
    with pytest.raises(ValueError, match="out of range"):
        from_datetime(datetime.max.replace(tzinfo=west))
    with pytest.raises(ValueError, match="out of range"):
        to_datetime(parse_ns("9999-12-31T23:59:59-02:00"))
