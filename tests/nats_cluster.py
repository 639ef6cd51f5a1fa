"""Several real nats-servers on loopback that form one cluster."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import randrange
from typing import TypeVar

from agents_core import nats
from agents_core.bus import Bus, Status
from agents_core.errors import AgentsError
from agents_server.nats_py import NatsPyBus
from agents_server.nats_server import LOOPBACK, NatsServer, free_port

T = TypeVar("T")


@contextmanager
def cluster(
    folder: Path, size: int = 3, *, extra: str = "", jetstream: bool = False
) -> Iterator[list[NatsServer]]:
    """Servers that know one another; whatever of them still runs is ended.

    Args:
        folder: where each has a folder of its own.
        size: how many.
        extra: more lines for all configuration files.
        jetstream: whether they have JetStream; then they take seconds to elect a leader.
    """
    ports = _ports(3 * size)
    routes, servers = ports[:size], []
    for index, port in enumerate(routes):
        others = ", ".join(f'"nats://{LOOPBACK}:{other}"' for other in routes if other != port)
        lines = f"""
server_name: n{index}
{"" if jetstream else "jetstream: false"}
lame_duck_grace_period: 5s
lame_duck_duration: 30s
cluster {{ name: tests, listen: "{LOOPBACK}:{port}", routes: [ {others} ] }}
{extra}
"""
        own = ports[size + index], ports[2 * size + index]
        servers.append(NatsServer(folder / f"n{index}", *own, lines))
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.kill()


def _ports(count: int) -> list[int]:
    """Free ports that nothing takes while a server is down: below those of outgoing connections."""
    found: list[int] = []
    while len(found) < count:
        found.append(free_port(randrange(20_000, 32_000), taken=frozenset(found)))
    return found


def tell(server: NatsServer, signal_: signal.Signals) -> None:
    """Send a signal: SIGUSR2 for lame duck, SIGHUP to read the configuration again."""
    assert server.process is not None
    server.process.send_signal(signal_)


def reload(server: NatsServer, extra: str) -> None:
    """Have a running server take other lines at the end of its configuration."""
    server.extra = extra
    server.config_path.write_text(server.config(), encoding="utf-8")
    tell(server, signal.SIGHUP)


async def until(nc: Bus, *wanted: Status) -> None:
    """Wait until the client has been in these states, in this order; the test's deadline bounds it.

    The state that it is in counts.
    """
    left = list(wanted)
    reached = asyncio.Event()

    def see(status: Status) -> None:
        if left and status is left[0]:
            left.pop(0)
        if not left:
            reached.set()

    remove = nc.on_status(see)
    see(nc.status)
    await reached.wait()
    remove()


async def knows(nc: nats.Client | NatsPyBus, *urls: str) -> None:
    """Wait until the client knows of these servers and of no others."""
    while set(nc.servers) != set(urls):
        await asyncio.sleep(0.01)


async def elected(call: Callable[[], Awaitable[T]]) -> T:
    """The answer, as soon as there is a leader to give it; the test's deadline bounds it."""
    while True:
        try:
            return await call()
        except AgentsError:
            await asyncio.sleep(0.1)


def named(servers: list[NatsServer], leader: str | None) -> NatsServer:
    """The server with that name: n0, n1, n2."""
    assert leader is not None
    return servers[int(leader[1:])]
