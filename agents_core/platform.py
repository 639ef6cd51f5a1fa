"""Where the interpreter runs, chosen at this one place.

The core never imports a host: it asks for the host's `platform` module by name, as the same wheel
holds both halves and only one of them can be imported on either side.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from os import PathLike

    from agents_core.bus import Bus
    from agents_core.hosts.host import Host
    from agents_core.hosts.pipe import Pipe, Receiver
    from agents_core.nats.nkeys import Seed, Signer
    from agents_core.nats.transport import Dialer
    from agents_core.state.backend import MemoryBackend


class Platform(Protocol):
    """What `agents_browser.platform` and `agents_server.platform` offer, as module attributes."""

    NAME: str
    """`browser` or `server`; shown beside each node."""

    dialer: Dialer
    """Opens byte pipes for `agents_core.nats`."""

    async def connect_bus(self, url: str, *, name: str, **options: object) -> Bus:
        """Open the bus that this platform prefers for the URL's scheme.

        It returns also while the server is away, and goes on trying.

        Raises:
            Unsupported: the scheme can't be used here.
        """
        ...

    def default_url(self) -> str:
        """Where to connect when nobody says.

        The environment's, the page's, or the usual local one.
        """
        ...

    async def signer(self, seed: Seed) -> Signer:
        """The key of that seed, able to sign.

        Raises:
            Unsupported: nothing here can.
        """
        ...

    def read_file(self, path: str | PathLike[str]) -> bytes:
        """A small file, such as a user's credentials.

        Raises:
            OSError: it can't be read.
            Unsupported: there are no files here.
        """
        ...

    async def open_host(self, spec: Host, receiver: Receiver) -> Pipe:
        """Start another interpreter with an `agents_core.hosts.guest.Guest` in it.

        Raises:
            Unsupported: nothing here can.
            TransportError: it could not be started.
        """
        ...

    def open_backend(self, url: str) -> MemoryBackend:
        """The state backend for a URL such as `file:./state`.

        Raises:
            Unsupported: the scheme can't be used here.
        """
        ...


@cache
def current() -> Platform:
    """The platform that this interpreter runs on."""
    host = "agents_browser" if sys.platform == "emscripten" else "agents_server"
    return cast("Platform", import_module(f"{host}.platform"))
