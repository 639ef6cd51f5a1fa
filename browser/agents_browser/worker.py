"""A host as a worker of this worker, ended by `terminate`."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from pyodide.ffi import create_proxy, to_js

from agents_browser.pump import pump
from agents_core.errors import Unsupported
from agents_core.hosts.host import Host
from agents_core.hosts.pipe import Pipe, Receiver


async def open_host(spec: Host, receiver: Receiver) -> Pipe:
    """See `Platform.open_host`.

    Raises:
        Unsupported: the page's worker did not offer `hosts.mjs`.
    """
    try:
        hosts = import_module("agents_hosts")
    except ImportError:
        instead = "run its agents inline, or register web/hosts.mjs as the module agents_hosts"
        raise Unsupported("a host in this page", instead) from None
    return WorkerPipe(hosts, spec, receiver)


class WorkerPipe:
    """A `Pipe` to a worker.

    Args:
        hosts: `hosts.mjs`.
        spec: the host's bounds.
        receiver: hears what it says, and why it ended.
    """

    def __init__(self, hosts: Any, spec: Host, receiver: Receiver) -> None:
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._ended = False
        end = create_proxy(self._end)
        self._worker = hosts.open(spec.wall, to_js(list(spec.packages)), end)
        self._proxies = [end, pump().listen(self._worker.port, receiver.arrived)]

    def post(self, data: bytes) -> None:
        """See `Pipe.post`; the copy out of this Python's memory is handed over, not copied."""
        if not self._ended:
            self._worker.post(to_js(data))

    def terminate(self) -> None:
        """See `Pipe.terminate`."""
        self._end("the worker was terminated")

    def _end(self, reason: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._worker.end()
        for proxy in self._proxies:
            self._loop.call_soon(proxy.destroy)  # one of them may be what calls this
        self._loop.call_soon(self._receiver.lost, reason)
