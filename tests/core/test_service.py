"""A node answers as a NATS service (ADR-32)."""

from __future__ import annotations

import asyncio
from datetime import UTC

import pytest

from agents_core import connect, on, service
from agents_core.errors import RemoteError
from agents_core.nats import micro
from agents_core.nats.micro import EndpointInfo
from agents_core.service import NAME
from tests.core.sample import Add, Counter


class Slow(Counter):
    @on("slow")
    async def slow(self) -> None:
        await asyncio.sleep(0.02)


async def test_a_node_is_a_service_that_names_itself() -> None:
    async with connect("local://", name="n1") as node:
        for ask in (micro.ping, micro.info, micro.stats):
            (found,) = await ask(node.bus, NAME, stall=0.05)
            assert (found.name, found.version) == ("acore", node.version)
            assert found.metadata == {"node": "n1", "host": node.host}
        (info,) = await micro.info(node.bus, stall=0.05)
        assert info.description
        assert (await micro.ping(node.bus, NAME, info.id))[0].id == info.id


async def test_agents_are_endpoints_with_counters() -> None:
    async with connect("local://") as node:
        counter = await node.spawn(Slow, "c")
        await node.spawn(Counter, "idle")
        await counter.ask(Add(1))
        await counter.ask(Add(1))
        with pytest.raises(RemoteError):
            await counter.ask("boom")
        await counter.ask("slow")
        (info,) = await micro.info(node.bus, stall=0.05)
        assert info.endpoints == [
            EndpointInfo(id, f"acore.default.to.{id}.*", id, {"type": kind})
            for id, kind in (("c", "Slow"), ("idle", "Counter"))
        ]
        (stats,) = await micro.stats(node.bus, stall=0.05)
        assert stats.started.tzinfo is UTC
        busy, idle = stats.endpoints
        assert (busy.name, busy.subject, busy.queue_group) == ("c", "acore.default.to.c.*", "c")
        assert (busy.num_requests, busy.num_errors) == (3, 1)
        assert busy.last_error == "ValueError: boom"
        assert busy.processing_time >= 19_000_000
        assert busy.average_processing_time == busy.processing_time // 3
        assert (idle.name, idle.num_requests, idle.average_processing_time) == ("idle", 0, 0)


async def test_a_node_of_very_many_agents_can_still_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ENDPOINTS_MAX", 2)
    async with connect("local://") as node:
        for number in range(3):
            await node.spawn(Counter, f"c{number}")
        (info,) = await micro.info(node.bus, stall=0.05)
        assert [endpoint.name for endpoint in info.endpoints] == ["c0", "c1"]
