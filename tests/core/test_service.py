"""A node answers as a NATS service (ADR-32)."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from agents_core import connect, jsonvalue
from agents_core.errors import NoResponders, RemoteError
from tests.core.sample import Add, Counter


async def ask(node: Any, subject: str) -> Any:
    return jsonvalue.loads((await node.request(subject)).data)


@pytest.mark.parametrize("verb", ["PING", "INFO", "STATS"])
async def test_every_verb_is_answered_alone_by_name_and_by_id(verb: str) -> None:
    async with connect("local://", name="n1") as node:
        found = await ask(node, f"$SRV.{verb}")
        assert found["type"] == f"io.nats.micro.v1.{verb.lower()}_response"
        assert (found["name"], found["version"]) == ("acore", node.version)
        assert found["metadata"] == {"node": "n1", "host": node.host}
        assert (await ask(node, f"$SRV.{verb}.acore"))["id"] == found["id"]
        assert (await ask(node, f"$SRV.{verb}.acore.{found['id']}"))["id"] == found["id"]
        with pytest.raises(NoResponders):
            await ask(node, f"$SRV.{verb}.other")
        node.publish(f"$SRV.{verb}")  # without a reply there is nobody to tell
        await node.bus.flush()


async def test_agents_are_endpoints_with_counters() -> None:
    async with connect("local://") as node:
        counter = await node.spawn(Counter, "c")
        await counter.ask(Add(1))
        await counter.ask(Add(1))
        with pytest.raises(RemoteError):
            await counter.ask("boom")
        endpoint = {"name": "c", "subject": "acore.default.to.c.*", "queue_group": "c"}
        info = await ask(node, "$SRV.INFO")
        assert info["endpoints"] == [endpoint]
        assert info["description"]
        stats = await ask(node, "$SRV.STATS")
        assert stats["endpoints"] == [{**endpoint, "num_requests": 2, "num_errors": 1}]
        assert datetime.datetime.fromisoformat(stats["started"]).tzinfo is datetime.UTC
