"""A second parser, to compare the real one with: all bytes at once, one tolerant way, no memory.

It shares nothing with the real one but its bounds and the reader of INFO's JSON.
"""

from __future__ import annotations

import re
from typing import Any

from agents_core.errors import InvalidMessage
from agents_core.jsonvalue import loads
from agents_core.nats import parser

_SIZE = re.compile(rb"[0-9]{1,%d}" % parser.DIGITS_MAX)
_SIMPLE = re.compile(rb"(PING|PONG|\+OK)[^ \t]*", re.IGNORECASE)


class _Wrong(Exception):
    """The bytes are not NATS."""


def parse(data: bytes) -> tuple[list[Any], bool]:
    """The messages, then the events, as `streams.parse` has them, and whether there is an error."""
    msgs: list[Any] = []
    events: list[Any] = []
    try:
        while (end := data.find(b"\n")) >= 0:
            line, rest = data[:end], data[end + 1 :]
            _check_length(line)
            words = re.findall(rb"[^ \t]+", line.removesuffix(b"\r"))
            if words and words[0].upper() in {b"MSG", b"HMSG"}:
                taken = _message(words, rest, msgs)
                if taken is None:
                    return msgs + events, False
                data = rest[taken:]
            else:
                events.append(_event(words, line))
                data = rest
        _check_length(data)
    except _Wrong:
        return msgs + events, True
    return msgs + events, False


def _check_length(line: bytes) -> None:
    is_info = line[:4].upper() == b"INFO"
    if len(line) > (parser.INFO_BYTES_MAX if is_info else parser.LINE_BYTES_MAX):
        raise _Wrong


def _message(words: list[bytes], rest: bytes, msgs: list[Any]) -> int | None:
    """Append a message; how many bytes of `rest` it took, or None if it is not whole yet."""
    sizes = 2 if words[0].upper() == b"HMSG" else 1
    names, numbers = words[1:-sizes], words[-sizes:]
    if len(names) not in {2, 3} or not all(_SIZE.fullmatch(number) for number in numbers):
        raise _Wrong
    size, header_size = int(numbers[-1]), int(numbers[0]) if sizes == 2 else 0
    if header_size > size or size > parser.PAYLOAD_BYTES_MAX:
        raise _Wrong
    if len(rest) < size + 2:
        return None
    if rest[size : size + 2] != b"\r\n":
        raise _Wrong
    subject, sid, reply = (*names, b"")[:3]
    texts = subject.decode("utf-8", "surrogateescape"), reply.decode("utf-8", "surrogateescape")
    block, payload = rest[:header_size], rest[header_size:size]
    raw = [part.decode("latin-1") for part in (sid, block, payload)]
    msgs.append(["MSG", texts[0], raw[0], texts[1], *raw[1:]])
    return size + 2


def _event(words: list[bytes], line: bytes) -> list[Any]:
    """What a line says that is no message."""
    if not words:
        raise _Wrong
    verb = words[0].upper()
    tail = line[line.index(words[0]) + len(verb) :]
    if verb == b"INFO":
        try:
            found = loads(tail)
        except InvalidMessage:
            raise _Wrong from None
        if not isinstance(found, dict):
            raise _Wrong
        return ["INFO", found]
    if verb == b"-ERR":
        text = re.fullmatch(rb"\s*'?(.*?)'?\s*", tail, re.DOTALL)
        assert text is not None
        return ["-ERR", text[1].decode("utf-8", "replace")]
    if simple := _SIMPLE.match(words[0]):
        return [simple[1].decode().upper()]
    raise _Wrong
