"""The headers that JetStream gives a meaning to; members are named as in nats-py."""

from __future__ import annotations

from enum import StrEnum


class Header(StrEnum):
    """Names of headers."""

    BATCH_COMMIT = "Nats-Batch-Commit"
    BATCH_ID = "Nats-Batch-Id"
    BATCH_SEQUENCE = "Nats-Batch-Sequence"
    CONSUMER_STALLED = "Nats-Consumer-Stalled"
    COUNTER_SOURCES = "Nats-Counter-Sources"
    EXPECTED_LAST_MSG_ID = "Nats-Expected-Last-Msg-Id"
    EXPECTED_LAST_SEQUENCE = "Nats-Expected-Last-Sequence"
    EXPECTED_LAST_SUBJECT_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
    EXPECTED_LAST_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"
    EXPECTED_STREAM = "Nats-Expected-Stream"
    INCR = "Nats-Incr"
    LAST_CONSUMER = "Nats-Last-Consumer"
    LAST_SEQUENCE = "Nats-Last-Sequence"
    MARKER_REASON = "Nats-Marker-Reason"
    MSG_ID = "Nats-Msg-Id"
    MSG_TTL = "Nats-TTL"
    NUM_PENDING = "Nats-Num-Pending"
    PENDING_BYTES = "Nats-Pending-Bytes"
    PENDING_MESSAGES = "Nats-Pending-Messages"
    PIN_ID = "Nats-Pin-Id"
    ROLLUP = "Nats-Rollup"
    SCHEDULE = "Nats-Schedule"
    SCHEDULE_NEXT = "Nats-Schedule-Next"
    SCHEDULE_ROLLUP = "Nats-Schedule-Rollup"
    SCHEDULE_SOURCE = "Nats-Schedule-Source"
    SCHEDULE_TARGET = "Nats-Schedule-Target"
    SCHEDULE_TIME_ZONE = "Nats-Schedule-Time-Zone"
    SCHEDULE_TTL = "Nats-Schedule-TTL"
    SCHEDULER = "Nats-Scheduler"
    SEQUENCE = "Nats-Sequence"
    STREAM = "Nats-Stream"
    SUBJECT = "Nats-Subject"
    TIME_STAMP = "Nats-Time-Stamp"
    UP_TO_SEQUENCE = "Nats-UpTo-Sequence"
