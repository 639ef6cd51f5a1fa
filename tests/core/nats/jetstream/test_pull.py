"""Requests for messages, and what each status means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents_core.nats.jetstream import errors, pull
from agents_core.nats.jetstream.pull import Outcome, Pins, PullOptions, judge, size_of
from agents_core.nats.msg import Msg


def test_a_request_says_what_is_wanted_and_nothing_else() -> None:
    options = PullOptions()
    assert options.body(5) == b'{"batch":5}'
    body = PullOptions(group="g", priority=3, min_pending=4, min_ack_pending=5).body(
        10, max_bytes=99, expires=1.5, heartbeat=0.5, no_wait=True, pin="id"
    )
    assert json.loads(body) == {
        "batch": 10,
        "max_bytes": 99,
        "expires": 1_500_000_000,
        "idle_heartbeat": 500_000_000,
        "no_wait": True,
        "group": "g",
        "priority": 3,
        "min_pending": 4,
        "min_ack_pending": 5,
        "id": "id",
    }


def test_requests_are_kept_up_to_a_bound() -> None:
    options = PullOptions()
    assert options.body(5) is options.body(5)
    for batch in range(1, 3 * pull.BODIES_MAX):
        options.body(batch)
        assert len(options._bodies) <= pull.BODIES_MAX


@pytest.mark.parametrize("priority", [-1, 10, "1"])
def test_priorities_have_bounds(priority: Any) -> None:
    with pytest.raises(errors.InvalidOption, match="priority: 0 to 9"):
        PullOptions(priority=priority)


@pytest.mark.parametrize(
    ("code", "words", "outcome", "kind"),
    [
        (100, "Idle Heartbeat", Outcome.ALIVE, errors.APIError),
        (400, "Bad Request - invalid batch", Outcome.FATAL, errors.BadRequest),
        (404, "No Messages", Outcome.OVER, errors.NotFound),
        (408, "Request Timeout", Outcome.OVER, errors.BadRequest),
        (408, "Interest Expired", Outcome.OVER, errors.BadRequest),
        (408, "Requests Pending", Outcome.LATER, errors.PullRefused),
        (409, "Message Size Exceeds MaxBytes", Outcome.TOO_LARGE, errors.MaxBytesExceeded),
        (409, "Batch Completed", Outcome.OVER, errors.APIError),
        (409, "Leadership Change", Outcome.LATER, errors.PullRefused),
        (409, "Consumer Deleted", Outcome.FATAL, errors.ConsumerDeleted),
        (409, "Consumer is push based", Outcome.FATAL, errors.ConsumerIsPush),
        (409, "Server Shutdown", Outcome.LATER, errors.PullRefused),
        (409, "Exceeded MaxRequestBatch of 5", Outcome.REFUSED, errors.PullRefused),
        (409, "Exceeded MaxRequestExpires of 1s", Outcome.REFUSED, errors.PullRefused),
        (409, "Exceeded MaxRequestMaxBytes of 9", Outcome.REFUSED, errors.PullRefused),
        (409, "Exceeded MaxWaiting", Outcome.LATER, errors.PullRefused),
        (409, "Something New", Outcome.LATER, errors.APIError),
        (412, "Required Api Level", Outcome.FATAL, errors.ApiLevelRequired),
        (423, "Nats-Wrong-Pin-Id", Outcome.NOT_PINNED, errors.APIError),
        (423, "Nats-Pin-Id mismatch", Outcome.NOT_PINNED, errors.APIError),
        (429, "Too Many Requests", Outcome.LATER, errors.TooManyRequests),
        (500, "broken", Outcome.LATER, errors.ServerFault),
        (503, "", Outcome.NOBODY, errors.ServiceUnavailable),
        (999, "", Outcome.LATER, errors.APIError),
    ],
)
def test_statuses(code: int, words: str, outcome: Outcome, kind: type[errors.APIError]) -> None:
    found, error = judge(code, words)
    assert (found, type(error), error.code, error.description) == (outcome, kind, code, words)


def test_pins() -> None:
    pins = Pins()
    pinned = Msg("a", raw_headers=b"NATS/1.0\r\nNats-Pin-Id: one\r\n\r\n")
    pins.see(None, pinned)
    pins.see("g", Msg("a"))
    pins.see("g", Msg("a", raw_headers=b"NATS/1.0\r\nK: v\r\n\r\n"))
    assert (pins.get("g"), pins.get(None)) == ("", "")
    pins.see("g", pinned)
    assert (pins.get("g"), pins.get("h"), pins.get(None)) == ("one", "", "")
    pins.forget(None)
    pins.forget("g")
    assert pins.get("g") == ""


def test_the_size_is_that_of_the_wire() -> None:
    assert size_of(Msg("ab", b"123", "cde", b"NATS/1.0\r\n\r\n")) == 2 + 3 + 3 + 12
    assert size_of(Msg("ü", b"", "c")) == 3
