"""What a client sends beside messages, as bytes.

Arguments are checked elsewhere: here nothing can fail.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

PING = b"PING\r\n"
PONG = b"PONG\r\n"


def connect(options: Mapping[str, object]) -> bytes:
    """`CONNECT {…}`: who we are and what we can do; the answer to the server's INFO."""
    return b"CONNECT " + json.dumps(options, separators=(",", ":")).encode() + b"\r\n"


def sub(subject: str, sid: bytes, queue: str = "") -> bytes:
    """`SUB`, with a queue group if one is given."""
    target = f"{subject} {queue}" if queue else subject
    return b"SUB %b %b\r\n" % (target.encode("utf-8", "surrogateescape"), sid)


def unsub(sid: bytes, max_msgs: int = 0) -> bytes:
    """`UNSUB`, at once or after `max_msgs` messages counted by the server."""
    return b"UNSUB %b %d\r\n" % (sid, max_msgs) if max_msgs else b"UNSUB %b\r\n" % sid
