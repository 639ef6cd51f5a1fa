"""The HTTP app on uvicorn, inside of a loop that is not uvicorn's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from agents_core.errors import TransportError
from agents_server.headers import LOOPBACK
from agents_server.tcp import reason

PORT_MAX, PORTS_TRIED = 65_535, 100
GRACE_S = 1
"""Seconds that responses under way have to end: they are files, a client asks again."""


class WebServer:
    """A uvicorn server on a socket of ours.

    Args:
        app: what it serves.
        listener: from `listen`; it is closed at the end.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        self._socket = listener
        self.host, self.port = listener.getsockname()[:2]
        config = uvicorn.Config(
            app,
            log_config=None,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"{_url(self.host, self.port)}/"

    def start(self) -> None:
        """Begin to serve; connections wait in the socket's queue until it does."""
        serve = self._server.serve(sockets=[self._socket])
        self._task = asyncio.get_running_loop().create_task(serve)

    async def stop(self) -> None:
        """End the responses under way, or cut them after a second."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()  # uvicorn leaves what it cut to whoever ends the loop
        await asyncio.sleep(0)  # asyncio closes them in the next turn
        self._socket.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `agents up`, which has more to end than this."""
        yield


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def origins(host: str, port: int) -> list[str]:
    """What a browser on this machine may call the pages of a server there, whose port that is."""
    return sorted({_url(name, port) for name in (host, *LOOPBACK)})


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections.

    Args:
        host: the address to bind to.
        port: the first one to try; the next free one is taken.

    Raises:
        TransportError: no port could be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:  # once: where there is no name server, each look-up takes seconds
        address = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)[0][4][0]
    except (OSError, UnicodeError) as error:
        raise TransportError(_url(host, port), reason(error)) from None
    for number in range(port, min(port + PORTS_TRIED, PORT_MAX + 1) if port else 1):
        # asyncio sends without delay only where it is told that this is TCP; else each response
        # would wait 40 ms for the client's acknowledgement of its headers.
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((address, number))
            found.listen()
        except OSError as error:
            found.close()
            failure = TransportError(_url(host, port), reason(error))
        else:
            return found
    raise failure
