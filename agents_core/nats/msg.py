"""A message as it arrives."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from agents_core.errors import ConnectionClosed, InvalidSubject
from agents_core.nats.headers import Headers, HeadersLike, parse_headers, parse_status

if TYPE_CHECKING:
    from agents_core.bus import Bus


class Msg:
    """A NATS message; its headers are parsed when first read.

    Attributes:
        subject: where it was published; bytes that are not UTF-8 are kept by `surrogateescape`.
        reply: where an answer is expected, or the empty string.
        data: the payload.
        raw_headers: the header block as it came, `NATS/1.0` line included; empty without headers.
        sid: the subscription id that the server named, opaque.
        bus: where it came from, and where `respond` publishes; None for a message made by hand.
    """

    __slots__ = ("_headers", "bus", "data", "raw_headers", "reply", "sid", "subject")

    def __init__(
        self,
        subject: str,
        data: bytes = b"",
        reply: str = "",
        raw_headers: bytes = b"",
        sid: bytes = b"",
        bus: Bus | None = None,
    ) -> None:
        self.subject = subject
        self.data = data
        self.reply = reply
        self.raw_headers = raw_headers
        self.sid = sid
        self.bus = bus

    @property
    def headers(self) -> Headers:
        """The headers (ADR-4); of a corrupt block what can be read, with its `corrupt` set."""
        try:
            return self._headers
        except AttributeError:  # not yet; to say so in each message would cost more
            self._headers: Headers = parse_headers(self.raw_headers)
            return self._headers

    @property
    def status(self) -> int:
        """The code of the status line (100, 404, 503, …), or 0 without one."""
        return parse_status(self.raw_headers)[0] if self.raw_headers else 0

    @property
    def description(self) -> str:
        """The words after the status code, or the empty string."""
        return parse_status(self.raw_headers)[1] if self.raw_headers else ""

    def respond(self, data: bytes = b"", headers: HeadersLike | None = None) -> Awaitable[None]:
        """Publish an answer to `reply`.

        Raises:
            InvalidSubject: the message asks for no answer.
            ConnectionClosed: the message did not come from a connection.
        """
        if not self.reply:
            raise InvalidSubject("", f"the message on {self.subject!r} asks for no answer")
        if self.bus is None:
            raise ConnectionClosed()
        return self.bus.publish(self.reply, data, headers=headers)

    def __repr__(self) -> str:
        return f"Msg({self.subject!r}, {len(self.data)} bytes, reply={self.reply!r})"
