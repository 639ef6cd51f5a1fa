"""Stored messages, from both answers that have them."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core.nats.jetstream import RawStreamMsg
from agents_core.nats.jetstream.errors import InvalidAnswer
from agents_core.nats.msg import Msg

SAID = {"subject": "a", "seq": 3, "time": "2026-01-02T03:04:05.000000006Z"}
LINES = [
    "NATS/1.0",
    "Nats-Stream: s",
    "Nats-Subject: a",
    "Nats-Sequence: 3",
    "Nats-Time-Stamp: 2026-01-02T03:04:05.000000006Z",
]


def test_an_answer_in_json() -> None:
    hdrs = "TkFUUy8xLjANCks6IHYNCg0K"  # NATS/1.0, K: v
    msg = RawStreamMsg.from_response("s", {**SAID, "data": "aGVsbG8=", "hdrs": hdrs})
    assert (msg.stream, msg.subject, msg.seq, msg.sequence) == ("s", "a", 3, 3)
    assert (msg.data, dict(msg.headers)) == (b"hello", {"K": "v"})
    assert msg.time_ns % 1000 == 6
    assert msg.time.isoformat() == "2026-01-02T03:04:05+00:00"
    bare = RawStreamMsg.from_response("s", SAID)
    assert (bare.data, dict(bare.headers)) == (b"", {})


@pytest.mark.parametrize(
    "said", [None, [], {}, {**SAID, "time": "now"}, {**SAID, "data": "x"}, {**SAID, "hdrs": 7}]
)
def test_an_answer_that_is_none(said: Any) -> None:
    with pytest.raises(InvalidAnswer):
        RawStreamMsg.from_response("s", said)


def direct(*more: str, lines: list[str] = LINES) -> Msg:
    return Msg("inbox", b"hello", raw_headers="\r\n".join([*lines, *more, "", ""]).encode())


def test_an_answer_in_headers() -> None:
    msg = RawStreamMsg.from_direct(direct("K: v", "K: w", "Nats-Num-Pending: 9"))
    assert (msg.stream, msg.subject, msg.seq, msg.data) == ("s", "a", 3, b"hello")
    assert (list(msg.headers), msg.headers.get_all("K")) == (["K"], ["v", "w"])
    assert (msg.time_ns % 1000, msg.num_pending) == (6, 9)
    assert RawStreamMsg.from_direct(direct()).num_pending is None


def test_a_message_that_was_republished_has_such_headers_of_its_own() -> None:
    own = ["Nats-Stream: o", "Nats-Subject: b", "Nats-Sequence: 1", "Nats-Last-Sequence: 0"]
    msg = RawStreamMsg.from_direct(direct(lines=["NATS/1.0", *own, *LINES[1:]]))
    assert (msg.stream, msg.subject, msg.seq, msg.time_ns % 1000) == ("s", "a", 3, 6)
    assert dict(msg.headers) == {
        "Nats-Stream": "o",
        "Nats-Subject": "b",
        "Nats-Sequence": "1",
        "Nats-Last-Sequence": "0",
    }
    behind = ["Nats-Num-Pending: 9", "Nats-Last-Sequence: 2"]
    in_batch = RawStreamMsg.from_direct(direct(*behind, lines=["NATS/1.0", *own, *LINES[1:]]))
    assert (in_batch.seq, in_batch.num_pending) == (3, 9)
    assert in_batch.headers == msg.headers


@pytest.mark.parametrize("lost", range(1, 5))
def test_an_answer_that_lacks_a_header(lost: int) -> None:
    with pytest.raises(InvalidAnswer):
        RawStreamMsg.from_direct(direct(lines=LINES[:lost] + LINES[lost + 1 :]))


def test_an_answer_with_a_header_that_is_no_number() -> None:
    with pytest.raises(InvalidAnswer):
        RawStreamMsg.from_direct(direct("Nats-Num-Pending: many"))
