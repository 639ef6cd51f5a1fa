"""One connection without I/O: the order of what is sent, and INFO over time."""

from __future__ import annotations

import pytest

from agents_core.errors import ProtocolError
from agents_core.localbus import LocalBus
from agents_core.nats.frames import encode_publish
from agents_core.nats.parser import Arrival, Info, Ok, Ping
from agents_core.nats.protocol import MAX_PAYLOAD_DEFAULT, Protocol


async def test_connect_follows_info() -> None:
    protocol = Protocol(LocalBus())
    with pytest.raises(ProtocolError, match="before"):
        protocol.connect({})
    arrival = Arrival()
    protocol.receive_data(b'INFO {"max_payload":5}\r\n', arrival)
    protocol.connect({"verbose": False})
    assert protocol.data_to_send() == b'CONNECT {"verbose":false}\r\nPING\r\n'
    assert protocol.data_to_send() == b""
    assert arrival.events == [Info({"max_payload": 5})]


async def test_answers_to_ping_go_first() -> None:
    protocol = Protocol(LocalBus())
    protocol.frames.add(encode_publish("a", b"", "", None, 0))
    assert not protocol.must_answer
    protocol.receive_data(b"PING\r\nPING\r\n", Arrival())
    assert protocol.must_answer
    assert protocol.data_to_send() == b"PONG\r\nPONG\r\nPUB a 0\r\n\r\n"
    assert not protocol.must_answer


async def test_info_is_merged() -> None:
    protocol = Protocol(LocalBus())
    assert protocol.max_payload == MAX_PAYLOAD_DEFAULT
    protocol.receive_data(b'INFO {"a":1,"max_payload":5}\r\nINFO {"a":2}\r\n', Arrival())
    assert protocol.info == {"a": 2, "max_payload": 5}
    assert protocol.max_payload == 5
    for nonsense in (b"0", b"-1", b'"x"', b"null"):
        protocol.receive_data(b'INFO {"max_payload":%b}\r\n' % nonsense, Arrival())
        assert protocol.max_payload == MAX_PAYLOAD_DEFAULT


async def test_what_came_before_garbage_is_not_lost_with_it() -> None:
    protocol = Protocol(LocalBus())
    arrival = Arrival()
    with pytest.raises(ProtocolError):
        protocol.receive_data(b"PING\r\n+OK\r\nMSG a 1 1\r\nx\r\nBOGUS\r\n", arrival)
    assert arrival.events == [Ping(), Ok()]
    assert (len(arrival.batches), arrival.size) == (1, 1)
    assert protocol.must_answer
