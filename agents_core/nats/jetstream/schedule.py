"""Messages that the server publishes later, or again and again (ADR-51, server 2.12)."""

from __future__ import annotations

from datetime import datetime

from agents_core.nats.jetstream.header import Header
from agents_core.nats.jetstream.publish import ttl
from agents_core.nats.jetstream.timestamp import from_datetime
from agents_core.timers import check_seconds


def schedule(
    when: datetime | float | str,
    target: str,
    *,
    source: str | None = None,
    msg_ttl: float | str | None = None,
    time_zone: str | None = None,
    rollup: bool = False,
) -> dict[str, str]:
    """The headers of a message that holds a schedule.

        await js.publish("schedules.one", b"hello", headers=schedule(tomorrow, "greetings"))

    The stream needs `allow_msg_schedules`, and both subjects. A subject holds one schedule: another
    message there replaces it, purging the subject ends it.

    Args:
        when: a moment; or seconds between two messages, at least 1; or text such as `@hourly`, or
            six fields as in a crontab, with seconds first.
        target: the subject to publish on.
        source: publish the newest message of this subject instead of the schedule's own payload.
        msg_ttl: seconds to keep what was published; the stream needs `allow_msg_ttl`.
        time_zone: of a crontab, such as `Europe/Amsterdam` (server 2.14); UTC by default.
        rollup: what is published replaces what `target` has (server 2.14).

    Raises:
        ValueError: when is none of these.
        InvalidOption: `msg_ttl` is no number of seconds, or one without end.
    """
    headers: dict[str, str] = {Header.SCHEDULE: _when(when), Header.SCHEDULE_TARGET: target}
    if source is not None:
        headers[Header.SCHEDULE_SOURCE] = source
    if msg_ttl is not None:
        headers[Header.SCHEDULE_TTL] = ttl(msg_ttl)
    if time_zone is not None:
        headers[Header.SCHEDULE_TIME_ZONE] = time_zone
    if rollup:
        headers[Header.SCHEDULE_ROLLUP] = "sub"
    return headers


def _when(when: datetime | float | str) -> str:
    if isinstance(when, str):
        return when
    if isinstance(when, datetime):
        return f"@at {from_datetime(when)}"
    check_seconds(when, "when")  # a date would be formatted, too
    return f"@every {f'{when:f}'.rstrip('0').rstrip('.')}s"
