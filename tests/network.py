"""A network before a server, which a test can cut: bytes vanish, and nobody is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from agents_server.nats_server import LOOPBACK

CHUNK_BYTES = 65_536


class _Route:
    """Both ways of the connections that were made while it was the one in use."""

    def __init__(self) -> None:
        self.up, self.down = asyncio.Event(), asyncio.Event()
        self.up.set()
        self.down.set()


class Network:
    """Carries each connection to its `port` on to one of a server.

    It runs in a thread of its own, so that it serves a browser, too.

    Args:
        server_port: where the server listens, on loopback.
    """

    def __init__(self, server_port: int) -> None:
        self.port = 0
        self._server_port = server_port

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(started)))
        self._thread.start()
        started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    # -- what a test does

    def cut(self, *, up: bool = True, down: bool = True) -> None:
        """From now on nothing comes through: no byte, no end of a connection, and no new one.

        Args:
            up: to the server.
            down: to the clients.
        """

        async def cut() -> None:
            self._open.clear()
            for way, wanted in ((self._route.up, up), (self._route.down, down)):
                if wanted:
                    way.clear()

        self._do(cut())

    def mend(self, *, elsewhere: bool = False) -> None:
        """Everything comes through again; what was held back does, as TCP sends it anew.

        Args:
            elsewhere: new connections only, as for a laptop that is in another network now: through
                those from before nothing will ever come.
        """

        async def mend() -> None:
            if elsewhere:
                self._route = _Route()
            else:
                self._route.up.set()
                self._route.down.set()
            self._open.set()

        self._do(mend())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # -- its own thread

    async def _run(self, started: threading.Event) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._route, self._open, connections = _Route(), asyncio.Event(), set()
        self._open.set()

        def accept(*client: Any) -> None:
            connections.add(self._loop.create_task(self._carry_both(*client)))

        async with await asyncio.start_server(accept, LOOPBACK, self.port) as listener:
            self.port = listener.sockets[0].getsockname()[1]
            started.set()
            await self._ended.wait()
            for connection in connections:
                connection.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    async def _carry_both(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            await self._open.wait()
            route = self._route
            back, forth = await asyncio.open_connection(LOOPBACK, self._server_port)
            writers.append(forth)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_carry(reader, forth, route.up))
                ways.create_task(_carry(back, writer, route.down))
        finally:
            for end in writers:
                end.transport.abort()


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: asyncio.Event
) -> None:
    try:
        while data := await reader.read(CHUNK_BYTES):
            await way.wait()
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    await way.wait()
    writer.close()
