"""What goes with a published message, and its acknowledgement."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from agents_core.localbus import LocalBus
from agents_core.nats.headers import Headers
from agents_core.nats.jetstream import Header, JetStreamContext, PubAck, window
from agents_core.nats.jetstream.errors import (
    InvalidAnswer,
    InvalidOption,
    NoStreamResponse,
    WrongLastSequence,
)
from agents_core.nats.jetstream.publish import publish_headers, read_ack, ttl
from agents_core.nats.msg import Msg


def test_without_wishes_the_headers_are_the_users() -> None:
    own = {"K": "v"}
    assert publish_headers(own, None, None, {}) is own
    assert publish_headers(None, None, None, {}) is None


def test_wishes_become_headers() -> None:
    own = {"K": ["v", "w"]}
    found = publish_headers(
        own,
        "s",
        90,
        {
            "msg_id": "id",
            "expected_last_sequence": 0,
            "expected_last_msg_id": "last",
            "expected_last_subject_sequence": 7,
            "expected_last_subject": "a.*",
        },
    )
    assert found == {
        "K": ["v", "w"],
        "Nats-Expected-Stream": "s",
        "Nats-TTL": "90",
        "Nats-Msg-Id": "id",
        "Nats-Expected-Last-Sequence": "0",
        "Nats-Expected-Last-Msg-Id": "last",
        "Nats-Expected-Last-Subject-Sequence": "7",
        "Nats-Expected-Last-Subject-Sequence-Subject": "a.*",
    }
    assert own == {"K": ["v", "w"]}
    nothing = publish_headers(None, None, None, {"msg_id": None})  # type: ignore[typeddict-item]
    assert nothing == {}


@pytest.mark.parametrize("value", ["one", None])
def test_an_unknown_wish_is_refused(value: str | None) -> None:
    wishes: Any = {"message_id": value}
    with pytest.raises(TypeError, match="unexpected keyword argument 'message_id'"):
        publish_headers(None, None, None, wishes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("msg_id", b"id"),
        ("msg_id", 7),
        ("expected_last_sequence", True),
        ("expected_last_sequence", 7.0),
        ("expected_last_subject_sequence", "x"),
        ("expected_last_subject_sequence", -1),
    ],
)
def test_a_wish_that_cannot_be_is_named(name: str, value: Any) -> None:
    wishes: Any = {name: value}
    with pytest.raises(InvalidOption, match=f"{name}: .*not {value!r}"):
        publish_headers(None, None, None, wishes)


def test_the_headers_of_a_message_are_stored_with_all_their_values() -> None:
    came = Headers([("T", "1"), ("T", "2")])
    assert publish_headers(came, "s", None, {}) == {"T": ["1", "2"], "Nats-Expected-Stream": "s"}


def test_times_to_live() -> None:
    assert [ttl(value) for value in (5, 5.0, 1.5, "never", "1h")] == [
        "5",
        "5",
        "1.500000s",
        "never",
        "1h",
    ]


@pytest.mark.parametrize("wrong", [float("inf"), float("nan"), timedelta(hours=1)])
def test_what_is_no_time_to_live_is_named(wrong: Any) -> None:
    with pytest.raises(InvalidOption, match="msg_ttl"):
        publish_headers(None, None, wrong, {})


@pytest.mark.parametrize(
    ("data", "ack"),
    [
        (b'{"stream":"s", "seq":3}', PubAck("s", 3)),
        (b'{"stream":"s","seq":18446744073709551615}', PubAck("s", 2**64 - 1)),
        (b'{"seq":3,"stream":"s"}', PubAck("s", 3)),
        (b'{"stream":"\\u0073","seq":3}', PubAck("s", 3)),
        ('{"stream":"ü","seq":3}'.encode(), PubAck("ü", 3)),
        (
            b'{"stream":"s","domain":"d","seq":3,"duplicate":true,"val":"9","batch":"b","count":2}',
            PubAck("s", 3, "d", True, "b", 2, "9"),
        ),
    ],
)
def test_acknowledgements(data: bytes, ack: PubAck) -> None:
    assert read_ack(data) == ack


@pytest.mark.parametrize("data", [b"", b"+OK", b"[]", b"{}", b'{"stream":"s"}', b'{"seq":"3"}'])
def test_what_is_no_acknowledgement(data: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        read_ack(data)


def test_a_refusal() -> None:
    with pytest.raises(WrongLastSequence):
        read_ack(b'{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"}}')


async def test_publish_asks_again_when_no_stream_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents_core.nats.jetstream.context.RETRY_WAIT_S", 0.001)
    bus = LocalBus()
    js = JetStreamContext(bus)
    with pytest.raises(NoStreamResponse, match="'a'"):
        await js.publish("a")
    asked: list[Msg] = []

    async def appear() -> None:
        while bus.stats.out_msgs < 4 + 1:  # three of the first, one of the second
            await asyncio.sleep(0)
        await bus.subscribe("a", cb=answer)

    def answer(msg: Msg) -> None:
        asked.append(msg)
        msg.respond(b'{"stream":"s","seq":1}')

    before = bus.stats.out_msgs
    assert before == 1 + window.RETRY_ATTEMPTS
    late = asyncio.create_task(appear())
    assert (await js.publish("a", b"x", msg_id="id")).seq == 1
    await late
    assert [(msg.data, msg.headers[Header.MSG_ID]) for msg in asked] == [(b"x", "id")]
    await bus.close()
