"""JSON as it crosses nodes and is stored: strict both ways, bounded in depth."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

from agents_core.errors import EncodeError, InvalidMessage

DEPTH_MAX = 64
"""Nested containers in one value; deeper ones are a bomb or a cycle."""

INT_DIGITS_MAX = 400
"""Digits of one integer; reading very long ones takes quadratic time."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A JSON string. One that does not end goes to the end of the text, so that time stays linear."""

_ONE_DIGIT = bytes.maketrans(b"123456789", b"000000000")
_LONG_INT = b"0" * (INT_DIGITS_MAX + 1)

_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode  # `check_depth` finds circles


def dumps(value: object) -> bytes:
    """Encode as UTF-8 JSON without spaces.

    Raises:
        EncodeError: the value has no JSON form that `loads` takes: another type, NaN, a cycle, a
            lone surrogate, too deep, an integer too long.
    """
    check_depth(value)
    return write(value)


def write(value: object) -> bytes:
    """The same as `dumps` for a value that would pass `check_depth`, as who made it knows.

    Raises:
        EncodeError: see `dumps`.
    """
    try:
        data = _encode(value).encode()
    except UnicodeEncodeError:
        raise EncodeError(type(value).__name__, "text with a lone surrogate") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(type(value).__name__, str(error)) from None
    if _has_long_int(data) and _has_long_int(_STRING.sub(b"", data)):
        raise EncodeError(type(value).__name__, f"an integer of more than {INT_DIGITS_MAX} digits")
    return data


def _has_long_int(data: bytes) -> bool:
    return _LONG_INT in data.translate(_ONE_DIGIT)


def loads(data: bytes) -> Any:
    """Decode UTF-8 JSON.

    Raises:
        InvalidMessage: it is not JSON, names a key twice, or goes beyond the bounds.
    """
    _check_brackets(data)
    try:
        return _read(data.decode())
    except ValueError as error:
        raise InvalidMessage(f"not JSON: {error}") from None


def _check_brackets(data: bytes) -> None:
    """Refuse deep nesting before it is parsed: in Pyodide the parser's stack is the interpreter's.

    Ten thousand open brackets end the whole tab there, without an exception.
    """
    if data.count(b"[") + data.count(b"{") <= DEPTH_MAX:
        return
    brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
    if (
        max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0)
        > DEPTH_MAX
    ):
        raise InvalidMessage(f"nested deeper than {DEPTH_MAX}")


def check_depth(value: object) -> None:
    """Refuse containers nested deeper than `DEPTH_MAX`, cycles included.

    Raises:
        EncodeError: they are.
    """
    layer: list[object] = [value] if isinstance(value, dict | list | tuple) else []
    for _ in range(DEPTH_MAX):
        layer = [
            child
            for item in layer
            for child in _items(item)
            if isinstance(child, dict | list | tuple)
        ]
        if not layer:
            return
    raise EncodeError(type(value).__name__, f"nested deeper than {DEPTH_MAX}")


def _items(item: Any) -> Iterable[object]:
    """What a container holds; an object's names are strings, json would make them so silently."""
    if not isinstance(item, dict):
        return item  # type: ignore[no-any-return]
    for name in item:
        if not isinstance(name, str):
            raise EncodeError(type(name).__name__, "an object's names are strings")
    return item.values()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a key twice")
    return found


def _int(text: str) -> int:
    if len(text.removeprefix("-")) > INT_DIGITS_MAX:
        raise ValueError(f"an integer of more than {INT_DIGITS_MAX} digits")
    return int(text)


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


_read = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_int, parse_constant=_constant).decode
