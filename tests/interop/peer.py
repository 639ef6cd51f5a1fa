"""nats.js in a Node process of its own, as another client of the same server."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
LINE_BYTES_MAX = 8 * 1024 * 1024
"""One answer of the peer: a payload of 1 MiB with an escape for every byte fits."""


class Peer:
    """A `NatsJs` in Node; made by `nats_js`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._count = 0
        self._reader = asyncio.create_task(self._read())

    async def run(self, code: str, **values: Any) -> Any:
        """See `NatsJs.run`; pieces may overlap."""
        assert not self._reader.done(), "the peer has ended"
        assert self._process.stdin is not None
        self._count += 1
        future = self._waiting[self._count] = asyncio.get_running_loop().create_future()
        order = {"id": self._count, "code": code, "values": values}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        answer = await future
        assert "error" not in answer, f"{answer['error']}\nin\n{code}"
        return answer["result"]

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            self._waiting.pop(answer["id"]).set_result(answer)
        for future in self._waiting.values():
            future.set_result({"error": "the peer has ended"})

    async def close(self) -> None:
        """End it in order; what it does wrong then fails the test."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._reader
        assert await self._process.wait() == 0


@asynccontextmanager
async def nats_js(url: str) -> AsyncIterator[Peer]:
    """A nats.js client in Node, connected to `url` over TCP."""
    node = shutil.which("node")
    assert node is not None, "Node.js is not installed"
    assert (FOLDER / "node_modules").is_dir(), "nats.js is not installed: run `make test`"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        node, str(FOLDER / "peer.mjs"), url, stdin=pipe, stdout=pipe, limit=LINE_BYTES_MAX
    )
    peer = Peer(process)
    try:
        yield peer
        await peer.close()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
            await peer._reader
