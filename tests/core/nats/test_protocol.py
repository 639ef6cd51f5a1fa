"""One connection without I/O: the order of what is sent, and INFO over time."""

from __future__ import annotations

import pytest

from agents_core.errors import MaxPayloadExceeded, ProtocolError
from agents_core.nats.parser import Event, Info
from agents_core.nats.protocol import MAX_PAYLOAD_DEFAULT, Protocol, encode_publish


def test_connect_follows_info() -> None:
    protocol = Protocol()
    with pytest.raises(ProtocolError, match="before"):
        protocol.connect({})
    events: list[Event] = []
    protocol.receive_data(b'INFO {"max_payload":5}\r\n', [], events)
    protocol.connect({"verbose": False})
    assert protocol.data_to_send() == [b'CONNECT {"verbose":false}\r\n', b"PING\r\n"]
    assert protocol.data_to_send() == []
    assert events == [Info({"max_payload": 5})]


def test_answers_to_ping_go_first() -> None:
    protocol = Protocol()
    protocol.send(b"PUB a 0\r\n\r\n")
    assert not protocol.must_answer
    events: list[Event] = []
    protocol.receive_data(b"PING\r\nPING\r\n", [], events)
    assert protocol.must_answer
    assert events == []
    assert protocol.data_to_send() == [b"PONG\r\n", b"PONG\r\n", b"PUB a 0\r\n\r\n"]
    assert not protocol.must_answer


def test_info_is_merged() -> None:
    protocol = Protocol()
    assert protocol.max_payload == MAX_PAYLOAD_DEFAULT
    protocol.receive_data(b'INFO {"a":1,"max_payload":5}\r\nINFO {"a":2}\r\n', [], [])
    assert protocol.info == {"a": 2, "max_payload": 5}
    assert protocol.max_payload == 5
    for nonsense in (b"0", b"-1", b'"x"', b"null"):
        protocol.receive_data(b'INFO {"max_payload":%b}\r\n' % nonsense, [], [])
        assert protocol.max_payload == MAX_PAYLOAD_DEFAULT


def test_what_came_before_garbage_is_not_lost_with_it() -> None:
    protocol = Protocol()
    events: list[Event] = []
    with pytest.raises(ProtocolError):
        protocol.receive_data(b"PING\r\n+OK\r\nBOGUS\r\n", [], events)
    assert len(events) == 1
    assert protocol.must_answer


def test_messages_as_bytes() -> None:
    assert encode_publish("a", b"", "", None, 9) == b"PUB a 0\r\n\r\n"
    assert encode_publish("é", b"x", "ü", None, 9) == b"PUB \xc3\xa9 \xc3\xbc 1\r\nx\r\n"
    frame = encode_publish("é", b"x", "r", {"K": "v"}, 99)
    assert frame == b"HPUB \xc3\xa9 r 18 19\r\nNATS/1.0\r\nK: v\r\n\r\nx\r\n"


def test_the_bound_counts_headers() -> None:
    assert encode_publish("a", b"12", "r", None, 2) == b"PUB a r 2\r\n12\r\n"
    frame = encode_publish("a", b"12", "", {"K": "v"}, 20)
    assert frame == b"HPUB a 18 20\r\nNATS/1.0\r\nK: v\r\n\r\n12\r\n"
    with pytest.raises(MaxPayloadExceeded):
        encode_publish("a", b"12", "", {"K": "v"}, 19)
