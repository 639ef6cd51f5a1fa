"""What is sent: whole frames, in pieces that are joined when they are written."""

from __future__ import annotations

from typing import TypeAlias

from agents_core.bus import Stats
from agents_core.errors import MaxPayloadExceeded
from agents_core.nats.headers import HeadersLike, encode_headers
from agents_core.nats.subject import check_subject, check_word

Frame: TypeAlias = tuple[bytes, bytes, bytes, bytes]
"""A frame in four pieces: verb and subjects, lengths and headers, payload, end.

To join them only once, when they are written, is what makes publishing fast. A command has only the
second piece, so the first tells whether it is a message.
"""

PIECES = 4

FRAME_BYTES = 64
"""What a frame takes beside its payload, roughly: enough for most subjects."""

CRLF = b"\r\n"

ONCE = "$JS.ACK."
"""How a subject begins that is used once: to remember it would push out those that are not."""

MEMO_MAX = 4096
"""Subjects, and lengths, remembered as they stand in a control line."""


class Targets(dict[str, bytes]):
    """Subjects, checked, as they stand in a control line.

    They are remembered, as most messages go where others went before.

    Args:
        loose: check only for what would break the control line.
    """

    def __init__(self, *, loose: bool = False) -> None:
        super().__init__()
        self.check = check_word if loose else check_subject

    def __missing__(self, subject: str) -> bytes:
        self.check(subject)
        target = b"PUB %b " % subject.encode("utf-8", "surrogateescape")
        if not subject.startswith(ONCE):
            if len(self) == MEMO_MAX:
                self.clear()
            self[subject] = target
        return target

    def with_reply(self, subject: str, reply: str) -> bytes:
        """A subject with the one that an answer is expected on."""
        target = self[subject]
        self.check(reply)
        return b"%b%b " % (target, reply.encode("utf-8", "surrogateescape"))


class Lengths(dict[int, bytes]):
    """Lengths of payloads as they end a control line."""

    def __missing__(self, size: int) -> bytes:
        if len(self) == MEMO_MAX:
            self.clear()
        length = self[size] = b"%d\r\n" % size
        return length


strict_targets = Targets()
loose_targets = Targets(loose=True)
lengths = Lengths()


def encode_publish(
    subject: str,
    payload: bytes,
    reply: str,
    headers: HeadersLike | None,
    max_payload: int,
    targets: Targets = strict_targets,
) -> Frame:
    """One `PUB` or `HPUB`, checked here because the server would drop the connection instead.

    Raises:
        TypeError: the payload is not bytes, and nothing like bytes.
        InvalidSubject: `subject` or `reply` can't be published to.
        InvalidHeader: a header can't be sent.
        MaxPayloadExceeded: headers and payload are larger than `max_payload`.
    """
    if type(payload) is not bytes:  # it may change before it is written
        payload = bytes(memoryview(payload))
    block = encode_headers(headers) if headers else b""
    size = len(block) + len(payload)
    if size > max_payload:
        raise MaxPayloadExceeded(size, max_payload)
    target = targets.with_reply(subject, reply) if reply else targets[subject]
    if block:
        return b"H" + target, b"%d %d\r\n%b" % (len(block), size, block), payload, CRLF
    return target, lengths[size], payload, CRLF


def command(line: bytes) -> Frame:
    """What is no message, as of `commands`."""
    return b"", line, b"", b""


def size_of(frame: Frame) -> int:
    """Bytes of headers and payload of a message; of each of a run's, which are alike."""
    return int(frame[1].partition(CRLF)[0].rpartition(b" ")[2])


class Run(list[bytes]):
    """Payloads of one length for one subject, to which a client appends by itself.

    They have one control line, so all of them become one frame, in one call.

    Args:
        subject: where they go.
        frame: of the message before, which was like them.
        room: bytes that they may take.

    Attributes:
        subject: where they go.
        length: bytes of each.
        most: how many there may be.
    """

    __slots__ = ("_line", "length", "most", "subject")

    def __init__(self, subject: str, frame: Frame, room: int) -> None:
        super().__init__()
        target, line_end, payload, _ = frame
        self.subject = subject
        self.length = len(payload)
        self.most = room // (self.length + FRAME_BYTES)
        self._line = target, line_end

    @property
    def size(self) -> int:
        """Bytes that they take, of which `FRAME_BYTES` are a guess."""
        return len(self) * (self.length + FRAME_BYTES)

    def frame(self) -> Frame:
        """All of them; the control lines between them are in the piece of the payload."""
        target, line_end = self._line
        return target, line_end, (CRLF + target + line_end).join(self), CRLF


class Frames:
    """Frames that wait to be written.

    Args:
        stats: where messages are counted that a client appends by itself.

    Attributes:
        pieces: of all of them but for the run, in order.
        run: what comes behind the pieces; None if the client may not append to one.
        room: what a client may append by itself: payloads and `FRAME_BYTES` for each. 0 if
            something has to be done first.
    """

    __slots__ = ("_granted", "_seen", "_size", "_stats", "pieces", "room", "run")

    def __init__(self, stats: Stats) -> None:
        self.pieces: list[bytes] = []
        self.run: Run | None = None
        self.room = 0
        self._granted = 0  # of which `room` is left
        self._size = 0  # of the first `_seen` pieces
        self._seen = 0
        self._stats = stats

    def __len__(self) -> int:
        return len(self.pieces) // PIECES + len(self.run or ())

    @property
    def size(self) -> int:
        """Bytes that wait; of what a client appended by itself, `FRAME_BYTES` are a guess."""
        run = self.run.size if self.run else 0
        return self._size + self._granted - self.room + run

    def count(self) -> None:
        """Count what a client has appended by itself, as it leaves that to us: it is in a hurry."""
        self.end_run()
        if self.room == self._granted:
            return
        size = self._granted - self.room
        msgs = (len(self.pieces) - self._seen) // PIECES
        self._stats.out_msgs += msgs
        self._stats.out_bytes += size - msgs * FRAME_BYTES
        self._size += size
        self._seen = len(self.pieces)
        self._granted = self.room

    def add(self, frame: Frame) -> None:
        """Append a frame."""
        self.count()
        self.pieces += frame
        self._size += sum(map(len, frame))
        self._seen += PIECES

    def grant(self, room: int) -> None:
        """Let the client append by itself from now on, or no more with 0."""
        self.count()
        self._granted = self.room = room

    def begin_run(self, subject: str, frame: Frame) -> None:
        """Let the client append to a run what is like this frame, which was the last one."""
        if self.room:
            self.run = Run(subject, frame, self.room)

    def end_run(self) -> None:
        """Make a frame of the run, if there is one: what comes next is not like it."""
        run, self.run = self.run, None
        if run:
            self._stats.out_msgs += len(run)
            self._stats.out_bytes += len(run) * run.length
            self.add(run.frame())
            self.grant(self.room - run.size)

    def take(self) -> list[bytes]:
        """All pieces, which wait here no longer."""
        self.count()
        pieces = self.pieces
        self.pieces = []
        self.room = self._granted = self._size = self._seen = 0
        return pieces

    def take_messages(self) -> list[Frame]:
        """The same as frames, without commands; of a run all messages are in one."""
        pieces = iter(self.take())
        return [frame for frame in zip(pieces, pieces, pieces, pieces, strict=True) if frame[0]]
