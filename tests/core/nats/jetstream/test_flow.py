"""How much is under way: defaults and bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents_core.nats.jetstream.errors import InvalidOption
from agents_core.nats.jetstream.flow import Flow
from agents_core.nats.jetstream.pull import Pins, PullOptions


def test_defaults() -> None:
    assert Flow.of() == Flow(500, by_count=True, threshold=250, expires=30, heartbeat=15)
    assert Flow.of(max_messages=1).threshold == 0
    assert Flow.of(expires=1).heartbeat == 0.5
    assert Flow.of(expires=600).heartbeat == 30
    of_bytes = Flow.of(max_bytes=1000)
    assert of_bytes == Flow(1000, by_count=False, threshold=500, expires=30, heartbeat=15)
    assert Flow.of(max_messages=9, threshold_messages=8).threshold == 8
    assert Flow.of(max_bytes=9, threshold_bytes=0).threshold == 0


@pytest.mark.parametrize(
    "options",
    [
        {"max_messages": 1, "max_bytes": 1},
        {"max_messages": 0},
        {"max_bytes": 0},
        {"max_messages": 2.5},
        {"max_bytes": float("inf")},
        {"expires": float("inf")},
        {"expires": 0.9},
        {"heartbeat": 0.4},
        {"heartbeat": 16},
        {"expires": 600, "heartbeat": 31},
        {"max_messages": 5, "threshold_messages": 5},
        {"threshold_messages": -1},
        {"threshold_messages": 1.5},
        {"max_bytes": 5, "threshold_bytes": "1"},
        {"max_bytes": 5, "threshold_messages": 1},
        {"threshold_bytes": 1},
    ],
)
def test_what_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        Flow.of(**options)


@pytest.mark.parametrize("name", ["expires", "heartbeat"])
@pytest.mark.parametrize("wrong", ["5", float("nan")])
def test_what_is_no_number_of_seconds(name: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}: {wrong!r} is not a number of seconds"):
        Flow.of(**{name: wrong})


def test_the_two_units() -> None:
    count, size = Flow.of(max_messages=10), Flow.of(max_bytes=10)
    assert count.pending_header == "Nats-Pending-Messages"
    assert size.pending_header == "Nats-Pending-Bytes"
    asked = [json.loads(flow.body(7, PullOptions(), Pins())) for flow in (count, size)]
    times = {"expires": 30_000_000_000, "idle_heartbeat": 15_000_000_000}
    assert asked == [{"batch": 7, **times}, {"batch": 1_000_000, "max_bytes": 7, **times}]
