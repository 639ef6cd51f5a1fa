"""Calls, answers and news between two interpreters, joined once per turn of the loop.

Both sides have one. A frame's header is `[verb, number, …]`: a call has a number, its answer is
`=` or `!` with the same one, news has the number 0. Calls whose answer is nothing but that they are
done are answered together, by `+` and their numbers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from agents_core import faults
from agents_core.codec import Encoded
from agents_core.errors import AgentsError, InvalidMessage, OutboundBufferFull
from agents_core.hosts import frames
from agents_core.hosts.pipe import Line
from agents_core.mailbox import Reply

UNREAD_BYTES_MAX = 8 * 1024 * 1024
"""Bytes that the other side has not read yet, as `outbound buffer` of a connection."""

READ_BYTES = 256 * 1024
"""Bytes after which the other side is told that they were read."""

_DONE = Encoded("", b"")

Verbs: TypeAlias = "Mapping[str, Callable[..., None]]"
"""What each verb does; called with where the answer goes, the payload, and the frame's fields."""


class Channel:
    """One end.

    Args:
        verbs: what the other side may say, answers apart.
    """

    def __init__(self, verbs: Verbs) -> None:
        self._error: AgentsError | None = None
        self._verbs = verbs
        self._pipe: Line | None = None
        self._reader = frames.Reader()
        self._frames: list[bytes] = []
        self._told: list[int] = []
        self._due = False
        self._unread = 0
        self._read = 0
        self._calls: dict[int, Reply] = {}
        self._last = 0

    def attach(self, pipe: Line) -> None:
        """What was posted before goes out now."""
        self._pipe = pipe
        self.flush()

    @property
    def closed(self) -> bool:
        """Whether the other side is gone."""
        return self._error is not None

    # -- sending

    @property
    def room(self) -> bool:
        """Whether the other side keeps up."""
        return self._unread < UNREAD_BYTES_MAX

    def check(self) -> None:
        """Refuse more while the other side does not keep up.

        Raises:
            OutboundBufferFull: it does not.
        """
        if not self.room:
            raise OutboundBufferFull(UNREAD_BYTES_MAX)

    def post(self, verb: str, *fields: Any, number: int = 0, payload: bytes = b"") -> None:
        """Send at the end of this turn.

        Raises:
            MaxPayloadExceeded: it is too large.
        """
        if self.closed:
            return
        frame = frames.pack([verb, number, *fields], payload)
        self._frames.append(frame)
        self._unread += len(frame)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._due and self._pipe is not None:
            self._due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def call(self, reply: Reply, verb: str, *fields: Any, payload: bytes = b"") -> None:
        """Send, and give `reply` the answer, as an `Encoded`.

        Raises:
            MaxPayloadExceeded: it is too large.
        """
        if self._error is not None:
            reply.set_exception(self._error)
            return
        self.post(verb, *fields, number=self._last + 1, payload=payload)
        self._last += 1
        self._calls[self._last] = reply

    async def ask(self, verb: str, *fields: Any, payload: bytes = b"") -> Any:
        """Call, and return the answer's JSON value.

        Raises:
            AgentsError: what the other side refused with.
            HostLost: it is gone.
        """
        future: asyncio.Future[Encoded] = asyncio.get_running_loop().create_future()
        self.call(future, verb, *fields, payload=payload)
        return (await future).plain()

    def flush(self) -> None:
        """Send now: whoever blocks the loop for long has to say that it lives."""
        self._due = True  # what is posted here goes along
        if self._told:
            told, self._told = self._told, []
            self.post("+", told)
        if self._frames and self._pipe is not None:
            data, self._frames = b"".join(self._frames), []
            self._pipe.post(data)
        self._due = False

    # -- arriving

    def arrived(self, data: bytes) -> None:
        """Take bytes of the other side.

        Raises:
            InvalidMessage: they are not what it may send.
        """
        for header, payload in self._reader.feed(data):
            if self.closed:
                return  # by one of the frames before
            match header:
                case ["=", int(number), str(name)]:
                    self._answered(number, Encoded(name, payload))
                case ["+", 0, list(numbers)]:
                    for number in numbers:
                        self._answered(number, _DONE)
                case ["!", int(number)]:
                    error = faults.from_json(json.loads(payload), "", inside=True)
                    self._answered(number, error)
                case ["read", 0, int(count)]:
                    self._unread -= count
                case [str(verb), int(number), *fields] if verb in self._verbs:
                    self._verbs[verb](PipeReply(self, number), payload, *fields)
                case _:
                    raise InvalidMessage(f"no frame begins with {str(header)[:100]}")
        self._read += len(data)
        if self._read >= READ_BYTES:
            self.post("read", self._read)
            self._read = 0

    def _answered(self, number: int, answer: Encoded | AgentsError) -> None:
        reply = self._calls.pop(number, None)
        if reply is None or reply.done():
            return  # nobody waits any more
        if isinstance(answer, Encoded):
            reply.set_result(answer)
        else:
            reply.set_exception(answer)

    def told(self, number: int) -> None:
        """Answer a call whose caller only wants to know that it is done."""
        if not self.closed:
            self._told.append(number)
            self._flush_soon()

    def answer(self, number: int, value: object) -> None:
        """Answer a call; a value that can't be sent is answered with the reason."""
        try:
            encoded = Encoded.of(value)
            self.post("=", encoded.name, number=number, payload=encoded.data)
        except AgentsError as error:
            self.refuse(number, error)

    def refuse(self, number: int, error: Exception) -> None:
        """Answer a call with an error."""
        body = json.dumps(faults.to_json(error, inside=True), default=str).encode()
        self.post("!", number=number, payload=body)

    # -- ending

    def close(self, error: AgentsError) -> None:
        """Send nothing any more, and tell whoever waits."""
        self._error = error
        self._frames.clear()
        self._told.clear()
        waiting, self._calls = self._calls, {}
        for reply in waiting.values():
            if not reply.done():
                reply.set_exception(error)


class PipeReply:
    """A `Reply` on the other side of a channel.

    Attributes:
        wanted: whether anybody cares for the result, or only that there is one.
    """

    __slots__ = ("_channel", "_done", "_number", "wanted")

    def __init__(self, channel: Channel, number: int) -> None:
        self.wanted = True
        self._channel = channel
        self._number = number
        self._done = False

    def done(self) -> bool:
        """Whether it was answered, or nobody is there any more."""
        return self._done or self._channel.closed

    def set_result(self, result: Any) -> None:
        """Answer."""
        self._done = True
        if self.wanted:
            self._channel.answer(self._number, result)
        else:
            self._channel.told(self._number)

    def set_exception(self, exception: Exception) -> None:
        """Answer with an error."""
        self._done = True
        self._channel.refuse(self._number, exception)
