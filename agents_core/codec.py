"""Typed messages as JSON: dataclasses out, dataclasses in, checked against their annotations."""

from __future__ import annotations

import json
import types
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum, Flag
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from agents_core import jsonvalue
from agents_core.errors import EncodeError, InvalidMessage
from agents_core.jsonvalue import DEPTH_MAX

PAYLOAD_DEPTH_MAX = DEPTH_MAX - 1
"""Nested containers in what a message carries: the message around it is one more."""

KINDS_MAX = 1024
"""Message types whose fields are remembered; a notebook makes new ones with every run of a cell."""

_SCALARS = frozenset({str, int, float, bool, type(None)})
_CONTAINERS = frozenset({dict, list, tuple})
_BARE = _CONTAINERS | {set, frozenset}
"""What they hold is not looked at: `typing.Dict` says nothing of it, and sets have no JSON form."""

_known: dict[str, list[type]] = {}
"""Message types by name, of each name the newest first."""

_read = json.JSONDecoder().decode


def register(kind: type) -> None:
    """Make a message type known by its name, so that a reply of that type is decoded.

    Every type that an `@on` handler takes or returns is registered by itself. A later class of the
    same name and module replaces the earlier one, as when a notebook's cell runs again. Of those of
    several modules it is the newest that fits.
    """
    others = [other for other in _known.get(kind.__name__, ()) if _place(other) != _place(kind)]
    _known[kind.__name__] = [kind, *others]


def _place(kind: type) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__


def decode_named(name: str, value: Any) -> Any:
    """Make a value of the registered type of that name; where there is none it stays JSON.

    Raises:
        InvalidMessage: the types of that name that are known here have other fields.
    """
    refused: InvalidMessage | None = None
    for kind in _known.get(name, ()):
        try:
            return decode(kind, value)
        except InvalidMessage as error:
            refused = refused or error  # what the newest has against it
    if refused is not None:
        raise refused
    return value


def encode(value: object) -> tuple[str, Any]:
    """The type's name (empty for plain JSON) and the value as JSON.

    Raises:
        EncodeError: a part of it has no JSON form.
    """
    if isinstance(value, Encoded):
        return value.name, value.plain()
    kind = type(value)
    name = kind.__name__ if is_dataclass(kind) else ""
    return name, _plain(value, PAYLOAD_DEPTH_MAX)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A message as it passes through: bytes that nobody on the way has to understand.

    Args:
        name: of its type; empty for plain JSON.
        data: JSON that `of` made; empty for None.
    """

    name: str
    data: bytes

    @classmethod
    def of(cls, value: object) -> Encoded:
        """Encode a value; one that is encoded stays as it is.

        Raises:
            EncodeError: a part of it has no JSON form.
        """
        if isinstance(value, Encoded):
            return value
        name, plain = encode(value)
        return cls(name, b"" if plain is None else jsonvalue.write(plain))

    def plain(self) -> Any:
        """The JSON value. It was checked when it was made, by this project's own code."""
        return _read(self.data.decode()) if self.data else None

    def decoded(self) -> Any:
        """A value of its type, where that is known here.

        Raises:
            InvalidMessage: see `decode_named`.
        """
        return decode_named(self.name, self.plain())


def _plain(value: object, depth: int) -> Any:
    kind = type(value)
    if kind in _SCALARS:
        return value
    if isinstance(value, Enum):
        return _plain(value.value, depth)
    if isinstance(value, str | int | float):
        return value
    if depth == 0:
        raise EncodeError(kind.__name__, f"nested deeper than {PAYLOAD_DEPTH_MAX}")
    if is_dataclass(kind):
        return {name: _plain(getattr(value, name), depth - 1) for name in _made(kind)}
    if isinstance(value, dict):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise EncodeError(type(wrong[0]).__name__, "an object's names are strings")
        return {key: _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth - 1) for item in value]
    raise EncodeError(kind.__name__, "not a dataclass and not JSON")


def decode(kind: Any, value: Any) -> Any:
    """Make a value of type `kind` from JSON.

    Raises:
        InvalidMessage: a field is missing, unknown, or of another type; nothing else is raised.
    """
    where = getattr(kind, "__name__", str(kind))
    try:
        return _build(kind, value, where)
    except InvalidMessage:
        raise
    except Exception as error:  # an annotation is code, and so are the types that it names
        raise InvalidMessage(f"{where} can't be made: {error}") from error


def _build(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind):
        return _dataclass(kind, value, where)
    if hasattr(kind, "__supertype__"):  # a NewType is what it was made from
        return _build(kind.__supertype__, value, where)
    if kind is Any or kind is object:
        return value
    origin = get_origin(kind)
    if origin in {Union, types.UnionType}:
        return _union(kind, value, where)
    if origin is Literal:
        return _one_of(get_args(kind), value, where)
    if origin is not None:
        return _generic(kind, origin, value, where)
    if is_typeddict(kind):
        return _scalar(dict, value, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(kind, value, where)
    return _scalar(kind, value, where)


def _member(kind: type[Enum], value: Any, where: str) -> Any:
    if issubclass(kind, Flag) and type(value) is int:
        with suppress(ValueError):
            return kind(value)  # several of them, or none, are no member of their own
    return _one_of(list(kind), value, where)


def _one_of(options: Sequence[Any], value: Any, where: str) -> Any:
    """The option that is encoded so."""
    plain = [_as_sent(option) for option in options]
    for option, one in zip(options, plain, strict=True):
        if type(one) is type(value) and one == value:
            return option
    raise InvalidMessage(f"{where} is not one of {plain}")


def _as_sent(option: Any) -> Any:
    value = option.value if isinstance(option, Enum) else option
    return list(value) if isinstance(value, tuple) else value


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise InvalidMessage(f"{where} is too large for a float") from None
    if not isinstance(kind, type):
        return value  # an annotation that says nothing about JSON
    if kind is tuple and isinstance(value, list):
        return tuple(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InvalidMessage(f"{where} is not {kind.__name__}")
    return value


def _union(kind: Any, value: Any, where: str) -> Any:
    for option in sorted(get_args(kind), key=lambda option: option is float):
        try:  # a float last: it would take an integer, and have it lose digits
            return _build(option, value, where)
        except InvalidMessage:
            continue
    raise InvalidMessage(f"{where} is not {kind}")


def _generic(kind: Any, origin: Any, value: Any, where: str) -> Any:
    if origin in _CONTAINERS and hasattr(kind, "__args__"):
        return _container(origin, get_args(kind), value, where)
    if origin in _BARE or is_dataclass(origin):
        return _build(origin, value, where)
    return value  # as above


def _container(origin: Any, arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, dict if origin is dict else list):
        raise InvalidMessage(f"{where} is not {origin.__name__}")
    if isinstance(value, dict):
        return {key: _build(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    kinds = arguments
    if origin is list or Ellipsis in arguments:
        kinds = arguments[:1] * len(value)
    if len(kinds) != len(value):
        raise InvalidMessage(f"{where} has {len(value)} items, not {len(kinds)}")
    items = enumerate(zip(kinds, value, strict=True))
    return origin(_build(kind, item, f"{where}[{i}]") for i, (kind, item) in items)


def _dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise InvalidMessage(f"{where} is not an object")
    try:
        hints, required = _shape(kind)
    except NameError as error:
        raise InvalidMessage(f"the annotations of {where} can't be read: {error}") from None
    names = value.keys()
    if not names <= hints.keys():
        raise InvalidMessage(f"{where} has no field {', '.join(sorted(names - hints.keys()))}")
    if not names >= required:
        missing = [name for name in hints if name in required and name not in names]
        raise InvalidMessage(f"{where} lacks {', '.join(missing)}")
    built = {
        # What has the very type that is asked for, as most fields do, is plain JSON.
        name: item if type(item) is hints[name] else _build(hints[name], item, f"{where}.{name}")
        for name, item in value.items()
    }
    try:
        return kind(**built)
    except Exception as error:  # its own checks, in __post_init__
        raise InvalidMessage(f"{where}: {error}") from error


@lru_cache(KINDS_MAX)
def _made(kind: type) -> tuple[str, ...]:
    """The fields that a dataclass is made from."""
    return tuple(field.name for field in fields(kind) if field.init)


@lru_cache(KINDS_MAX)
def _shape(kind: type) -> tuple[dict[str, Any], frozenset[str]]:
    """The annotations of these fields, and those of them that have no default.

    Raises:
        NameError: an annotation names what is not there.
    """
    hints = get_type_hints(kind)
    optional = {
        field.name
        for field in fields(kind)
        if field.default is not MISSING or field.default_factory is not MISSING
    }
    made = _made(kind)
    return {name: hints[name] for name in made}, frozenset(made) - optional
