"""Bytes from the server become events: the whole NATS client protocol, in any chunking.

The promise is h11's: any bytes either parse or raise `ProtocolError`, and every way of cutting them
into chunks gives the same events. Four paths give the same result and are tested against one
another: a run of messages with one control line is cut in one go; a control line seen before is
looked up whole; a plain `MSG` or `HMSG` line is split; anything else (lower case, tabs, bare LF, …)
goes through the tolerant path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Any, TypeAlias

from agents_core import jsonvalue
from agents_core.errors import InvalidMessage, ProtocolError
from agents_core.nats.msg import Msg

if TYPE_CHECKING:
    from agents_core.bus import Bus

LINE_BYTES_MAX = 64 * 1024
"""A control line other than INFO. The server's own limit is 4,096 for what clients send; what it
sends holds two subjects, and another server of a cluster may allow more."""

INFO_BYTES_MAX = 4 * 1024 * 1024
"""INFO lists every server of a cluster and has no limit of its own; 4,096 broke a peer."""

PAYLOAD_BYTES_MAX = 64 * 1024 * 1024
"""The largest `max_payload` that a server can be given."""

MEMO_LINES_MAX = 4096
"""Control lines remembered; more distinct ones than that are not worth a look-up."""

RUN_MIN = 8
"""Messages in a row with one control line before a run of them is expected, which then is thought
to go on for as long as it has lasted: so what is cut in vain is never more than what was not."""

RUN_BYTES = 16 * 1024
"""Bytes of a run that are cut at once."""

MEMO_CUTS_MAX = 64
"""Ways to cut a run that are remembered; one takes 32 KiB at the most, for empty messages."""

TAB = ord("\t")

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


Event: TypeAlias = Info | Ping | Pong | Ok | Err
"""What the server says about the connection; messages, the many, are kept apart from these few."""

Batch: TypeAlias = tuple[bytes, list[Msg]]
"""Messages in a row with the same subscription id."""


@dataclass(slots=True)
class Arrival:
    """What was complete in the bytes that came.

    Attributes:
        batches: the messages, in order.
        events: the events, in order.
        size: bytes of the messages' payloads.
    """

    batches: list[Batch] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    size: int = 0


_Line: TypeAlias = tuple[str, bytes, str, int, int]  # subject, sid, reply, header size, total size
_NOTHING: _Line = ("", b"", "", 0, 0)
_MESSAGES = frozenset({b"MSG", b"HMSG"})


class Parser:
    """Feed it what arrives; it adds the messages and the events that are complete.

    After a `ProtocolError` the parser is of no more use: the position in the stream is lost.

    Args:
        bus: where the messages come from, as they say.
    """

    def __init__(self, bus: Bus | None = None) -> None:
        self._bus = bus
        self._held: list[bytes] = []  # chunks of one incomplete item, joined once when it is whole
        self._size = 0  # bytes held
        self._wanted = 0  # bytes of that item; 0 as long as its control line is incomplete
        self._memo: dict[bytes, _Line] = {}

    def feed(self, data: bytes, arrival: Arrival) -> None:
        """Take a chunk and add what it completes.

        The arrival is the caller's, so that what came before an error in the same chunk is not lost
        with it.

        Raises:
            ProtocolError: the bytes are not NATS.
        """
        begin = 0
        if self._held:
            self._held.append(data)
            self._size += len(data)
            if self._incomplete(data):
                return
            if (
                self._wanted
            ):  # take no more of the chunk than the item needs: the rest stays as it is
                begin = len(data) - (self._size - self._wanted)
                self._held[-1] = data[:begin]
            else:
                begin = len(data)
            held = b"".join(self._held)
            self._held.clear()
            self._scan(held, 0, arrival)
        self._scan(data, begin, arrival)

    def _incomplete(self, data: bytes) -> bool:
        """Whether what is held needs yet another chunk, after this one."""
        if self._wanted:
            return self._size < self._wanted
        if b"\n" in data:
            return False
        if self._size > LINE_BYTES_MAX:  # its beginning says which bound it has
            self._held = [b"".join(self._held)]
            self._check_length(self._held[0])
        return True

    def _scan(self, data: bytes, begin: int, arrival: Arrival) -> None:
        """Parse complete items from `begin` on and hold the rest.

        What every message pays is in this loop, so it calls nothing but `bytes` and `Msg` for a
        message whose control line is that of the message before; and for a run of them, only `Msg`.
        """
        find, again, remembered = data.find, data.startswith, self._memo.get
        bus = self._bus
        length = same = 0
        last: bytes | tuple[()] = ()  # which nothing begins with
        msgs: list[Msg] = []
        batch_sid: bytes | None = None
        subject, sid, reply, header_size, size = _NOTHING
        while True:
            if again(last, begin):
                same += 1
                if same > RUN_MIN and not header_size:
                    payloads = _run(data, begin, length, size, same)
                    if payloads:
                        same += len(payloads)
                        msgs += [Msg(subject, found, reply, b"", sid, bus) for found in payloads]
                        arrival.size += len(payloads) * size
                        begin += len(payloads) * (length + size + 2)
                        continue
                    same = 0
                body = begin + length
            elif (end := find(b"\n", begin)) < 0:
                break
            else:
                line = data[begin:end]
                body = end + 1
                message = remembered(line) or self._control(line, arrival.events)
                if message is None:
                    begin = body
                    continue
                subject, sid, reply, header_size, size = message
                last, length, same = data[begin:body], body - begin, 0
                if sid != batch_sid:
                    batch_sid, msgs = sid, []
                    arrival.batches.append((sid, msgs))
            end = body + size
            if data[end : end + 2] != b"\r\n":
                self._hold(data, begin, end + 2)
                return
            middle = body + header_size
            block = data[body:middle] if header_size else b""
            msgs.append(Msg(subject, data[middle:end], reply, block, sid, bus))
            arrival.size += end - middle
            begin = end + 2
        if begin < len(data):
            self._check_length(data[begin:])
            self._hold(data, begin, 0)

    def _hold(self, data: bytes, begin: int, end: int) -> None:
        """Keep what begins at `begin` until the bytes before `end` are there; 0 for a line's end.

        The control line is kept with its payload and read again: that is less than to remember it.
        """
        if end and end <= len(data):
            raise ProtocolError("a payload is not followed by CRLF")
        self._held = [data[begin:]]
        self._size = len(data) - begin
        self._wanted = end and end - begin

    def _control(self, line: bytes, events: list[Event]) -> _Line | None:
        """Handle one line (without its LF).

        An event is appended, or a message's line is returned.
        """
        if len(line) > LINE_BYTES_MAX:
            self._check_length(line)
        words = line.removesuffix(b"\r").split(b" ")
        verb = words[0]
        if verb not in _MESSAGES or b"" in words or TAB in line:
            words = _words(line)
            if not words:
                raise ProtocolError("an empty line")
            verb = words[0].upper()
            if verb not in _MESSAGES:
                events.append(_event(verb, line.lstrip(b" \t")[len(verb) :], line))
                return None
        message = _message(words, verb == b"HMSG", line)
        if not message[2]:  # with a reply a line is seen once; without, again and again
            if len(self._memo) == MEMO_LINES_MAX:
                self._memo.clear()
            self._memo[line] = message
        return message

    def _check_length(self, line: bytes) -> None:
        """Bound a line, whole or not: a peer that never ends it must not fill the memory."""
        limit = INFO_BYTES_MAX if line[:5].upper().startswith(b"INFO") else LINE_BYTES_MAX
        if len(line) > limit:
            raise ProtocolError(f"a control line of more than {limit} bytes")


def _run(data: bytes, begin: int, length: int, size: int, most: int) -> tuple[bytes, ...]:
    """Cut messages with one control line, of that length, from `begin` on; give the payloads.

    The cut is by length alone, and proven by putting together again what should have been there.
    Nothing is given if the messages are not all alike, or too few.
    """
    line = data[begin : begin + length]
    each = length + size + 2
    most = min(most, min(RUN_BYTES, len(data) - begin) // each)
    count = 1 << most.bit_length() >> 1  # a power of two, so that there are few ways to cut
    while count >= RUN_MIN and not data.startswith(line, begin + (count - 1) * each):
        count //= 2
    if count < RUN_MIN:
        return ()
    payloads = _cutter(length, size, count).unpack_from(data, begin)
    run = b"%b%b\r\n" % (line, (b"\r\n" + line).join(payloads))
    return payloads if data.startswith(run, begin) else ()


@lru_cache(MEMO_CUTS_MAX)
def _cutter(length: int, size: int, count: int) -> Struct:
    """What cuts so many messages in one call.

    To make it takes longer than to cut once, and to go through them by `iter_unpack` takes four
    times as long.
    """
    return Struct(f"{length}x{size}s2x" * count)


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
    return [w for w in line.removesuffix(b"\r").replace(b"\t", b" ").split(b" ") if w]


def _message(words: list[bytes], headers: bool, line: bytes) -> _Line:
    """Read `MSG subject sid [reply] size` or `HMSG subject sid [reply] header-size size`."""
    header_size = _length(words.pop(-2), line) if headers and len(words) > 1 else 0
    if len(words) == 5:
        reply = words[3].decode("utf-8", "surrogateescape")
    elif len(words) == 4:
        reply = ""
    else:
        raise ProtocolError(f"wrong number of words in {line[:64]!r}")
    size = _length(words[-1], line)
    if header_size > size or size > PAYLOAD_BYTES_MAX:
        raise ProtocolError(f"impossible size in {line[:64]!r}")
    return words[1].decode("utf-8", "surrogateescape"), words[2], reply, header_size, size


def _length(word: bytes, line: bytes) -> int:
    if len(word) > DIGITS_MAX or not word.isdigit():
        raise ProtocolError(f"{word[:16]!r} is not a size in {line[:64]!r}")
    return int(word)
