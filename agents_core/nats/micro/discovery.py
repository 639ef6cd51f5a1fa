"""Who is there: ask all services, those of a name, or one instance (ADR-32)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from agents_core import jsonvalue
from agents_core.bus import Status
from agents_core.errors import InvalidMessage, NoResponders, NotConnected
from agents_core.nats.micro import verbs
from agents_core.nats.micro.responses import ServiceInfo, ServicePing, ServiceStats

if TYPE_CHECKING:
    from agents_core.bus import Bus

TIMEOUT_S = 2.0
"""Seconds that a question takes at most."""

STALL_S = 0.5
"""Seconds without another answer after which there will be none."""

ANSWERS_MAX = 10_000
"""Answers taken; more are a flood."""

Found = TypeVar("Found", bound=ServicePing)


async def ping(
    bus: Bus,
    name: str = "",
    id: str = "",
    *,
    timeout: float = TIMEOUT_S,
    stall: float = STALL_S,
    prefix: str = verbs.PREFIX,
) -> list[ServicePing]:
    """Every instance that is there, by its identity.

    Args:
        bus: any `agents_core.bus.Bus`.
        name: only services of this name.
        id: only this instance of them.
        timeout: seconds to wait for answers at most.
        stall: seconds after an answer within which the next one has to come, as nobody knows how
            many there are.
        prefix: instead of `$SRV`, as another account may have exported it.

    Raises:
        InvalidService: the name or the id can't be one, or there is an id without a name.
        InvalidSubject: the prefix can't be in a subject.
        NotConnected: the connection is down.
    """
    return await _ask(ServicePing, bus, "PING", (name, id, prefix), timeout, stall)


async def info(
    bus: Bus,
    name: str = "",
    id: str = "",
    *,
    timeout: float = TIMEOUT_S,
    stall: float = STALL_S,
    prefix: str = verbs.PREFIX,
) -> list[ServiceInfo]:
    """The same with descriptions and endpoints; arguments and errors as `ping` has them."""
    return await _ask(ServiceInfo, bus, "INFO", (name, id, prefix), timeout, stall)


async def stats(
    bus: Bus,
    name: str = "",
    id: str = "",
    *,
    timeout: float = TIMEOUT_S,
    stall: float = STALL_S,
    prefix: str = verbs.PREFIX,
) -> list[ServiceStats]:
    """The same with the endpoints' counters; arguments and errors as `ping` has them."""
    return await _ask(ServiceStats, bus, "STATS", (name, id, prefix), timeout, stall)


async def _ask(
    kind: type[Found],
    bus: Bus,
    verb: str,
    target: tuple[str, str, str],
    timeout: float,
    stall: float,
) -> list[Found]:
    subject = verbs.subject(verb, *target)
    if bus.status is not Status.CONNECTED:
        raise NotConnected(bus.url)
    wanted = 1 if target[1] else ANSWERS_MAX
    found: list[Found] = []
    with suppress(NoResponders):
        async for msg in bus.request_many(subject, timeout=timeout, stall=stall, max_msgs=wanted):
            with suppress(InvalidMessage):  # anybody may answer
                found.append(kind.from_dict(jsonvalue.loads(msg.data)))
    return found
