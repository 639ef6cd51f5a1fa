"""Counters: each subject of a stream is a number, to which anybody adds (ADR-49, server 2.12)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agents_core.nats.jetstream.api import read_object
from agents_core.nats.jetstream.errors import InvalidAnswer, InvalidOption
from agents_core.nats.jetstream.header import Header

if TYPE_CHECKING:
    from agents_core.nats.jetstream.context import JetStreamContext
    from agents_core.nats.jetstream.stored import RawStreamMsg

DIGITS_MAX = 1000
"""Digits of a counter; reading very long numbers takes quadratic time."""

_NUMBER = re.compile(rf"[+-]?\d{{1,{DIGITS_MAX}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CounterEntry:
    """A counter as it was at one moment.

    Attributes:
        subject: which one.
        value: its number.
        increment: what was added last.
        sources: what other streams have contributed, by stream and subject.
    """

    subject: str
    value: int
    increment: int
    sources: dict[str, dict[str, int]] = field(default_factory=dict)


class Counter:
    """The counters of one stream, which needs `allow_msg_counter` and `allow_direct`.

    Made by `js.counter(stream)`. A number has at most 1,000 digits.
    """

    def __init__(self, js: JetStreamContext, stream: str) -> None:
        self.stream = stream
        self._js = js

    async def add(self, subject: str, value: int) -> int:
        """Add to a counter, which begins at 0, and return what it is then.

        Raises:
            InvalidOption: the number is too long, so that nobody here could read the counter again.
            and what `JetStreamContext.publish` raises.
        """
        if abs(value) >= 10**DIGITS_MAX:
            raise InvalidOption("value", f"at most {DIGITS_MAX:,} digits")
        ack = await self._js.publish(subject, headers={Header.INCR: f"{value:+d}"})
        return _number(ack.val)

    async def get(self, subject: str) -> CounterEntry:
        """A counter as it is.

        Raises:
            MessageNotFound: nothing was ever added.
            NoStreamResponse: the stream does not exist, or has no `allow_direct`.
        """
        return _entry(await self._js.get_last_msg(self.stream, subject, direct=True))

    async def get_multiple(self, subjects: str | Sequence[str]) -> list[CounterEntry]:
        """Every counter that matches; at most 1,024 may.

        Raises:
            what `JetStreamContext.get_last_msgs_for` raises.
        """
        found = await self._js.get_last_msgs_for(self.stream, subjects)
        return [_entry(msg) for msg in found]


def _number(text: Any) -> int:
    if not isinstance(text, str) or not _NUMBER.fullmatch(text):
        raise InvalidAnswer("a counter", f"{str(text)[:64]!r} is no number")
    return int(text)


def _entry(msg: RawStreamMsg) -> CounterEntry:
    sources: dict[str, dict[str, int]] = {}
    if text := msg.headers.get(Header.COUNTER_SOURCES):
        for stream, subjects in read_object("a counter's sources", text.encode()).items():
            if not isinstance(subjects, dict):
                raise InvalidAnswer("a counter's sources", "not an object of objects")
            sources[stream] = {name: _number(value) for name, value in subjects.items()}
    value = read_object("a counter", msg.data).get("val")
    return CounterEntry(
        msg.subject, _number(value), _number(msg.headers.get(Header.INCR, "0")), sources
    )
