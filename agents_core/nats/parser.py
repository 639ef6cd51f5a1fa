"""Bytes from the server become events: the whole NATS client protocol, in any chunking.

The promise is h11's: any bytes either parse or raise `ProtocolError`, and every way of cutting them
into chunks gives the same events. Three paths give the same result and are tested against one
another: a control line seen before is looked up whole; a plain `MSG` or `HMSG` line is split;
anything else (lower case, tabs, bare LF, …) goes through the tolerant path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agents_core import jsonvalue
from agents_core.errors import InvalidMessage, ProtocolError
from agents_core.nats.msg import Msg

LINE_BYTES_MAX = 64 * 1024
"""A control line other than INFO. The server's own limit is 4,096 for what clients send; what it
sends holds two subjects, and another server of a cluster may allow more."""

INFO_BYTES_MAX = 4 * 1024 * 1024
"""INFO lists every server of a cluster and has no limit of its own.

4,096 broke a peer (facts: nats.md 1).
"""

PAYLOAD_BYTES_MAX = 64 * 1024 * 1024
"""The largest `max_payload` that a server can be given."""

MEMO_LINES_MAX = 4096
"""Control lines remembered; more distinct ones than that are not worth a look-up."""

DIGITS_MAX = 10
"""Digits of a length; more are not a length but an attack on `int`."""


@dataclass(frozen=True, slots=True)
class Info:
    """The server describes itself; may come at any time."""

    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ping:
    """The server asks whether we live."""


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to the oldest PING that waits for one."""


@dataclass(frozen=True, slots=True)
class Ok:
    """`+OK`, only in verbose mode."""


@dataclass(frozen=True, slots=True)
class Err:
    """`-ERR`, the text without its quotes."""

    text: str


Event: TypeAlias = Msg | Info | Ping | Pong | Ok | Err
_Line: TypeAlias = tuple[str, bytes, str, int, int]  # subject, sid, reply, header size, total size


class Parser:
    """Feed it what arrives; it appends what that completes.

    After a `ProtocolError` the parser is of no more use: the position in the stream is lost.
    """

    def __init__(self) -> None:
        self._data = b""  # what is left of the last chunk: an incomplete line
        self._scanned = 0  # bytes of `_data` that hold no line end: nothing is searched twice
        self._line: _Line | None = None  # the control line whose payload is awaited
        self._parts: list[bytes] = []  # chunks of that payload, joined once when it is whole
        self._missing = 0  # bytes that it still lacks, the final CRLF included
        self._memo: dict[bytes, _Line] = {}

    def feed(self, data: bytes, events: list[Event]) -> None:
        """Take a chunk and append the events that are complete now.

        The list is the caller's, so that what came before an error in the same chunk is not lost
        with it.

        Raises:
            ProtocolError: the bytes are not NATS.
        """
        if self._line is not None:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._parts)
            self._parts = []
            position = self._payload(data, 0, self._line, events)
        else:
            data = self._data + data if self._data else data
            position = 0
        self._scan(data, position, events)

    def _scan(self, data: bytes, position: int, events: list[Event]) -> None:
        """Parse complete items from `position` on and keep the rest."""
        find, lookup = data.find, self._memo.get
        begin = position
        search = position + self._scanned
        while (end := find(b"\n", search)) >= 0:
            line = data[begin:end]
            message = lookup(line) or self._control(line, events)
            begin = search = end + 1
            if message is not None:
                begin = search = self._payload(data, begin, message, events)
                if self._line is not None:
                    return
        rest = data[begin:]
        self._check_length(rest)
        self._data, self._scanned = rest, len(rest)

    def _payload(self, data: bytes, begin: int, line: _Line, events: list[Event]) -> int:
        """Deliver the message whose payload begins at `begin`, or keep what is there.

        Return the new position.
        """
        subject, sid, reply, header_size, size = line
        end = begin + size
        if end + 2 > len(data):
            self._line, self._parts = line, [data[begin:]]
            self._missing = end + 2 - len(data)
            self._data, self._scanned = b"", 0
            return len(data)
        if data[end : end + 2] != b"\r\n":
            raise ProtocolError("a payload is not followed by CRLF")
        self._line = None
        self._scanned = 0
        middle = begin + header_size
        events.append(Msg(subject, data[middle:end], reply, data[begin:middle], sid))
        return end + 2

    def _control(self, line: bytes, events: list[Event]) -> _Line | None:
        """Handle one line (without its LF).

        An event is appended, or a message's line is returned.
        """
        self._check_length(line)
        if line.startswith((b"MSG ", b"HMSG ")) and line.endswith(b"\r"):
            words = line[:-1].split(b" ")
            message = _message(_words(line) if b"" in words or b"\t" in line else words, line)
            if not message[2]:  # with a reply a line is seen once; without, again and again
                if len(self._memo) == MEMO_LINES_MAX:
                    self._memo.clear()
                self._memo[line] = message
            return message
        words = _words(line)
        if not words:
            raise ProtocolError("an empty line")
        verb = words[0].upper()
        if verb in {b"MSG", b"HMSG"}:
            return _message(words, line)
        events.append(_event(verb, line.lstrip(b" \t")[len(verb) :], line))
        return None

    def _check_length(self, line: bytes) -> None:
        """Bound a line, whole or not: a peer that never ends it must not fill the memory."""
        limit = INFO_BYTES_MAX if line[:5].upper().startswith(b"INFO") else LINE_BYTES_MAX
        if len(line) > limit:
            raise ProtocolError(f"a control line of more than {limit} bytes")


def _event(verb: bytes, rest: bytes, line: bytes) -> Event:
    """A line that is not a message.

    The server's own clients accept any tail after PING, PONG and +OK.
    """
    if verb == b"INFO":
        return Info(_info(rest))
    if verb == b"-ERR":
        return Err(rest.strip().removeprefix(b"'").removesuffix(b"'").decode("utf-8", "replace"))
    for prefix, event in ((b"PING", Ping()), (b"PONG", Pong()), (b"+OK", Ok())):
        if verb.startswith(prefix):
            return event
    raise ProtocolError(f"unknown operation {line[:64]!r}")


def _info(text: bytes) -> dict[str, Any]:
    try:
        data = jsonvalue.loads(text)
    except InvalidMessage as error:
        raise ProtocolError(f"INFO: {error.reason}") from None
    if not isinstance(data, dict):
        raise ProtocolError("INFO is not a JSON object")
    return data


def _words(line: bytes) -> list[bytes]:
    """Split at spaces and tabs, and at nothing else: a subject may hold any other byte."""
    return [w for w in line.rstrip(b"\r").replace(b"\t", b" ").split(b" ") if w]


def _message(words: list[bytes], line: bytes) -> _Line:
    """Read `MSG subject sid [reply] size` or `HMSG subject sid [reply] header-size size`."""
    headers = words[0][0] in b"Hh"
    sizes = 2 if headers else 1
    if len(words) not in {3 + sizes, 4 + sizes}:
        raise ProtocolError(f"wrong number of words in {line[:64]!r}")
    size = _length(words[-1], line)
    header_size = _length(words[-2], line) if headers else 0
    if header_size > size or size > PAYLOAD_BYTES_MAX:
        raise ProtocolError(f"impossible size in {line[:64]!r}")
    reply = words[3].decode("utf-8", "surrogateescape") if len(words) == 4 + sizes else ""
    return words[1].decode("utf-8", "surrogateescape"), words[2], reply, header_size, size


def _length(word: bytes, line: bytes) -> int:
    if not word.isdigit() or len(word) > DIGITS_MAX:
        raise ProtocolError(f"{word[:16]!r} is not a size in {line[:64]!r}")
    return int(word)
