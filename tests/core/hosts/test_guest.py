"""What runs inside of another interpreter, told directly what parents rarely say."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agents_core import Agent, events, on
from agents_core.errors import AgentStopped, HostLost, UnhandledMessage
from agents_core.hosts import guest as guest_module
from agents_core.hosts.channel import Channel
from agents_core.hosts.guest import Guest
from agents_core.hosts.modules import MAIN
from agents_core.ids import unique
from tests.core.sample import until


class Parent:
    """The other end of a guest's channel."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.closed = 0
        self.captured: list[int] = []
        names = ("exit", "importing", "log", "pong", "publish", "slow", "tell", "unhandled")
        verbs = {name: self._hear(name) for name in names}
        self.channel = Channel(verbs)
        self.guest = Guest(lambda: 7, self._close, lambda _, level: self.captured.append(level))
        self.channel.attach(Ahead(self.guest.arrived))
        self.guest.attach(Ahead(self.channel.arrived))
        words = {"name": "n", "root": "r", "host": "server", "version": "1", "max_payload": 100}
        self.channel.post("welcome", payload=json.dumps({**words, "level": 20}).encode())

    def _hear(self, name: str) -> Any:
        return lambda _, payload, *fields: self.heard.append((name, *fields, payload))

    def _close(self) -> None:
        self.closed += 1

    async def start(self, kind: type[Agent], epoch: int = 1, **spec: Any) -> Any:
        path = f"{kind.__module__}:{kind.__qualname__}"
        whole = {"id": "a", "cls": path, "args": [], "kwargs": {}, "mailbox": 10, "shutdown": 5.0}
        whole |= {"deadline": None, "before": None, "epoch": epoch, **spec}
        return await self.channel.ask("start", payload=json.dumps(whole).encode())

    def tell(self, what: str) -> asyncio.Task[Any]:
        fields = ("a", "n", "", "", 0.0, True)
        asking = self.channel.ask("message", *fields, payload=json.dumps(what).encode())
        return asyncio.create_task(asking)

    async def end(self) -> None:
        self.channel.close(HostLost("h", "the test is over"))
        await self.guest.end()


class Ahead:
    """A line that is as long as one turn of the loop."""

    def __init__(self, arrived: Any) -> None:
        self._arrived = arrived

    def post(self, data: bytes) -> None:
        asyncio.get_running_loop().call_soon(self._arrived, data)


class Slow(Agent):
    """Starts when it is let."""

    gates: list[asyncio.Event]

    async def on_start(self) -> None:
        gate = asyncio.Event()
        self.gates.append(gate)
        await gate.wait()

    @on("epoch")
    def epoch(self) -> int:
        return len(self.gates)

    @on("leave")
    def leave(self) -> None:
        self.ctx.stop()


@pytest.fixture(autouse=True)
def gates() -> list[asyncio.Event]:
    Slow.gates = []
    return Slow.gates


async def test_it_says_that_it_lives() -> None:
    parent = Parent()
    await until(lambda: parent.heard)
    assert parent.heard == [("pong", 7, b"{}")]
    assert parent.captured == [20]
    assert parent.guest.name == "n"
    parent.channel.post("ping")
    await until(lambda: len(parent.heard) == 2)
    await parent.end()


async def test_it_ends_when_it_is_told_and_when_nobody_is_there() -> None:
    parent = Parent()
    parent.channel.post("close")
    await until(lambda: parent.closed)
    parent.guest.lost("gone")
    assert parent.closed == 2
    await parent.end()


@pytest.mark.parametrize("word", ["kill", "discard"])
async def test_a_start_that_is_given_up_in_the_same_breath_starts_nothing(
    word: str, gates: list[asyncio.Event]
) -> None:
    parent = Parent()
    starting = asyncio.create_task(parent.start(Slow))
    await asyncio.sleep(0)
    parent.channel.post(word, "a", *(["why"] if word == "kill" else []))
    assert (await starting)["exit"]["kind"] == "killed"
    assert not gates
    await parent.end()


@pytest.mark.parametrize("word", ["kill", "discard"])
async def test_a_start_that_hangs_can_be_given_up(word: str, gates: list[asyncio.Event]) -> None:
    parent = Parent()
    starting = asyncio.create_task(parent.start(Slow))
    await until(lambda: gates)
    parent.channel.post(word, "a", *(["why"] if word == "kill" else []))
    assert "exit" in await starting
    again = asyncio.create_task(parent.start(Slow, 2))
    await until(lambda: len(gates) == 2)
    gates[1].set()
    assert await again == {}
    assert await parent.tell("epoch") == 2
    await parent.end()


async def test_starts_of_one_agent_come_one_after_the_other(gates: list[asyncio.Event]) -> None:
    parent = Parent()
    first = asyncio.create_task(parent.start(Slow))
    await until(lambda: gates)
    parent.channel.post("kill", "a", "why")
    second = asyncio.create_task(parent.start(Slow, 2))
    assert "exit" in await first
    await until(lambda: len(gates) == 2)
    gates[1].set()
    assert await second == {}
    parent.tell("leave")
    await until(lambda: any(said[0] == "exit" for said in parent.heard))
    (exit,) = [said for said in parent.heard if said[0] == "exit"]
    assert exit[1:3] == ("a", 2)
    assert json.loads(exit[3])["kind"] == "normal"
    parent.channel.post("finish", "a", payload=b'{"kind": "shutdown"}')
    await asyncio.sleep(0)
    await parent.end()


async def test_what_is_for_nobody_is_answered_or_passed_over() -> None:
    parent = Parent()
    for word in ("kill", "finish", "discard"):
        parent.channel.post(word, "a", *(["why"] if word == "kill" else []), payload=b"{}")
    with pytest.raises(AgentStopped):
        await parent.tell("epoch")
    with pytest.raises(AgentStopped):
        await parent.channel.ask("act", "a", payload=b'"List"')
    with pytest.raises(AgentStopped):
        await parent.channel.ask("hook", "a", "on_suspend", payload=b'"hidden"')
    await parent.end()


async def test_what_is_no_agent_does_not_start() -> None:
    parent = Parent()
    for path, why in (
        ("tests.core.sample:Add", "is not a class derived from Agent"),
        ("tests.core.sample:Nothing", "no attribute 'Nothing'"),
    ):
        failed = (await parent.start(Slow, cls=path))["exit"]
        assert why in failed["message"]
        assert failed["traceback"]
    assert await parent.start(Slow, cls="no_such_module:A") == {"missing": "no_such_module"}
    assert [said[1] for said in parent.heard if said[0] == "importing"] == [True, False]
    await parent.end()


async def test_it_keeps_a_module_s_text_until_it_is_imported() -> None:
    parent, name = Parent(), f"made_{unique(6)}"
    parent.channel.post("module", name, False, payload=b"from agents_core import Agent as Fresh")
    assert await parent.start(Slow, cls=f"{name}:Fresh") == {}
    await parent.end()


@pytest.mark.parametrize("name", [MAIN, "made_without_a_guard"])
async def test_the_script_that_was_started_may_have_no_guard(name: str) -> None:
    parent = Parent()
    parent.channel.post("module", name, False, payload=b"raise RuntimeError('again')")
    failed = (await parent.start(Slow, cls=f"{name}:Mine"))["exit"]
    assert failed["message"] == "again"
    assert ('below `if __name__ == "__main__":`' in failed["traceback"]) is (name == MAIN)
    await parent.end()


class Sync(Agent):
    @on("next")
    def next(self) -> None:
        """Nothing, many times in one turn of the loop."""


async def test_one_that_works_many_messages_off_says_that_it_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parent = Parent()
    await parent.start(Sync)
    monkeypatch.setattr(guest_module, "SIGN_S", -1.0)
    before = len(parent.heard)
    for _ in range(10):
        parent.guest.router.tell("a", "next", "b")
    await asyncio.sleep(0)
    assert not parent.guest.router.cells["a"].mailbox.waiting
    await until(lambda: len(parent.heard) == before + 10)
    await parent.end()


async def test_what_does_not_fit_is_told_to_the_parent_too() -> None:
    parent = Parent()
    await parent.start(Sync)
    with pytest.raises(UnhandledMessage):
        await parent.tell("nonsense")
    (said,) = [said for said in parent.heard if said[0] == "unhandled"]
    assert json.loads(said[2])["type"] == "UnhandledMessage"
    await parent.end()


async def test_a_slow_handler_is_told_to_the_parent_unless_there_is_a_flood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parent = Parent()
    slow = events.Slow("a", "next", 0.06, 1, awaited=False)
    parent.guest.slow(slow)
    monkeypatch.setattr(Channel, "room", False)
    parent.guest.slow(slow)
    monkeypatch.undo()
    await until(lambda: parent.heard)
    ((_, agent, body),) = [said for said in parent.heard if said[0] == "slow"]
    assert (agent, events.Slow(**json.loads(body))) == ("a", slow)
    await parent.end()


async def test_it_has_no_private_parts_of_a_node() -> None:
    parent = Parent()
    assert not hasattr(parent.guest, "_trees")
    await parent.end()


async def test_it_ends_with_what_still_starts(gates: list[asyncio.Event]) -> None:
    parent = Parent()
    starting = asyncio.create_task(parent.start(Slow))
    await until(lambda: gates)
    await parent.guest.end()
    assert "exit" in await starting
    await parent.end()
