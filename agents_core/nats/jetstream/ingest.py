"""Many messages stored fast, with few acknowledgements, at the server's pace (ADR-50, server 2.14).

Everything about a batch is in the reply subject of its messages:
`<inbox>.<id>.<acknowledge every>.<gaps>.<number>.<operation>.$FI`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, Unpack

from agents_core.bus import Status, Subscription
from agents_core.errors import AgentsError, OutboundBufferFull, Unsupported
from agents_core.nats.callbacks import Callbacks
from agents_core.nats.headers import HeadersLike
from agents_core.nats.jetstream.api import API, read_object
from agents_core.nats.jetstream.bounds import whole
from agents_core.nats.jetstream.errors import (
    APIError,
    BatchEnded,
    BatchGap,
    BatchLost,
    InvalidAnswer,
    InvalidOption,
    NoStreamResponse,
)
from agents_core.nats.jetstream.publish import (
    PubAck,
    PublishOptions,
    check_last,
    publish_headers,
    read_ack,
)
from agents_core.nats.msg import Msg
from agents_core.nats.options import NotifyError
from agents_core.nats.requests import is_no_responders
from agents_core.timers import Timer, check_seconds

GapPolicy: TypeAlias = Literal["fail", "ok"]
"""What becomes of a batch when one of its messages does not reach the stream, or is refused.

`fail` ends it there: what is stored is in order and without a gap. `ok` goes on without that
message, for readings of which one does not matter.
"""

ACK_EVERY = 100
ACK_EVERY_MAX = 65_535
"""Messages for one acknowledgement: what is asked for by default, as in the Go client, and at most.
The server takes it for the upper bound, never goes beyond 500, and begins with 1 when others are
publishing."""

OUTSTANDING = 2
OUTSTANDING_MAX = 3
"""Acknowledgements that may be missing: while the server works for one, messages for the next are
on their way. Three are for long distances (ADR-50)."""

BYTES_MAX = 16 * 1024 * 1024
"""Bytes after which the server is asked whether it has them all, however few messages they are: it
refuses what it has no room for, and keeps 128 MiB that wait for a stream."""

GIVE_UP_S = 10.0
"""Seconds without progress after which a batch is given up: so long the server keeps one without a
message, and in a cluster a new leader is there after about five."""

BEAT_S = 1.0
"""Seconds of silence after which the server is asked how far it is; a quiet batch lives by this."""

UNKNOWN_BATCH = 10208

START, ADD, COMMIT, COMMIT_WITHOUT, PING = "01234"

_ADDED = re.compile(r".*\.(\d{1,20})\.[01]\.\$FI")


class FastIngest:
    """A batch under way: `add` messages, then `commit`. Made by `js.fast_ingest()`.

    Left in order, `async with` commits. The stream needs `allow_batched`, and all messages have to
    be of one stream. Each is stored when it arrives, also if the batch never comes to its end.

    Nothing of it is kept here or sent twice. A lost connection does not end it: on the next one the
    server is asked how far it is, and a message that went astray is a gap.

    Attributes:
        id: the server's name for it.
        acked: number of the last message that the server has acknowledged. With `gaps="fail"` it
            and all before it are stored; with `ok` all but the missing ones.
        missing: with `gaps="ok"`, messages that are known not to be stored.
        ack: of the whole, once it is committed.
    """

    def __init__(
        self,
        api: API,
        gaps: GapPolicy = "fail",
        ack_every: int = ACK_EVERY,
        max_outstanding: int = OUTSTANDING,
        timeout: float = GIVE_UP_S,
        error_cb: NotifyError | None = None,
    ) -> None:
        if gaps not in ("fail", "ok"):
            raise InvalidOption("gaps", "fail or ok")
        whole("ack_every", ack_every, 1, ACK_EVERY_MAX)  # a token of the reply subjects
        whole("max_outstanding", max_outstanding, 1, OUTSTANDING_MAX)
        check_seconds(timeout, "timeout")
        if timeout <= 0:
            raise InvalidOption("timeout", "more than 0 s")
        self._bus, self._timers = api.bus, api.timers
        self._timeout, self._pause = timeout, min(BEAT_S, timeout / 4)
        self._inbox = self._bus.new_inbox()
        self.id = self._inbox.rpartition(".")[2]
        self.acked = 0
        self.missing = 0
        self.ack: PubAck | None = None
        self._gaps, self._ack_every, self._max_outstanding = gaps, ack_every, max_outstanding
        self._error_cb, self._callbacks = error_cb, Callbacks()
        self._reply = f"{self._inbox}.{ack_every}.{gaps}"
        self._subject = ""
        self._sent = 0
        self._limit = 0  # messages that may have been sent by now
        self._bytes = 0  # sent since the server was known to have everything
        self._flow = 0  # the server acknowledges every so many; 0 before it has said so
        self._judged = 0  # the last message that is known to be missing
        self._handled = 0  # the last one of which is known what became of it
        self._commit: tuple[str, bytes, str, HeadersLike | None] | None = None
        self._why: AgentsError | None = None
        self._ended = False
        self._opening = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._ending = ExitStack()
        self._timer: Timer | None = None
        self._heard = False  # anything came since the last beat
        self._news = asyncio.Event()
        self._waiting = 0
        self._since = 0.0  # when those who wait began to, or when there was progress

    def __len__(self) -> int:
        return self._sent

    # -- the user's side

    async def add(
        self,
        subject: str,
        payload: bytes = b"",
        headers: HeadersLike | None = None,
        msg_ttl: float | str | None = None,
        **options: Unpack[PublishOptions],
    ) -> int:
        """Send one more message when the server has room for it; the arguments are `publish`'s.

        What becomes of it the server says later: an error is raised by the next `add` or `commit`.
        The first one waits for the server's answer.

        Returns:
            Its number in the batch, from 1 on.

        Raises:
            BatchEnded: it was committed or closed.
            BatchDisabled: the stream has no `allow_batched`.
            NoStreamResponse: no stream stores this subject.
            BatchGap: messages were lost on their way; with `gaps="fail"` the batch ends with those
                before.
            BatchLost: the server does not answer, or does not know the batch any more.
            APIError: the server refused a message, and with it the rest of the batch.
            Unsupported: the server is too old. It has stored this one message.
            OutboundBufferFull: the bus had no room, for as long as an answer may take. The batch
                goes on.
            and what `Bus.publish` raises. The batch goes on.
        """
        sent = publish_headers(headers, None, msg_ttl, options)
        number = await self._put(ADD, subject, payload, sent)
        if number == 1:
            await self._until(lambda: self._flow > 0 and self._why is None)
        return number

    async def commit(
        self,
        subject: str | None = None,
        payload: bytes = b"",
        headers: HeadersLike | None = None,
        msg_ttl: float | str | None = None,
        **options: Unpack[PublishOptions],
    ) -> PubAck:
        """End the batch, with one last message, or without one if there is no subject.

        Returns:
            The acknowledgement: `seq` is that of the last message that was stored, `batch_size`
            the number of all, `missing` and what the stream had already included.

        Raises:
            InvalidOption: there is something for a last message, but no subject.
            BatchEnded: it was committed or closed, or there is nothing in it.
            BatchLost: as for `add`; whether those behind `acked` are stored is unknown.
            and what `add` raises.
        """
        sent = publish_headers(headers, None, msg_ttl, options)
        check_last(subject, payload, sent)
        if not subject and not self._sent:
            raise BatchEnded()
        target = subject or self._subject
        operation = COMMIT if subject else COMMIT_WITHOUT
        number = await self._put(operation, target, payload, sent)
        self._limit = 0
        self._commit = (target, bytes(payload), self._reply_to(number, operation), sent)
        await self._until(lambda: self.ack is not None)
        assert self.ack is not None
        return self.ack

    async def close(self) -> None:
        """End it without waiting; what was added stays stored. Does nothing behind its end."""
        async with self._opening:
            if self._sent and not self._ended and self._commit is None:
                reply = self._reply_to(self._sent + 1, COMMIT_WITHOUT)
                with suppress(AgentsError):  # so that the server need not wait until it is sure
                    self._bus.publish(self._subject, b"", reply)
            self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        ended_in_order = self._ended and self._why is None
        try:
            if kind is None and self._sent and not ended_in_order:
                await self.commit()
        finally:
            await self.close()

    # -- sending

    async def _put(
        self, operation: str, subject: str, payload: bytes, headers: HeadersLike | None
    ) -> int:
        """Send a message when there is room, and return its number."""
        tried = False
        while True:
            if self._sent >= self._limit or self._bytes >= BYTES_MAX:
                await self._room()
            number = self._sent + 1
            what = START if number == 1 and operation == ADD else operation
            try:
                self._bus.publish(subject, payload, self._reply_to(number, what), headers)
                break
            except OutboundBufferFull as error:
                if tried:
                    raise
                tried = True
                await self._drained(error)
        if operation != COMMIT_WITHOUT:
            self._sent = number
            self._bytes += len(payload)
            self._subject = subject
        return number

    def _reply_to(self, number: int, operation: str) -> str:
        return f"{self._reply}.{number}.{operation}.$FI"

    async def _room(self) -> None:
        """Return when one more message may be sent."""
        if self._subscription is None:
            await self._open()
        if self._bytes >= BYTES_MAX:
            self._probe()
        await self._until(lambda: self._sent < self._limit and self._bytes < BYTES_MAX)

    async def _open(self) -> None:
        async with self._opening:
            if self._subscription is not None or self._ended:
                return
            self._subscription = await self._bus.subscribe(f"{self._inbox}.>", cb=self._take)
            self._ending.callback(self._subscription.end)
            self._ending.callback(self._bus.on_status(self._on_status))
            self._ending.callback(self._bus.on_refusal(self._on_refusal))
            self._timer = self._timers.after(self._pause, self._beat)
            self._limit = 1  # the first has to be acknowledged before there is a second
            if self._subscription.error is not None:  # refused meanwhile
                self._end(self._subscription.error)

    async def _drained(self, error: OutboundBufferFull) -> None:
        try:
            async with self._timers.timeout(self._timeout):
                await self._bus.ready()
        except TimeoutError:
            raise error from None

    async def _until(self, reached: Callable[[], bool]) -> None:
        """Return when the server has said enough; `_beat` bounds how long it may say nothing."""
        if not self._waiting:
            self._since = self._timers.now()
        self._waiting += 1
        try:
            while not reached():
                if self._ended:
                    raise (self._why or BatchEnded()).with_traceback(None)
                self._news.clear()
                await self._news.wait()
        finally:
            self._waiting -= 1

    # -- the server's side

    def _take(self, msg: Msg) -> None:
        if is_no_responders(msg):
            if not self._flow:
                self._end(NoStreamResponse(self._subject))
            return  # it may be electing its leader, who then tells what was lost
        self._heard = True
        if msg.subject.startswith(f"{self._reply}.{self._sent}."):
            self._bytes = 0
            self._news.set()
        try:
            self._read(msg, read_object("a fast ingest", msg.data))
        except APIError as error:
            self._refuse(msg.subject, error)
        except InvalidAnswer as error:
            self._end(error)

    def _read(self, msg: Msg, answer: dict[str, Any]) -> None:
        match answer.get("type"):
            case "ack":
                acked = _count(answer, "seq", 0, self._sent)
                again = acked <= self.acked and self._flow > 0
                self.acked = max(self.acked, acked)
                self._flow = min(_count(answer, "msgs", 1, ACK_EVERY_MAX), self._ack_every)
                self._advance()
                if again and _ADDED.fullmatch(msg.subject):
                    self._probe()  # a new leader begins where the old one was: what did it miss?
            case "gap":  # `last_seq` is the one that was expected
                sequence = _count(answer, "seq", 1, self._sent + 1)
                self._gap(_count(answer, "last_seq", 1, sequence), sequence - 1)
            case None:
                ack = read_ack(msg.data)
                if ack.batch_id is None:  # `$FI` means nothing to it
                    self._end(Unsupported("fast ingest", "it needs server 2.14; use publish_async"))
                else:
                    self._finish(ack, _count(answer, "count", 0, self._sent))

    def _advance(self) -> None:
        """Make room: the server has dealt with messages.

        It acknowledges none while it refuses all, so those that are missing count, too.
        """
        handled = max(self.acked, self._judged)
        if handled > self._handled:
            self._handled = handled
            self._since = self._timers.now()
        if self._why is None and self._commit is None:
            self._limit = handled + self._flow * self._max_outstanding
        self._news.set()

    def _gap(self, first: int, last: int) -> None:
        if self._gaps == "ok":
            self._miss(first, last)
        elif first <= last:
            self._fail(BatchGap(first, last))

    def _miss(self, first: int, last: int, error: APIError | None = None) -> None:
        """Go on without these; a message that was refused may be in the next gap once more."""
        first = max(first, self._judged + 1)
        if first > last:
            return
        self.missing += last - first + 1
        self._judged = last
        gap = BatchGap(first, last)
        gap.__cause__ = error
        self._callbacks.call(self._error_cb, gap)
        self._advance()

    def _refuse(self, reply: str, error: APIError) -> None:
        """The server refuses one message, or the batch."""
        added = _ADDED.fullmatch(reply)
        if error.err_code == UNKNOWN_BATCH:
            self._lose("the server does not know it any more")
        elif not self._flow:
            self._end(error)
        elif added and self._gaps == "ok":
            number = min(int(added[1]), self._sent)
            self._miss(number, number, error)
        elif added or self._why is None:
            self._fail(error)
        else:  # there will be no last word
            self._end(self._why)

    def _fail(self, error: AgentsError) -> None:
        """Send no more, and learn from the server's last word how much of it is stored."""
        if self._why is None:
            self._why = error
            self._limit = 0
            self._probe()

    def _finish(self, ack: PubAck, size: int) -> None:
        self.acked = max(self.acked, size)
        if self._why is None and self._commit and (self._gaps == "ok" or size == self._sent):
            self.ack = ack
            self._end()
        else:
            self._lose("the server has ended it")

    # -- time, and the connection

    def _beat(self) -> None:
        """Ask how far the server is if it says nothing, and bound how long that helps."""
        assert self._timer is not None
        now = self._timers.now()
        slept = now - max(self._timer.when, self._since)  # this side, so it is no silence
        self._since += slept
        if self._waiting and now - self._since >= self._timeout:
            self._lose(f"no progress for {self._timeout} s")
            return
        if not self._heard:
            self._probe()
        self._heard = False
        self._timer = self._timers.after(self._pause, self._beat)

    def _probe(self) -> None:
        """A ping; or the commit once more, which the server takes once."""
        if not self._sent or self._bus.status is not Status.CONNECTED:
            return
        ping = (self._subject, b"", self._reply_to(self._sent, PING), None)
        with suppress(AgentsError):  # the next one may find room
            self._bus.publish(*(self._commit or ping))

    def _on_status(self, status: Status) -> None:
        if status is Status.CLOSED:
            self._lose("the connection was closed")
        elif status is Status.CONNECTED:
            self._probe()

    def _on_refusal(self, error: AgentsError, subject: str) -> None:
        """This user may not publish there, or not hear what becomes of it."""
        mine = self._sent and subject == self._subject
        denied = mine and (self._gaps == "fail" or not self._flow)
        if denied or (self._subscription is not None and self._subscription.ended):
            self._end(error)

    def _lose(self, reason: str) -> None:
        self._end(self._why or BatchLost(self.acked, self._sent, reason))

    def _end(self, error: AgentsError | None = None) -> None:
        if self._ended:
            return
        self._ended = True
        self._why = error
        self._limit = 0
        if self._timer is not None:
            self._timer.cancel()
        self._ending.close()
        self._news.set()


def _count(answer: dict[str, Any], name: str, least: int, most: int) -> int:
    value = answer.get(name)
    if type(value) is not int or not least <= value <= most:
        raise InvalidAnswer("a fast ingest", f"{name} is not a number from {least} to {most}")
    return value
