"""A message as a stream holds it, read without a consumer."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from agents_core.nats.headers import Headers, parse_headers
from agents_core.nats.jetstream.errors import InvalidAnswer
from agents_core.nats.jetstream.header import Header
from agents_core.nats.jetstream.timestamp import parse_ns, to_datetime
from agents_core.nats.msg import Msg

_OF_EACH = frozenset({Header.STREAM, Header.SUBJECT, Header.SEQUENCE, Header.TIME_STAMP})
_OF_A_BATCH = _OF_EACH | {Header.NUM_PENDING, Header.LAST_SEQUENCE}


@dataclass(slots=True)
class RawStreamMsg:
    """A stored message; named as in nats-py.

    Attributes:
        subject: where it was published.
        seq: its number in the stream.
        data: the payload.
        headers: those it was published with.
        stream: the stream's name, where the server says it.
        time_ns: when it was stored, in nanoseconds since 1970.
        num_pending: in a batch, how many more match behind this one; else None.
    """

    subject: str
    seq: int
    data: bytes = b""
    headers: Headers = field(default_factory=Headers)
    stream: str = ""
    time_ns: int = 0
    num_pending: int | None = None

    @property
    def sequence(self) -> int:
        """The same as `seq`."""
        return self.seq

    @property
    def time(self) -> datetime:
        """When it was stored, to the microsecond."""
        return to_datetime(self.time_ns)

    @classmethod
    def from_response(cls, stream: str, message: Any) -> Self:
        """Read what `STREAM.MSG.GET` answers.

        Raises:
            InvalidAnswer: it is not what the protocol says.
        """
        try:
            return cls(
                message["subject"],
                message["seq"],
                b64decode(message.get("data") or ""),
                parse_headers(b64decode(message.get("hdrs") or "")),
                stream,
                parse_ns(message["time"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidAnswer("a stored message", repr(error)) from None

    @classmethod
    def from_direct(cls, msg: Msg) -> Self:
        """Read what `DIRECT.GET` answers (ADR-31): the message, described by headers.

        The server adds these behind the message's own, which may have the same names: those of a
        republished message do.

        Raises:
            InvalidAnswer: it is not what the protocol says.
        """
        said = msg.headers
        names = _OF_A_BATCH if Header.NUM_PENDING in said else _OF_EACH
        last = {name: said.get_all(name)[-1] for name in names if name in said}
        pairs = [
            (name, value)
            for name in said
            for value in (said.get_all(name)[:-1] if name in names else said.get_all(name))
        ]
        pending = last.get(Header.NUM_PENDING)
        try:
            return cls(
                last[Header.SUBJECT],
                int(last[Header.SEQUENCE]),
                msg.data,
                Headers(pairs, corrupt=said.corrupt),
                last[Header.STREAM],
                parse_ns(last[Header.TIME_STAMP]),
                None if pending is None else int(pending),
            )
        except (KeyError, ValueError) as error:
            raise InvalidAnswer("a stored message", repr(error)) from None
