"""What hosted agents want of their node, and what they may not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_core import connect
from agents_core.codec import Encoded
from agents_core.errors import AgentStopped, HostFull, MailboxFull, RemoteError
from agents_core.events import Slow
from agents_core.hosts import errands
from agents_core.ids import unique
from agents_core.testing.hosts.agents import Adder, Caller, Increase, Sink
from agents_core.testing.hosts.fake import FakeKit
from tests.core.sample import until


async def guest_of(kit: FakeKit) -> Any:
    caller = await kit.spawn(Caller)
    return kit.hosts.of(caller.id).guest


async def test_nobody_can_send_in_another_s_name() -> None:
    async with FakeKit.made() as kit:
        guest, who = await guest_of(kit), await kit.spawn(Caller, host="inline")
        found = await guest.agent(who.id, sender="somebody else").ask("who")
        assert found[0] == kit.node.name
        assert (await guest.agent(who.id).ask("who"))[0] == kit.node.name


async def test_what_can_not_be_delivered_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeKit.made() as kit:
        guest, sink = await guest_of(kit), await kit.spawn(Sink, host="inline", mailbox=1)
        for _ in range(100):
            guest.agent(sink.id).tell("take")
        with pytest.raises(MailboxFull):
            await asyncio.gather(*(guest.agent(sink.id).ask("take") for _ in range(3)))
        (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        assert "is lost: the mailbox of agent" in warning
        monkeypatch.setattr(errands, "WARN_S", 0.0)
        guest._max_payload = 2 * kit.node.bus.max_payload  # as of another server, before
        guest.publish("x", bytes(kit.node.bus.max_payload + 1))
        await until(lambda: "host a: what it published on x is lost" in caplog.text)
        assert "host a: 98 more were lost before" in caplog.text


async def test_to_an_agent_of_another_node() -> None:
    hub = f"local://{unique()}"
    async with connect(hub) as other:
        kit: FakeKit
        async with FakeKit.made(hub) as kit:
            guest = await guest_of(kit)
            await other.spawn(Adder, "far")
            guest.agent("far").tell(Increase(2))
            assert await guest.agent("far").ask(Increase(3)) == 5


async def test_calls_under_way_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "CALLS_MAX", 2)
    hub = f"local://{unique()}"
    async with connect(hub) as other, FakeKit.made(hub) as kit:
        guest = await guest_of(kit)
        await other.spawn(Adder, "far", shutdown=0.01)
        asks = [asyncio.create_task(guest.agent("far").ask("wait")) for _ in range(2)]
        await until(lambda: len(kit.node.hosts._running["a"]._errands._tasks) == 2)
        with pytest.raises(HostFull, match="2 calls"):
            await guest.agent("far").ask("wait")
        await other.agent("far").stop()
        results = await asyncio.gather(*asks, return_exceptions=True)
        assert {type(result) for result in results} == {RemoteError, AgentStopped}


async def test_calls_end_with_their_host() -> None:
    async with FakeKit.made() as kit:
        caller = await kit.spawn(Caller)
        host: Any = kit.node.hosts._running["a"]
        kit.hosts.of(caller.id).guest._channel.post("control", "nobody", caller.id, payload=b"{}")
        await until(lambda: host._errands._tasks)
        (task,) = host._errands._tasks
        host._interpreter.terminate("now")
        await asyncio.wait([task])
        assert not host._errands._tasks
        await kit.event("restarted", caller)


async def test_slow_handlers_in_a_host_are_told_to_the_node_s_listeners() -> None:
    async with FakeKit.made() as kit:
        guest, found = await guest_of(kit), list[Slow]()
        kit.node.on_slow(found.append)
        (agent,) = guest.router.cells
        for name in ("nobody", agent):
            guest.slow(Slow(name, "who", 0.06, 1, awaited=False))
        await kit.node.agent(agent).ask("who")
        assert found == [Slow(agent, "who", 0.06, 1, awaited=False)]


async def test_late_news_of_an_agent_that_has_gone_is_passed_over() -> None:
    async with FakeKit.made() as kit:
        guest = await guest_of(kit)
        for word in ("exit", "unhandled"):
            fields = ["nobody", 1] if word == "exit" else ["nobody"]
            guest._channel.post(word, *fields, payload=b'{"kind": "normal"}')
        guest._channel.post("pong", 1, payload=b'{"nobody": [1, 1]}')
        found = await kit.node.agent(next(iter(guest.router.cells))).ask("who")
        assert found[1] == "who"


async def test_what_passes_through_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """From one host to another, the parent hands bytes on."""
    async with FakeKit.made() as kit:
        guest = await guest_of(kit)
        adder = await kit.spawn(Adder, 0, False, host="b")
        decoded: list[bytes] = []
        plain = Encoded.plain

        def count(self: Encoded) -> Any:
            decoded.append(self.data)
            return plain(self)

        monkeypatch.setattr(Encoded, "plain", count)
        assert await guest.agent(adder.id).ask(Increase(3)) == 3
        assert decoded == [b'{"n":3}', b"3"]  # each once, at its end
