"""JSON objects of the API as dataclasses: our units on this side, the server's on the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Self

from agents_core.nats.jetstream.errors import InvalidAnswer, InvalidOption
from agents_core.nats.jetstream.timestamp import from_datetime, parse_ns, to_datetime
from agents_core.timers import check_seconds

NANOSECONDS = 1_000_000_000


class Kind(NamedTuple):
    """How one field's value is read from JSON and written to it."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


def to_ns(seconds: float) -> int:
    """A duration as the server has it.

    Raises:
        ValueError: it has no end, or is no number of seconds; a text would be repeated a billion
            times.
    """
    check_seconds(seconds)
    try:
        return round(seconds * NANOSECONDS)
    except OverflowError:
        raise ValueError(f"{seconds!r} is not a number of seconds") from None


class _Moment(datetime):
    """A moment that the server named; it compares all nine digits when it gets it back."""

    said = ""  # what is made of it by arithmetic is another moment


def _read_moment(text: str) -> datetime | None:
    if text.startswith("0001-01-01T00:00:00Z"):
        return None
    cut = to_datetime(parse_ns(text))
    moment = _Moment.combine(cut.date(), cut.timetz())
    moment.said = text
    return moment


def _write_moment(value: datetime | str) -> str:
    if isinstance(value, str):
        return value
    return value.said if isinstance(value, _Moment) and value.said else from_datetime(value)


SECONDS = Kind(lambda value: value / NANOSECONDS, to_ns)
"""A duration: seconds here, nanoseconds there."""

LIST_OF_SECONDS = Kind(
    lambda values: [value / NANOSECONDS for value in values],
    lambda values: [to_ns(value) for value in values],
)

MOMENT = Kind(_read_moment, _write_moment)
"""A point in time; Go's zero time is None here. Text is sent as it is, and so is the nanosecond of
what the server said."""

_PLAIN = Kind(lambda value: value, lambda value: value)


def check_config(config: object, kind: type) -> None:
    """Refuse what is given in place of a configuration, most often a name.

    Raises:
        InvalidOption: it is of another type.
    """
    if config is not None and not isinstance(config, kind):
        raise InvalidOption("config", f"a {kind.__name__}, not {config!r}; fields go by name")


def choice(kind: type[StrEnum]) -> Kind:
    """One of a few words; one that a newer server knows stays a string."""
    known = {str(word): word for word in kind}
    return Kind(lambda word: known.get(word, word), str)


def record(kind: type[Record]) -> Kind:
    """An object."""
    return Kind(kind.from_response, _write_record)


def records(kind: type[Record]) -> Kind:
    """A list of objects."""
    return Kind(
        lambda values: [kind.from_response(value) for value in values],
        lambda values: [_write_record(value) for value in values],
    )


def records_by_name(kind: type[Record]) -> Kind:
    """An object of objects."""
    return Kind(
        lambda values: {name: kind.from_response(value) for name, value in values.items()},
        lambda values: {name: _write_record(value) for name, value in values.items()},
    )


def _write_record(value: Record) -> dict[str, Any]:
    return value.as_dict()


@dataclass
class Record:
    """One JSON object of the API. Its subclasses are plain dataclasses.

    Attributes:
        extra: what the server said beyond the fields known here. It is sent back, so that changing
            one setting does not reset those of a newer server.
        KINDS: the fields that are not the same in JSON.
    """

    extra: dict[str, Any] = field(default_factory=dict, kw_only=True, repr=False)
    KINDS: ClassVar[Mapping[str, Kind]] = {}

    @classmethod
    def from_response(cls, resp: Mapping[str, Any]) -> Self:
        """Read the server's object.

        Raises:
            InvalidAnswer: it is not an object, lacks a field that is always there, or has one of
                another type.
        """
        names = {f.name for f in fields(cls)} - {"extra"}
        known: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        try:
            for name, value in resp.items():
                if name not in names:
                    extra[name] = value
                elif value is None or name not in cls.KINDS:
                    known[name] = value
                else:
                    known[name] = cls.KINDS[name].read(value)
            return cls(**known, extra=extra)
        except (AttributeError, TypeError, ValueError) as error:
            raise InvalidAnswer(cls.__name__, str(error)) from None

    def as_dict(self) -> dict[str, Any]:
        """The object as the server takes it, without what is None: there its own defaults hold.

        Raises:
            InvalidOption: a field is of another type.
        """
        found = dict(self.extra)
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and f.name != "extra":
                found[f.name] = self._written(f.name, value)
        return found

    def _written(self, name: str, value: object) -> object:
        try:
            return self.KINDS.get(name, _PLAIN).write(value)
        except (AttributeError, TypeError, ValueError):
            raise InvalidOption(name, f"it can't be {value!r}") from None

    def evolve(self, **params: Any) -> Self:
        """A copy with some fields replaced."""
        return replace(self, **params)
