"""What is sent: one message or command each, and what a client appends by itself."""

from __future__ import annotations

import pytest

from agents_core.bus import Stats
from agents_core.errors import MaxPayloadExceeded
from agents_core.nats import frames
from agents_core.nats.frames import CRLF, FRAME_BYTES, Frames, command, encode_publish


def test_messages_as_bytes() -> None:
    assert b"".join(encode_publish("a", b"", "", None, 9)) == b"PUB a 0\r\n\r\n"
    frame = encode_publish("é", b"x", "ü", None, 9)
    assert b"".join(frame) == b"PUB \xc3\xa9 \xc3\xbc 1\r\nx\r\n"
    frame = encode_publish("é", b"x", "r", {"K": "v"}, 99)
    assert b"".join(frame) == b"HPUB \xc3\xa9 r 18 19\r\nNATS/1.0\r\nK: v\r\n\r\nx\r\n"


def test_the_bound_counts_headers() -> None:
    frame = encode_publish("a", b"12", "r", None, 2)
    assert b"".join(frame) == b"PUB a r 2\r\n12\r\n"
    frame = encode_publish("a", b"12", "", {"K": "v"}, 20)
    assert b"".join(frame) == b"HPUB a 18 20\r\nNATS/1.0\r\nK: v\r\n\r\n12\r\n"
    with pytest.raises(MaxPayloadExceeded):
        encode_publish("a", b"12", "", {"K": "v"}, 19)


def test_no_more_subjects_and_lengths_are_remembered_than_the_bound_says() -> None:
    for number in range(frames.MEMO_MAX + 10):
        subject, payload = f"memo.{number}", bytes(number)
        frame = encode_publish(subject, payload, "", None, len(payload))
        assert b"".join(frame) == b"PUB memo.%d %d\r\n%b\r\n" % (number, number, payload)
    assert len(frames.strict_targets) <= frames.MEMO_MAX
    assert len(frames.lengths) <= frames.MEMO_MAX


def test_what_is_used_once_is_not_remembered() -> None:
    encode_publish("$JS.ACK.one", b"+ACK", "", None, 9)
    assert "$JS.ACK.one" not in frames.strict_targets


def test_a_payload_that_changes_later_is_sent_as_it_was() -> None:
    payload = bytearray(b"was")
    frame = encode_publish("a", payload, "", None, 9)
    payload[:] = b"is "
    assert b"".join(frame) == b"PUB a 3\r\nwas\r\n"


def test_the_length_of_a_payload_is_in_bytes() -> None:
    wide = memoryview(b"1234").cast("H")
    assert b"".join(encode_publish("a", wide, "", None, 9)) == b"PUB a 4\r\n1234\r\n"
    with pytest.raises(TypeError, match="bytes-like"):
        encode_publish("a", "text", "", None, 9)  # type: ignore[arg-type]


def test_what_a_client_appends_by_itself_is_counted_when_somebody_looks() -> None:
    stats = Stats()
    waiting = Frames(stats)
    waiting.grant(1000)
    for size in (5, 7):
        waiting.pieces += (b"PUB a ", b"%d\r\n" % size, bytes(size), CRLF)
        waiting.room -= size + FRAME_BYTES
    assert waiting.size == 12 + 2 * FRAME_BYTES
    assert stats == Stats()
    waiting.add(command(b"PING\r\n"))
    assert stats == Stats(out_msgs=2, out_bytes=12)
    assert waiting.size == 12 + 2 * FRAME_BYTES + 6
    messages = waiting.take_messages()
    assert [payload for _, _, payload, _ in messages] == [bytes(5), bytes(7)]
    assert (waiting.size, waiting.room, waiting.take()) == (0, 0, [])
    assert stats == Stats(out_msgs=2, out_bytes=12)


def test_payloads_alike_become_one_frame() -> None:
    stats = Stats()
    waiting = Frames(stats)
    first = encode_publish("a", b"01", "", None, 9)
    waiting.add(first)
    waiting.begin_run("a", first)
    assert waiting.run is None  # as nothing was granted
    waiting.grant(200)
    waiting.begin_run("a", first)
    run = waiting.run
    assert run is not None
    assert (run.subject, run.length, run.most) == ("a", 2, 200 // (2 + FRAME_BYTES))
    run += (b"23", b"45")
    assert (len(waiting), waiting.size, waiting.room) == (3, 13 + 2 * (2 + FRAME_BYTES), 200)
    waiting.end_run()
    assert (len(waiting.pieces), waiting.room, waiting.run) == (8, 200 - run.size, None)
    assert (waiting.size, stats) == (39, Stats(out_msgs=2, out_bytes=4))
    frames = waiting.take_messages()
    assert b"".join(b"".join(frame) for frame in frames) == b"".join(
        b"PUB a 2\r\n%b\r\n" % payload for payload in (b"01", b"23", b"45")
    )
