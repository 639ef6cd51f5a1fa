"""The errors of JetStream. What the server says comes as code, error code and its own words.

JetStreamError
├── APIError                   an error that the server answered, or a status that it sent
│   ├── NotFound               404
│   │   ├── StreamNotFound, ConsumerNotFound, MessageNotFound
│   │   └── Absent             BucketNotFound, and those of keys and of objects
│   ├── BadRequest             400
│   │   ├── WrongLastSequence, WrongLastMsgId, WrongStream
│   │   ├── StreamNameInUse, StreamSealed, ConsumerExists, ConsumerInvalidReset
│   │   └── BatchIncomplete, BatchDisabled
│   ├── ServiceUnavailable     503
│   │   └── JetStreamNotEnabled
│   ├── ApiLevelRequired       412
│   ├── TooManyRequests        429
│   ├── ServerFault            500
│   └── StoreFailed, ConsumerDeleted, ConsumerIsPush, MaxBytesExceeded, PullRefused
├── NoStreamResponse           no stream takes the subject
├── FetchTimeout, NoHeartbeat, SequenceGap
├── ConsumerMismatch, ConsumerBound
├── TooManyStalledMsgs, BatchEnded, BatchGap, BatchLost
├── NotJSMessage, MsgAlreadyAckd
└── InvalidName, InvalidBucketName, InvalidOption, InvalidAnswer
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from agents_core.errors import AgentsError


class JetStreamError(AgentsError):
    """Root of the errors about JetStream."""


@dataclass(eq=False)
class APIError(JetStreamError):
    """The server refused.

    Attributes:
        code: as in HTTP.
        err_code: the server's own number for it (ADR-7); 0 for a status message, which has none.
        description: the server's words.
    """

    code: int
    err_code: int = 0
    description: str = ""
    template: ClassVar[str] = "{description} (code {code}, err_code {err_code})"


@dataclass(eq=False)
class NotFound(APIError):
    """What was asked for does not exist."""


@dataclass(eq=False)
class StreamNotFound(NotFound):
    """There is no such stream."""


@dataclass(eq=False)
class ConsumerNotFound(NotFound):
    """There is no such consumer on that stream."""


@dataclass(eq=False)
class MessageNotFound(NotFound):
    """The stream holds no such message."""


@dataclass(eq=False)
class Absent(NotFound):
    """What this side finds not to be there, such as a key; a `NotFound`, as in nats-py."""

    code: int = field(default=404, init=False)
    err_code: int = field(default=0, init=False)
    description: str = field(default="", init=False)


@dataclass(eq=False)
class BadRequest(APIError):
    """The request, or the message, is not one that the server takes."""


@dataclass(eq=False)
class WrongLastSequence(BadRequest):
    """The stream, or the subject, is not at the expected sequence: somebody else was first."""


@dataclass(eq=False)
class WrongLastMsgId(BadRequest):
    """The last message has another id than the expected one."""


@dataclass(eq=False)
class WrongStream(BadRequest):
    """The subject belongs to another stream than the expected one."""


@dataclass(eq=False)
class StreamNameInUse(BadRequest):
    """A stream of that name exists with another configuration."""


@dataclass(eq=False)
class StreamSealed(BadRequest):
    """The stream is sealed: nothing is added to it or deleted from it any more."""


@dataclass(eq=False)
class ConsumerExists(BadRequest):
    """A consumer of that name exists with another configuration."""


@dataclass(eq=False)
class ConsumerInvalidReset(BadRequest):
    """The consumer's deliver policy does not allow a reset to that sequence (ADR-60)."""


@dataclass(eq=False)
class BatchIncomplete(BadRequest):
    """The server gave the atomic batch up, as a message is missing or it waited too long.

    Nothing of it was stored (ADR-50).
    """


@dataclass(eq=False)
class BatchDisabled(BadRequest):
    """The stream takes no such batches.

    Atomic ones need its `allow_atomic`, fast ingest needs `allow_batched` (ADR-50).
    """


@dataclass(eq=False)
class ServiceUnavailable(APIError):
    """JetStream can't answer now; it may be electing a leader."""


@dataclass(eq=False)
class JetStreamNotEnabled(ServiceUnavailable):
    """There is no JetStream: the server or the account has none, or the bus has no server."""


@dataclass(eq=False)
class ApiLevelRequired(APIError):
    """The server is too old for what was asked (ADR-44)."""


@dataclass(eq=False)
class TooManyRequests(APIError):
    """The server has more of these requests than it will take."""


@dataclass(eq=False)
class ServerFault(APIError):
    """The server failed; its words say at what."""


@dataclass(eq=False)
class StoreFailed(APIError):
    """The stream did not store the message: it is full, or its disk failed."""


@dataclass(eq=False)
class ConsumerDeleted(APIError):
    """The consumer was deleted while messages were asked of it."""


@dataclass(eq=False)
class ConsumerIsPush(APIError):
    """The consumer pushes to a subject, so nothing can be pulled from it: use `js.subscribe`."""


@dataclass(eq=False)
class MaxBytesExceeded(APIError):
    """The next message alone is larger than the `max_bytes` that were asked for."""


@dataclass(eq=False)
class PullRefused(APIError):
    """The server ended a request for messages, or did not take it, for now."""


@dataclass(eq=False)
class NoStreamResponse(JetStreamError):
    """No stream answers on the subject, also after the retries of ADR-22."""

    subject: str
    template: ClassVar[str] = "no stream answers on {subject!r}"


@dataclass(eq=False)
class FetchTimeout(JetStreamError, TimeoutError):
    """No message within `timeout` seconds."""

    consumer: str
    timeout: float
    template: ClassVar[str] = "no message from consumer {consumer!r} within {timeout} s"


@dataclass(eq=False)
class NoHeartbeat(JetStreamError):
    """Neither a message nor a heartbeat came for `seconds`: what delivers them may be gone."""

    consumer: str
    seconds: float
    template: ClassVar[str] = "nothing from consumer {consumer!r} for {seconds} s"


@dataclass(eq=False)
class SequenceGap(JetStreamError):
    """A consumer's messages did not follow one another: `sequence` is the next after `last`."""

    consumer: str
    last: int
    sequence: int
    template: ClassVar[str] = "consumer {consumer!r}: message {sequence} follows {last}"


@dataclass(eq=False)
class ConsumerMismatch(JetStreamError):
    """A consumer exists, and is not the one that was asked for."""

    consumer: str
    reason: str
    template: ClassVar[str] = "consumer {consumer!r}: {reason}"


@dataclass(eq=False)
class ConsumerBound(JetStreamError):
    """Somebody is subscribed to the push consumer, and it has no group to share it in."""

    consumer: str
    template: ClassVar[str] = "consumer {consumer!r} has a subscriber already"


@dataclass(eq=False)
class TooManyStalledMsgs(JetStreamError):
    """`limit` messages wait for their acknowledgement, and none came in time."""

    limit: int
    template: ClassVar[str] = "{limit} published messages wait for their acknowledgement"


@dataclass(eq=False)
class BatchEnded(JetStreamError):
    """The batch was committed or closed, or an error ended it, or there is nothing in it."""

    template: ClassVar[str] = "there is nothing to add to or to commit: the batch has ended"


@dataclass(eq=False)
class BatchGap(JetStreamError):
    """The messages `first` to `last` of a fast ingest are not stored (ADR-50).

    They were lost on their way; or the server refused the one, and the `__cause__` says why.
    """

    first: int
    last: int
    template: ClassVar[str] = "the messages {first} to {last} of the batch are not stored"


@dataclass(eq=False)
class BatchLost(JetStreamError):
    """A fast ingest came to its end before it was committed, and nobody knows how far it got.

    Of `sent` messages the first `acked` are stored, but for those that were told as missing. Of the
    others some may be: a `msg_id` makes it safe to send them again.
    """

    acked: int
    sent: int
    reason: str
    template: ClassVar[str] = (
        "the batch is lost: {reason}; of {sent} messages the server has acknowledged {acked}"
    )


@dataclass(eq=False)
class NotJSMessage(JetStreamError):
    """The message was not delivered by a consumer: its reply subject says nothing about it."""

    reply: str
    template: ClassVar[str] = "not a message of JetStream: its reply subject is {reply!r}"


@dataclass(eq=False)
class MsgAlreadyAckd(JetStreamError):
    """The message has its final acknowledgement; a second one would change nothing."""

    subject: str
    template: ClassVar[str] = "the message on {subject!r} is acknowledged already"


@dataclass(eq=False)
class InvalidName(JetStreamError):
    """A name of a stream or a consumer is a token of a subject and of a path (ADR-6)."""

    name: str
    template: ClassVar[str] = (
        "invalid name {name!r}: use 1 to 255 characters without white space, . * > / and backslash"
    )


@dataclass(eq=False)
class BucketNotFound(Absent):
    """There is no bucket of that name, of values or of objects."""

    bucket: str
    template: ClassVar[str] = "no bucket {bucket!r}"


@dataclass(eq=False)
class InvalidBucketName(JetStreamError):
    """The name of a bucket is a part of a stream's name and of subjects (ADR-6)."""

    name: str
    template: ClassVar[str] = "invalid bucket name {name!r}: use 1 to 251 of A-Z a-z 0-9 _ -"


@dataclass(eq=False)
class InvalidOption(JetStreamError):
    """An argument that can't be."""

    name: str
    reason: str
    template: ClassVar[str] = "{name}: {reason}"


@dataclass(eq=False)
class InvalidAnswer(JetStreamError):
    """The server's answer is not what the protocol says."""

    what: str
    reason: str
    template: ClassVar[str] = "{what}: {reason}"


_BY_ERR_CODE: dict[int, type[APIError]] = {
    10014: ConsumerNotFound,
    10037: MessageNotFound,
    10039: JetStreamNotEnabled,
    10043: MessageNotFound,
    10058: StreamNameInUse,
    10059: StreamNotFound,
    10060: WrongStream,
    10070: WrongLastMsgId,
    10071: WrongLastSequence,
    10076: JetStreamNotEnabled,
    10077: StoreFailed,
    10105: ConsumerExists,
    10109: StreamSealed,
    10148: ConsumerExists,
    10149: ConsumerNotFound,
    10164: WrongLastSequence,
    10174: BatchDisabled,
    10176: BatchIncomplete,
    10204: ConsumerInvalidReset,
    10205: BatchDisabled,
}

_BY_CODE: dict[int, type[APIError]] = {
    400: BadRequest,
    404: NotFound,
    408: BadRequest,
    412: ApiLevelRequired,
    413: BadRequest,
    429: TooManyRequests,
    500: ServerFault,
    503: ServiceUnavailable,
}


def api_error(error: Any) -> APIError:
    """The named error for the `error` object of an answer (ADR-1, ADR-7)."""
    fields = error if isinstance(error, dict) else {}
    code, err_code = fields.get("code"), fields.get("err_code")
    return named(
        code if isinstance(code, int) else 0,
        err_code if isinstance(err_code, int) else 0,
        str(fields.get("description", "")),
    )


def named(code: int, err_code: int = 0, description: str = "") -> APIError:
    """The named error for a code and an error code."""
    kind = _BY_ERR_CODE.get(err_code) or _BY_CODE.get(code, APIError)
    return kind(code, err_code, description)
