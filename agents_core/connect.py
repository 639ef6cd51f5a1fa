"""How a node comes to be: one call, one URL."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from agents_core import platform
from agents_core.bus import Bus
from agents_core.localbus import LocalBus
from agents_core.nats.options import log_error
from agents_core.nats.servers import split_urls
from agents_core.node import Node


def connect(url: str | Sequence[str] | None = None, **options: Any) -> Connecting:
    """Make a node.

    Write `async with connect(…) as node:`, or `node = await connect(…)`.

    Args:
        url: `nats://`, `tls://` (a server), `ws://`, `wss://` (a tab, or a server behind a proxy),
            or `local://` for no server at all; nodes of one process that name the same
            `local://name` share it. Several servers of one cluster are a list, or separated by
            commas. By default what the environment or the page says.
        **options: `name`, `space`, `root` and `hosts` of `Node`; the rest is for the bus, see
            `agents_core.nats.Options`.

    Raises:
        AuthorizationError: the server refused the credentials.
        InvalidCredentials: they can't be read, or contradict one another.
        TransportError: the URL is none of a server.
        Unsupported: the scheme can't be used on this platform, or it can't sign.
    """
    return Connecting(url, options)


class Connecting:
    """A node that is about to be: await it, or enter it."""

    def __init__(self, url: str | Sequence[str] | None, options: dict[str, Any]) -> None:
        self._url = None if url is None else ",".join(split_urls(url))
        self._options = options
        self._node: Node | None = None

    async def _open(self) -> Node:
        options = dict(self._options)
        own = {
            key: options.pop(key) for key in ("name", "space", "root", "hosts") if key in options
        }
        url = self._url if self._url is not None else platform.current().default_url()
        bus: Bus
        if url.startswith("local://"):
            bus = LocalBus(url.removeprefix("local://"), **options)
        else:
            options = {"error_cb": log_error, **options}
            bus = await platform.current().connect_bus(url, name=own.get("name", ""), **options)
        try:
            node = Node(bus, **own)
            await node.start()
        except BaseException:
            await bus.close()
            raise
        return node

    def __await__(self) -> Generator[Any, None, Node]:
        return self._open().__await__()

    async def __aenter__(self) -> Node:
        self._node = await self._open()
        return self._node

    async def __aexit__(self, *_: object) -> None:
        assert self._node is not None
        await self._node.close()
