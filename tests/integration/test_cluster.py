"""Our client and a cluster of real servers: who is there, who goes, and what is lost by that."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trustme

from agents_core import nats
from agents_core.bus import Status
from agents_core.errors import AgentsError, NotConnected, TransportError
from agents_core.ids import unique
from agents_server.nats_server import NatsServer
from tests.nats_cluster import cluster, knows, tell, until

pytestmark = pytest.mark.nats
SCHEMES = pytest.mark.parametrize("scheme", ["tcp", "websocket"])


def url_of(server: NatsServer, scheme: str = "tcp") -> str:
    return server.url if scheme == "tcp" else server.websocket_url


class Soon(Random):
    """Jitter that takes no second."""

    def random(self) -> float:
        return 0.01


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncIterator[nats.Client]:
    quick = {"reconnect_time_wait": 0.05, "dont_randomize": True, "rng": Soon(1)}
    nc = await nats.connect(url, **(quick | options))
    try:
        yield nc
    finally:
        await nc.close()


@SCHEMES
async def test_servers_are_learned_and_forgotten_as_they_come_and_go(
    tmp_path: Path, scheme: str
) -> None:
    with cluster(tmp_path) as servers:
        urls = [url_of(server, scheme) for server in servers]
        found = asyncio.Event()
        async with client(urls[0], discovered_server_cb=found.set) as nc:
            await knows(nc, *urls)
            servers[2].stop()
            await knows(nc, *urls[:2])
            found.clear()
            servers[2].start()
            await found.wait()
            await knows(nc, *urls)


@SCHEMES
async def test_what_the_cluster_says_may_be_ignored(tmp_path: Path, scheme: str) -> None:
    with cluster(tmp_path, 2) as servers:
        urls = [url_of(server, scheme) for server in servers]
        async with (
            client(urls[0]) as curious,
            client(urls[0], ignore_cluster_updates=True) as nc,
        ):
            await knows(curious, *urls)
            await nc.flush()
            assert nc.servers == urls[:1]


@SCHEMES
async def test_a_server_that_is_killed(tmp_path: Path, scheme: str) -> None:
    subject = unique()
    with cluster(tmp_path) as servers:
        urls = [url_of(server, scheme) for server in servers]
        async with client(urls[0]) as nc, client(servers[2].url) as peer:
            await knows(nc, *urls)
            subscription = await nc.subscribe(subject)
            await peer.subscribe(f"{subject}.silent")
            await peer.flush()
            await nc.flush()
            waiting = asyncio.create_task(nc.request(f"{subject}.silent", timeout=20))
            await asyncio.sleep(0)
            servers[0].kill()
            with pytest.raises(NotConnected):
                await waiting
            nc.publish(subject, b"while down")
            assert (await subscription.next_msg(10)).data == b"while down"
            assert nc.url in urls[1:]
            await nc.flush()
            await heard(peer, nc, subject, subscription)


async def heard(
    peer: nats.Client, nc: nats.Client, subject: str, subscription: nats.Subscription
) -> None:
    """Interest travels between servers in its own time: publish until it has."""
    while not subscription.pending_msgs:
        peer.publish(subject, b"from another server")
        await peer.flush()
        await nc.flush()
    assert (await subscription.next_msg()).data == b"from another server"


@SCHEMES
async def test_a_lame_duck_is_left_and_nobody_who_asks_a_group_notices(
    tmp_path: Path, scheme: str
) -> None:
    """The agent's case: a queue group of one, on the server that goes."""
    subject, count = unique(), 0
    warned = asyncio.Event()
    events: list[str] = []
    callbacks = {f"{n}_cb": lambda n=n: events.append(n) for n in ("disconnected", "reconnected")}

    def answer(msg: nats.Msg) -> None:
        nonlocal count
        count += 1
        msg.respond(msg.data)

    with cluster(tmp_path, 2) as servers:
        urls = [url_of(server, scheme) for server in servers]
        options = {"lame_duck_mode_cb": warned.set, **callbacks}
        async with client(urls[0], **options) as nc, client(servers[1].url) as peer:
            await knows(nc, *urls)
            await nc.subscribe(subject, "group", answer)
            await nc.flush()
            while count == 0:  # interest has to reach the other server
                with suppress(AgentsError):
                    await peer.request(subject, b"0", 5)
            moved = asyncio.create_task(until(nc, Status.RECONNECTING, Status.CONNECTED))
            await asyncio.sleep(0)
            tell(servers[0], signal.SIGUSR2)
            asked = 0
            while not moved.done() or asked < 100:
                asked += 1
                assert (await peer.request(subject, b"%d" % asked, 5)).data == b"%d" % asked
            await moved
            assert warned.is_set()
            assert nc.url == urls[1]
            assert events == ["disconnected", "reconnected"]


@SCHEMES
async def test_who_asks_does_not_notice_that_its_server_goes(tmp_path: Path, scheme: str) -> None:
    subject = unique()
    with cluster(tmp_path, 2) as servers:
        urls = [url_of(server, scheme) for server in servers]
        async with client(urls[0]) as nc, client(servers[1].url) as peer:
            await knows(nc, *urls)

            async def answer(msg: nats.Msg) -> None:
                await asyncio.sleep(0.3)  # longer than the move takes
                msg.respond(msg.data)

            await peer.subscribe(subject, cb=answer)
            await peer.flush()
            while not (await knows_responder(nc, subject)):
                pass
            asking = asyncio.create_task(nc.request(subject, b"a slow question", 10))
            await asyncio.sleep(0)
            tell(servers[0], signal.SIGUSR2)
            await until(nc, Status.RECONNECTING, Status.CONNECTED)
            assert not asking.done()
            assert (await asking).data == b"a slow question"


async def knows_responder(nc: nats.Client, subject: str) -> bool:
    with suppress(AgentsError):
        await nc.request(subject, b"", 5)
        return True
    return False


async def test_nothing_that_is_published_is_lost_or_doubled_by_leaving(tmp_path: Path) -> None:
    """Its order may change where servers overtake one another."""
    subject, seen = unique(), []
    with cluster(tmp_path, 2) as servers:
        async with client(servers[0].url) as nc, client(servers[1].url) as peer:
            await knows(nc, *(server.url for server in servers))
            await peer.subscribe(subject, cb=lambda msg: seen.append(int(msg.data)))
            await peer.flush()
            while not seen:
                nc.publish(subject, b"0")
                await nc.flush()
                await peer.flush()
            moved = asyncio.create_task(until(nc, Status.RECONNECTING, Status.CONNECTED))
            await asyncio.sleep(0)
            tell(servers[0], signal.SIGUSR2)
            number = 0
            while not moved.done() or number < 1000:
                number += 1
                nc.publish(subject, b"%d" % number)
                if number % 10 == 0:
                    await nc.ready()
                    await asyncio.sleep(0)
            while number not in seen or len(set(seen)) <= number:
                await peer.flush()
            assert sorted(one for one in seen if one) == list(range(1, number + 1))


async def test_a_rolling_restart(tmp_path: Path) -> None:
    subject = unique()
    errors: list[Exception] = []
    with cluster(tmp_path) as servers:
        urls = [server.url for server in servers]
        async with client(urls[0], error_cb=errors.append) as nc:
            subscription = await nc.subscribe(subject)
            for server in servers:
                await knows(nc, *urls)
                changed = asyncio.create_task(until(nc, Status.RECONNECTING, Status.CONNECTED))
                await asyncio.sleep(0)
                was = nc.url
                server.stop()
                if was == server.url:
                    await changed
                else:
                    changed.cancel()
                    await asyncio.wait([changed])
                assert nc.url != server.url
                server.start()
                nc.publish(subject, server.url.encode())
                assert (await subscription.next_msg(10)).data == server.url.encode()
            assert nc.stats.reconnects >= 1
            assert {type(error) for error in errors} == {TransportError}


async def test_all_servers_down_and_one_that_comes_back(tmp_path: Path) -> None:
    subject = unique()
    with cluster(tmp_path) as servers:
        urls = [server.url for server in servers]
        async with client(urls[0]) as nc:
            await knows(nc, *urls)
            subscription = await nc.subscribe(subject)
            for server in servers:
                server.kill()
            await until(nc, Status.RECONNECTING)
            nc.publish(subject, b"waits")
            servers[2].start()
            assert (await subscription.next_msg(10)).data == b"waits"
            assert nc.url == urls[2]


# -- the user's orders


async def test_another_pool_and_a_choice_of_the_users(tmp_path: Path) -> None:
    chosen: list[str] = []

    def choose(pool: list[nats.Server], about: dict[str, Any]) -> tuple[nats.Server, float]:
        chosen.append(about["server_name"])
        return next(server for server in pool if server.url == servers[1].url), 0.0

    with cluster(tmp_path) as servers:
        urls = [server.url for server in servers]
        async with client(urls[0], reconnect_to_server_handler=choose) as nc:
            await knows(nc, *urls)
            await nc.force_reconnect()
            await until(nc, Status.RECONNECTING, Status.CONNECTED)
            assert (nc.url, chosen) == (urls[1], ["n0"])
            assert nc.server_info["server_name"] == "n1"
        async with client(urls[0], ignore_cluster_updates=True) as nc:
            nc.set_server_pool([urls[2]])
            await nc.force_reconnect()
            await until(nc, Status.RECONNECTING, Status.CONNECTED)
            assert (nc.url, nc.servers) == (urls[2], [urls[2]])


async def test_learned_servers_have_the_certificate_of_the_one_that_named_them(
    tmp_path: Path,
) -> None:
    """They are named by address, and their certificates by host."""
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    certificate = authority.issue_cert("localhost")
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    certificate.private_key_pem.write_to_path(key)
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    extra = f'tls {{ cert_file: "{chain.as_posix()}", key_file: "{key.as_posix()}" }}'
    with cluster(tmp_path, 2, extra=extra) as servers:
        first = f"tls://localhost:{servers[0].port}"
        async with client(first, tls=context) as nc:
            learned = [f"tls://127.0.0.1:{server.port}" for server in servers]
            await knows(nc, first, *learned)
            servers[0].kill()
            await until(nc, Status.RECONNECTING, Status.CONNECTED)
            assert nc.url == learned[1]
            await nc.flush()
