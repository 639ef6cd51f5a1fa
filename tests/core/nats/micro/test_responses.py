"""What services say of themselves, both ways and from other SDKs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from agents_core import jsonvalue
from agents_core.errors import InvalidMessage
from agents_core.nats.micro.responses import (
    EPOCH,
    EndpointInfo,
    EndpointStats,
    ServiceInfo,
    ServicePing,
    ServiceStats,
)

WHO = ("math", "ID1", "1.2.3", {"zone": "a"})
NAMES = ("double", "math.double", "q")
STARTED = datetime(2025, 8, 8, 5, 7, 17, 720783, UTC)
SAMPLES = [
    ServicePing(*WHO),
    ServiceInfo(*WHO, "adds up", [EndpointInfo(*NAMES, {"unit": "none"}), EndpointInfo(*NAMES)]),
    ServiceStats(*WHO, STARTED, [EndpointStats(*NAMES, 3, 1, "400:no", 10, 3, {"a": [1]})]),
]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_what_is_sent_is_read_again(sample: ServicePing) -> None:
    assert type(sample).from_dict(jsonvalue.loads(jsonvalue.dumps(sample.to_dict()))) == sample


def test_the_names_on_the_wire_are_those_of_the_adr() -> None:
    who = {"name": "math", "id": "ID1", "version": "1.2.3", "metadata": {"zone": "a"}}
    names = {"name": "double", "subject": "math.double", "queue_group": "q"}
    ping, info, stats = (sample.to_dict() for sample in SAMPLES)
    assert ping == {"type": "io.nats.micro.v1.ping_response", **who}
    assert info == {
        "type": "io.nats.micro.v1.info_response",
        **who,
        "description": "adds up",
        "endpoints": [{**names, "metadata": {"unit": "none"}}, {**names, "metadata": {}}],
    }
    counters = {"num_requests": 3, "num_errors": 1, "last_error": "400:no"}
    times = {"processing_time": 10, "average_processing_time": 3}
    assert stats == {
        "type": "io.nats.micro.v1.stats_response",
        **who,
        "started": "2025-08-08T05:07:17.720783Z",
        "endpoints": [{**names, **counters, **times, "data": {"a": [1]}}],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-08-08T05:07:17.720783523Z", STARTED),  # Go has nine decimals
        ("2025-08-08T07:07:17.720783+02:00", STARTED),
        ("2025-08-08T05:07:17.720783", STARTED),
        ("2025-08-08T05:07:17Z", STARTED.replace(microsecond=0)),
    ],
)
def test_times_as_other_sdks_write_them(text: str, expected: datetime) -> None:
    data = {"type": ServiceStats.type, "started": text}
    assert ServiceStats.from_dict(data) == ServiceStats(started=expected)


def test_what_is_left_out_or_null_is_empty() -> None:
    data = {"type": ServiceStats.type, "metadata": None, "endpoints": None}
    assert ServiceStats.from_dict(data) == ServiceStats("", "", "", {}, EPOCH, [])
    endpoint = {"name": "a", "average_processing_time": 1.5, "metadata": {"a": "b", "c": 1}}
    assert EndpointStats.from_dict(endpoint) == EndpointStats("a", average_processing_time=1)
    assert EndpointInfo.from_dict(endpoint) == EndpointInfo("a", metadata={"a": "b"})


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"type": ServicePing.type},
        {"type": ServiceStats.type, "name": 1},
        {"type": ServiceStats.type, "name": True},
        {"type": ServiceStats.type, "metadata": []},
        {"type": ServiceStats.type, "started": "yesterday"},
        {"type": ServiceStats.type, "started": 5},
        {"type": ServiceStats.type, "endpoints": {}},
        {"type": ServiceStats.type, "endpoints": ["a"]},
        {"type": ServiceStats.type, "endpoints": [{"num_requests": "5"}]},
        {"type": ServiceStats.type, "endpoints": [{"num_requests": jsonvalue.loads(b"1e999")}]},
    ],
    ids=str,
)
def test_what_is_none_is_refused(data: Any) -> None:
    with pytest.raises(InvalidMessage):
        ServiceStats.from_dict(data)
