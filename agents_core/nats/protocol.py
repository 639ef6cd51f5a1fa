"""One NATS connection without I/O: bytes in, events out; calls in, bytes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents_core.errors import MaxPayloadExceeded, ProtocolError
from agents_core.nats import commands
from agents_core.nats.headers import HeadersLike, encode_headers
from agents_core.nats.msg import Msg
from agents_core.nats.parser import Event, Info, Parser, Ping
from agents_core.nats.subject import check_subject, check_word

MAX_PAYLOAD_DEFAULT = 1024 * 1024
"""The server's default, used until its INFO says otherwise."""

ONCE = "$JS.ACK."
"""How a subject begins that is used once: to remember it would push out those that are not."""

SUBJECTS_MAX = 4096
"""Subjects remembered as checked and encoded."""


def encode_publish(
    subject: str,
    payload: bytes,
    reply: str,
    headers: HeadersLike | None,
    max_payload: int,
    *,
    loose: bool = False,
) -> bytes:
    """One `PUB` or `HPUB` frame, checked here because the server would drop the connection instead.

    With `loose`, subjects are checked only for what would break the control line.

    Raises:
        InvalidSubject: `subject` or `reply` can't be published to.
        InvalidHeader: a header can't be sent.
        MaxPayloadExceeded: headers and payload are larger than `max_payload`.
    """
    block = encode_headers(headers) if headers else b""
    size = len(block) + len(payload)
    if size > max_payload:
        raise MaxPayloadExceeded(size, max_payload)
    target = _loose_target(subject) if loose else targets[subject]
    if reply:
        check_word(reply) if loose else check_subject(reply)
        target = b"%b%b " % (target, reply.encode("utf-8", "surrogateescape"))
    if block:
        return b"HPUB %b%d %d\r\n%b%b\r\n" % (target, len(block), size, block, payload)
    return b"PUB %b%d\r\n%b\r\n" % (target, size, payload)


class Targets(dict[str, bytes]):
    """Subjects, checked, as they stand in a control line.

    They are remembered, as most messages go where others went before.
    """

    def __missing__(self, subject: str) -> bytes:
        check_subject(subject)
        target = b"%b " % subject.encode("utf-8", "surrogateescape")
        if not subject.startswith(ONCE):
            if len(self) == SUBJECTS_MAX:
                self.clear()
            self[subject] = target
        return target


targets = Targets()


def _loose_target(subject: str) -> bytes:
    check_word(subject)
    return b"%b " % subject.encode("utf-8", "surrogateescape")


def check_publish(
    subject: str, reply: str, size: int, max_payload: int, *, loose: bool = False
) -> None:
    """The checks of a publish, for buses that send no bytes too.

    Raises:
        InvalidSubject: `subject` or `reply` can't be published to.
        MaxPayloadExceeded: `size`, of headers and payload, is larger than `max_payload`.
    """
    check = check_word if loose else check_subject
    check(subject)
    if reply:
        check(reply)
    if size > max_payload:
        raise MaxPayloadExceeded(size, max_payload)


class Protocol:
    """The state of one connection, from the server's first INFO to its end.

    Feed what arrives to `receive_data` and write what `data_to_send` returns. PING is answered
    here, before anybody sees the message behind it. What is sent is a list of whole frames, so
    nothing can get inside of one.

    Attributes:
        info: the server's INFO, merged over time; empty until it has come.
        send: append one whole frame, made by `encode_publish` or `commands`.
    """

    def __init__(self) -> None:
        self.info: dict[str, Any] = {}
        self._parser = Parser()
        self._out: list[bytes] = []
        self._pongs: list[bytes] = []
        self.send = self._out.append

    @property
    def max_payload(self) -> int:
        """Bytes of headers and payload that the server accepts in one message."""
        value = self.info.get("max_payload")
        return value if isinstance(value, int) and value > 0 else MAX_PAYLOAD_DEFAULT

    @property
    def nonce(self) -> str:
        """What the server wants to have signed; empty if it knows no keys."""
        value = self.info.get("nonce")
        return value if isinstance(value, str) else ""

    def receive_data(self, data: bytes, msgs: list[Msg], events: list[Event]) -> None:
        """Take what arrived; append the messages and events that it completes, PING left out.

        Raises:
            ProtocolError: the bytes are not NATS. What came before it is in the lists; the
                connection has to be dropped.
        """
        arrived: list[Event] = []
        try:
            self._parser.feed(data, msgs, arrived)
        finally:
            for event in arrived:
                self._handle(event, events)

    def _handle(self, event: Event, events: list[Event]) -> None:
        if isinstance(event, Info):
            self.info = {**self.info, **event.data}
        elif isinstance(event, Ping):
            self._pongs.append(commands.PONG)
            return
        events.append(event)

    @property
    def must_answer(self) -> bool:
        """A PING waits for its PONG: write now, before user code runs."""
        return bool(self._pongs)

    def connect(self, options: Mapping[str, object]) -> None:
        """Answer the first INFO with CONNECT, and a PING whose PONG says that the server took it.

        Raises:
            ProtocolError: there was no INFO yet.
        """
        if not self.info:
            raise ProtocolError("CONNECT before the server's INFO")
        self._out += (commands.connect(options), commands.PING)

    def data_to_send(self) -> list[bytes]:
        """Take the frames to write, answers to PING first."""
        frames = self._pongs + self._out
        self._pongs.clear()
        self._out.clear()
        return frames
