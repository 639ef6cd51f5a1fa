"""Services over a real nats-server, with nats-py's as peers both ways."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, timedelta

import nats as nats_py
import nats.micro as nats_py_micro
import pytest
from nats.micro.service import ServiceInfo, ServicePing, ServiceStats

from agents_core import connect, nats
from agents_core.errors import ServiceError
from agents_core.ids import unique
from agents_core.nats import micro
from agents_server.nats_server import NatsServer
from tests.core.sample import Counter

pytestmark = pytest.mark.nats
SCHEMES = pytest.mark.parametrize("scheme", ["tcp", "websocket"])


@asynccontextmanager
async def client(server: NatsServer, scheme: str = "tcp") -> AsyncIterator[nats.Client]:
    connection = await nats.connect(server.url if scheme == "tcp" else server.websocket_url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def nats_py_client(server: NatsServer) -> AsyncIterator[nats_py.NATS]:
    connection = await nats_py.connect(server.url)
    try:
        yield connection
    finally:
        await connection.close()


async def double(request: micro.Request) -> None:
    if not request.data:
        raise ServiceError("400", "nothing to double")
    await request.respond(request.data * 2, headers=request.headers)


@SCHEMES
async def test_our_service_is_read_by_nats_py(nats_server: NatsServer, scheme: str) -> None:
    name, subject = f"math-{unique()}", unique()
    async with client(nats_server, scheme) as nc, nats_py_client(nats_server) as peer:
        service = await micro.add_service(
            nc,
            name=name,
            version="1.2.3",
            description="doubles",
            metadata={"zone": "a"},
            stats_handler=lambda stats: {"seen": stats.num_requests},
        )
        group = service.add_group(name=subject)
        await group.add_endpoint(name="double", handler=double, metadata={"unit": "none"})
        await nc.flush()

        reply = await peer.request(f"{subject}.double", b"ab", 5, headers={"K": "v"})
        assert (reply.data, reply.headers) == (b"abab", {"K": "v"})
        reply = await peer.request(f"{subject}.double", b"", 5)
        assert reply.headers == {
            "Nats-Service-Error": "nothing to double",
            "Nats-Service-Error-Code": "400",
        }

        async def ask(verb: str) -> dict[str, object]:
            return json.loads((await peer.request(f"$SRV.{verb}.{name}", b"", 5)).data)

        ping = ServicePing.from_dict(await ask("PING"))
        assert (ping.name, ping.id, ping.version) == (name, service.id, "1.2.3")
        assert ping.metadata == {"zone": "a"}
        info = ServiceInfo.from_dict(await ask("INFO"))
        (endpoint,) = info.endpoints
        assert info.description == "doubles"
        assert (endpoint.name, endpoint.subject) == ("double", f"{subject}.double")
        assert (endpoint.queue_group, endpoint.metadata) == ("q", {"unit": "none"})
        stats = ServiceStats.from_dict(await ask("STATS"))
        (counters,) = stats.endpoints
        assert (counters.num_requests, counters.num_errors) == (2, 1)
        assert (counters.last_error, counters.data) == ("400:nothing to double", {"seen": 2})
        assert counters.processing_time > 0
        assert stats.started == service.stats().started.replace(tzinfo=None)


@SCHEMES
async def test_a_service_of_nats_py_is_found_and_asked(
    nats_server: NatsServer, scheme: str
) -> None:
    name, subject = f"peer-{unique()}", unique()

    async def handle(request: nats_py_micro.Request) -> None:
        if not request.data:
            raise nats_py_micro.request.ServiceError("400", "nothing to double")
        await request.respond(request.data * 2)

    async with client(nats_server, scheme) as nc, nats_py_client(nats_server) as peer:
        service = await nats_py_micro.add_service(
            peer, name=name, version="0.1.0", description="a peer's", metadata={"zone": "b"}
        )
        group = service.add_group(name=subject)
        await group.add_endpoint(name="double", handler=handle, metadata={"unit": "none"})
        for _ in range(2):  # nats-py's first PING may overtake its SUB
            await peer.flush()

        (ping,) = await micro.ping(nc, name, stall=0.1)
        assert (ping.id, ping.version, ping.metadata) == (service.id, "0.1.0", {"zone": "b"})
        (info,) = await micro.info(nc, name, ping.id)
        assert info.description == "a peer's"
        assert info.endpoints == [
            micro.EndpointInfo("double", f"{subject}.double", "q", {"unit": "none"})
        ]
        reply = await nc.request(f"{subject}.double", b"ab", 5)
        assert (reply.data, micro.error_of(reply)) == (b"abab", None)
        error = micro.error_of(await nc.request(f"{subject}.double", b"", 5))
        assert error is not None
        assert (error.code, error.description) == ("400", "nothing to double")
        (stats,) = await micro.stats(nc, name, ping.id)
        (counters,) = stats.endpoints
        assert (counters.num_requests, counters.num_errors) == (2, 1)
        assert counters.last_error == "400:nothing to double"
        apart = stats.started - service.stats().started.replace(tzinfo=UTC)
        assert abs(apart) < timedelta(milliseconds=1)
        await service.stop()


async def test_both_are_instances_of_one_service(nats_server: NatsServer) -> None:
    name, subject = f"both-{unique()}", unique()

    async def theirs(request: nats_py_micro.Request) -> None:
        await request.respond(b"nats-py")

    async def ours(request: micro.Request) -> None:
        await request.respond(b"ours")

    async with client(nats_server) as nc, nats_py_client(nats_server) as peer:
        one = await micro.add_service(nc, name=name, version="1.0.0")
        await one.add_endpoint(name=subject, handler=ours)
        two = await nats_py_micro.add_service(peer, name=name, version="1.0.0")
        await two.add_endpoint(name=subject, handler=theirs)
        for _ in range(2):
            await peer.flush()
        assert {s.id for s in await micro.ping(nc, name, stall=0.2)} == {one.id, two.id}
        replies = await asyncio.gather(*(nc.request(subject, b"", 5) for _ in range(100)))
        assert {reply.data for reply in replies} == {b"ours", b"nats-py"}
        await one.stop()
        replies = await asyncio.gather(*(nc.request(subject, b"", 5) for _ in range(20)))
        assert {reply.data for reply in replies} == {b"nats-py"}
        assert [s.id for s in await micro.ping(nc, name, stall=0.2)] == [two.id]
        await two.stop()


async def test_a_service_outlives_a_lost_connection(own_nats_server: NatsServer) -> None:
    nc = await nats.connect(own_nats_server.url, reconnect_time_wait=0.1)
    try:
        async with await micro.add_service(nc, name="math", version="1.0.0") as service:
            await service.add_endpoint(name="double", handler=double)
            back = asyncio.Event()
            nc.on_status(lambda status: back.set() if status == "connected" else None)
            own_nats_server.kill()
            own_nats_server.start()
            await back.wait()
            assert (await nc.request("double", b"ab", 5)).data == b"abab"
            assert [s.id for s in await micro.ping(nc, stall=0.1)] == [service.id]
        assert await micro.ping(nc) == []
    finally:
        await nc.close()


async def test_a_node_and_its_agents_are_seen_by_nats_py(nats_server: NatsServer) -> None:
    space = unique()
    async with connect(nats_server.url, space=space) as node, nats_py_client(nats_server) as peer:
        await node.spawn(Counter, "c")
        await node.bus.flush()
        (found,) = [
            info
            for info in await micro.info(node.bus, "acore", stall=0.2)
            if info.metadata["node"] == node.name
        ]
        for verb, kind in (("INFO", ServiceInfo), ("STATS", ServiceStats)):
            reply = await peer.request(f"$SRV.{verb}.acore.{found.id}", b"", 5)
            seen = kind.from_dict(json.loads(reply.data))
            assert seen.id == found.id
            assert [endpoint.name for endpoint in seen.endpoints] == ["c"]
