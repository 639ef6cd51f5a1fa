"""A request for messages: what it says, and what the server's statuses mean for it (ADR-13, 37)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypedDict

from agents_core import jsonvalue
from agents_core.nats.jetstream.bounds import whole
from agents_core.nats.jetstream.errors import (
    APIError,
    ConsumerDeleted,
    ConsumerIsPush,
    MaxBytesExceeded,
    PullRefused,
    named,
)
from agents_core.nats.jetstream.header import Header
from agents_core.nats.jetstream.record import to_ns
from agents_core.nats.msg import Msg

MANY_MESSAGES = 1_000_000
"""What a request that is bounded by bytes asks for: without a number it would get one message."""

PRIORITY_MAX = 9

BODIES_MAX = 64
"""Different requests kept as JSON; one that is repeated is nearly always the same."""


class PriorityOptions(TypedDict, total=False):
    """What a reader says about itself where the consumer has priority groups (ADR-42).

    Attributes:
        group: the group that it belongs to.
        priority: 0 to 9, lower ones are served first.
        min_pending: it gets messages only if so many wait.
        min_ack_pending: or only if so many are not acknowledged.
    """

    group: str
    priority: int
    min_pending: int
    min_ack_pending: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PullOptions:
    """What all requests of one reader have in common; see `PriorityOptions`."""

    group: str | None = None
    priority: int | None = None
    min_pending: int | None = None
    min_ack_pending: int | None = None
    _bodies: dict[tuple[object, ...], bytes] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.priority is not None:
            whole("priority", self.priority, 0, PRIORITY_MAX)

    def body(
        self,
        batch: int,
        *,
        max_bytes: int = 0,
        expires: float = 0.0,
        heartbeat: float = 0.0,
        no_wait: bool = False,
        pin: str = "",
    ) -> bytes:
        """The request as JSON; durations are in seconds."""
        key = batch, max_bytes, expires, heartbeat, no_wait, pin
        if (known := self._bodies.get(key)) is not None:
            return known
        wanted = {
            "batch": batch,
            "max_bytes": max_bytes,
            "expires": to_ns(expires),
            "idle_heartbeat": to_ns(heartbeat),
            "no_wait": no_wait,
            "group": self.group,
            "priority": self.priority,
            "min_pending": self.min_pending,
            "min_ack_pending": self.min_ack_pending,
            "id": pin,
        }
        body = jsonvalue.dumps({name: value for name, value in wanted.items() if value})
        if len(self._bodies) == BODIES_MAX:
            self._bodies.clear()
        self._bodies[key] = body
        return body


class Pins:
    """The pin id of each priority group: which of its clients the server has chosen (ADR-42)."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def get(self, group: str | None) -> str:
        """The id to send with a request; empty while another client is the chosen one."""
        return self._ids.get(group, "") if group else ""

    def see(self, group: str | None, msg: Msg) -> None:
        """A delivery names the id that this client has been given."""
        if group and msg.raw_headers and (pin := msg.headers.get(Header.PIN_ID)):
            self._ids[group] = pin

    def forget(self, group: str | None) -> None:
        """Another client has become the chosen one."""
        self._ids.pop(group or "", None)


def size_of(msg: Msg) -> int:
    """A message's size as the server counts it against `max_bytes`."""
    names = msg.subject + msg.reply
    length = len(names) if names.isascii() else len(names.encode("utf-8", "surrogateescape"))
    return length + len(msg.raw_headers) + len(msg.data)


class Outcome(Enum):
    """What a status means for the request that it answers."""

    ALIVE = auto()  # a heartbeat: the request is still there
    OVER = auto()  # it has ended as it should
    TOO_LARGE = auto()  # the next message does not fit into what is left of max_bytes
    LATER = auto()  # it is refused, or was lost, for now
    REFUSED = auto()  # it asks for more than the consumer is configured to give
    NOT_PINNED = auto()  # another client of the group is the pinned one
    NOBODY = auto()  # there is no such consumer, or it has no leader at this moment
    FATAL = auto()  # asking again would give the same answer


def judge(code: int, words: str) -> tuple[Outcome, APIError]:
    """What a status means, and the named error for it if it is one.

    Codes alone do not tell: 408 and 409 have a dozen meanings, by their words.
    """
    if code == 100:
        return Outcome.ALIVE, APIError(code, 0, words)
    for start, outcome, kind in _BY_WORDS:
        if words.startswith(start):
            return outcome, kind(code, 0, words)
    error = named(code, 0, words)
    return _BY_CODE.get(code, Outcome.LATER), error


_BY_WORDS: list[tuple[str, Outcome, type[APIError]]] = [
    ("Requests Pending", Outcome.LATER, PullRefused),
    ("Batch Completed", Outcome.OVER, APIError),
    ("Message Size Exceeds MaxBytes", Outcome.TOO_LARGE, MaxBytesExceeded),
    ("Leadership Change", Outcome.LATER, PullRefused),
    ("Server Shutdown", Outcome.LATER, PullRefused),
    ("Exceeded MaxWaiting", Outcome.LATER, PullRefused),
    ("Exceeded MaxRequest", Outcome.REFUSED, PullRefused),
    ("Consumer Deleted", Outcome.FATAL, ConsumerDeleted),
    ("Consumer is push based", Outcome.FATAL, ConsumerIsPush),
]

_BY_CODE: dict[int, Outcome] = {
    400: Outcome.FATAL,
    404: Outcome.OVER,
    408: Outcome.OVER,
    412: Outcome.FATAL,
    423: Outcome.NOT_PINNED,
    503: Outcome.NOBODY,
}
