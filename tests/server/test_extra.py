"""Without the packages of the extra `server`: what needs none of them works, the rest says so."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from agents_server.nats_server import NatsServer

pytestmark = pytest.mark.nats

SCRIPT = """
import asyncio, sys

for name in ("cryptography", "nats", "starlette", "uvicorn", "websockets", "zstandard"):
    sys.modules[name] = None  # importing it is an ImportError

from agents_core import Agent, Node, connect, nats, on
from agents_core.errors import Unsupported

class Echo(Agent):
    @on("echo")
    def echo(self):
        return "here"

async def main(tcp, websocket):
    nc = await nats.connect(tcp)
    await nc.subscribe("echo", cb=lambda msg: msg.respond(msg.data))
    assert (await nc.request("echo", b"over TCP", timeout=5)).data == b"over TCP"
    async with Node(nc) as node:
        assert await (await node.spawn(Echo, "one")).ask("echo") == "here"
    async with connect("local://") as node:
        assert await (await node.spawn(Echo, "two", host="worker")).ask("echo") == "here"
    for making in (nats.connect(websocket), connect(websocket), connect(tcp)):
        try:
            await making
        except Unsupported as error:
            print(error)

if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
"""


async def test_what_needs_no_package_works_without(nats_server: NatsServer, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, str(script), nats_server.url, nats_server.websocket_url]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    instead = "is not available here: pip install 'agents-core[server]'"
    assert done.stdout.splitlines() == [
        f"ws://, without websockets, {instead}",
        f"ws://, without websockets, {instead}",
        f"a node over TCP, without nats-py, {instead}",
    ]


async def test_the_command_says_what_it_lacks() -> None:
    source = "import runpy, sys; sys.modules['starlette'] = None; sys.argv[1:] = ['--help']; "
    source += "runpy.run_module('agents_server', run_name='__main__')"
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", source],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    missing = "agents: starlette is missing: pip install 'agents-core[server]'\n"
    assert (done.returncode, done.stderr) == (1, missing)
