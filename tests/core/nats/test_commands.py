"""What a client sends, byte for byte."""

from __future__ import annotations

import pytest

from agents_core.nats import commands


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (commands.connect({"name": "é\r\n"}), b'CONNECT {"name":"\\u00e9\\r\\n"}\r\n'),
        (commands.sub("a", b"1"), b"SUB a 1\r\n"),
        (commands.sub("a", b"1", "q"), b"SUB a q 1\r\n"),
        (commands.unsub(b"1"), b"UNSUB 1\r\n"),
        (commands.unsub(b"1", 5), b"UNSUB 1 5\r\n"),
    ],
)
def test_frames(frame: bytes, expected: bytes) -> None:
    assert frame == expected
