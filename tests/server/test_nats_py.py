"""The bus over nats-py: what a lost server does to it; the promises of every bus are elsewhere."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agents_core import Agent, connect, on
from agents_core.bus import Status
from agents_core.errors import (
    AuthorizationError,
    ConnectionClosed,
    MaxPayloadExceeded,
    NoResponders,
    NotConnected,
    OutboundBufferFull,
    PermissionsViolation,
    TransportError,
    Unsupported,
)
from agents_core.ids import unique
from agents_core.nats.headers import Headers
from agents_core.nats.msg import Msg
from agents_core.nats.options import Options
from agents_server.nats_outbox import Outbox
from agents_server.nats_py import NatsPyBus
from agents_server.nats_server import LOOPBACK, NatsServer, free_port
from agents_server.nats_session import Session

pytestmark = pytest.mark.nats


async def opened(url: str, **options: object) -> NatsPyBus:
    bus = NatsPyBus(Options(servers=[url], **options))  # type: ignore[arg-type]
    await bus.connect()
    return bus


@contextmanager
def running(server: NatsServer) -> Iterator[NatsServer]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def silent(server: NatsServer) -> Iterator[None]:
    """The server keeps its connections, and says nothing."""
    pid = int(server.pid_path.read_text())
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)  # else it may still answer
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def reached(bus: NatsPyBus, status: Status) -> None:
    """Wait until the bus has that status."""
    found = asyncio.get_running_loop().create_future()
    forget = bus.on_status(lambda new: new is status and not found.done() and found.set_result(0))
    if bus.status is not status:
        await found
    forget()


async def test_it_is_what_a_native_node_gets(nats_server: NatsServer) -> None:
    async with connect(nats_server.url, space=unique()) as node:
        assert isinstance(node.bus, NatsPyBus)
        assert node.bus.url == nats_server.url


async def test_comes_back_with_subscriptions_and_what_waited(own_nats_server: NatsServer) -> None:
    bus = await opened(own_nats_server.url)
    before = await bus.subscribe("before")
    limited = await bus.subscribe("limited", max_msgs=3)
    await bus.flush()
    bus.publish("limited", b"1")
    await limited.next_msg(5)
    own_nats_server.kill()
    await reached(bus, Status.RECONNECTING)
    while_down = await bus.subscribe("while.down")
    gone = await bus.subscribe("before")
    await gone.unsubscribe()
    bus.publish("before", b"waited")
    with pytest.raises(NotConnected):
        await bus.request("before", b"", timeout=20)
    with pytest.raises(NotConnected):
        await bus.flush()
    own_nats_server.start()
    await reached(bus, Status.CONNECTED)
    assert (await before.next_msg(5)).data == b"waited"
    bus.publish("while.down", b"too")
    assert (await while_down.next_msg(5)).data == b"too"
    for _ in range(4):
        bus.publish("limited")
    await bus.flush()
    assert len([msg async for msg in limited]) == 2
    assert bus.stats.reconnects == 1
    await bus.close()


async def test_a_loss_is_noticed_although_something_waits_to_be_written(
    own_nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = await opened(own_nats_server.url)
    await bus.flush()
    assert bus._link.session is not None
    client = bus._link.session._client

    async def reset() -> None:
        raise ConnectionResetError

    monkeypatch.setattr(client._transport, "drain", reset)
    client._flusher_task.cancel()  # so that it stays there
    client._pending.append(b"PING\r\n")
    client._pending_data_size += 6
    own_nats_server.kill()
    await reached(bus, Status.RECONNECTING)
    own_nats_server.start()
    await reached(bus, Status.CONNECTED)
    assert await bus.rtt() < 5
    await bus.close()


async def test_a_hint_has_a_dead_server_noticed(own_nats_server: NatsServer) -> None:
    bus = await opened(own_nats_server.url)
    with silent(own_nats_server):
        await bus.resume()
        await reached(bus, Status.RECONNECTING)
    await reached(bus, Status.CONNECTED)
    await bus.resume()
    await bus.close()


async def test_away_while_servers_are_sought(own_nats_server: NatsServer) -> None:
    bus = await opened(own_nats_server.url, reconnect_time_wait=3600, max_reconnect_attempts=-1)
    own_nats_server.kill()
    await reached(bus, Status.RECONNECTING)
    await bus.suspend()
    await bus.suspend()
    own_nats_server.start()
    await bus.resume()
    await reached(bus, Status.CONNECTED)
    own_nats_server.kill()
    await reached(bus, Status.RECONNECTING)
    own_nats_server.start()
    while bus.status is not Status.CONNECTED:
        await bus.resume()  # ends the pause
        await asyncio.sleep(0)
    await bus.suspend()
    await bus.close()
    await bus.resume()
    assert bus.status is Status.CLOSED


@pytest.mark.parametrize("how", ["at once", "when it was given up"])
async def test_called_back_while_servers_are_sought(own_nats_server: NatsServer, how: str) -> None:
    bus = await opened(own_nats_server.url, max_reconnect_attempts=-1)
    own_nats_server.kill()
    await reached(bus, Status.RECONNECTING)
    leaving = asyncio.ensure_future(bus.suspend())
    await asyncio.sleep(0)
    if how != "at once":
        leaving.cancel()
        await asyncio.wait([leaving])
    await bus.resume()
    await asyncio.wait([leaving])
    own_nats_server.start()
    await reached(bus, Status.CONNECTED)
    await bus.close()


async def test_away_is_nowhere_without_reconnects(nats_server: NatsServer) -> None:
    bus = await opened(nats_server.url, allow_reconnect=False)
    await bus.suspend()
    assert bus.status is Status.CONNECTED
    await bus.close()


async def test_leaves_a_server_that_does_not_answer(
    own_nats_server: NatsServer, nats_server: NatsServer
) -> None:
    bus = NatsPyBus(Options(servers=[own_nats_server.url, nats_server.url], dont_randomize=True))
    await bus.connect()
    with silent(own_nats_server):
        await bus.force_reconnect()
        await reached(bus, Status.CONNECTED)
        assert bus.url == nats_server.url
        assert await bus.rtt() < 5
    await bus.close()


async def test_keeps_the_order_of_what_is_published_while_it_leaves(
    nats_server: NatsServer,
) -> None:
    bus, other = await opened(nats_server.url), await opened(nats_server.url)
    subject = unique()
    heard = await other.subscribe(subject)
    await other.flush()
    leaving = asyncio.ensure_future(bus.force_reconnect())
    sent = 0
    while bus.status is Status.CONNECTED or not leaving.done():
        bus.publish(subject, b"%d" % sent)
        sent += 1
        await asyncio.sleep(0)
    await reached(bus, Status.CONNECTED)
    bus.publish(subject, b"%d" % sent)
    for index in range(sent + 1):
        assert int((await heard.next_msg(5)).data) == index
    await bus.close()
    await other.close()


async def test_who_gives_up_leaving_comes_back_all_the_same(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = await opened(nats_server.url)
    assert bus._link.session is not None
    client, ending = bus._link.session._client, asyncio.Event()
    close = client.close

    async def hang() -> None:
        ending.set()
        try:
            await asyncio.Event().wait()
        finally:
            await close()

    monkeypatch.setattr(client, "close", hang)
    heard: list[Msg] = []
    await bus.subscribe(subject := unique(), cb=heard.append)
    leaving = asyncio.ensure_future(bus.force_reconnect())
    await ending.wait()
    leaving.cancel()
    await asyncio.wait([leaving])
    await reached(bus, Status.CONNECTED)
    bus.publish(subject)  # which the server that is being left sends, too
    for _ in range(2):
        await bus.flush()
        await client.flush()
    assert len(heard) == 1
    assert bus.stats.reconnects == 1
    await bus.close()


async def given_up_after(turns: int, call: Coroutine[Any, Any, None]) -> bool:
    """Cancel a call after so many turns of the loop; whether it was still under way."""
    task = asyncio.ensure_future(call)
    for _ in range(turns):
        await asyncio.sleep(0)
    found = task.cancel()
    await asyncio.wait([task])
    return found


async def test_who_gives_up_closing_has_it_closed_all_the_same(nats_server: NatsServer) -> None:
    before = asyncio.all_tasks()
    for turns in range(100):
        bus, told = await opened(nats_server.url), []
        bus.options.closed_cb = lambda told=told: told.append("closed")
        await bus.subscribe("a", cb=lambda _: None)
        assert bus._link.session is not None
        client = bus._link.session._client
        under_way = await given_up_after(turns, bus.close())
        await bus.close()
        assert (client.is_closed, asyncio.all_tasks() - before, told) == (True, set(), ["closed"])
        if not under_way:
            break
    assert 1 < turns < 99


async def test_who_gives_up_leaving_leaves_nothing_behind(nats_server: NatsServer) -> None:
    before = asyncio.all_tasks()
    for turns in range(100):
        bus = await opened(nats_server.url)
        await bus.subscribe("a", cb=lambda _: None)
        under_way = await given_up_after(turns, bus.force_reconnect())
        await reached(bus, Status.CONNECTED)
        await bus.flush()
        await bus.close()
        assert asyncio.all_tasks() - before == set()
        if not under_way:
            break
    assert 1 < turns < 99


async def test_who_gives_up_subscribing_leaves_nothing_behind(nats_server: NatsServer) -> None:
    bus = await opened(nats_server.url)
    assert bus._link.session is not None
    for turns in range(100):
        if not await given_up_after(turns, bus.subscribe("a", max_msgs=2)):
            break
    assert 1 < turns < 99
    for subscription in list(bus._subscriptions.values()):  # the last one was made
        subscription.end()
    while bus._link.session._client._subs:  # the server knows of no other
        await bus.flush()
    await bus.close()


async def test_what_ends_with_its_session_is_not_left_half_way(nats_server: NatsServer) -> None:
    for turns in range(12):
        bus = await opened(nats_server.url)
        subscriptions = [await bus.subscribe("a") for _ in range(3)]
        assert bus._link.session is not None
        bus._link.session.lose(TransportError(bus.url, "lost"))
        for _ in range(turns):
            await asyncio.sleep(0)
        for subscription in subscriptions:
            subscription.end()
        await bus.close()
        gc.collect()  # which is when Python tells of what nobody has awaited


async def test_drained_while_it_is_registered_anew(nats_server: NatsServer) -> None:
    """Else the server goes on giving a group's messages to who has left it."""
    bus, other, subject = await opened(nats_server.url), await opened(nats_server.url), unique()
    member = [await bus.subscribe(f"{subject}.{n}", "group") for n in range(3)][1]
    first = bus._link.session
    leaving = asyncio.ensure_future(bus.force_reconnect())
    while bus._link.session in {None, first}:
        await asyncio.sleep(0)
    assert bus.status is Status.RECONNECTING
    await member.drain()
    with pytest.raises(NoResponders):
        await other.request(member.subject, timeout=5)
    await leaving
    await bus.close()
    await other.close()


async def test_ended_in_order_while_it_is_registered_anew(nats_server: NatsServer) -> None:
    bus = await opened(nats_server.url)
    for number in range(3):
        await bus.subscribe(f"a.{number}", cb=lambda _: None)
    first, changes = bus._link.session, []
    leaving = asyncio.ensure_future(bus.force_reconnect())
    while bus._link.session in {None, first}:
        await asyncio.sleep(0)
    bus.on_status(changes.append)
    await bus.drain()
    await leaving
    assert changes == [Status.DRAINING, Status.CLOSED]


async def test_ends_in_order_although_it_was_to_leave(nats_server: NatsServer) -> None:
    bus = await opened(nats_server.url)
    handled: list[bytes] = []
    may_go_on = asyncio.Event()

    async def handle(msg: Msg) -> None:
        await may_go_on.wait()
        handled.append(msg.data)

    subject = unique()
    await bus.subscribe(subject, cb=handle)
    bus.publish(subject, b"slow")
    leaving = asyncio.ensure_future(bus.force_reconnect())
    await asyncio.sleep(0)
    ending = asyncio.ensure_future(bus.drain())
    await leaving
    may_go_on.set()
    await ending
    assert bus.status is Status.CLOSED
    assert (handled, bus.stats.reconnects) == ([b"slow"], 0)


async def test_called_back_while_it_leaves(nats_server: NatsServer) -> None:
    bus = await opened(nats_server.url)
    leaving = asyncio.ensure_future(bus.suspend())
    await asyncio.sleep(0)
    await bus.resume()
    await leaving
    await reached(bus, Status.CONNECTED)
    assert await bus.rtt() < 5
    assert bus.stats.reconnects == 1
    await bus.close()


async def test_no_barrier_holds_that_no_server_has_answered(own_nats_server: NatsServer) -> None:
    bus = await opened(own_nats_server.url)
    await bus.flush()
    own_nats_server.kill()
    asked = []
    while bus.status is Status.CONNECTED:
        asked.append(asyncio.create_task(bus.flush()))
        await asyncio.sleep(0)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(answer) for answer in answers} == {NotConnected}
    await bus.close()


async def test_nobody_waits_for_an_answer_after_a_loss(own_nats_server: NatsServer) -> None:
    bus = await opened(own_nats_server.url, error_cb=None)
    await bus.flush()
    own_nats_server.kill()
    asked: list[asyncio.Future[Msg]] = []
    while bus.status is Status.CONNECTED:
        asked.append(asyncio.ensure_future(bus.request("a", timeout=60)))
        asked.append(asyncio.ensure_future(anext(bus.request_many("a", timeout=60))))
        await asyncio.sleep(0)
    async with asyncio.timeout(30):
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(answer) for answer in answers} == {NotConnected}
    await bus.close()


async def test_who_gives_up_connecting_is_told_so_and_leaves_nothing(
    nats_server: NatsServer,
) -> None:
    before = asyncio.all_tasks()
    for turns in range(1, 100):
        bus = NatsPyBus(Options(servers=[nats_server.url]))
        await bus.subscribe("a")
        connecting = asyncio.ensure_future(bus.connect())
        for _ in range(turns):
            await asyncio.sleep(0)
        if not connecting.cancel():
            break
        await asyncio.wait([connecting])
        assert (connecting.cancelled(), bus.status) == (True, Status.CLOSED)
        assert asyncio.all_tasks() - before == set()
    await bus.close()


async def test_closed_while_it_connects(nats_server: NatsServer) -> None:
    bus = NatsPyBus(Options(servers=[nats_server.url]))
    connecting = asyncio.ensure_future(bus.connect())
    await asyncio.sleep(0)
    await bus.close()
    with pytest.raises(ConnectionClosed):
        await connecting


async def test_closed_while_nobody_lets_it_connect() -> None:
    url = f"nats://127.0.0.1:{free_port()}"
    bus = NatsPyBus(Options(servers=[url], retry_on_failed_connect=True))
    connecting = asyncio.ensure_future(bus.connect())
    await asyncio.sleep(0)
    await bus.close()
    with pytest.raises(TransportError):
        await connecting
    assert bus.status is Status.CLOSED


async def test_what_is_published_is_what_was_given(nats_server: NatsServer) -> None:
    bus = await opened(nats_server.url)
    subject, buffer = unique(), bytearray(b"first")
    heard = await bus.subscribe(subject)
    for payload in (buffer, memoryview(buffer)):
        bus.publish(subject, payload)
        buffer[:] = b"later"
        assert (await heard.next_msg(5)).data == b"first"
        buffer[:] = b"first"
    with pytest.raises(TypeError):
        bus.publish(subject, "a text")
    await bus.close()


async def test_a_request_under_way_fails_at_once(own_nats_server: NatsServer) -> None:
    bus = await opened(own_nats_server.url)
    await bus.subscribe("silent")
    await bus.flush()
    asked = asyncio.ensure_future(bus.request("silent", b"", timeout=60))
    await bus.flush()
    own_nats_server.kill()
    with pytest.raises(NotConnected):
        await asked
    await bus.close()


@pytest.mark.parametrize(("size", "fit"), [(100, 6), (0, 15)])  # an empty message is not free
async def test_the_buffer_is_bounded_while_the_server_is_away(
    size: int, fit: int, own_nats_server: NatsServer
) -> None:
    bus = await opened(own_nats_server.url, pending_size=1000)
    own_nats_server.kill()
    await reached(bus, Status.RECONNECTING)
    for _ in range(fit):
        bus.publish("a", bytes(size))
    with pytest.raises(OutboundBufferFull):
        bus.publish("a", bytes(size))
    await bus.close()


async def test_what_the_next_server_does_not_take_is_dropped(own_nats_server: NatsServer) -> None:
    errors: list[Exception] = []
    bus = await opened(own_nats_server.url, error_cb=errors.append)
    heard = await bus.subscribe("a")
    own_nats_server.kill()
    await reached(bus, Status.RECONNECTING)
    bus.publish("a", b"first")
    bus.publish("a", bytes(1001))
    bus.publish("a", bytes(1000), headers={"too": "large"})
    bus.publish("a", b"last")
    own_nats_server.extra = "max_payload: 1000"
    own_nats_server.start()
    assert [(await heard.next_msg(5)).data for _ in range(2)] == [b"first", b"last"]
    assert bus.stats.reconnects == 1
    dropped = [error.size for error in errors if isinstance(error, MaxPayloadExceeded)]
    assert dropped == [1001, 1024]
    await bus.close()


async def test_what_a_session_did_not_take_waits_for_the_next_one(nats_server: NatsServer) -> None:
    """Meanwhile nothing is tried: how long nats-py needs to say that one is over is its affair."""
    bus, next_bus = await opened(nats_server.url), await opened(nats_server.url)
    heard = await next_bus.subscribe(subject := unique())
    over, session = bus._link.session, next_bus._link.session
    await bus.close()
    asked: list[Session] = []
    outbox = Outbox(1000, lambda error: pytest.fail(str(error)))

    def step(given: Session) -> Awaitable[None]:
        asked.append(given)
        return given.publish(subject, b"kept", "", None)

    outbox.use(over)
    outbox.do(step)
    for _ in range(10):
        await asyncio.sleep(0)
    assert (asked, len(outbox)) == ([over], 1)
    outbox.use(session)
    assert (await heard.next_msg(5)).data == b"kept"
    assert asked == [over, session]
    await outbox.close()
    await next_bus.close()


async def test_may_begin_without_a_server(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(TransportError, match="refused"):
        await opened(f"nats://127.0.0.1:{port}")
    bus = await opened(f"nats://127.0.0.1:{port}", retry_on_failed_connect=True)
    subscription = await bus.subscribe("a")
    bus.publish("a", b"early")
    server = NatsServer(tmp_path, port)
    await asyncio.to_thread(server.start)
    assert (await subscription.next_msg(10)).data == b"early"
    await bus.close()
    server.stop()


async def test_a_server_that_says_nothing_is_no_server() -> None:
    writers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    with pytest.raises(TransportError, match=r"within 0\.2 s"):
        await opened(f"nats://127.0.0.1:{port}", connect_timeout=0.2)
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    silent.close()


async def test_refusals_have_names(tmp_path: Path) -> None:
    rules = """
authorization {
  users: [
    {user: a, password: secret, permissions: {publish: ["ok"], subscribe: ["ok", "_INBOX.>"]}}
  ]
}
"""
    server = NatsServer(tmp_path, extra=rules)
    server.start()
    with pytest.raises(AuthorizationError):
        await opened(server.url)
    errors: asyncio.Queue[Exception] = asyncio.Queue()
    bus = await opened(server.url, user="a", password="secret", error_cb=errors.put_nowait)
    await bus.subscribe("ok")
    denied = await bus.subscribe("denied")
    with pytest.raises(PermissionsViolation):
        await denied.next_msg(5)
    assert isinstance(await errors.get(), PermissionsViolation)
    with pytest.raises(PermissionsViolation):
        await bus.request("denied", b"", timeout=20)
    await bus.close()
    server.stop()


async def test_refusals_name_subjects_as_they_are(tmp_path: Path) -> None:
    rules = """
authorization {
  users: [{user: a, password: secret, permissions: {
    publish: {deny: "Denied.>"}, subscribe: {deny: ["Denied.>", "Group.> Denied"]}
  }}]
}
"""
    with running(NatsServer(tmp_path, extra=rules)) as server:
        bus = await opened(server.url, user="a", password="secret", error_cb=None)
        kept = await bus.subscribe("denied.a")
        for denied in (await bus.subscribe("Denied.a"), await bus.subscribe("Group.a", "Denied")):
            with pytest.raises(PermissionsViolation, match=re.escape(denied.subject)):
                await denied.next_msg(5)
        with pytest.raises(PermissionsViolation, match="Denied"):
            await bus.request("Denied.a", timeout=20)
        with pytest.raises(PermissionsViolation, match="Denied"):
            await anext(bus.request_many("Denied.a", timeout=20))
        assert not kept.ended
        await bus.close()


async def test_who_may_not_hear_answers_is_told_so(tmp_path: Path) -> None:
    rules = 'authorization { users: [{user: a, password: b, permissions: {subscribe: "a.>"}}] }'
    with running(NatsServer(tmp_path, extra=rules)) as server:
        bus = await opened(server.url, user="a", password="b", error_cb=None)
        await bus.subscribe("a.b")
        for _ in range(20):  # also if the server says so before the subscription is there
            with pytest.raises(PermissionsViolation):
                await bus.request("a.b", timeout=20)
        await bus.close()


async def test_the_first_refusal_is_raised_and_later_the_same_twice_is_final(
    tmp_path: Path,
) -> None:
    server = NatsServer(tmp_path, extra="authorization { token: secret }")
    with running(server):
        with pytest.raises(AuthorizationError):
            await opened(server.url, retry_on_failed_connect=True)
        tokens = iter(["secret", "old", "old", "secret"])
        bus = await opened(server.url, token=lambda: next(tokens), reconnect_time_wait=0.01)
    with running(server):
        await reached(bus, Status.CLOSED)
    assert list(tokens) == ["secret"]
    with pytest.raises(ConnectionClosed):
        bus.publish("a")


async def test_a_header_with_several_values_is_refused(nats_server: NatsServer) -> None:
    bus = await opened(nats_server.url)
    with pytest.raises(Unsupported, match="several values"):
        bus.publish("a", headers={"A": ["1", "2"]})
    with pytest.raises(Unsupported, match="several values"):
        bus.publish("a", headers=Headers([("A", "1"), ("A", "2")]))
    await bus.close()


async def test_whatever_anybody_sends_is_a_message(nats_server: NatsServer) -> None:
    """One that nats-py can't read ended the connection, and those behind it were lost."""
    bus, root = await opened(nats_server.url), unique()
    heard = await bus.subscribe(f"{root}.>")
    await bus.flush()
    blocks = (b"NATS/1.0", b"x", b"NATS/1.0 \xff\r\n\r\n", b"NATS/1.0\r\nA: 1\r\nA: \xff\r\n\r\n")
    _, writer = await asyncio.open_connection(LOOPBACK, nats_server.port)
    writer.write(b'CONNECT {"verbose": false, "headers": true}\r\n')
    for block in blocks:
        target = f"{root}.a".encode()
        writer.write(b"HPUB %b %d %d\r\n%b\r\n" % (target, len(block), len(block), block))
    writer.write(b"PUB %b.\xff 4\r\nlast\r\nPING\r\n" % root.encode())
    msgs = [await heard.next_msg(5) for _ in range(len(blocks) + 1)]
    assert [msg.raw_headers for msg in msgs] == [*blocks, b""]
    assert msgs[3].headers.get_all("A") == ["1", "\udcff"]
    assert (msgs[4].subject, msgs[4].data) == (f"{root}.\udcff", b"last")
    assert bus.stats.reconnects == 0
    writer.close()
    await writer.wait_closed()
    await bus.close()


async def test_agents_meet_over_both_clients(nats_server: NatsServer) -> None:
    class Echo(Agent):
        @on("echo")
        def echo(self, payload: object) -> object:
            return payload

    space = unique()
    async with (
        connect(nats_server.url, space=space) as over_tcp,
        connect(nats_server.websocket_url, space=space) as over_websocket,
    ):
        await over_tcp.spawn(Echo, "tcp")
        await over_websocket.spawn(Echo, "ws")
        for node, agent in ((over_tcp, "ws"), (over_websocket, "tcp")):
            assert await node.agent(agent).ask({"type": "echo", "n": 1}) == {"n": 1}
