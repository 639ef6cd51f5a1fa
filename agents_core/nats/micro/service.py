"""A service: endpoints under one name and version, found and watched by `$SRV` (ADR-32)."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from agents_core import jsonvalue
from agents_core.bus import DONE, Status
from agents_core.errors import AgentsError, InvalidService, InvalidSubject
from agents_core.ids import unique
from agents_core.nats.micro.endpoint import Endpoint
from agents_core.nats.micro.request import Handler
from agents_core.nats.micro.responses import (
    EndpointInfo,
    EndpointStats,
    ServiceInfo,
    ServicePing,
    ServiceStats,
)
from agents_core.nats.micro.verbs import Verbs, check_name
from agents_core.nats.subject import check_subject, check_word

if TYPE_CHECKING:
    from agents_core.bus import Bus

QUEUE_GROUP = "q"
"""The queue group of all services, so that instances share requests unless told otherwise."""

StatsHandler = Callable[[EndpointStats], Any]
"""Called for each endpoint when STATS is asked; what it returns, if JSON, is its `data`."""

_NUMBER = r"(?:0|[1-9][0-9]*)"
_PART = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
    rf"(?:-{_PART}(?:\.{_PART})*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_log = logging.getLogger("agents_core.nats.micro")


class Group:
    """Endpoints whose subjects begin alike; make one with `add_group`."""

    def __init__(self, service: Service, prefix: str, queue_group: str) -> None:
        self._service = service
        self._prefix = prefix
        self._queue_group = queue_group

    def add_group(self, *, name: str = "", queue_group: str | None = None) -> Group:
        """A group below this one.

        Args:
            name: of subjects, the tokens that come first; empty for the same as here.
            queue_group: for its endpoints; None for the same as here, empty for none.

        Raises:
            InvalidService: a name or queue group that can't be part of a subscription.
        """
        if name:
            _check_text("group", name)
            _check("group", name, lambda: check_subject(f"{name}.x", wildcards=True))
        return Group(self._service, _join(self._prefix, name), self._queue_of(queue_group))

    async def add_endpoint(
        self,
        *,
        name: str,
        handler: Handler,
        subject: str = "",
        queue_group: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Answer requests on one more subject, from now on.

        Args:
            name: `A-Z a-z 0-9 _ -`, for people; several endpoints may share it.
            handler: see `agents_core.nats.micro.Handler`.
            subject: what to listen on, after the group's name; may have wildcards. By default the
                name.
            queue_group: who shares the requests; None for the group's, empty for nobody: then
                every instance gets each of them.
            metadata: about the endpoint, for whoever asks.

        Raises:
            InvalidService: one of these can't be, or the service has stopped.
            ConnectionClosed: the bus is closed or draining.
        """
        check_name("endpoint", name)
        _check_text("subject", subject)
        target = _join(self._prefix, subject or name)
        _check("subject", target, lambda: check_subject(target, wildcards=True))
        queue = self._queue_of(queue_group)
        await self._service.add(
            Endpoint(EndpointInfo(name, target, queue, _texts(metadata)), handler)
        )

    def _queue_of(self, queue_group: str | None) -> str:
        if queue_group:
            _check("queue group", queue_group, lambda: check_word(queue_group))
        return self._queue_group if queue_group is None else queue_group


class Service(Group):
    """One instance of a service; make one with `add_service`.

    Use it as an async context manager, or `stop` it.

    Args:
        bus: any; the service leaves it open.
        name: see `add_service`.
        version: see `add_service`.
        description: see `add_service`.
        metadata: see `add_service`.
        queue_group: see `add_service`.
        stats_handler: see `add_service`.

    Attributes:
        id: of this instance.
        stopped: set when it has stopped, also because the bus was closed.

    Raises:
        InvalidService: one of these can't be.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        name: str,
        version: str,
        description: str = "",
        metadata: Mapping[str, str] | None = None,
        queue_group: str | None = None,
        stats_handler: StatsHandler | None = None,
    ) -> None:
        super().__init__(self, "", QUEUE_GROUP)
        self._queue_group = self._queue_of(queue_group)
        check_name("name", name)
        if not (isinstance(version, str) and _SEMVER.fullmatch(version)):
            raise InvalidService("version", str(version), "a version is SemVer, as 1.0.0")
        _check_text("description", description)
        if stats_handler is not None and not callable(stats_handler):
            raise InvalidService("stats_handler", repr(stats_handler), "give a plain function")
        self.id = unique()
        self.stopped = asyncio.Event()
        self._bus = bus
        self._identity = (name, self.id, version, _texts(metadata))
        self._description = description
        self._stats_handler = stats_handler
        self._endpoints: list[Endpoint] = []
        self._verbs = Verbs(bus, self)
        self._unlisten: Callable[[], None] | None = None
        self._stopping = False
        self.reset()

    async def start(self) -> None:
        """Be found from now on; a second call, or one of a service that was stopped, does nothing.

        Raises:
            ConnectionClosed: the bus is closed or draining.
        """
        if self._stopping or self._unlisten is not None:
            return
        unlisten = self._unlisten = self._bus.on_status(self._on_status)
        try:
            await self._verbs.start()
        except BaseException:
            unlisten()
            self._unlisten = None
            raise
        if self._stopping:  # meanwhile, and `stop` did not see all of them
            self._verbs.end()

    def _on_status(self, status: Status) -> None:
        if status is Status.CLOSED:
            self.stopped.set()

    async def add(self, endpoint: Endpoint) -> None:
        """Take an endpoint; called by `add_endpoint`."""
        gone = InvalidService("endpoint", endpoint.info.name, "the service has stopped")
        if self._stopping or self.stopped.is_set():
            raise gone
        await endpoint.start(self._bus)
        if self._stopping:  # meanwhile, and `stop` did not see this one
            await _leave(endpoint)
            raise gone
        self._endpoints.append(endpoint)

    def ping(self) -> ServicePing:
        """Who it is."""
        return ServicePing(*self._identity)

    def info(self) -> ServiceInfo:
        """What it is, and its endpoints as they are now, but for those that the server refused."""
        endpoints = [endpoint.info for endpoint in self._endpoints if not endpoint.refused]
        return ServiceInfo(*self._identity, self._description, endpoints)

    def stats(self) -> ServiceStats:
        """The counters of its endpoints."""
        found = [self._with_data(endpoint.stats()) for endpoint in self._endpoints]
        return ServiceStats(*self._identity, self._started, found)

    def _with_data(self, stats: EndpointStats) -> EndpointStats:
        if self._stats_handler is None:
            return stats
        try:
            data = self._stats_handler(stats)
            jsonvalue.dumps(data)
        except Exception:  # a user's; the counters are told without it
            _log.exception("the stats_handler of service %s failed", self._identity[0])
            return stats
        return replace(stats, data=data)

    def reset(self) -> Awaitable[None]:
        """Count from zero again; `await` before it is allowed, as in nats-py."""
        self._started = datetime.now(UTC)
        for endpoint in self._endpoints:
            endpoint.reset()
        return DONE

    async def stop(self) -> None:
        """Take no more requests, answer what is under way, and be found no more.

        A connection that is down is no hindrance: the interest has ended here. In a handler it does
        not wait for that handler; nor for others, if it is being stopped already, which may wait
        for this one.
        """
        again, self._stopping = self._stopping, True
        self._verbs.end()
        try:
            await asyncio.gather(*map(_leave, self._endpoints))  # all, then wait for handlers
            if again and any(endpoint.is_caller() for endpoint in self._endpoints):
                return
            for endpoint in self._endpoints:
                await endpoint.drain()
        except asyncio.CancelledError:
            self._over()
            raise
        self._over()

    def _over(self) -> None:
        """Whoever gives up waiting for that has it stopped all the same, at once then."""
        for endpoint in self._endpoints:
            endpoint.end()
        if self._unlisten is not None:
            self._unlisten()
        self.stopped.set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def add_service(
    bus: Bus,
    *,
    name: str,
    version: str,
    description: str = "",
    metadata: Mapping[str, str] | None = None,
    queue_group: str | None = None,
    stats_handler: StatsHandler | None = None,
) -> Service:
    """Start a service; give it endpoints with `add_endpoint` and `add_group`.

    Args:
        bus: any `agents_core.bus.Bus`, as a `nats.Client`; the service leaves it open.
        name: its kind, which all its instances share: `A-Z a-z 0-9 _ -`.
        version: its version as SemVer, `1.0.0`.
        description: for people.
        metadata: about this instance, for whoever asks.
        queue_group: for its endpoints, by default `q`, in which all instances share requests;
            empty for none: then every instance gets each request.
        stats_handler: adds data of its own to each endpoint's counters.

    Raises:
        InvalidService: one of these can't be.
        ConnectionClosed: the bus is closed or draining.
    """
    service = Service(
        bus,
        name=name,
        version=version,
        description=description,
        metadata=metadata,
        queue_group=queue_group,
        stats_handler=stats_handler,
    )
    await service.start()
    return service


async def _leave(endpoint: Endpoint) -> None:
    try:
        await endpoint.leave()
    except AgentsError as error:
        _log.warning("%s was ended without a barrier: %s", endpoint.info.subject, error)


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _check(field: str, value: str, check: Callable[[], None]) -> None:
    try:
        check()
    except InvalidSubject as error:
        raise InvalidService(field, value, error.reason) from None


def _texts(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """A copy, as metadata does not change once it is set (ADR-32)."""
    if not isinstance(metadata, Mapping | None):
        raise InvalidService("metadata", repr(metadata), "it maps names to values")
    found = dict(metadata or {})
    for text in (*found, *found.values()):
        _check_text("metadata", text)
    return found


def _check_text(field: str, value: str) -> None:
    """Refuse what would make the answer of a service no JSON, so that nobody finds it."""
    if not isinstance(value, str):
        raise InvalidService(field, repr(value), "it is no text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidService(field, value, "it has half a surrogate pair") from None
