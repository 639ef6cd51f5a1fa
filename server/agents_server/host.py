"""What a host process runs: `python -m agents_server.host SOCKET BYTES`, started by its parent."""

from __future__ import annotations

import asyncio
import os
import resource
import select
import socket
import sys
import threading
import time
from collections.abc import Sequence

from agents_core.hosts.guest import Guest
from agents_server.pipe import SocketPipe

ORPHAN_S = 2.0
"""Seconds for the loop to notice that the parent is gone, before the process ends anyway."""


def heap() -> int:
    """Bytes of memory that this process has now; where that can't be had, the most it ever had."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def limit(wall: int) -> None:
    """Have allocations beyond so many bytes fail, so that one agent can't take the machine's."""
    kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    hard = resource.getrlimit(kind)[1]
    soft = wall if hard == resource.RLIM_INFINITY else min(wall, hard)
    resource.setrlimit(kind, (soft, hard))


def end_with(parent: socket.socket) -> None:
    """End this process when its parent is gone, also from within an endless loop."""

    def watch() -> None:
        line = select.poll()
        line.register(parent, select.POLLHUP)
        line.poll()
        time.sleep(ORPHAN_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end with the parent").start()


async def run(end: socket.socket) -> None:
    """Run agents until the parent has no more use for them, or is gone."""
    done = asyncio.Event()
    guest = Guest(heap, done.set)
    pipe = await SocketPipe.over(end, guest)
    pipe.closed.add_done_callback(lambda _: done.set())
    guest.attach(pipe)
    await done.wait()
    await guest.end()
    pipe.close()


def main(arguments: Sequence[str]) -> None:
    """The process."""
    number, wall = arguments
    os.set_inheritable(int(number), False)
    end = socket.socket(fileno=int(number))
    limit(int(wall))
    end_with(end.dup())
    asyncio.run(run(end))


if __name__ == "__main__":
    main(sys.argv[1:])
