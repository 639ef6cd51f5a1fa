"""Nodes see one another come, change, go and vanish."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_core import NodeInfo, connect, discovery, jsonvalue
from agents_core import node as node_module
from agents_core.discovery import Announcer, Directory
from agents_core.errors import InvalidMessage
from agents_core.nats.msg import Msg
from agents_core.timers import Timers
from tests.core.sample import Counter, pair, until


def status(node: str, **more: Any) -> Msg:
    body = {"host": "server", "version": "1", "bus": {}, "agents": [], **more}
    return Msg(f"root.status.{node}", jsonvalue.dumps(body))


class Watched:
    """A directory that counts its changes."""

    def __init__(self) -> None:
        self.timers = Timers()
        self.changes = 0
        self.changed = asyncio.Event()
        self.directory = Directory("own", self.timers, self._change)

    def _change(self) -> None:
        self.changes += 1
        self.changed.set()

    @property
    def names(self) -> list[str]:
        return [info.node for info in self.directory]


async def test_a_directory_tells_about_what_came_changed_and_went() -> None:
    watched = Watched()
    for msg, names, changes in (
        (status("a"), ["a"], 1),
        (status("a"), ["a"], 1),
        (status("a", version="2"), ["a"], 2),
        (status("own"), ["a"], 2),
        (status("b"), ["a", "b"], 3),
        (status("a", left=True), ["b"], 4),
        (status("a", left=True), ["b"], 4),
    ):
        watched.directory.take(msg)
        assert (watched.names, watched.changes) == (names, changes)
    watched.timers.close()


async def test_a_node_that_is_silent_for_too_long_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discovery, "HEARTBEAT_S", 0.001)
    watched = Watched()
    watched.directory.take(status("a"))
    watched.changed.clear()
    await watched.changed.wait()
    assert watched.names == []


async def test_a_directory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "NODES_MAX", 2)
    watched = Watched()
    for name in "abc":
        watched.directory.take(status(name))
    watched.directory.take(status("a", version="2"))
    assert watched.names == ["a", "b"]
    watched.timers.close()


@pytest.mark.parametrize(
    "data", [b"", b"garbage", b"[]", b"{}", b'{"bus": 1, "agents": []}', b'{"bus": {}}']
)
async def test_what_is_no_status_is_passed_over(data: bytes) -> None:
    watched = Watched()
    watched.directory.take(Msg("root.status.a", data))
    assert watched.names == []


def test_a_status_is_read_with_care() -> None:
    agents = [{"id": "a"}, {"id": 5}, "text"]
    info = NodeInfo.from_json({"host": 5, "bus": {}, "agents": agents, "node": "liar"}, "n")
    assert (info.node, info.host, info.agents) == ("n", "5", [{"id": "a"}])
    assert NodeInfo.from_json(info.to_json(), "n") == info
    with pytest.raises(InvalidMessage):
        NodeInfo.from_json(None, "n")


async def test_an_announcer_collects_changes_and_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "HEARTBEAT_S", 3600)
    timers, announced = Timers(), asyncio.Event()
    announcer = Announcer(timers, announced.set)
    announcer.changed(1)  # before the start it does nothing
    announcer.start()
    monkeypatch.setattr(discovery, "CHANGE_S", 0.001)
    for _ in range(5):
        announcer.changed(1)
    await announced.wait()
    announced.clear()
    monkeypatch.setattr(discovery, "HEARTBEAT_S", 0.001)
    announcer.changed(1_000_000)  # so many that they wait for the heartbeat, an hour from now
    assert not announced.is_set()
    announcer.stop()
    announcer.stop()
    announcer.start()
    await announced.wait()
    announced.clear()
    await announced.wait()
    announcer.stop()
    timers.close()


async def test_nodes_see_one_another_come_change_and_go() -> None:
    first, second = pair()
    async with first as one:
        changed = asyncio.Event()
        end = one.on_change(changed.set)
        async with second as two:
            await two.spawn(Counter, "c")
            while not one.agents():
                changed.clear()
                await changed.wait()
            entry = one.agents()[0]
            assert (entry["node"], entry["type"], entry["state"]) == ("two", "Counter", "running")
            assert [info.node for info in two.nodes()] == ["two", "one"]
        while len(one.nodes()) > 1:
            changed.clear()
            await changed.wait()
        end()
        end()


async def test_a_status_lists_so_many_agents_and_counts_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node_module, "AGENTS_MAX", 2)
    async with connect("local://", name="n") as node:
        for name in "abc":
            await node.spawn(Counter, name)
        statuses = await node.subscribe("acore.default.status.n")
        node._announce()
        found = jsonvalue.loads((await statuses.next_msg()).data)
        assert ([agent["id"] for agent in found["agents"]], found["more"]) == (["a", "b"], 1)
        assert len(node.info().agents) == 3


async def test_hundreds_of_agents_are_one_announcement() -> None:
    first, second = pair()
    async with first as one, second as two:
        for n in range(300):
            await one.spawn(Counter, f"c{n}")
        one._announce()
        await until(lambda: len(two.agents()) == 300)
