"""A host as a process: started with nothing of ours but a socket, ended by SIGKILL."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress

from agents_core.errors import TransportError, Unsupported
from agents_core.hosts.host import Host
from agents_core.hosts.pipe import Pipe, Receiver
from agents_server.pipe import SocketPipe

ENVIRONMENT = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TEMP", "TERM", "TMP", "TMPDIR"}
    | {"TZ", "USER", "VIRTUAL_ENV", "PYTHONHOME", "PYTHONUTF8"}
)
"""Variables of the environment that a host has, and those that begin with LC_. Others may hold a
secret that no agent in there needs; `Host.environment` names those that one does."""

END_S = 2.0
"""Seconds between the end of the socket and that of the process."""

LAST_WORDS_S = 0.5
"""Seconds to read what a process that is gone had sent; its socket ends at once, unless a process
that an agent started has it too."""


async def open_host(spec: Host, receiver: Receiver) -> Pipe:
    """See `Platform.open_host`.

    Raises:
        TransportError: the process could not be started.
        Unsupported: this system can't hand a socket to a process.
    """
    if sys.platform == "win32":
        raise Unsupported("a host on Windows", "run its agents inline, or on another node")
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the folder it is started in is no place for modules, unless it is ours too
                "-m",
                "agents_server.host",
                str(theirs.fileno()),
                str(spec.wall),
                pass_fds=[theirs.fileno()],
                stdin=DEVNULL,
                env=_environment(spec),
                start_new_session=True,  # Ctrl-C in the terminal is for us, and we end it in order
            )
    except OSError as error:
        ours.close()
        raise TransportError(sys.executable, error.strerror or str(error)) from None
    return HostProcess(process, await SocketPipe.over(ours, receiver), receiver)


def _environment(spec: Host) -> dict[str, str]:
    wanted = ENVIRONMENT | set(spec.environment)
    found = {k: v for k, v in os.environ.items() if k in wanted or k.startswith("LC_")}
    folders = [path or os.getcwd() for path in sys.path]  # what can be imported here can be there
    return {**found, "PYTHONPATH": os.pathsep.join(folders)}


class HostProcess:
    """A `Pipe` to a process.

    Args:
        process: just started.
        pipe: the socket to it.
        receiver: hears why it ended.
    """

    def __init__(self, process: Process, pipe: SocketPipe, receiver: Receiver) -> None:
        self._process = process
        self._pipe = pipe
        self._receiver = receiver
        self._watch = asyncio.get_running_loop().create_task(self._wait())

    def post(self, data: bytes) -> None:
        """See `Pipe.post`."""
        self._pipe.post(data)

    def terminate(self) -> None:
        """See `Pipe.terminate`; a process can't hold up its SIGKILL."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _wait(self) -> None:
        """Tell why it ended; one that closed its socket and lives is of no use any more."""
        ended = asyncio.get_running_loop().create_task(self._process.wait())
        closed = self._pipe.closed
        await asyncio.wait([ended, closed], return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            await asyncio.wait([ended], timeout=END_S)
            self.terminate()
        code = await ended
        await asyncio.wait([closed], timeout=LAST_WORDS_S)
        self._pipe.close()
        self._receiver.lost(_reason(code))


def _reason(code: int) -> str:
    if code < 0:
        return f"the process died with signal {-code} ({signal.strsignal(-code)})"
    return f"the process ended with code {code}"
