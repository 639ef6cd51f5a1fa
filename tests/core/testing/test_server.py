"""The scripted server itself."""

from __future__ import annotations

import asyncio

import pytest

from agents_core.errors import TransportError
from agents_core.nats.servers import parse_url
from agents_core.nats.transport import TLS
from agents_core.testing.server import COMMANDS_MAX, SESSIONS_MAX, Command, ScriptedServer, Session


class Pipe(asyncio.Protocol):
    """What a client's half of the pipe hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append(exc)


async def dial(server: ScriptedServer) -> tuple[Session, Pipe]:
    pipe = Pipe()
    await server.dial(parse_url("one"), pipe, TLS(), {})
    return await server.accept(), pipe


async def test_commands_are_whole_whatever_the_chunks() -> None:
    session, _ = await dial(ScriptedServer())
    sent = b'CONNECT {"name":"n"}\r\nSUB a 1\r\nPUB b r 2\r\n\r\n\r\nHPUB c 2 3\r\nHHx\r\n'
    for index in range(len(sent)):
        session.write(sent[index : index + 1])
    connect = await session.expect("CONNECT")
    assert connect.fields == {"name": "n"}
    assert list(session.commands) == [
        Command(b"SUB a 1"),
        Command(b"PUB b r 2", b"\r\n"),
        Command(b"HPUB c 2 3", b"HHx"),
    ]


async def test_what_is_sent_arrives_in_order_and_before_the_end() -> None:
    server = ScriptedServer(b"hello")
    session, pipe = await dial(server)
    session.message("a", b"x", reply="r")
    session.message("a", b"x", sid=2, headers=b"H")
    session.error("no")
    session.write(b"PING\r\n")
    session.cut(OSError("reset"))
    session.cut()
    await session.wait_closed()
    assert pipe.heard[:-1] == [
        b"hello",
        b"MSG a 1 r 1\r\nx\r\n",
        b"HMSG a 2 1 2\r\nHx\r\n",
        b"-ERR 'no'\r\n",
        b"PONG\r\n",
    ]
    assert isinstance(pipe.heard[-1], OSError)


async def test_nothing_passes_a_pipe_that_is_closed() -> None:
    session, pipe = await dial(ScriptedServer(b""))
    session.write(b"PUB a 0\r\n\r\n")
    session.close()
    session.write(b"PUB b 0\r\n\r\n")
    session.send(b"late")
    assert session.is_closing()
    await session.expect("PUB")
    with pytest.raises(TransportError, match="ended before PUB"):
        await session.expect("PUB")
    assert pipe.heard == [None]


async def test_waiting_for_a_command_ends_with_the_connection() -> None:
    session, _ = await dial(ScriptedServer())
    waiting = asyncio.create_task(session.expect("PUB"))
    await asyncio.sleep(0)
    session.write(b"SUB a 1\r\n")
    session.abort()
    with pytest.raises(TransportError):
        await waiting


async def test_bounds() -> None:
    server = ScriptedServer(b"")
    session, _ = await dial(server)
    session.write(b"SUB a 1\r\n" + b"+OK\r\n" * COMMANDS_MAX)
    assert len(session.commands) == COMMANDS_MAX
    assert session.commands[0].verb == "+OK"
    for _ in range(SESSIONS_MAX - 1):
        await dial(server)
    with pytest.raises(TransportError, match="refused"):
        await dial(server)
