"""Finds a server that answers: at first, after a loss, and before one that is announced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Generic, TypeVar

from agents_core.errors import AgentsError, TransportError
from agents_core.nats import backoff
from agents_core.nats.callbacks import RAISED, awaited_failure, failure
from agents_core.nats.options import Options
from agents_core.nats.servers import Server, Servers

T = TypeVar("T")


class Connector(Generic[T]):
    """Tries servers of the pool in turn; over what, and what comes of it, is its owner's affair.

    Args:
        options: how often, how long, and in which order.
        attempt: opens a connection to one server.
        on_error: told about attempts that failed, as long as there is another.

    Attributes:
        servers: the pool.
        info: the server's newest INFO, for `reconnect_to_server_handler`.
    """

    def __init__(
        self,
        options: Options,
        attempt: Callable[[Server], Awaitable[T]],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.servers = Servers(options.servers, shuffle=not options.dont_randomize, rng=options.rng)
        self.info: Mapping[str, object] = {}
        self._options, self._attempt, self._on_error = options, attempt, on_error
        self._loop = asyncio.get_running_loop()
        self._answered_at = 0.0
        self._round = 0
        self._left = 0  # servers to try before the next pause
        self._hurried = asyncio.Event()

    async def first(self) -> T:
        """Each server once.

        Raises:
            AgentsError: what the last attempt raised.
        """
        last: AgentsError | None = None
        for server in self.servers:
            if last is not None:
                self._on_error(last)
            self.servers.take(server)
            try:
                return await self._try(server)
            except AgentsError as error:
                last = error
        assert last is not None  # a pool is never empty before a reconnect
        raise last

    async def again(self) -> T | None:
        """Server after server until one answers; None when none is left to try.

        The first attempt is immediate, unless the last connection was lost as soon as it was made:
        who lets everybody in and throws them out again must not be asked in a tight loop.
        """
        if self._loop.time() - self._answered_at >= self._options.reconnect_time_wait:
            self._round = self._left = 0
        while len(self.servers):
            server = await self._next()
            if server is not None and (made := await self._try_or_tell(server)) is not None:
                return made
        return None

    async def elsewhere(self, current: Server) -> T | None:
        """Each server other than this one, once; None when none of them answers."""
        tried = {current.url}
        while others := [server for server in self.servers if server.url not in tried]:
            chosen, delay = self._ask(others) or (others[0], 0.0)
            await asyncio.sleep(delay)
            if chosen not in self.servers:  # the pool was replaced meanwhile
                continue
            tried.add(chosen.url)
            self.servers.take(chosen)
            if (made := await self._try_or_tell(chosen)) is not None:
                return made
        return None

    def hurry(self) -> None:
        """Something has changed that may let a server answer: make the next attempt at once."""
        self._round = 0
        self._hurried.set()

    async def _pause(self, seconds: float) -> None:
        self._hurried.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurried.wait(), seconds)

    def refused(self, server: Server, error: AgentsError) -> None:
        """The server ended a connection by an authorization error, which counts as one attempt."""
        self._failed(server, error, -1)

    def learn(self, info: Mapping[str, object], current: Server) -> bool:
        """Take what INFO says of the cluster; whether a server is new."""
        self.info = info
        urls = info.get("connect_urls")
        if self._options.ignore_cluster_updates or not isinstance(urls, list):
            return False
        return bool(self.servers.learn(urls, current))

    # -- one attempt

    async def _next(self) -> Server | None:
        """The server to try now, after the pause before it; None if it is gone after that."""
        if (asked := self._ask(self.servers)) is not None:
            server, delay = asked
            await self._pause(delay)
            if server not in self.servers:  # the pool was replaced meanwhile
                return None
            self.servers.take(server)
            return server
        if self._left <= 0:  # a pause per round through the pool
            wait, rng = self._options.reconnect_time_wait, self._options.rng
            pause = backoff.delay(self._round, wait, rng)
            self._round += 1
            await self._pause(pause)
            self._left = len(self.servers)
        self._left -= 1
        return self.servers.next()

    def _ask(self, candidates: Iterable[Server]) -> tuple[Server, float] | None:
        """What the user's handler chooses; None without one, or when it can't be followed."""
        handler = self._options.reconnect_to_server_handler
        if handler is None:
            return None
        known = {server.uri: server for server in candidates}
        try:
            chosen, delay = handler([replace(s) for s in known.values()], dict(self.info))
            if chosen is None:
                return next(iter(known.values())), max(0.0, delay)
            if chosen.uri in known:
                return known[chosen.uri], max(0.0, delay)
            raise TransportError(chosen.url, "the handler chose a server that is not in the pool")
        except RAISED as error:  # the user's fault must not end the reconnecting
            self._on_error(failure(error))
            return None

    async def _try_or_tell(self, server: Server) -> T | None:
        try:
            return await self._try(server)
        except RAISED as raised:  # whoever's fault it is, it must not end the reconnecting
            error = awaited_failure(raised)
            self._on_error(error)
            self._failed(server, error, self._options.max_reconnect_attempts)
            return None

    async def _try(self, server: Server) -> T:
        server.reconnects += 1
        made = await self._attempt(server)
        server.reconnects, server.refusal = 0, ""
        self._answered_at = self._loop.time()
        return made

    def _failed(self, server: Server, error: Exception, limit: int) -> None:
        patient = self._options.ignore_auth_error_abort
        self.servers.failed(server, error, limit, patient=patient)
