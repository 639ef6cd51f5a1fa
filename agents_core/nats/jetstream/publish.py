"""What goes with a published message, and the acknowledgement that comes back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypedDict, cast

from agents_core.nats.headers import HeadersLike, with_all_values
from agents_core.nats.jetstream.api import read_object
from agents_core.nats.jetstream.bounds import whole
from agents_core.nats.jetstream.errors import InvalidAnswer, InvalidOption
from agents_core.nats.jetstream.header import Header
from agents_core.timers import check_seconds

_USUAL_ACK = re.compile(rb'\{"stream":"([^"\\]+)", ?"seq":(\d{1,20})\}')
# Nearly every acknowledgement; reading it as JSON would take ten times as long.


class PublishOptions(TypedDict, total=False):
    """What a message may ask of its stream, beside being stored.

    Attributes:
        msg_id: within the stream's `duplicate_window` a message with this id is stored once.
        expected_last_sequence: store it only if this is the stream's last one.
        expected_last_msg_id: store it only if the last message has this id.
        expected_last_subject_sequence: store it only if this is the last one of its subject; 0 for
            none.
        expected_last_subject: the subject that is meant instead of the message's own; may have
            wildcards.
    """

    msg_id: str
    expected_last_sequence: int
    expected_last_msg_id: str
    expected_last_subject_sequence: int
    expected_last_subject: str


_HEADERS: dict[str, Header] = {
    "msg_id": Header.MSG_ID,
    "expected_last_sequence": Header.EXPECTED_LAST_SEQUENCE,
    "expected_last_msg_id": Header.EXPECTED_LAST_MSG_ID,
    "expected_last_subject_sequence": Header.EXPECTED_LAST_SUBJECT_SEQUENCE,
    "expected_last_subject": Header.EXPECTED_LAST_SUBJECT,
}


def publish_headers(
    headers: HeadersLike | None,
    stream: str | None,
    msg_ttl: float | str | None,
    options: PublishOptions,
) -> HeadersLike | None:
    """The headers to send: the user's, and those that JetStream reads.

    Args:
        headers: the user's.
        stream: the only stream that may store it.
        msg_ttl: seconds to keep it (ADR-43), or `never`, or a duration such as `1h`.
        options: the rest.

    Raises:
        TypeError: there is no such option.
        InvalidOption: a sequence that is no whole number, or what is to be a text and is none.
    """
    if not options and stream is None and msg_ttl is None:
        return headers
    found = with_all_values(headers)
    if stream is not None:
        found[Header.EXPECTED_STREAM] = stream
    if msg_ttl is not None:
        found[Header.MSG_TTL] = ttl(msg_ttl)
    for name, value in options.items():
        if name not in _HEADERS:
            raise TypeError(f"publish got an unexpected keyword argument {name!r}")
        if value is not None:
            found[_HEADERS[name]] = _option(name, value)
    return found


def _option(name: str, value: object) -> str:
    """As a header says it; the server takes what is no number for a sequence that is not there."""
    if name.endswith("_sequence"):
        whole(name, cast("int", value), 0)
    elif not isinstance(value, str):
        raise InvalidOption(name, f"a text, not {value!r}")
    return str(value)


def check_last(subject: str | None, payload: bytes, headers: HeadersLike | None) -> None:
    """Check what ends a batch: without a subject the server takes no notice of the rest.

    Raises:
        InvalidOption: there is something for a last message, but no subject.
    """
    if not subject and (payload or headers):
        raise InvalidOption("subject", "the last message has none")


def ttl(seconds: float | str) -> str:
    """A duration as the server's headers have it; text is passed on.

    The server takes whole seconds, or Go's notation, and at least one second.

    Raises:
        InvalidOption: it is no number of seconds, or one without end.
    """
    if isinstance(seconds, str):
        return seconds
    try:
        check_seconds(seconds)
        count = int(seconds)
    except (OverflowError, ValueError):
        raise InvalidOption("msg_ttl", f"it can't be {seconds!r}; 'never' is for ever") from None
    return str(count) if seconds == count else f"{seconds:f}s"


@dataclass(slots=True)
class PubAck:
    """The stream has the message; named as in nats-py.

    Attributes:
        stream: which stream.
        seq: its number there; of an atomic batch the last one.
        domain: of JetStream, if there is one.
        duplicate: it was there already, with the same `msg_id`.
        batch_id, batch_size: of an atomic batch or a fast ingest (ADR-50).
        val: what the counter is now (ADR-49), as decimal digits.
    """

    stream: str
    seq: int
    domain: str | None = None
    duplicate: bool | None = None
    batch_id: str | None = None
    batch_size: int | None = None
    val: str | None = None


def read_ack(data: bytes) -> PubAck:
    """Read what a stream answers.

    Raises:
        APIError: it did not store the message; its subclasses say why.
        InvalidAnswer: it is no answer of a stream. Somebody else may subscribe to the subject.
    """
    if usual := _USUAL_ACK.fullmatch(data):
        return PubAck(usual[1].decode("utf-8", "surrogateescape"), int(usual[2]))
    answer = read_object("an acknowledgement", data)
    stream, seq = answer.get("stream"), answer.get("seq")
    if not isinstance(stream, str) or not isinstance(seq, int):
        raise InvalidAnswer("an acknowledgement", "it has no stream and seq")
    rest: dict[str, Any] = {
        "domain": answer.get("domain"),
        "duplicate": answer.get("duplicate"),
        "batch_id": answer.get("batch"),
        "batch_size": answer.get("count"),
        "val": answer.get("val"),
    }
    return PubAck(stream, seq, **rest)
