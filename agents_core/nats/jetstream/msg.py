"""A message that a consumer delivered: what its reply subject tells, and how to acknowledge it."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import NamedTuple

from agents_core import jsonvalue
from agents_core.bus import Bus
from agents_core.errors import ConnectionClosed
from agents_core.nats.jetstream.errors import MsgAlreadyAckd, NotJSMessage
from agents_core.nats.jetstream.record import to_ns
from agents_core.nats.jetstream.timestamp import to_datetime
from agents_core.nats.msg import Msg

ACK = b"+ACK"
NAK = b"-NAK"
PROGRESS = b"+WPI"
TERM = b"+TERM"


class SequencePair(NamedTuple):
    """A message's number among those that the consumer delivered, and in its stream."""

    consumer: int
    stream: int


class Metadata:
    """What a reply subject says about the message (ADR-15).

    Attributes:
        stream, consumer: where it comes from.
        domain: of JetStream; None where the server does not say it.
        num_delivered: how often it was delivered, this time included.
        sequence: its numbers.
        timestamp_ns: when it was stored, in nanoseconds since 1970.
        num_pending: messages that the consumer has still to deliver after this one.
    """

    __slots__ = (
        "consumer",
        "domain",
        "num_delivered",
        "num_pending",
        "sequence",
        "stream",
        "timestamp_ns",
    )

    def __init__(self, reply: str) -> None:
        tokens = reply.split(".")
        at = 2 if len(tokens) == 9 else 4  # from 11 on a domain and an account come first
        if len(tokens) == 10 or len(tokens) < 9 or tokens[:2] != ["$JS", "ACK"]:
            raise NotJSMessage(reply)
        self.domain = tokens[2] if at == 4 and tokens[2] != "_" else None
        self.stream, self.consumer = tokens[at], tokens[at + 1]
        try:
            delivered, stream_seq, consumer_seq, when, pending = map(int, tokens[at + 2 : at + 7])
        except ValueError:
            raise NotJSMessage(reply) from None
        self.num_delivered = delivered
        self.sequence = SequencePair(consumer_seq, stream_seq)
        self.timestamp_ns = when
        self.num_pending = pending

    @property
    def timestamp(self) -> datetime:
        """When it was stored, to the microsecond."""
        return to_datetime(self.timestamp_ns)

    def __repr__(self) -> str:
        where = f"{self.stream}/{self.consumer}"
        return f"Metadata({where}, sequence={self.sequence}, num_pending={self.num_pending})"


class JSMsg(Msg):
    """A message of a consumer.

    The acknowledgements are plain functions, as `publish` is: `await` before them is allowed. They
    raise what `Bus.publish` raises, and `MsgAlreadyAckd` once there is a final one.
    """

    __slots__ = ("_acked", "_metadata")

    def __init__(self, msg: Msg) -> None:
        self.subject = msg.subject
        self.data = msg.data
        self.reply = msg.reply
        self.raw_headers = msg.raw_headers
        self.sid = msg.sid
        self.bus = msg.bus
        self._metadata: Metadata | None = None
        self._acked = False

    @property
    def metadata(self) -> Metadata:
        """Sequence, time of storage, number of deliveries and so on.

        Raises:
            NotJSMessage: the reply subject is not one of JetStream.
        """
        if self._metadata is None:
            self._metadata = Metadata(self.reply)
        return self._metadata

    @property
    def is_acked(self) -> bool:
        """Whether a final acknowledgement was sent."""
        return self._acked

    def ack(self) -> Awaitable[None]:
        """It is done; do not deliver it again. It may be lost, unlike `ack_sync`."""
        return self._final(ACK)

    async def ack_sync(self, timeout: float = 1.0) -> Msg:
        """It is done; return when the server knows.

        Raises:
            RequestTimeout: no answer within `timeout` seconds; it may be delivered again.
            and what `Bus.request` raises.
        """
        answer = await self._check().request(self.reply, ACK, timeout)
        self._acked = True
        return answer

    def nak(self, delay: float | None = None) -> Awaitable[None]:
        """It failed; deliver it again, at once or after `delay` seconds.

        Raises:
            ValueError: the delay has no end, or is NaN.
        """
        return self._final(NAK + b" " + jsonvalue.dumps({"delay": to_ns(delay)}) if delay else NAK)

    def term(self, reason: str = "") -> Awaitable[None]:
        """It can't be done; never deliver it again. The reason is in the server's advisory."""
        return self._final(TERM + b" " + reason.encode() if reason else TERM)

    def in_progress(self) -> Awaitable[None]:
        """It is being worked on: `ack_wait` begins anew. Any number of times."""
        return self._check().publish(self.reply, PROGRESS)

    def _final(self, answer: bytes) -> Awaitable[None]:
        sent = self._check().publish(self.reply, answer)
        self._acked = True
        return sent

    def _check(self) -> Bus:
        """The bus to answer on, if there is something to answer."""
        if self._acked:
            raise MsgAlreadyAckd(self.subject)
        if not self.reply.startswith("$JS.ACK."):
            raise NotJSMessage(self.reply)
        if self.bus is None:
            raise ConnectionClosed()
        return self.bus
