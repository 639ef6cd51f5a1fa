"""The way to the servers: connecting, losing, coming back, and leaving one that is about to go."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

import pytest

from agents_core import nats
from agents_core.bus import Status
from agents_core.errors import (
    ConnectionClosed,
    NotConnected,
    OutboundBufferFull,
    TransportError,
    Unsupported,
)
from agents_core.nats import link
from agents_core.nats.options import Options
from agents_core.testing.server import ScriptedServer, Session, info
from tests.core.nats.scripted import client, reached, session, until

TWO = "nats://one,nats://two"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scripted server has nobody to tell about an interest."""
    monkeypatch.setattr(link, "SETTLE_S", 0)


async def test_back_after_a_loss_with_what_is_still_wanted() -> None:
    events: list[str] = []
    callbacks = {f"{n}_cb": lambda n=n: events.append(n) for n in ("disconnected", "reconnected")}
    async with session(**callbacks) as (nc, peer, server):
        kept = await nc.subscribe("kept", "group")
        gone = await nc.subscribe("gone")
        counted = await nc.subscribe("counted", max_msgs=3)
        await gone.unsubscribe()
        peer.message("counted", sid=3)
        await until(lambda: counted.received)
        peer.cut()
        await reached(nc, Status.RECONNECTING)
        assert not nc.is_connected
        nc.publish("kept", b"while down")
        early = await nc.subscribe("early")
        await early.unsubscribe()
        await nc.subscribe("late")
        with pytest.raises(NotConnected):
            await nc.flush()
        with pytest.raises(NotConnected):
            await nc.request("a")
        await reached(nc, Status.CONNECTED)
        again = await server.accept()
        await nc.flush()
        lines = [command.line for command in again.commands][2:]
        assert lines == [
            b"SUB kept group 1",
            b"SUB counted 3",
            b"UNSUB 3 2",
            b"SUB late 5",
            b"PUB kept 10",
            b"PING",
        ]
        again.message("kept", b"back")
        assert (await kept.next_msg()).data == b"back"
        assert nc.stats.reconnects == 1
        assert events == ["disconnected", "reconnected"]


async def test_frames_that_never_left_are_sent_again_publishes_only() -> None:
    async with session() as (nc, peer, server):
        peer.pause()
        nc.publish("a", b"one")
        nc.publish("a", b"two", headers={"K": "v"})
        await nc.subscribe("b")
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        again = await server.accept()
        await nc.flush()
        assert [c.verb for c in again.commands][2:] == ["SUB", "PUB", "HPUB", "PING"]


async def test_what_waits_to_be_sent_is_bounded_while_down_and_while_stalled() -> None:
    async with session(pending_size=100) as (nc, peer, server):
        peer.pause()
        nc.publish("a", bytes(80))
        with pytest.raises(OutboundBufferFull):
            nc.publish("a", bytes(80))
        server.down = {"one"}
        peer.cut()
        await reached(nc, Status.RECONNECTING)
        with pytest.raises(OutboundBufferFull):
            nc.publish("a", bytes(80))
        assert nc.stats.out_msgs == 1
        server.down = ()
        await reached(nc, Status.CONNECTED)
        nc.publish("a", bytes(80))


async def test_without_reconnects_a_loss_is_the_end() -> None:
    closed = asyncio.Event()
    async with session(allow_reconnect=False, closed_cb=closed.set) as (nc, peer, _):
        subscription = await nc.subscribe("a")
        peer.cut()
        await closed.wait()
        assert nc.is_closed
        with pytest.raises(ConnectionClosed):
            await subscription.next_msg()


async def test_a_server_is_given_up_after_so_many_attempts() -> None:
    closed = asyncio.Event()
    errors: list[Exception] = []
    options = {"max_reconnect_attempts": 3, "closed_cb": closed.set, "error_cb": errors.append}
    async with session(**options) as (nc, peer, server):
        server.down = {"one"}
        server.dialled.clear()
        peer.cut()
        await closed.wait()
        assert nc.is_closed
        assert len(server.dialled) == 3
        assert [type(error) for error in errors] == [TransportError] * 4


async def test_attempts_without_end() -> None:
    async with session(max_reconnect_attempts=-1) as (nc, peer, server):
        server.down = {"one"}
        server.dialled.clear()
        peer.cut()
        await until(lambda: len(server.dialled) > 3)
        assert nc.status is Status.RECONNECTING


async def test_the_same_refusal_twice_is_final() -> None:
    closed = asyncio.Event()
    async with session(closed_cb=closed.set) as (nc, peer, server):
        server.answers["CONNECT"] = b"-ERR 'Authorization Violation'\r\n"
        del server.answers["PING"]
        server.dialled.clear()
        peer.cut()
        await closed.wait()
        assert nc.is_closed
        assert len(server.dialled) == 2


async def test_credentials_that_expire_and_are_then_refused_are_tried_once() -> None:
    closed = asyncio.Event()
    async with session(closed_cb=closed.set) as (_, peer, server):
        server.answers["CONNECT"] = b"-ERR 'User Authentication Expired'\r\n"
        del server.answers["PING"]
        server.dialled.clear()
        peer.error("User Authentication Expired")
        peer.cut()
        await closed.wait()
        assert len(server.dialled) == 1


async def test_credentials_that_expire_and_are_renewed() -> None:
    async with session() as (nc, _, server):
        for _ in range(3):
            server.sessions[-1].error("User Authentication Expired")
            server.sessions[-1].cut()
            await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        assert nc.stats.reconnects == 3


async def test_connecting_when_nobody_is_there() -> None:
    server = ScriptedServer()
    server.down = {"one", "two"}
    with pytest.raises(TransportError, match="nats://two:4222: connection refused"):
        await nats.connect("nats://one, nats://two", dialer=server, dont_randomize=True)
    assert list(server.dialled) == ["one", "two"]


async def test_connecting_to_the_one_that_is_there() -> None:
    server = ScriptedServer()
    server.down = {"one"}
    async with client(server, "nats://one,nats://two") as nc:
        assert nc.url == "nats://two:4222"


async def test_connecting_later() -> None:
    server = ScriptedServer()
    server.down = {"one"}
    errors: list[Exception] = []
    async with client(server, retry_on_failed_connect=True, error_cb=errors.append) as nc:
        assert nc.status is Status.RECONNECTING
        nc.publish("a", b"early")
        server.down = ()
        await reached(nc, Status.CONNECTED)
        assert (await (await server.accept()).expect("PUB")).payload == b"early"
        assert type(errors[0]) is TransportError


async def test_giving_up_a_connect_leaves_nothing_behind() -> None:
    server = ScriptedServer(b"")
    connecting = asyncio.create_task(nats.connect("nats://one", dialer=server))
    peer = await server.accept()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await peer.wait_closed()


async def test_a_client_that_is_closed_while_it_connects() -> None:
    server = ScriptedServer(b"")
    nc = nats.Client(Options(servers=["nats://one"], dialer=server))
    connecting = asyncio.create_task(nc.connect())
    peer = await server.accept()
    await nc.close()
    peer.send(info())
    with pytest.raises(ConnectionClosed):
        await connecting
    await peer.wait_closed()
    assert nc.is_closed


async def test_a_client_that_is_closed_before_its_first_attempt_fails() -> None:
    server = ScriptedServer(b"")
    options = Options(servers=["nats://one"], dialer=server, retry_on_failed_connect=True)
    nc = nats.Client(options)
    connecting = asyncio.create_task(nc.connect())
    peer = await server.accept()
    await nc.close()
    peer.cut()
    with pytest.raises(TransportError):
        await connecting
    assert nc.is_closed


async def test_the_attempts_before_the_last_are_reported() -> None:
    server = ScriptedServer()
    server.down = {"one"}
    errors: list[Exception] = []
    async with client(server, TWO, error_cb=errors.append) as nc:
        assert [str(error) for error in errors] == ["nats://one:4222: connection refused"]
        assert nc.last_error is errors[0]


async def test_late_events_of_a_connection_that_is_gone_are_ignored() -> None:
    async with session() as (nc, peer, server):
        subscription = await nc.subscribe("a")
        old = nc._link.connection
        assert old is not None
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        old.data_received(b"MSG a 1 4\r\nlate\r\n" + info(max_payload=1))
        old.connection_lost(OSError("late, too"))
        old.resume_writing()
        (await server.accept()).message("a", b"now")
        assert (await subscription.next_msg()).data == b"now"
        assert (nc.max_payload, nc.is_connected) == (1024 * 1024, True)


async def test_who_lets_everybody_in_and_out_again_is_not_asked_in_a_tight_loop() -> None:
    async with session(reconnect_time_wait=60) as (nc, _, server):
        for _ in range(3):
            server.sessions[-1].cut()
            await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        server.sessions[-1].cut()
        await reached(nc, Status.RECONNECTING)
        for _ in range(20):  # long enough for an attempt without a pause
            await asyncio.sleep(0)
        assert not nc.is_connected


async def test_the_user_may_choose_the_server_and_the_pause() -> None:
    asked: list[tuple[list[str], object]] = []

    def choose(servers: list[nats.Server], about: dict[str, object]) -> tuple[nats.Server, float]:
        asked.append(([server.uri.hostname or "" for server in servers], about["server_id"]))
        return next(s for s in servers if s.uri.hostname == "three"), 0.001

    server = ScriptedServer(info(connect_urls=["three:4222"]))
    async with client(server, TWO, reconnect_to_server_handler=choose) as nc:
        (await server.accept()).cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        assert nc.url == "nats://three:4222"
        assert [(sorted(names), about) for names, about in asked] == [
            (["one", "three", "two"], "scripted")
        ]


# -- the user's orders


async def test_force_reconnect() -> None:
    events: list[str] = []
    callbacks = {f"{n}_cb": lambda n=n: events.append(n) for n in ("disconnected", "reconnected")}
    server = ScriptedServer()
    async with client(server, TWO, **callbacks, error_cb=lambda e: events.append(str(e))) as nc:
        peer = await server.accept()
        await nc.subscribe("a")
        peer.pause()
        nc.publish("a", b"held back")
        asking = asyncio.create_task(nc.request("b", timeout=5))
        await asyncio.sleep(0)
        peer.resume()
        nc.publish("a", b"last words")
        await nc.force_reconnect()
        await nc.force_reconnect()  # it is on its way already
        with pytest.raises(NotConnected):
            await asking
        await reached(nc, Status.CONNECTED)
        assert nc.url == "nats://two:4222"
        sent = [c.payload for c in peer.commands if c.verb == "PUB"]
        assert sent == [b"held back", b"", b"last words"]
        await (await server.accept()).expect("SUB")
        assert events == ["disconnected", "reconnected"]


async def test_force_reconnect_without_reconnects() -> None:
    async with session(allow_reconnect=False) as (nc, _, _):
        await nc.force_reconnect()
        assert nc.is_connected


async def test_another_pool_while_connected() -> None:
    async with session() as (nc, _, server):
        for pool in (["nats://two", "nats://three"], "nats://two,nats://three"):
            nc.set_server_pool(pool)
            assert nc.servers == ["nats://two:4222", "nats://three:4222"]
        assert nc.url == "nats://one:4222"
        with pytest.raises(TransportError, match="no server"):
            nc.set_server_pool([])
        with pytest.raises(Unsupported):
            nc.set_server_pool(["nats://four", "http://five"])
        server.down = {"two"}
        await nc.force_reconnect()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        assert nc.url == "nats://three:4222"
        await nc.close()
        with pytest.raises(ConnectionClosed):
            nc.set_server_pool(["nats://six"])


async def test_another_pool_while_the_servers_are_gone() -> None:
    async with session(reconnect_time_wait=0.05) as (nc, peer, server):
        server.down = {"one"}
        peer.cut()
        await reached(nc, Status.RECONNECTING)
        nc.set_server_pool(["nats://two"])
        await reached(nc, Status.CONNECTED)
        assert nc.url == "nats://two:4222"


# -- servers coming and going


async def test_what_the_cluster_says_may_be_ignored() -> None:
    found: list[str] = []
    options = {"ignore_cluster_updates": True, "discovered_server_cb": lambda: found.append("x")}
    async with session(**options) as (nc, peer, _):
        peer.send(info(connect_urls=["two:4222"]))
        await nc.flush()
        assert nc.servers == ["nats://one:4222"]
        assert not found


async def test_the_servers_that_the_first_one_names_are_no_news() -> None:
    found: list[str] = []
    server = ScriptedServer(info(connect_urls=["two:4222"]))
    async with client(server, discovered_server_cb=lambda: found.append("x")) as nc:
        assert len(nc.servers) == 2
        assert not found


async def test_learning_of_servers() -> None:
    found = asyncio.Event()
    async with session(discovered_server_cb=found.set) as (nc, peer, server):
        assert not found.is_set()
        peer.send(info(connect_urls=["two:4222", "three:4223"]))
        await found.wait()
        assert sorted(nc.servers) == [
            "nats://one:4222",
            "nats://three:4223",
            "nats://two:4222",
        ]
        server.down = {"one"}
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        assert nc.url in {"nats://two:4222", "nats://three:4223"}


class Soon(Random):
    """Jitter that takes no second."""

    def random(self) -> float:
        return 0.01


class Later(Random):
    """Jitter in which other things can happen."""

    def random(self) -> float:
        return 0.2


async def test_a_lame_duck_is_left_when_there_is_another() -> None:
    warned = asyncio.Event()
    server = ScriptedServer()
    options = {"lame_duck_mode_cb": warned.set, "rng": Soon()}
    async with client(server, "nats://one,nats://two", **options) as nc:
        for host in ("two", "one"):
            peer = await server.accept()
            peer.send(info(ldm=True))
            peer.send(info(ldm=True))  # said twice, heard once
            await reached(nc, Status.RECONNECTING, Status.CONNECTED)
            await peer.wait_closed()
            assert warned.is_set()
            warned.clear()
            assert nc.url == f"nats://{host}:4222"


async def test_a_lame_duck_alone_is_kept_until_it_goes() -> None:
    warned = asyncio.Event()
    async with session(lame_duck_mode_cb=warned.set) as (nc, peer, _):
        peer.send(info(ldm=True))
        await warned.wait()
        await nc.flush()
        assert nc.is_connected
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)


async def lame(server: ScriptedServer) -> Session:
    """A server that says that it is about to go."""
    peer = await server.accept()
    await peer.expect("PING")
    peer.send(info(ldm=True))
    return peer


async def test_a_lame_duck_is_left_without_a_gap() -> None:
    server = ScriptedServer()
    seen: list[bytes] = []
    async with client(server, TWO, rng=Soon()) as nc:
        await nc.subscribe("plain", cb=lambda msg: seen.append(msg.data))
        await nc.subscribe("work", "group", cb=lambda msg: seen.append(msg.data))
        counted = await nc.subscribe("counted", "group", max_msgs=2)
        ended = await nc.subscribe("ended", "group")
        asking = asyncio.create_task(nc.request("b", timeout=5))
        old = await server.accept()
        reply = (await old.expect("PUB")).words[2]
        del server.answers["PING"]
        old.send(info(ldm=True))
        new = await server.accept()
        await new.expect("PING")
        new.send(b"PONG\r\n")  # of the handshake
        await new.expect("PING")
        assert [c.words[1] for c in new.commands if c.verb == "SUB"] == []
        new.send(info(max_payload=8))
        assert nc.url == "nats://one:4222"  # as long as the other has not answered
        await ended.unsubscribe()
        new.message("work", b"1", sid=2)  # what two may serve is served by both
        new.send(b"PONG\r\n")
        await old.expect("PING")
        nc.publish("later", b"in order")
        flushing = asyncio.create_task(nc.flush())
        assert nc.max_payload == 1024 * 1024
        old.message("plain", b"2")
        old.message("counted", b"3", sid=3)
        old.message("work", b"4", sid=2)
        old.send(b"PONG\r\n")
        await old.wait_closed()
        assert (await new.expect("UNSUB")).line == b"UNSUB 4"
        assert (await new.expect("SUB")).line == b"SUB plain 1"
        assert (await new.expect("SUB")).line == b"SUB counted group 3"
        assert (await new.expect("UNSUB")).line == b"UNSUB 3 1"
        assert (await new.expect("PUB")).payload == b"in order"
        await new.expect("PING")
        new.send(b"PONG\r\n")
        await flushing
        new.message(reply, b"late, and in time", sid=5)
        assert (await asking).data == b"late, and in time"
        assert seen == [b"1", b"2", b"4"]
        assert counted.received == 1
        assert nc.max_payload == 8
        assert (nc.url, nc.stats.reconnects) == ("nats://two:4222", 1)
        server.answers["PING"] = b"PONG\r\n"


async def test_what_two_servers_may_serve_is_known_to_both() -> None:
    server = ScriptedServer()
    async with client(server, TWO, rng=Soon()) as nc:
        await nc.subscribe("plain")
        await nc.subscribe("work", "group")
        old = await server.accept()
        del server.answers["PING"]
        old.send(info(ldm=True))
        new = await server.accept()
        await new.expect("PING")
        new.send(b"PONG\r\n")
        assert (await new.expect("SUB")).line == b"SUB work group 2"
        server.answers["PING"] = b"PONG\r\n"
        new.send(b"PONG\r\n")
        assert [(await old.expect("UNSUB")).line for _ in range(2)] == [b"UNSUB 1", b"UNSUB 2"]


async def handover(server: ScriptedServer) -> tuple[Session, Session]:
    """A server that is about to go, and the one that serves what two may serve, too."""
    old = await server.accept()
    await old.expect("PING")
    del server.answers["PING"]
    old.send(info(ldm=True))
    new = await server.accept()
    await new.expect("PING")
    new.send(b"PONG\r\n")  # of the handshake
    await new.expect("SUB")
    await new.expect("PING")
    return old, new


async def lines(nc: nats.Client, peer: Session) -> list[bytes]:
    """What else this server has heard of subscriptions."""
    await nc.flush()
    return [c.line for c in peer.commands if c.verb in {"SUB", "UNSUB"}]


async def test_what_is_limited_while_another_server_takes_over_is_counted_anew() -> None:
    server = ScriptedServer()
    async with client(server, TWO, rng=Soon()) as nc:
        work = await nc.subscribe("work", "group")
        old, new = await handover(server)
        old.message("work")
        await until(lambda: work.received)
        await work.unsubscribe(5)
        assert (await old.expect("UNSUB")).line == b"UNSUB 1 5"
        assert (await new.expect("UNSUB")).line == b"UNSUB 1"
        server.answers["PING"] = b"PONG\r\n"
        new.send(b"PONG\r\n")
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        assert await lines(nc, new) == [b"SUB work group 1", b"UNSUB 1 4"]
        for _ in range(4):
            new.message("work")
        await until(lambda: work.ended)


async def test_away_while_another_server_takes_over_whoever_waits_for_that() -> None:
    server = ScriptedServer()
    async with client(server, TWO, rng=Soon()) as nc:
        await nc.subscribe("work", "group")
        old, new = await handover(server)
        new.send(b"PONG\r\n")
        await old.expect("PING")  # what is published waits for the new one by now
        leaving = asyncio.create_task(nc.suspend())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert (nc.status, nc.is_connected) == (Status.RECONNECTING, False)
        for peer in (old, new):
            await peer.wait_closed()
        server.answers["PING"] = b"PONG\r\n"
        await nc.resume()
        await reached(nc, Status.CONNECTED)
        await nc.flush()


@pytest.mark.parametrize("how", ["drain", "unsubscribe"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_ends_while_another_server_takes_over_is_over_on_both(
    how: str, when: str
) -> None:
    server = ScriptedServer()
    async with client(server, TWO, rng=Soon()) as nc:
        ending = [await nc.subscribe("work", "group"), await nc.subscribe("plain")]
        old, new = await handover(server)
        if when == "after":  # the old one was told to send no more
            new.send(b"PONG\r\n")
            await old.expect("PING")
        ends = [asyncio.create_task(getattr(subscription, how)()) for subscription in ending]
        assert (await new.expect("UNSUB")).line == b"UNSUB 1"
        server.answers["PING"] = b"PONG\r\n"
        for peer in (old, new):
            peer.send(b"PONG\r\n")
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        await asyncio.gather(*ends)
        assert await lines(nc, new) == []
        assert not nc._subscriptions._ending


@pytest.mark.parametrize("how", ["answers", "lost"])
@pytest.mark.parametrize("ending", ["subscription", "client"])
async def test_what_is_drained_while_another_server_takes_over_is_drained_on_both(
    ending: str, how: str
) -> None:
    server = ScriptedServer()
    seen: list[bytes] = []
    async with client(server, TWO, rng=Soon()) as nc:
        work = await nc.subscribe("work", "group", cb=lambda msg: seen.append(msg.data))
        old, new = await handover(server)
        draining = asyncio.create_task(work.drain() if ending == "subscription" else nc.drain())
        await new.expect("UNSUB")
        await old.expect("PING")
        old.message("work", b"1")
        old.send(b"PONG\r\n")
        if how == "answers":
            await new.expect("PING")
            new.message("work", b"2")  # it was under way
            server.answers["PING"] = b"PONG\r\n"
            new.send(b"PONG\r\nPONG\r\n")
        else:
            await until(lambda: seen)
            server.answers["PING"] = b"PONG\r\n"
            new.cut()
        await draining
        assert seen == [b"1", b"2"][: 2 if how == "answers" else 1]


@pytest.mark.parametrize("how", ["stays", "leaves"])
async def test_a_limit_after_another_server_was_to_take_over(how: str) -> None:
    server = ScriptedServer()
    async with client(server, TWO, rng=Soon()) as nc:
        work = await nc.subscribe("work", "group")
        old = server.sessions[0]
        old.message("work")
        await until(lambda: work.received)
        _, new = await handover(server)
        server.answers["PING"] = b"PONG\r\n"
        if how == "stays":
            new.cut()
            await until(lambda: nc._link._under_way is None)
        else:
            new.send(b"PONG\r\n")
            await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        await work.unsubscribe(5)  # each counts what it has sent by itself
        told = {"stays": (old, [b"UNSUB 1 5"]), "leaves": (new, [b"UNSUB 1 4"])}
        peer, expected = told[how]
        assert (await lines(nc, peer))[-1:] == expected


async def test_a_lame_duck_is_kept_when_nobody_else_answers() -> None:
    errors: list[Exception] = []
    server = ScriptedServer()
    server.down = {"two"}
    async with client(server, TWO, rng=Soon(), error_cb=errors.append) as nc:
        await lame(server)
        await until(lambda: errors)
        assert (nc.url, nc.is_connected) == ("nats://one:4222", True)
        await nc.flush()


async def test_a_lame_duck_that_names_another_later_is_left_then() -> None:
    async with session(rng=Soon()) as (nc, peer, _):
        peer.send(info(ldm=True))
        await nc.flush()
        peer.send(info(connect_urls=["two:4222"]))
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        assert nc.url == "nats://two:4222"


@pytest.mark.parametrize("how", ["silent", "lost"])
async def test_the_next_server_fails_while_it_takes_over(how: str) -> None:
    server = ScriptedServer()
    async with client(server, TWO, rng=Soon()) as nc:
        old = await server.accept()
        await old.expect("PING")
        del server.answers["PING"]
        old.send(info(ldm=True))
        new = await server.accept()
        await new.expect("PING")
        if how == "silent":
            nc.options.connect_timeout = 0.01
        new.send(b"PONG\r\n")
        await new.expect("PING")
        if how == "lost":
            new.cut()
        await new.wait_closed()
        await until(lambda: nc._link._under_way is None)
        assert nc.url == "nats://one:4222"
        assert not [c for c in old.commands if c.verb == "UNSUB"]
        server.answers["PING"] = b"PONG\r\n"
        await nc.flush()


async def test_both_servers_go_while_one_takes_over() -> None:
    server = ScriptedServer()
    async with client(server, TWO, rng=Soon()) as nc:
        old = await server.accept()
        await old.expect("PING")
        asking = asyncio.create_task(nc.request("a", timeout=5))
        del server.answers["PING"]
        old.send(info(ldm=True))
        new = await server.accept()
        await new.expect("PING")
        new.send(b"PONG\r\n")
        await new.expect("PING")
        new.send(b"PONG\r\n")
        await old.expect("PING")
        new.cut()
        await new.wait_closed()
        server.answers["PING"] = b"PONG\r\n"
        old.send(b"PONG\r\n")
        with pytest.raises(NotConnected):
            await asking
        await reached(nc, Status.CONNECTED)
        await (await server.accept()).expect("SUB")


async def test_a_lame_duck_that_does_not_let_go() -> None:
    server = ScriptedServer()
    async with client(server, TWO, rng=Soon()) as nc:
        old = await server.accept()
        await old.expect("PING")
        nc.publish("a", b"1")
        old.pause()
        nc.publish("a", b"2")
        del server.answers["PING"]
        old.send(info(ldm=True))
        new = await server.accept()
        await new.expect("PING")
        new.send(b"PONG\r\n")
        await new.expect("PING")
        nc.options.connect_timeout = 0.01
        new.send(b"PONG\r\n")
        server.answers["PING"] = b"PONG\r\n"
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        nc.publish("a", b"3")
        payloads = [(await new.expect("PUB")).payload for _ in range(2)]
        assert payloads == [b"2", b"3"]  # what never left is sent by the other way


@pytest.mark.parametrize("how", ["cut", "close", "drain"])
async def test_the_end_while_another_server_takes_over(how: str) -> None:
    server = ScriptedServer()
    async with client(server, TWO, rng=Soon()) as nc:
        old = await server.accept()
        await old.expect("PING")
        await nc.subscribe("a")
        del server.answers["PING"]
        old.send(info(ldm=True))
        new = await server.accept()
        await new.expect("PING")
        new.send(b"PONG\r\n")
        await new.expect("PING")
        new.send(b"PONG\r\n")
        await old.expect("PING")
        server.answers["PING"] = b"PONG\r\n"
        if how == "cut":
            old.cut()
            await new.wait_closed()
            await reached(nc, Status.CONNECTED)
        elif how == "close":
            draining = asyncio.create_task(nc.drain())
            await asyncio.sleep(0)
            await nc.close()
            await draining
            await new.wait_closed()
            await old.wait_closed()
        else:
            draining = asyncio.create_task(nc.drain())
            await asyncio.sleep(0)
            old.send(b"PONG\r\n")
            await draining
            assert nc.is_closed
            assert [c.verb for c in new.commands] == ["SUB", "UNSUB", "PING", "PING"]


async def test_drained_before_the_other_server_has_answered() -> None:
    server = ScriptedServer()
    async with client(server, TWO, rng=Soon()) as nc:
        old = await server.accept()
        await old.expect("PING")
        server.answers.pop("PING")
        old.send(info(ldm=True))
        new = await server.accept()
        await new.expect("PING")
        draining = asyncio.create_task(nc.drain())
        await old.expect("PING")
        new.send(b"PONG\r\n")
        await new.expect("PING")
        new.send(b"PONG\r\n")
        await new.wait_closed()
        server.answers["PING"] = b"PONG\r\n"
        old.send(b"PONG\r\n")
        await draining


@pytest.mark.parametrize("how", ["lost", "not allowed"])
async def test_a_lame_duck_that_can_not_be_left(how: str) -> None:
    server = ScriptedServer()
    options = {"allow_reconnect": how == "lost", "reconnect_time_wait": 60}
    async with client(server, TWO, rng=Later(), **options) as nc:
        old = await server.accept()
        await old.expect("PING")
        old.send(info(ldm=True))
        await nc.flush()
        if how == "lost":
            server.down = {"one", "two"}
            old.cut()
            await reached(nc, Status.RECONNECTING)
        left = asyncio.get_running_loop().create_future()
        nc._timers.after(0.25, lambda: left.set_result(None))
        await left
        assert len(server.sessions) == 1


# -- silence


async def test_a_server_that_answers_no_ping_is_lost() -> None:
    errors: list[Exception] = []
    options = {"ping_interval": 0.01, "max_outstanding_pings": 2, "error_cb": errors.append}
    async with session(**options) as (nc, peer, server):
        await peer.expect("PING")
        del server.answers["PING"]
        for _ in range(2):
            await peer.expect("PING")
        server.answers["PING"] = b"PONG\r\n"
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        assert str(errors[0]) == "nats://one:4222: stale connection: no answer to PING"


async def test_a_server_that_answers_is_kept() -> None:
    async with session(ping_interval=0.005) as (nc, peer, _):
        for _ in range(5):
            await peer.expect("PING")
        assert nc.is_connected


async def test_away_and_back_with_what_is_subscribed_and_published() -> None:
    async with session() as (nc, peer, server):
        await nc.subscribe("a")
        waiting = asyncio.create_task(nc.request("b", timeout=60))
        await peer.expect("PUB")
        await nc.suspend()
        await nc.suspend()
        with pytest.raises(NotConnected):
            await waiting
        assert (nc.status, nc.is_connected) == (Status.RECONNECTING, False)
        nc.publish("c", b"meanwhile")
        await nc.resume()
        again = await server.accept()
        await reached(nc, Status.CONNECTED)
        await nc.flush()
        assert [c.verb for c in again.commands][2:] == ["SUB", "SUB", "PUB", "PING"]


async def test_back_at_once_however_often_it_was_away() -> None:
    async with session(reconnect_time_wait=3600) as (nc, _, server):
        for _ in range(12):  # by then the pause after so many losses would be a minute
            await nc.suspend()
            await nc.resume()
            await server.accept()
            await reached(nc, Status.CONNECTED)


async def test_away_while_servers_are_sought() -> None:
    async with session(reconnect_time_wait=3600) as (nc, peer, server):
        server.down = {"one"}
        peer.cut()
        await reached(nc, Status.RECONNECTING)
        await nc.suspend()
        server.down = ()
        await nc.resume()
        await reached(nc, Status.CONNECTED)


async def test_a_hint_while_servers_are_sought_ends_the_pause() -> None:
    async with session(reconnect_time_wait=3600, max_reconnect_attempts=-1) as (nc, peer, server):
        server.down = {"one"}
        peer.cut()
        await reached(nc, Status.RECONNECTING)
        server.down = ()
        await until_connected(nc)


async def until_connected(nc: nats.Client) -> None:
    async with asyncio.timeout(10):
        while nc.status is not Status.CONNECTED:
            await nc.resume()
            await asyncio.sleep(0)


async def test_a_hint_has_a_dead_server_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "CHECK_S", 0.05)
    errors: list[Exception] = []
    async with session(error_cb=errors.append) as (nc, peer, server):
        await peer.expect("PING")
        answer = server.answers.pop("PING")
        await nc.resume()
        await peer.expect("PING")
        server.answers["PING"] = answer
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        assert "no answer to PING" in str(errors[0])


async def test_away_is_nowhere_without_reconnects_and_after_the_end() -> None:
    async with session(allow_reconnect=False) as (nc, _, __):
        await nc.suspend()
        assert nc.is_connected
    await nc.suspend()
    await nc.resume()
    assert nc.is_closed


async def test_closed_while_away() -> None:
    async with session() as (nc, _, __):
        await nc.suspend()
    await nc.resume()
    assert nc.is_closed


async def test_close_while_reconnecting() -> None:
    async with session(reconnect_time_wait=60) as (nc, peer, server):
        server.down = {"one"}
        peer.cut()
        await reached(nc, Status.RECONNECTING)
        await until(lambda: len(server.dialled) > 1)
        await nc.close()
        assert nc.is_closed


async def test_a_close_that_is_cancelled_has_closed() -> None:
    closed: list[str] = []
    async with session(closed_cb=lambda: closed.append("closed")) as (nc, peer, server):
        waiting = asyncio.create_task((await nc.subscribe("a")).next_msg(60))
        server.silent = {"one"}
        peer.cut()
        await reached(nc, Status.RECONNECTING)
        await until(lambda: len(server.dialled) > 1)
        closing = asyncio.create_task(nc.close())
        await until(lambda: nc.is_closed)
        with pytest.raises(ConnectionClosed):
            nc.publish("a")
        closing.cancel()
        with pytest.raises(ConnectionClosed):
            await waiting
        assert closed == ["closed"]


async def test_a_server_that_answers_after_the_end_is_left() -> None:
    asked: list[str] = []

    async def token() -> str:
        if made.is_set():
            asked.append("again")
            with suppress(asyncio.CancelledError):  # as nobody should
                await asyncio.Event().wait()
        return "a token"

    made = asyncio.Event()

    async with session(token=token) as (nc, peer, server):
        made.set()
        peer.cut()
        await reached(nc, Status.RECONNECTING)
        await until(lambda: asked)
        closing = asyncio.create_task(nc.close())
        await (await server.accept()).wait_closed()
        await closing
        assert nc.is_closed


async def test_who_hears_of_a_loss_sees_that_a_server_is_sought() -> None:
    seen: list[tuple[Status, bool]] = []
    heard = {"disconnected_cb": lambda: seen.append((nc.status, nc.is_connected))}
    async with session(**heard) as (nc, peer, _):
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
    assert seen == [(Status.RECONNECTING, False)]
