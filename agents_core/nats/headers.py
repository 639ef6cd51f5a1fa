"""Message headers (ADR-4): case-preserving, several values per name, and the status line."""

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from agents_core.errors import InvalidHeader

HeadersLike: TypeAlias = "Mapping[str, str | Sequence[str]]"
"""Headers to send: a name maps to a value, or to several in order."""

VERSION = b"NATS/1.0"
_NAME = re.compile(r"[!-9;-~]+")  # printable ASCII without the colon
_BREAK = re.compile(r"[\r\n]")
_STATUS = re.compile(rb"[ \t]*(\d{3})(?:[ \t]+([^\r\n]*))?")


class Headers(Mapping[str, str]):
    """The headers of a message: look-up is case-sensitive and gives the first value of a name.

    Attributes:
        corrupt: the block could not be read to its end; what could be read is here.
    """

    __slots__ = ("_values", "corrupt")

    def __init__(self, pairs: Sequence[tuple[str, str]] = (), *, corrupt: bool = False) -> None:
        self._values: dict[str, list[str]] = {}
        self.corrupt = corrupt
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._values[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def get_all(self, name: str) -> list[str]:
        """Every value of a name, in the order sent."""
        return list(self._values.get(name, ()))

    def __repr__(self) -> str:
        return f"Headers({self._values!r})"


def parse_headers(raw: bytes) -> Headers:
    """Read a header block.

    Never raises, as any publisher may send a bad one and nobody else should suffer.
    """
    if not raw:
        return Headers()
    pairs: list[tuple[str, str]] = []
    corrupt = not raw.startswith(VERSION)
    for line in raw.split(b"\r\n")[1:]:
        if not line:
            break
        name, colon, value = line.partition(b":")
        if not colon:
            corrupt = True
        elif name:  # an empty name is passed over, as the Go client does
            text = value.lstrip(b" \t").decode("utf-8", "surrogateescape")
            pairs.append((name.decode("utf-8", "surrogateescape"), text))
    return Headers(pairs, corrupt=corrupt)


def parse_status(raw: bytes) -> tuple[int, str]:
    """The code and the words of the status line, or (0, "") without one."""
    if found := _STATUS.match(raw, len(VERSION)):
        return int(found[1]), (found[2] or b"").decode("utf-8", "surrogateescape").strip()
    return 0, ""


def with_all_values(headers: HeadersLike | None) -> dict[str, str | Sequence[str]]:
    """A copy in which each name has all its values: as a mapping, `Headers` gives the first ones.

    So the headers of a message can be sent on as they came.

    Raises:
        InvalidHeader: they are no mapping.
    """
    if type(headers) is Headers:
        return {name: headers.get_all(name) for name in headers}
    return dict(_items(headers)) if headers else {}


def encode_headers(headers: HeadersLike) -> bytes:
    """The block to send, `NATS/1.0` line and final empty line included.

    Raises:
        InvalidHeader: they are no mapping, a name is empty or not printable ASCII without a colon,
            or a value is no text, or has CR or LF.
    """
    lines = [VERSION]
    if type(headers) is Headers:
        headers = with_all_values(headers)
    for name, value in _items(headers):
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidHeader(str(name), "a name is printable ASCII without ':'")
        many = not isinstance(value, str) and isinstance(value, Iterable)
        for item in value if many else (value,):
            lines.append(name.encode() + b": " + _encode_value(name, item))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _items(headers: HeadersLike) -> ItemsView[str, str | Sequence[str]]:
    try:
        return headers.items()
    except AttributeError:
        raise InvalidHeader(repr(headers), "headers map names to values") from None


def _encode_value(name: str, value: object) -> bytes:
    if not isinstance(value, str):
        raise InvalidHeader(name, "a value is a string, or several of them")
    if _BREAK.search(value):
        raise InvalidHeader(name, "a value has no CR or LF")
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidHeader(name, "a value is text that UTF-8 can carry") from None
