"""Bytes of what crosses a pipe: a header as JSON, and a payload that nobody looks at on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from struct import Struct
from typing import Any

from agents_core.errors import InvalidMessage, MaxPayloadExceeded

HEADER_BYTES_MAX = 256 * 1024
NAMES_CHARS_MAX = 16 * 1024
"""Characters of a message's sender, type and id together. They come from anybody, and are part of
the header, where JSON makes twelve bytes of one at most."""

PAYLOAD_BYTES_MAX = 16 * 1024 * 1024
"""A larger message, or module, would stand in the way of all others."""

_SIZES = Struct(">II")
_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


def pack(header: list[Any], payload: bytes = b"") -> bytes:
    """One frame.

    Raises:
        MaxPayloadExceeded: the payload or the header is too large.
    """
    check(payload)
    head = _encode(header).encode()
    if len(head) > HEADER_BYTES_MAX:  # the other side would take it for no frame, and end
        raise MaxPayloadExceeded(len(head), HEADER_BYTES_MAX)
    return _SIZES.pack(len(head), len(payload)) + head + payload


def check(payload: bytes) -> None:
    """Refuse a payload before it is sent.

    Raises:
        MaxPayloadExceeded: it is too large.
    """
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise MaxPayloadExceeded(len(payload), PAYLOAD_BYTES_MAX)


def check_names(*names: str) -> None:
    """Refuse a message whose header would be too large.

    Raises:
        InvalidMessage: its sender, type and id are.
    """
    if sum(map(len, names)) > NAMES_CHARS_MAX:
        raise InvalidMessage(f"sender, type and id have more than {NAMES_CHARS_MAX} characters")


class Reader:
    """Finds the frames in chunks of any size."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._have = 0
        self._need = _SIZES.size

    def feed(self, data: bytes) -> Iterator[tuple[list[Any], bytes]]:
        """The header and the payload of each frame that is complete.

        Raises:
            InvalidMessage: what was fed is no frame.
        """
        self._chunks.append(data)
        self._have += len(data)
        if self._have < self._need:
            return  # nothing is joined before it is complete
        data = b"".join(self._chunks)
        position = 0
        while True:
            self._need = _SIZES.size
            if len(data) - position < self._need:
                break
            head, payload = _SIZES.unpack_from(data, position)
            if head > HEADER_BYTES_MAX or payload > PAYLOAD_BYTES_MAX:
                raise InvalidMessage(f"a frame of {head} and {payload} bytes")
            self._need += head + payload
            if len(data) - position < self._need:
                break
            begin = position + _SIZES.size
            position += self._need
            yield _header(data[begin : begin + head]), data[begin + head : position]
        self._chunks = [data[position:]]
        self._have = len(data) - position


def _header(data: bytes) -> list[Any]:
    """Both sides are ours, so what is read was checked where it was written."""
    try:
        header = _decode(data.decode())
    except ValueError as error:
        raise InvalidMessage(f"a frame's header: {error}") from None
    if not isinstance(header, list):
        raise InvalidMessage("a frame's header is an array")
    return header
