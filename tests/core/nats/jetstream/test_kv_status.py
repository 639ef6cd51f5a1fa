"""What a bucket says of itself."""

from __future__ import annotations

from agents_core.nats.jetstream import BucketStatus, StreamInfo
from tests.core.nats.jetstream.bucket import stream


def test_a_plain_bucket() -> None:
    status = BucketStatus(StreamInfo.from_response(stream()), "b")
    assert (status.bucket, status.values, status.bytes, status.history) == ("b", 3, 90, 5)
    assert (status.ttl, status.marker_ttl, status.is_compressed) == (None, None, False)
    assert status.metadata == {}


def test_a_bucket_with_everything() -> None:
    config = {
        "max_age": 60_000_000_000,
        "subject_delete_marker_ttl": 5_000_000_000,
        "compression": "s2",
        "metadata": {"owner": "test"},
    }
    status = BucketStatus(StreamInfo.from_response(stream(**config)), "b")
    assert (status.ttl, status.marker_ttl, status.is_compressed) == (60, 5, True)
    assert status.metadata == {"owner": "test"}
    assert status.config.bucket == "b"
