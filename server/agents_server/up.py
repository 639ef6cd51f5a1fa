"""`agents up`: a NATS server, a node with the example's agents, and the page; and their end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from socket import socket
from time import monotonic
from urllib.parse import quote

from starlette.types import ASGIApp

from agents_core import Child, Node, Supervisor, connect
from agents_core.bus import Status
from agents_core.errors import AgentsError
from agents_core.ids import unique
from agents_core.restart import Intensity
from agents_server.config import NATS_PORT, WEBSOCKET_PORT, Config
from agents_server.http import application
from agents_server.lock import Lock
from agents_server.nats_server import NatsServer, PortTaken, free_port
from agents_server.output import say
from agents_server.project import Project
from agents_server.site import Site
from agents_server.web import WebServer, listen, origins

DRAIN_S = 2.0
"""Seconds for the agents to end; all of `agents up` has to be gone in five."""

WATCH_S = 0.25
"""Seconds between two looks whether nats-server lives."""

STARTS_MAX = 5
"""So many times somebody else may be quicker to take a port of nats-server's."""

RESTARTS_MAX, RESTARTS_S = 5, 30.0
"""A nats-server that dies more often than so many times in so many seconds is left alone."""

_log = logging.getLogger("agents_server")


async def up(config: Config) -> None:
    """Run until SIGINT or SIGTERM, then end everything in order; a second one ends it at once.

    So does the end of the terminal (SIGHUP), unless that was to be ignored, as by nohup.

    Raises:
        AgentsError: something could not be started; what had been is stopped again.
    """
    stop = _on_signals()
    with Lock(config.data) as lock_file:
        async with AsyncExitStack() as stack:
            project = Project.find()
            name = f"server-{unique(6)}"
            example = project.example(config.example) if config.example else None
            children = example.load().server(name, config.input) if example else []
            site = Site.gather(project, config, example)
            listener = stack.enter_context(listen(config.host, config.port))
            nats, websocket = config.nats, config.websocket or "local://"
            if not nats:
                # A page of any other origin could have the visitor's browser talk to the agents.
                pages = [*origins(config.host, listener.getsockname()[1]), *config.origins]
                server = await stack.enter_async_context(_nats_server(config.data / "nats", pages))
                nats, websocket = server.url, server.websocket_url
            elif websocket == "local://" and nats != "local://":
                say("pages work by themselves: say --nats-websocket URL for them to reach NATS")
            credentials = {"user_credentials": config.creds} if config.creds else {}
            node = await stack.enter_async_context(
                _node(nats, children, name=name, space=config.space, **credentials)
            )
            app = application(site, websocket, lambda: _missing(node))
            web = await stack.enter_async_context(_web(app, listener, config.port))
            lock_file.tell(web.url)
            say(f"open {web.url}")
            if config.pages:
                say(f"and {web.url}{quote(config.pages.name)}/")
            await stop.wait()
            _log.info("stopping")


def _missing(node: Node) -> list[str]:
    """What the node lacks to be ready."""
    found = []
    if node.bus.status is not Status.CONNECTED:
        found.append(f"NATS at {node.bus.url} ({node.bus.status})")
    agents = [agent for agent in node.info().agents if agent["state"] != "running"]
    return found + [f"agent {agent['id']} ({agent['state']})" for agent in agents]


def _on_signals() -> asyncio.Event:
    """An event that the first SIGINT or SIGTERM sets; the second one cancels the caller."""
    stop, task, loop = asyncio.Event(), asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None

    def stopping() -> None:
        if stop.is_set() and not task.cancelling():  # a third one would cut what the second ends
            task.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, stop.set)  # the kernel and the shell each send one
    return stop


# -- the parts, each with its end


@asynccontextmanager
async def _nats_server(folder: Path, pages: Sequence[str]) -> AsyncIterator[NatsServer]:
    with ThreadPoolExecutor(1) as thread:  # one call after the other: its end behind its starts
        starting = thread.submit(_started, folder, pages)
        try:
            server = await asyncio.wrap_future(starting)
        except asyncio.CancelledError:  # no thread can be cancelled; what it starts must not stay
            thread.shutdown()
            if not starting.cancelled() and starting.exception() is None:
                starting.result().stop()
            raise
        watch = asyncio.get_running_loop().create_task(_watch(server, thread))
        try:
            _say_ports(server)
            yield server
        finally:
            watch.cancel()
            thread.submit(server.stop).result()  # nothing else is left that could wait for the loop


def _started(folder: Path, pages: Sequence[str]) -> NatsServer:
    """A nats-server for pages of these origins, on its usual ports, or on the next free ones.

    Somebody may take a port after we found it free and before the server has it: then look again.
    """
    for left in reversed(range(STARTS_MAX)):
        port = free_port(NATS_PORT)
        websocket_port = free_port(WEBSOCKET_PORT, taken=frozenset({port}))
        server = NatsServer(folder, port, websocket_port, origins=pages)
        try:
            server.start()
            break
        except PortTaken:
            if not left:
                raise
    return server


def _say_ports(server: NatsServer) -> None:
    """Say which of its usual ports somebody else has."""
    for use, usual, own in (
        ("NATS", NATS_PORT, server.port),
        ("NATS over WebSocket", WEBSOCKET_PORT, server.websocket_port),
    ):
        if own != usual:
            say(f"port {usual} is taken: {use} is on {own}")


async def _watch(server: NatsServer, thread: Executor) -> None:
    """Start a nats-server that died again, on its ports: the nodes come back by themselves."""
    intensity = Intensity(RESTARTS_MAX, RESTARTS_S)
    while True:
        await asyncio.sleep(WATCH_S)
        if server.running:
            continue
        intensity = intensity.restarted(monotonic())
        if intensity.exceeded:
            _log.error("nats-server died too often; see %s", server.log_path)
            return
        _log.warning("nats-server died; starting it again")
        try:
            await asyncio.get_running_loop().run_in_executor(thread, server.start)
        except AgentsError as error:
            _log.error("%s", error)


@asynccontextmanager
async def _node(url: str, children: list[Child], **options: str) -> AsyncIterator[Node]:
    node = await connect(url, **options)
    try:
        if children:
            # People crash agents by hand to see what happens: leave room for that.
            await node.supervise(
                Supervisor([*children], name="example", max_restarts=20, max_seconds=5)
            )
        yield node
    finally:
        try:
            async with asyncio.timeout(DRAIN_S):
                await node.drain()
        except (TimeoutError, AgentsError) as error:
            _log.warning(
                "the node was closed before it was drained: %s", str(error) or "out of time"
            )
            await node.bus.close()


@asynccontextmanager
async def _web(app: ASGIApp, listener: socket, wanted: int) -> AsyncIterator[WebServer]:
    web = WebServer(app, listener)
    if wanted and web.port != wanted:
        say(f"port {wanted} is taken: the page is on {web.port}")
    web.start()
    try:
        yield web
    finally:
        await web.stop()
