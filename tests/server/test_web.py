"""The web server's end."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agents_server.web import WebServer, listen

MUCH = bytes(64 * 1024 * 1024)
"""More than the system keeps for who does not read."""


def test_a_client_that_reads_nothing_is_cut_off() -> None:
    asked = asyncio.Event()

    async def much(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await Response(MUCH)(scope, receive, send)

    async def serve() -> None:
        web = WebServer(much, listen("127.0.0.1", 0))
        web.start()
        client.connect((web.host, web.port))
        client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        async with asyncio.timeout(30):
            await asked.wait()
            await web.stop()

    with socket.socket() as client:
        client.settimeout(10)
        asyncio.run(serve())
        with contextlib.suppress(ConnectionResetError):
            while client.recv(1024 * 1024):  # a TimeoutError if it is still open
                pass
