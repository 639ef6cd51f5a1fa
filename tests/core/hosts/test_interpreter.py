"""One life of a host: its start, its signs of life, its end. Time is what the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from agents_core import modules
from agents_core.errors import HostLost, TransportError
from agents_core.exit import Exit, Kind
from agents_core.hosts import channel, interpreter
from agents_core.hosts.frames import Reader, pack
from agents_core.hosts.host import Host
from agents_core.hosts.interpreter import TICKS, Interpreter
from agents_core.hosts.pipe import Pipe, Receiver
from agents_core.ids import unique

SPEC = Host("h", answer=2.0, start=60.0)
PONG = pack(["pong", 0, 1000], b"{}")


class ManualTimers:
    """Timers whose time passes when a test says so."""

    def __init__(self) -> None:
        self.due: list[ManualTimer] = []

    def after(self, seconds: float, callback: Callable[[], object]) -> ManualTimer:
        timer = ManualTimer(seconds, callback, self)
        self.due.append(timer)
        return timer

    def fire(self) -> float:
        """Call the next one; how long it was to wait."""
        timer = self.due.pop(0)
        timer.callback()
        return timer.seconds


class ManualTimer:
    def __init__(
        self, seconds: float, callback: Callable[[], object], timers: ManualTimers
    ) -> None:
        self.seconds, self.callback, self._timers = seconds, callback, timers

    def cancel(self) -> None:
        if self in self._timers.due:
            self._timers.due.remove(self)


class Fixture:
    """An interpreter, and the pipe to it."""

    def __init__(self, *, open_error: Exception | None = None) -> None:
        self.timers = ManualTimers()
        self.reasons: list[str] = []
        self.said: list[Any] = []
        self.terminated = False
        self.stubborn = False
        self.opened = asyncio.Event()
        self._open_error = open_error
        self._reader = Reader()
        self.counts: list[Any] = []
        self.rooms = 0
        verbs: dict[str, Any] = {"counts": self.counts.append, "room": self._room}
        self.it = Interpreter(SPEC, "h", self.timers, verbs, self.reasons.append)  # type: ignore[arg-type]

    def _room(self) -> None:
        self.rooms += 1

    async def opener(self, spec: Host, receiver: Receiver) -> Pipe:
        assert (spec, receiver) == (SPEC, self.it)
        await self.opened.wait()
        if self._open_error is not None:
            raise self._open_error
        return self

    def open(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.it.open(self.opener, {"name": "n"}))

    async def started(self) -> None:
        self.opened.set()
        opening = self.open()
        while not self.said:
            await asyncio.sleep(0)
        self.it.arrived(PONG)
        await opening

    def post(self, data: bytes) -> None:
        self.said += [header[0] for header, _ in self._reader.feed(data)]
        if self.said[-1] == "close" and not self.stubborn:
            self.it.lost("it ended")

    def terminate(self) -> None:
        self.terminated = True
        asyncio.get_running_loop().call_soon(self.it.lost, "terminated")


async def test_it_is_welcomed_and_has_started_when_it_speaks() -> None:
    fixture = Fixture()
    await fixture.started()
    assert fixture.said == ["welcome", "ping"]
    assert fixture.it.heap == 1000
    assert fixture.counts == [{}]
    await fixture.it.close()


async def test_one_that_does_not_come_up_is_ended() -> None:
    fixture = Fixture()
    fixture.opened.set()
    opening = fixture.open()
    while not fixture.said:
        await asyncio.sleep(0)
    assert fixture.timers.fire() == SPEC.start
    with pytest.raises(HostLost, match=r"did not start within 60\.0 s"):
        await opening
    assert fixture.terminated
    assert fixture.reasons == ["did not start within 60.0 s"]
    await fixture.it.close()


async def test_one_that_is_given_up_before_there_is_a_pipe_is_ended_when_there_is() -> None:
    fixture = Fixture()
    opening = fixture.open()
    await asyncio.sleep(0)
    closing = asyncio.create_task(fixture.it.close())
    await asyncio.sleep(0)
    assert not closing.done()
    fixture.opened.set()
    await closing
    assert fixture.terminated
    with pytest.raises(HostLost, match="closed"):
        await opening


async def test_one_that_speaks_and_dies_in_the_same_breath() -> None:
    fixture = Fixture()
    fixture.opened.set()
    opening = fixture.open()
    while not fixture.said:
        await asyncio.sleep(0)
    fixture.it.arrived(PONG)
    fixture.it.lost("it died")
    await opening
    assert not fixture.timers.due
    assert fixture.reasons == ["it died"]


async def test_one_that_is_given_up_before_it_began_is_not_started() -> None:
    fixture = Fixture()
    closing = asyncio.create_task(fixture.it.close())
    await asyncio.sleep(0)
    with pytest.raises(HostLost, match="closed"):
        await fixture.open()
    await closing
    assert not fixture.timers.due
    assert not fixture.terminated


@pytest.mark.parametrize("error", [TransportError("python", "no memory"), OSError("odd")])
async def test_one_that_can_not_be_started(error: Exception) -> None:
    fixture = Fixture(open_error=error)
    fixture.opened.set()
    with pytest.raises(HostLost) as caught:
        await fixture.open()
    assert str(error) in str(caught.value)
    assert fixture.reasons == [str(error)]
    await fixture.it.close()


async def test_silence_ends_it() -> None:
    fixture = Fixture()
    await fixture.started()
    for _ in range(TICKS):
        assert not fixture.reasons
        assert fixture.timers.fire() == SPEC.answer / TICKS
    assert not fixture.timers.due
    assert fixture.reasons == ["no answer for 2.0 s"]
    assert fixture.terminated
    await fixture.it.close()


async def test_any_word_is_a_sign_of_life() -> None:
    fixture = Fixture()
    await fixture.started()
    for _ in range(10):
        for _ in range(TICKS - 1):
            fixture.timers.fire()
        fixture.it.arrived(PONG[:3])
        fixture.timers.fire()
        fixture.it.arrived(PONG[3:])
        fixture.timers.fire()
    await asyncio.sleep(0)
    assert not fixture.reasons
    assert fixture.said.count("ping") == 10 * (TICKS + 1) + 1
    await fixture.it.close()


async def test_it_is_not_to_blame_when_nobody_here_listened() -> None:
    """A look that comes an hour late, because this side was suspended, is one look."""
    fixture = Fixture()
    await fixture.started()
    fixture.timers.fire()  # an hour has passed
    fixture.it.arrived(PONG)  # what it had said meanwhile is read
    for _ in range(TICKS):
        fixture.timers.fire()
        assert not fixture.reasons
    fixture.timers.fire()
    assert fixture.reasons == ["no answer for 2.0 s"]
    await fixture.it.close()


async def test_the_import_of_a_module_may_take_longer() -> None:
    fixture = Fixture()
    await fixture.started()
    fixture.it.arrived(pack(["importing", 0, True]))
    looks = int(SPEC.start / SPEC.answer * TICKS)
    for _ in range(looks):
        assert not fixture.reasons
        fixture.timers.fire()
    fixture.timers.fire()
    assert fixture.reasons == ["the import of a module took longer than 60.0 s"]
    await fixture.it.close()


async def test_a_heap_above_its_ceiling_ends_it() -> None:
    fixture = Fixture()
    await fixture.started()
    fixture.it.arrived(pack(["pong", 0, SPEC.heap], b"{}"))
    assert not fixture.reasons
    fixture.it.arrived(pack(["pong", 0, SPEC.heap + 1], b"{}"))
    assert fixture.reasons == [f"heap ceiling: {SPEC.heap + 1} bytes are more than {SPEC.heap}"]
    await fixture.it.close()


@pytest.mark.parametrize(
    "data", [b"\xff" * 20, pack(["pong", 0]), pack(["nonsense", 0]), pack(["pong", 0, 1], b"{")]
)
async def test_nonsense_ends_it(data: bytes) -> None:
    fixture = Fixture()
    await fixture.started()
    fixture.it.arrived(data)
    assert fixture.reasons[0].startswith("said what makes no sense: ")
    fixture.it.arrived(PONG)
    await fixture.it.close()
    assert len(fixture.reasons) == 1


async def test_that_there_is_room_again_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "UNREAD_BYTES_MAX", 1000)
    fixture = Fixture()
    await fixture.started()
    fixture.it.channel.post("x", payload=bytes(1000))
    fixture.it.arrived(pack(["read", 0, 10]))
    assert fixture.rooms == 0
    fixture.it.arrived(pack(["read", 0, 1000]))
    assert fixture.rooms == 1
    await fixture.it.close()


async def test_the_first_reason_counts() -> None:
    fixture = Fixture()
    await fixture.started()
    fixture.it.lost("it died")
    fixture.it.terminate("too late")
    fixture.it.lost("twice")
    assert fixture.reasons == ["it died"]
    assert not fixture.terminated
    with pytest.raises(HostLost, match="it died"):
        await fixture.it.start({"id": "a"}, None)
    await fixture.it.close()


async def test_it_is_asked_to_close_before_it_is_ended() -> None:
    fixture = Fixture()
    await fixture.started()
    await fixture.it.close()
    assert fixture.said[-1] == "close"
    assert not fixture.terminated
    assert fixture.reasons == ["it ended"]


async def test_one_that_does_not_close_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "CLOSE_S", 0.001)
    fixture = Fixture()
    fixture.stubborn = True
    await fixture.started()
    await fixture.it.close()
    assert fixture.terminated
    assert fixture.reasons == ["closed"]


async def answer(fixture: Fixture, number: int, body: Any) -> None:
    """What it says to a call."""
    while fixture.said.count("start") < number:
        await asyncio.sleep(0)
    fixture.it.arrived(pack(["=", number, ""], json.dumps(body).encode()))


async def test_an_agent_that_starts_or_does_not() -> None:
    fixture = Fixture()
    await fixture.started()
    starting = asyncio.create_task(fixture.it.start({"id": "a"}, Exit(Kind.KILLED, "Killed")))
    await answer(fixture, 1, {})
    assert await starting is None
    failed = Exit(Kind.ERROR, "ValueError", "no", "trace")
    starting = asyncio.create_task(fixture.it.start({"id": "a"}, None))
    await answer(fixture, 2, {"exit": failed.to_json(whole=True)})
    assert await starting == failed
    await fixture.it.close()


async def test_modules_that_it_lacks_are_sent_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "MODULES_MAX", 2)
    names = [f"made_{unique(6)}" for _ in range(3)]
    for name in names:
        modules.define(name, "")
    for missing, sent in ([names, 2], [[names[0], names[0]], 1], [["no_such_module"], 0]):
        fixture = Fixture()
        await fixture.started()
        starting = asyncio.create_task(fixture.it.start({"id": "a"}, None))
        for number, name in enumerate(missing, 1):
            await answer(fixture, number, {"missing": name})
        failed = await starting
        assert failed is not None
        assert failed.message == f"the host has no module {missing[-1]}"
        assert fixture.said.count("module") == sent
        await fixture.it.close()
