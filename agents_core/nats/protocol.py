"""One NATS connection without I/O: bytes in, events out; calls in, bytes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agents_core.errors import MaxPayloadExceeded, ProtocolError
from agents_core.nats import commands
from agents_core.nats.frames import Frames, command
from agents_core.nats.parser import Arrival, Event, Info, Parser, Ping
from agents_core.nats.subject import check_subject, check_word

if TYPE_CHECKING:
    from agents_core.bus import Bus

MAX_PAYLOAD_DEFAULT = 1024 * 1024
"""The server's default, used until its INFO says otherwise."""


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

    Args:
        bus: where the messages come from, and whose counters count those that it sends.

    Attributes:
        info: the server's INFO, merged over time; empty until it has come.
        max_payload: bytes of headers and payload that the server accepts in one message.
        frames: what is sent next; behind answers to PING.
    """

    def __init__(self, bus: Bus) -> None:
        self.info: dict[str, Any] = {}
        self.max_payload = MAX_PAYLOAD_DEFAULT
        self._bus = bus
        self._parser = Parser(bus)
        self.frames = Frames(bus.stats)
        self._pongs: list[bytes] = []

    @property
    def nonce(self) -> str:
        """What the server wants to have signed; empty if it knows no keys."""
        value = self.info.get("nonce")
        return value if isinstance(value, str) else ""

    def begin_anew(self) -> None:
        """Forget what has begun to arrive: TLS begins, and it came in the clear, from anybody."""
        self._parser = Parser(self._bus)

    def receive_data(self, data: bytes, arrival: Arrival) -> None:
        """Take what came; add the messages and events that it completes.

        Raises:
            ProtocolError: the bytes are not NATS. What came before it is in the arrival; the
                connection has to be dropped.
        """
        seen = len(arrival.events)
        try:
            self._parser.feed(data, arrival)
        finally:
            for event in arrival.events[seen:]:
                self._handle(event)

    def _handle(self, event: Event) -> None:
        if isinstance(event, Info):
            self.info = {**self.info, **event.data}
            self.max_payload = _max_payload(self.info.get("max_payload"))
        elif isinstance(event, Ping):
            self._pongs.append(commands.PONG)

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
        self.frames.add(command(commands.connect(options)))
        self.frames.add(command(commands.PING))

    def data_to_send(self) -> bytes:
        """Take what is to be written, answers to PING first."""
        data = b"".join(self._pongs + self.frames.take())
        self._pongs.clear()
        return data


def _max_payload(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else MAX_PAYLOAD_DEFAULT
