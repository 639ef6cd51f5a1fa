"""What a real server does not allow, or allows no longer, and how the client goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from agents_core import nats
from agents_core.bus import Status
from agents_core.errors import (
    AgentsError,
    AuthorizationError,
    MaxPayloadExceeded,
    PermissionsViolation,
    ServerError,
    SubscriptionRefused,
    TransportError,
)
from agents_core.ids import unique
from agents_core.nats.options import Options
from agents_server.nats_py import NatsPyBus
from agents_server.nats_server import NatsServer
from tests.nats_cluster import reload, until

pytestmark = pytest.mark.nats
SCHEMES = pytest.mark.parametrize("scheme", ["tcp", "websocket"])


def url_of(server: NatsServer, scheme: str = "tcp") -> str:
    return server.url if scheme == "tcp" else server.websocket_url


@contextmanager
def running(folder: Path, extra: str) -> Iterator[NatsServer]:
    server = NatsServer(folder, extra=extra)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncIterator[nats.Client]:
    nc = await nats.connect(url, **({"reconnect_time_wait": 0.05} | options))
    try:
        yield nc
    finally:
        await nc.close()


def user(rules: str = "") -> str:
    return f"authorization {{ users: [ {{ user: u, password: p {rules} }} ] }}\n"


def account(limits: str) -> str:
    return f"accounts {{ A {{ users: [ {{ user: u, password: p }} ], limits {{ {limits} }} }} }}\n"


async def test_permissions_that_are_taken_away(tmp_path: Path) -> None:
    """The server ends the subscriptions, and names each by its id."""
    errors: list[Exception] = []
    options = {"user": "u", "password": "p", "error_cb": errors.append}
    with running(tmp_path, user()) as server:
        async with client(server.url, **options) as nc:
            secret, group, open_ = [
                await nc.subscribe(*names) for names in (("secret",), ("secret", "q"), ("open",))
            ]
            await nc.flush()
            reload(server, user(', permissions: { subscribe: ["open", "_INBOX.>"] }'))
            for subscription in (secret, group):
                with pytest.raises(PermissionsViolation) as caught:
                    await subscription.next_msg(10)
                assert caught.value.sid == subscription.sid.decode()
            nc.publish("open", b"still here")
            assert (await open_.next_msg(5)).data == b"still here"
            await nc.force_reconnect()
            await until(nc, Status.RECONNECTING, Status.CONNECTED)
            await nc.flush()
            assert not open_.ended
            assert {type(error) for error in errors} == {PermissionsViolation}
            assert len(errors) == 2


async def test_permissions_that_are_taken_away_over_nats_py(tmp_path: Path) -> None:
    """The ids by which the server names them are nats-py's, and not those of the bus."""
    with running(tmp_path, user()) as server:
        options = Options(servers=[server.url], user="u", password="p", reconnect_time_wait=0.01)
        bus = NatsPyBus(options)
        await bus.connect()
        gone, open_, secret = [await bus.subscribe(name) for name in ("gone", "open", "secret")]
        await gone.unsubscribe()
        await bus.force_reconnect()  # from now on nats-py's are lower by one
        await until(bus, Status.RECONNECTING, Status.CONNECTED)
        reload(server, user(', permissions: { subscribe: ["open", "_INBOX.>"] }'))
        with pytest.raises(PermissionsViolation):
            await secret.next_msg(10)
        bus.publish("open", b"still here")
        assert (await open_.next_msg(5)).data == b"still here"
        await bus.close()


async def test_a_reply_subject_that_is_not_allowed(tmp_path: Path) -> None:
    rules = ', permissions: { publish: ["ask"], subscribe: ["_INBOX_me.>", "ask"] }'
    with running(tmp_path, user(rules)) as server:
        options = {"user": "u", "password": "p"}
        async with client(server.url, **options, inbox_prefix="_INBOX_me") as nc:
            await nc.subscribe("ask")
            with pytest.raises(PermissionsViolation):
                await nc.request("elsewhere", timeout=10)
        async with client(server.url, **options) as nc:
            with pytest.raises(PermissionsViolation):  # nobody may listen under that prefix
                await nc.request("ask", timeout=10)
            with pytest.raises(PermissionsViolation):
                [msg async for msg in nc.request_many("ask", timeout=10)]


@SCHEMES
async def test_more_subscriptions_than_the_server_takes(tmp_path: Path, scheme: str) -> None:
    errors: list[Exception] = []
    with running(tmp_path, "max_subscriptions: 3") as server:
        async with client(url_of(server, scheme), error_cb=errors.append) as nc:
            subscriptions = [await nc.subscribe(f"s.{index}") for index in range(5)]
            await nc.flush()
            assert [s.ended for s in subscriptions] == [False] * 3 + [True] * 2
            for subscription in subscriptions[3:]:
                with pytest.raises(SubscriptionRefused, match="maximum subscriptions exceeded"):
                    await subscription.next_msg()
            with pytest.raises(SubscriptionRefused):
                await nc.request("s.0", timeout=10)
            await subscriptions[0].unsubscribe()
            await nc.subscribe("s.6")
            nc.publish("s.1", b"goes on")
            assert (await subscriptions[1].next_msg(5)).data == b"goes on"
            assert len(errors) == 3


async def test_fewer_subscriptions_from_now_on(tmp_path: Path) -> None:
    with running(tmp_path, account("max_subs: 4")) as server:
        async with client(server.url, user="u", password="p") as nc:
            subscriptions = [await nc.subscribe(f"s.{index}") for index in range(4)]
            await nc.flush()
            reload(server, account("max_subs: 2"))
            await until(nc, Status.RECONNECTING, Status.CONNECTED)
            await nc.flush()
            assert [s.ended for s in subscriptions] == [False, False, True, True]
            nc.publish("s.1")
            await subscriptions[1].next_msg(5)


async def test_more_subscriptions_than_allowed_over_nats_py(tmp_path: Path) -> None:
    """nats-py ends its session for that: it costs a reconnect each, and then goes on."""
    with running(tmp_path, "max_subscriptions: 3") as server:
        bus = NatsPyBus(Options(servers=[server.url], reconnect_time_wait=0.01))
        await bus.connect()
        subscriptions = [await bus.subscribe(f"s.{index}") for index in range(4)]
        with pytest.raises(SubscriptionRefused):
            await subscriptions[3].next_msg(10)
        while bus.status is not Status.CONNECTED:
            await asyncio.sleep(0.01)
        bus.publish("s.1", b"goes on")
        assert (await subscriptions[1].next_msg(5)).data == b"goes on"
        assert [s.ended for s in subscriptions] == [False] * 3 + [True]
        await bus.close()


@pytest.mark.parametrize("whose", ["the server's", "the account's"])
async def test_a_max_payload_that_changes_without_a_word(tmp_path: Path, whose: str) -> None:
    """It is in the INFO of the next connection; until then the first too large ends this one."""

    def limit(size: int) -> str:
        line = f"max_payload: {size}"
        return account(line) if whose == "the account's" else user() + line

    errors: list[Exception] = []
    with running(tmp_path, limit(1000)) as server:
        options = {"user": "u", "password": "p"}
        async with client(server.url, error_cb=errors.append, **options) as nc:
            await nc.flush()
            assert nc.max_payload == 1000
            reload(server, limit(100))
            while nc.max_payload == 1000:
                nc.publish("a", bytes(200))
                await asyncio.sleep(0.01)
            told = {str(error) for error in errors}
            waited = "200 bytes are more than the server's max_payload of 100"  # for the next one
            assert told - {waited} == {"server: Maximum Payload Violation"}
            with pytest.raises(MaxPayloadExceeded):
                nc.publish("a", bytes(101))
            reload(server, limit(3000))
            while nc.max_payload == 100:
                await nc.force_reconnect()
                await until(nc, Status.RECONNECTING, Status.CONNECTED)
                await nc.flush()
            nc.publish("a", bytes(3000))
            await nc.flush()


@SCHEMES
async def test_more_connections_than_the_server_takes(tmp_path: Path, scheme: str) -> None:
    with running(tmp_path, "max_connections: 1") as server:
        url = url_of(server, scheme)
        patient = {"retry_on_failed_connect": True, "reconnect_time_wait": 0.05}
        async with client(url, **patient) as nc:
            await until(nc, Status.CONNECTED)  # the one that looked for the port is gone
            with pytest.raises(ServerError, match="maximum connections exceeded"):
                await nats.connect(url)
            waiting = await nats.connect(url, **patient)
            assert waiting.is_reconnecting
        await until(waiting, Status.CONNECTED)
        await waiting.close()


@SCHEMES
async def test_a_user_that_is_removed(tmp_path: Path, scheme: str) -> None:
    errors: list[Exception] = []
    with running(tmp_path, user()) as server:
        options = {"user": "u", "password": "p", "error_cb": errors.append}
        async with client(url_of(server, scheme), **options) as nc:
            reload(server, user().replace("user: u", "user: v"))
            await until(nc, Status.RECONNECTING, Status.CLOSED)
            assert isinstance(nc.last_error, AuthorizationError)
            refusals = [error for error in errors if isinstance(error, AuthorizationError)]
            assert len(refusals) == 2


@SCHEMES
async def test_a_reader_that_the_server_finds_too_slow(tmp_path: Path, scheme: str) -> None:
    """It is cut off without a word, and comes back by itself."""
    subject = unique()
    errors: list[Exception] = []
    with running(tmp_path, "max_pending: 4194304\nwrite_deadline: 300ms") as server:
        async with (
            client(url_of(server, scheme), error_cb=errors.append) as nc,
            client(server.url, pending_size=64 * 1024 * 1024) as peer,
        ):
            subscription = await nc.subscribe(subject)
            await nc.flush()
            assert nc._link.connection is not None
            transport: Any = nc._link.connection._transport
            transport = getattr(transport, "_tcp", transport)
            transport.pause_reading()  # as a loop that is kept busy does
            while server.log_path.read_text().count("Slow Consumer") == 0:
                for _ in range(10):
                    peer.publish(subject, bytes(500_000))
                await peer.flush(20)
            transport.resume_reading()
            await until(nc, Status.RECONNECTING, Status.CONNECTED)
            assert [type(error) for error in errors] == [TransportError]
            assert "slow consumer" in str(errors[0])
            while subscription.pending_msgs:
                await subscription.next_msg()
            await nc.flush()
            peer.publish(subject, b"caught up")
            assert (await subscription.next_msg(10)).data == b"caught up"


# -- what the user asks for


@SCHEMES
async def test_no_echo(nats_server: NatsServer, scheme: str) -> None:
    subject = unique()
    url = url_of(nats_server, scheme)
    async with client(url, no_echo=True) as nc, client(url) as peer:
        subscription = await nc.subscribe(subject)
        await nc.flush()
        nc.publish(subject, b"mine")
        await nc.flush()
        peer.publish(subject, b"another's")
        assert (await subscription.next_msg(5)).data == b"another's"
        assert subscription.pending_msgs == 0


async def test_many_answers(nats_server: NatsServer) -> None:
    subject = unique()
    async with client(nats_server.url) as nc, client(nats_server.websocket_url) as peer:
        for name in (b"1", b"2", b"3"):
            await peer.subscribe(subject, cb=lambda msg, name=name: msg.respond(name))
        await peer.flush()
        replies = nc.request_many(subject, b"who is there?", 10, stall=0.2)
        assert sorted([msg.data async for msg in replies]) == [b"1", b"2", b"3"]


async def test_a_wildcard_that_is_published_to(nats_server: NatsServer) -> None:
    subject = unique()
    errors: list[AgentsError] = []
    async with client(nats_server.url, skip_subject_validation=True, error_cb=errors.append) as nc:
        subscription = await nc.subscribe(f"{subject}.>")
        for odd in (f"{subject}.*", f"{subject}.>", f"{subject}..x"):
            nc.publish(odd)
        await nc.flush()
        nc.publish(f"{subject}.a", b"plain")
        await nc.flush()
        assert not errors
        received = [await subscription.next_msg() for _ in range(subscription.pending_msgs)]
        assert received[-1].data == b"plain"
