"""JSON objects as dataclasses: units, unknown fields, what can't be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents_core.nats.jetstream import (
    AccountInfo,
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    Placement,
    RetentionPolicy,
    StreamConfig,
    StreamInfo,
    StreamSource,
    SubjectTransform,
)
from agents_core.nats.jetstream.errors import InvalidAnswer, InvalidOption
from agents_core.nats.jetstream.record import to_ns

STREAM = {"config": {"name": "s"}, "state": {"messages": 1}}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("max_age", "1h"),
        ("max_age", timedelta(days=1)),
        ("max_age", float("inf")),
        ("placement", {"cluster": "east"}),
        ("sources", ["other"]),
    ],
)
def test_what_has_no_form_on_the_wire_is_named(name: str, wrong: Any) -> None:
    with pytest.raises(InvalidOption) as raised:
        StreamConfig(name="s", **{name: wrong}).as_dict()
    assert (raised.value.name, raised.value.reason) == (name, f"it can't be {wrong!r}")


@pytest.mark.parametrize("wrong", ["1h", [5], None, float("nan")])
def test_a_duration_is_a_number(wrong: Any) -> None:
    with pytest.raises(ValueError, match="not a number of seconds"):  # and not a billion of them
        to_ns(wrong)


def test_durations_and_moments_have_our_units() -> None:
    config = ConsumerConfig.from_response(
        {
            "ack_wait": 1_500_000_000,
            "backoff": [1_000_000_000, 250_000_000],
            "opt_start_time": "2026-01-02T03:04:05.678901234Z",
        }
    )
    assert (config.ack_wait, config.backoff) == (1.5, [1.0, 0.25])
    assert config.opt_start_time == datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    sent = config.as_dict()
    assert sent["ack_wait"] == 1_500_000_000
    assert sent["backoff"] == [1_000_000_000, 250_000_000]
    assert sent["opt_start_time"] == "2026-01-02T03:04:05.678901234Z"
    later = config.evolve(opt_start_time=config.opt_start_time + timedelta(seconds=1))
    assert later.as_dict()["opt_start_time"] == "2026-01-02T03:04:06.678901Z"
    assert all(isinstance(value, int) for value in sent["backoff"])
    assert ConsumerConfig(pause_until="2026-01-01T00:00:00Z").as_dict()["pause_until"] == (
        "2026-01-01T00:00:00Z"
    )


def test_a_moment_that_is_none_here_is_named() -> None:
    early = "0001-01-01T00:00:00+02:00"
    with pytest.raises(InvalidAnswer, match="out of range"):
        ConsumerConfig.from_response({"opt_start_time": early})
    with pytest.raises(InvalidOption, match="opt_start_time"):
        ConsumerConfig(opt_start_time=datetime.fromisoformat(early)).as_dict()


def test_the_zero_time_is_none() -> None:
    info = StreamInfo.from_response(
        {"config": {}, "state": {"first_ts": "0001-01-01T00:00:00Z"}, "created": None}
    )
    assert (info.state.first_ts, info.created) == (None, None)


def test_objects_in_objects() -> None:
    config = StreamConfig(
        name="s",
        placement=Placement(tags=["a"]),
        sources=[StreamSource("other", subject_transforms=[SubjectTransform("a", "b")])],
    )
    sent = config.as_dict()
    assert sent == {
        "name": "s",
        "placement": {"tags": ["a"]},
        "sources": [{"name": "other", "subject_transforms": [{"src": "a", "dest": "b"}]}],
    }
    assert StreamConfig.from_response(sent) == config


def test_what_is_none_is_left_to_the_server() -> None:
    assert StreamConfig(name="s").as_dict() == {"name": "s"}
    assert ConsumerConfig().as_dict() == {"ack_policy": "explicit"}


def test_unknown_words_and_fields_survive_a_round_trip() -> None:
    said = {"name": "s", "retention": "eternal", "new_in_2_99": {"a": 1}}
    config = StreamConfig.from_response(said)
    assert config.retention == "eternal"
    assert config.extra == {"new_in_2_99": {"a": 1}}
    assert config.evolve(max_msgs=5).as_dict() == {**said, "max_msgs": 5}
    assert StreamConfig.from_response({"extra": 1}).as_dict() == {"extra": 1}


def test_words_become_members() -> None:
    config = StreamConfig.from_response({"retention": "workqueue"})
    assert config.retention is RetentionPolicy.WORK_QUEUE
    consumer = ConsumerConfig.from_response({"ack_policy": "all", "deliver_policy": "new"})
    assert consumer.ack_policy is AckPolicy.ALL
    assert consumer.deliver_policy is DeliverPolicy.NEW
    assert ConsumerConfig(ack_policy=AckPolicy.NONE).as_dict()["ack_policy"] == "none"


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        "text",
        {**STREAM, "created": "yesterday"},
        {**STREAM, "created": 7},
        {**STREAM, "config": {"max_age": "long"}},
        {**STREAM, "cluster": {"replicas": 3}},
        {"config": {}, "state": 1},
    ],
)
def test_what_cannot_be_read(said: Any) -> None:
    with pytest.raises(InvalidAnswer):
        StreamInfo.from_response(said)


def test_consumers_and_accounts() -> None:
    info = ConsumerInfo.from_response(
        {
            "name": "c",
            "stream_name": "s",
            "config": {},
            "delivered": {
                "consumer_seq": 1,
                "stream_seq": 2,
                "last_active": "2026-01-01T00:00:00Z",
            },
            "ack_floor": {},
            "pause_remaining": 2_000_000_000,
            "priority_groups": [{"group": "g", "pinned_client_id": "x"}],
        }
    )
    assert (info.delivered.stream_seq, info.pause_remaining) == (2, 2.0)
    assert info.priority_groups is not None
    assert info.priority_groups[0].pinned_client_id == "x"
    account = {"limits": {"max_streams": 7}, "api": {"level": 5}, "streams": 2}
    account["tiers"] = {"R3": {"limits": {}, "storage": 9}}
    read = AccountInfo.from_response(account)
    assert (read.streams, read.limits.max_streams, read.api.level) == (2, 7, 5)
    assert read.tiers is not None
    assert read.tiers["R3"].storage == 9
    assert read.as_dict()["tiers"]["R3"]["storage"] == 9
