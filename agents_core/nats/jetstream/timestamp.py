"""The server's timestamps: RFC 3339 with nanoseconds, of which Python's `datetime` keeps micro."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)? ?(?:[Zz]|([+-]\d\d):?(\d\d))",
    re.ASCII,
)


def parse_ns(text: str) -> int:
    """Nanoseconds since 1970, exact.

    Takes RFC 3339, and what Go prints (`2022-08-06 00:29:27.58 +0000 UTC`), as direct get did.

    Raises:
        ValueError: the text is neither.
    """
    found = _FORM.match(text)
    if found is None:
        raise ValueError(f"not a timestamp: {text[:64]!r}")
    date, time, fraction, hours, minutes = found.groups()
    zone = f"{hours}:{minutes}" if hours else "+00:00"
    whole = (datetime.fromisoformat(f"{date}T{time}{zone}") - _EPOCH) // timedelta(seconds=1)
    return whole * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


def to_datetime(ns: int) -> datetime:
    """The moment in UTC; what is below a microsecond is cut off.

    Raises:
        ValueError: it is not in the years 1 to 9999.
    """
    try:
        return _EPOCH + timedelta(microseconds=ns // 1000)
    except OverflowError as error:
        raise ValueError(str(error)) from None


def from_datetime(moment: datetime) -> str:
    """As RFC 3339 in UTC; a moment without a zone is UTC.

    Raises:
        TypeError: it is no moment, such as a number of seconds.
        ValueError: in UTC it is not in the years 1 to 9999.
    """
    if not isinstance(moment, datetime):
        raise TypeError(f"a moment is a datetime, not {moment!r}")
    try:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from None
    return moment.isoformat().replace("+00:00", "Z")
