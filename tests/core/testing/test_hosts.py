"""The kit of the checks, and hosts that are none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_core import Agent, on
from agents_core.testing.hosts.fake import FakeKit, InProcess
from agents_core.testing.hosts.kit import Kit, raises
from tests.core.sample import until


def test_a_check_finds_out_what_is_not_raised() -> None:
    with pytest.raises(AssertionError, match="no ValueError"), raises(ValueError):
        pass
    with pytest.raises(AssertionError, match="'why' is not in 'so'"), raises(ValueError, "why"):
        raise ValueError("so")
    with pytest.raises(KeyError), raises(ValueError):
        raise KeyError


class Harmless(Agent):
    @on("spin")
    def spin(self) -> str:
        return "no"

    @on("exhaust")
    def exhaust(self) -> str:
        return "no"


async def test_real_hosts_are_asked_to_misbehave() -> None:
    async with Kit.over("local://", InProcess(), answer=1.0) as kit:
        harmless = await kit.spawn(Harmless)
        assert await kit.hang(harmless) == "no"
        assert await kit.exhaust(harmless) == "no"
        await kit.clean()
        assert not kit.node.router.cells


async def test_a_frozen_host_says_nothing() -> None:
    async with FakeKit.made() as kit:
        harmless = await kit.spawn(Harmless)
        host: Any = kit.hosts.of(harmless.id)
        host.frozen = True
        host.guest._channel.post("nonsense")
        host.guest._channel.flush()
        await kit.event("crashed", harmless)
        host.die("again")
        await kit.event("restarted", harmless)
        await until(lambda: host not in kit.hosts.running)


async def test_what_a_host_has_to_say_as_it_freezes_comes_when_it_thaws() -> None:
    async with FakeKit.made() as kit:
        harmless = await kit.spawn(Harmless)
        host: Any = kit.hosts.of(harmless.id)
        asking = asyncio.create_task(harmless.ask("spin"))
        await until(lambda: host.guest.router.cells[harmless.id].handled)
        host.frozen = True
        await until(lambda: host._said)
        host.thaw()
        assert await asking == "no"
