"""A bucket's configuration, and the stream's that it becomes."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core.nats.jetstream import (
    KeyValueConfig,
    Placement,
    RePublish,
    StorageType,
    StreamConfig,
    StreamSource,
    SubjectTransform,
)
from agents_core.nats.jetstream.errors import InvalidBucketName, InvalidOption
from agents_core.nats.jetstream.stream import ExternalStream


def test_the_stream_of_a_bucket() -> None:
    config = KeyValueConfig(bucket="b")
    assert config.stream == "KV_b"
    assert config.stream_config().as_dict() == {
        "name": "KV_b",
        "subjects": ["$KV.b.>"],
        "max_msgs_per_subject": 1,
        "discard": "new",
        "num_replicas": 1,
        "duplicate_window": 120_000_000_000,
        "deny_delete": True,
        "allow_rollup_hdrs": True,
        "allow_direct": True,
        "allow_msg_ttl": True,
    }


def test_fields_may_be_given_in_nats_py_s_order() -> None:
    config = KeyValueConfig("b", "notes", 100, 5)
    assert config == KeyValueConfig(bucket="b", description="notes", max_value_size=100, history=5)


@pytest.mark.parametrize(("ttl", "window"), [(None, 120), (1, 1), (120, 120), (3600, 120)])
def test_messages_are_not_duplicates_for_longer_than_they_live(
    ttl: float | None, window: float
) -> None:
    stream = KeyValueConfig(bucket="b", ttl=ttl).stream_config()
    assert (stream.max_age, stream.duplicate_window) == (ttl, window)


def test_every_field_is_read_back() -> None:
    config = KeyValueConfig(
        bucket="b",
        description="d",
        max_value_size=10,
        history=7,
        ttl=30.0,
        max_bytes=1000,
        storage=StorageType.MEMORY,
        replicas=3,
        placement=Placement("east"),
        republish=RePublish(">", "out.>"),
        direct=False,
        limit_marker_ttl=9.0,
        sources=[StreamSource("KV_x", subject_transforms=[SubjectTransform("a", "b")])],
        compression=True,
        metadata={"k": "v"},
    )
    answer = StreamConfig.from_response(config.stream_config().as_dict())
    assert KeyValueConfig.of(answer) == config
    bare = StreamConfig.from_response(
        {"name": "KV_b", "max_bytes": -1, "max_msg_size": -1, "max_age": 0, "compression": "none"}
    )
    assert KeyValueConfig.of(bare) == KeyValueConfig(bucket="b", direct=False)


def test_what_a_bucket_does_not_know_stays() -> None:
    base = StreamConfig(name="KV_b", max_msgs=7, extra={"newer": 1})
    changed = KeyValueConfig(bucket="b", history=2).stream_config(base)
    assert (changed.max_msgs, changed.extra, changed.max_msgs_per_subject) == (7, {"newer": 1}, 2)


@pytest.mark.parametrize("name", ["origin", "KV_origin"])
def test_a_mirror_has_no_subjects_of_its_own(name: str) -> None:
    stream = KeyValueConfig(bucket="b", mirror=StreamSource(name)).stream_config()
    assert stream.mirror is not None
    assert (stream.mirror.name, stream.mirror_direct, stream.subjects) == ("KV_origin", True, None)


def test_sources_become_keys_of_this_bucket() -> None:
    external = ExternalStream(api="$JS.hub.API")
    own = [SubjectTransform("events.*", "$KV.b.{{wildcard(1)}}")]
    config = KeyValueConfig(
        bucket="b",
        sources=[
            StreamSource("x"),
            StreamSource("KV_b", external=external),
            StreamSource("EVENTS", subject_transforms=own),
        ],
    )
    stream = config.stream_config()
    assert stream.subjects == ["$KV.b.>"]
    assert stream.sources == [
        StreamSource("KV_x", subject_transforms=[SubjectTransform("$KV.x.>", "$KV.b.>")]),
        StreamSource("KV_b", external=external),
        StreamSource("EVENTS", subject_transforms=own),
    ]
    assert config.evolve(sources=stream.sources).stream_config() == stream


@pytest.mark.parametrize("wrong", [{"mirror": "a"}, {"sources": ["a"]}, {"sources": "a"}])
def test_a_name_is_no_source(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match="of StreamSource, not 'a'"):
        KeyValueConfig(bucket="b", **wrong).stream_config()


def test_a_time_to_live_is_a_number_of_seconds() -> None:
    with pytest.raises(ValueError, match="ttl: '1h' is not a number of seconds"):
        KeyValueConfig(bucket="b", ttl="1h")  # type: ignore[arg-type]


@pytest.mark.parametrize("history", [0, -1, 65])
def test_a_history_has_bounds(history: int) -> None:
    with pytest.raises(InvalidOption, match="history: 1 to 64"):
        KeyValueConfig(bucket="b", history=history)
    with pytest.raises(InvalidBucketName):
        KeyValueConfig(bucket="a.b")
