"""State through a pipe keeps the promises of every backend."""

from __future__ import annotations

import pytest

from agents_core.errors import AgentStopped, OutboundBufferFull, RemoteError
from agents_core.hosts import channel
from agents_core.hosts.backend import PipeBackend
from agents_core.ids import AgentId
from agents_core.state.backend import Json
from agents_core.testing import state
from agents_core.testing.hosts.agents import Adder
from agents_core.testing.hosts.fake import FakeKit


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


async def test_a_backend_s_own_error_is_the_agent_s() -> None:
    async with FakeKit.made() as kit:
        with pytest.raises(RemoteError, match="it broke"):
            await kit.spawn(Adder, state=Broken())
