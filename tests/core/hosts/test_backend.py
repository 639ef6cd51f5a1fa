"""State through a pipe keeps the promises of every backend."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_core import Get
from agents_core.errors import AgentStopped, OutboundBufferFull, RemoteError
from agents_core.hosts import channel
from agents_core.hosts.backend import PipeBackend
from agents_core.ids import AgentId
from agents_core.state.backend import Json
from agents_core.state.memory import InMemoryBackend
from agents_core.testing import state
from agents_core.testing.hosts.agents import Adder, Increase
from agents_core.testing.hosts.fake import FakeKit
from tests.core.sample import until


@pytest.mark.parametrize("check", state.CHECKS, ids=lambda check: check.__name__)
async def test_promise(check: state.Check) -> None:
    async with FakeKit.made() as kit:
        adder = await kit.spawn(Adder)
        await check(kit.hosts.of(adder.id).guest.router.cells[adder.id].state.backend)


async def test_nobody_has_state_who_is_not_there() -> None:
    async with FakeKit.made() as kit:
        adder = await kit.spawn(Adder)
        guest = kit.hosts.of(adder.id).guest
        backend = PipeBackend(AgentId("nobody"), guest._channel)
        with pytest.raises(AgentStopped):
            await backend.retrieve("key")


async def test_what_waits_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeKit.made() as kit:
        adder = await kit.spawn(Adder)
        backend = kit.hosts.of(adder.id).guest.router.cells[adder.id].state.backend
        monkeypatch.setattr(channel, "UNREAD_BYTES_MAX", 0)
        with pytest.raises(OutboundBufferFull):
            await backend.store("key", 1)


class Broken:
    """A backend of somebody who knows nothing of our errors."""

    async def retrieve(self, key: str) -> Json:
        raise OSError(5, "it broke")


class Slow(InMemoryBackend):
    """A backend whose first value is under way until somebody lets it on."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.may = asyncio.Event()

    async def store(self, key: str, value: Json) -> None:
        self.writes += 1
        if self.writes == 1:
            await self.may.wait()
        await super().store(key, value)


@pytest.mark.parametrize("on_its_way", [False, True])
async def test_what_was_being_stored_at_a_kill_does_not_replace_the_next_instance_s(
    on_its_way: bool,
) -> None:
    async with FakeKit.made() as kit:
        slow = Slow()
        adder, _ = await kit.spawn(Adder, state=slow), await kit.spawn(Adder)
        instance: Any = kit.hosts.of(adder.id).guest.router.cells[adder.id]._agent
        asking = asyncio.create_task(adder.ask(Increase(1)))
        await until(lambda: instance.seen if on_its_way else slow.writes)
        assert slow.writes == (not on_its_way)
        await adder.kill()
        with pytest.raises(RemoteError, match="Killed"):
            await asking
        await kit.event("restarted", adder)
        assert await adder.ask(Increase(5)) == 5
        slow.may.set()
        assert await adder.state(Get("total")) == 5


async def test_what_one_agent_is_storing_goes_on_when_another_is_killed() -> None:
    async with FakeKit.made() as kit:
        slow = Slow()
        adder, other = await kit.spawn(Adder, state=slow), await kit.spawn(Adder)
        asking = asyncio.create_task(adder.ask(Increase(1)))
        await until(lambda: slow.writes)
        await other.kill()
        await kit.event("restarted", other)
        slow.may.set()
        assert await asking == 1


async def test_a_backend_s_own_error_is_the_agent_s() -> None:
    async with FakeKit.made() as kit:
        with pytest.raises(RemoteError, match="it broke"):
            await kit.spawn(Adder, state=Broken())
