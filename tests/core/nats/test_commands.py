"""What a client sends, byte for byte."""

from __future__ import annotations

import pytest

from agents_core.nats import commands


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (commands.connect({"name": "é\r\n"}), b'CONNECT {"name":"\\u00e9\\r\\n"}\r\n'),
        (commands.pub("a", b""), b"PUB a 0\r\n\r\n"),
        (commands.pub("a", b"x", "r"), b"PUB a r 1\r\nx\r\n"),
        (commands.pub("a", b"x", "", b"H"), b"HPUB a 1 2\r\nHx\r\n"),
        (commands.pub("é", b"x", "r", b"H"), b"HPUB \xc3\xa9 r 1 2\r\nHx\r\n"),
        (commands.pub("\udcff", b""), b"PUB \xff 0\r\n\r\n"),
        (commands.sub("a", b"1"), b"SUB a 1\r\n"),
        (commands.sub("a", b"1", "q"), b"SUB a q 1\r\n"),
        (commands.unsub(b"1"), b"UNSUB 1\r\n"),
        (commands.unsub(b"1", 5), b"UNSUB 1 5\r\n"),
    ],
)
def test_frames(frame: bytes, expected: bytes) -> None:
    assert frame == expected
