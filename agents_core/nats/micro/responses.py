"""What a service says of itself: identity, description, counters; as JSON both ways (ADR-32)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from agents_core.errors import InvalidMessage

EPOCH = datetime.fromtimestamp(0, UTC)
"""When a service started that does not say when."""


class Json:
    """A dataclass as a JSON object."""

    __slots__ = ()
    type: ClassVar[str] = ""

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Read it as any SDK sends it; what is missing or null is empty.

        Raises:
            InvalidMessage: it is of another type, or not that at all.
        """
        if not isinstance(data, dict) or data.get("type", "") != cls.type:
            raise InvalidMessage(f"not {cls.type or cls.__name__}")
        found = {}
        for item in fields(cls):  # type: ignore[arg-type]
            read = _READ[str(item.type)]
            if data.get(item.name) is not None:
                found[item.name] = read(data[item.name], item.name)
        return cls(**found)

    def to_dict(self) -> dict[str, Any]:
        """For the wire; every name is there, as nats-py can't read it otherwise."""
        kind = {"type": self.type} if self.type else {}
        return {**kind, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True, slots=True)
class EndpointInfo(Json):
    """One endpoint, as INFO lists it.

    Attributes:
        name: for people; several endpoints may share it.
        subject: what it listens on.
        queue_group: who shares its requests; empty where every instance gets each of them.
        metadata: whatever it was given.
    """

    name: str = ""
    subject: str = ""
    queue_group: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointStats(Json):
    """The counters of one endpoint, as STATS lists them.

    Attributes:
        name: as in `EndpointInfo`.
        subject: as in `EndpointInfo`.
        queue_group: as in `EndpointInfo`.
        num_requests: requests that arrived.
        num_errors: answers that were errors.
        last_error: `code:description` of the last one; empty if there was none.
        processing_time: nanoseconds spent in the handler.
        average_processing_time: the same per request; 0 before the first.
        data: what the service's `stats_handler` adds.
    """

    name: str = ""
    subject: str = ""
    queue_group: str = ""
    num_requests: int = 0
    num_errors: int = 0
    last_error: str = ""
    processing_time: int = 0
    average_processing_time: int = 0
    data: Any = None


@dataclass(frozen=True, slots=True)
class ServicePing(Json):
    """Who answers.

    Attributes:
        name: the kind of the service, which all its instances share.
        id: of this instance.
        version: of the service, as SemVer.
        metadata: whatever the instance was given.
    """

    name: str = ""
    id: str = ""
    version: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    type: ClassVar[str] = "io.nats.micro.v1.ping_response"


@dataclass(frozen=True, slots=True)
class ServiceInfo(ServicePing):
    """Who answers, and what it is.

    Attributes:
        description: for people.
        endpoints: as they are now, those added later included.
    """

    description: str = ""
    endpoints: list[EndpointInfo] = field(default_factory=list)
    type: ClassVar[str] = "io.nats.micro.v1.info_response"


@dataclass(frozen=True, slots=True)
class ServiceStats(ServicePing):
    """Who answers, and what it has done.

    Attributes:
        started: when it began to count, in UTC.
        endpoints: the counters.
    """

    started: datetime = EPOCH
    endpoints: list[EndpointStats] = field(default_factory=list)
    type: ClassVar[str] = "io.nats.micro.v1.stats_response"

    def to_dict(self) -> dict[str, Any]:
        """For the wire; the time has six decimals and a Z, which is what nats-py reads."""
        started = self.started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return Json.to_dict(self) | {"started": started}  # super() does not find it, with slots


def _is(*kinds: type) -> Callable[[Any, str], Any]:
    """A reader that takes values of these types only."""

    def read(value: Any, name: str) -> Any:
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise InvalidMessage(f"{name!r} is a {type(value).__name__}")
        return value

    return read


def _whole(value: Any, name: str) -> int:
    """A whole number; nats.js has an average of 1.5."""
    try:
        return int(_is(int, float)(value, name))
    except OverflowError:  # 1e999 is JSON, and read as infinity
        raise InvalidMessage(f"{name!r} is out of range") from None


def _time(value: Any, name: str) -> datetime:
    """RFC 3339 with any number of decimals; those beyond six are dropped."""
    try:
        found = datetime.fromisoformat(_is(str)(value, name))
    except ValueError:
        raise InvalidMessage(f"{name!r} is not a time") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _texts(value: Any, name: str) -> dict[str, str]:
    return {k: v for k, v in _is(dict)(value, name).items() if isinstance(v, str)}


_READ: dict[str, Callable[[Any, str], Any]] = {
    "str": _is(str),
    "int": _whole,
    "Any": lambda value, _: value,
    "datetime": _time,
    "dict[str, str]": _texts,
    "list[EndpointInfo]": lambda value, name: [
        EndpointInfo.from_dict(item) for item in _is(list)(value, name)
    ],
    "list[EndpointStats]": lambda value, name: [
        EndpointStats.from_dict(item) for item in _is(list)(value, name)
    ],
}
"""How a field is read, by its annotation."""
