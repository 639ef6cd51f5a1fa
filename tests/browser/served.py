"""The real HTTP app in a thread of this process, so that a test can change what it serves.

It counts what it sends, and takes what a page posts to `/answer`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import Self

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agents_server.assets import IMMUTABLE, Asset
from agents_server.config import Config
from agents_server.http import application
from agents_server.project import Example, Project
from agents_server.site import Site
from agents_server.web import WebServer, listen


def gathered(example: Example | None = None, pages: dict[str, Path] | None = None) -> Site:
    """What `agents up` would serve from this clone, and some more pages."""
    site = Site.gather(Project.find(), Config(), example)
    return replace(site, files={**site.files, **(pages or {})})


def without_snapshot(site: Site) -> Site:
    """As where the project was built without Node."""
    assets = {path: file for path, file in site.assets.items() if not path.endswith(".bin")}
    return replace(site, assets=assets)


def with_snapshot(site: Site, body: bytes) -> Site:
    """With another one than was taken."""
    asset = Asset.of(body, ".bin", IMMUTABLE)
    return replace(site, assets={**site.assets, site.settings["snapshot"]: asset})


def with_file(site: Site, path: str, file: Path, text: str) -> Site:
    """With another file of the page, or one more."""
    file.write_text(text, encoding="utf-8")
    return replace(site, files={**site.files, path: file})


@dataclass
class Served:
    """A running server; it can be stopped and started again on the same port.

    Args:
        site: what it serves.
        nats: where pages connect to.
        host: the address of the page.
        sent: counts the bytes of bodies, by path.
        statuses: counts the responses, by path and status.
        answers: what pages have posted.

    `app` is what answers; a test may put something else there.
    """

    site: Site
    nats: str = "local://"
    host: str = "127.0.0.1"
    port: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    answers: Queue[bytes] = field(default_factory=Queue)

    @property
    def url(self) -> str:
        """The page."""
        return f"http://{self.host}:{self.port}/"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to serve."""
        self.show(self.site)
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)))
        self._thread.start()
        started.wait()

    def stop(self) -> None:
        """End it; does nothing if it has ended."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()

    def show(self, site: Site, nats: str | None = None) -> None:
        """Serve something else from now on."""
        self.site, self.nats = site, self.nats if nats is None else nats
        self.app = application(self.site, self.nats, list)

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        web = WebServer(self._counted(), listen(self.host, self.port))
        self.port = web.port
        web.start()
        started.set()
        await self._stopped.wait()
        await web.stop()

    def _counted(self) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["method"] == "POST":
                await self._take(receive, send)
                return
            path = scope["path"]

            async def counting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self.statuses[path, message["status"]] += 1
                else:
                    self.sent[path] += len(message.get("body", b""))
                await send(message)

            await self.app(scope, receive, counting)

        return app

    async def _take(self, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.answers.put(body)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
