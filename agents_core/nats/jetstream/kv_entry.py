"""An entry of a key-value bucket: a value, or the marker of a deletion."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agents_core.nats.headers import Headers, parse_headers
from agents_core.nats.jetstream.header import Header

OPERATION = "KV-Operation"
"""The header of a marker that a client has placed."""


class Operation(StrEnum):
    """How a key was deleted: with its history kept, or with nothing of it left."""

    DEL = "DEL"
    PURGE = "PURGE"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a bucket holds of a key at one revision; named as in nats-py.

    Attributes:
        bucket, key: where.
        value: empty for a marker, None if only metadata was asked for.
        revision: its number, which grows over the whole bucket.
        delta: how many entries of a watch or a history came behind it, as the server counts; 0 for
            what `get` returns as the newest, None for what it returns by revision.
        created: when the bucket took it, to the microsecond.
        operation: None for a value; else the entry says that the key was deleted.
    """

    bucket: str
    key: str
    value: bytes | None
    revision: int
    delta: int | None
    created: datetime
    operation: Operation | None


def operation_in(raw: bytes) -> Operation | None:
    """What a header block says. Few have anything to say, so only those are parsed."""
    if _OPERATION in raw or _MARKER_REASON in raw:
        return operation_of(parse_headers(raw))
    return None


def operation_of(headers: Headers) -> Operation | None:
    """What an entry's headers say (ADR-8, ADR-48).

    A word that is not known still says that the value is gone.
    """
    if word := headers.get(OPERATION):
        return None if word == "PUT" else _BY_WORD.get(word, Operation.DEL)
    if reason := headers.get(Header.MARKER_REASON):
        return _BY_REASON.get(reason, Operation.DEL)
    return None


_OPERATION, _MARKER_REASON = OPERATION.encode(), Header.MARKER_REASON.encode()

_BY_WORD = {str(word): word for word in Operation}

_BY_REASON = {
    "MaxAge": Operation.PURGE,
    "Purge": Operation.PURGE,
    "Remove": Operation.DEL,
}
