"""Calls, answers and news between two ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_core.codec import Encoded
from agents_core.errors import HostLost, InvalidMessage, NotConnected, OutboundBufferFull
from agents_core.hosts import channel as channel_module
from agents_core.hosts.channel import Channel, PipeReply
from agents_core.hosts.frames import pack


class Line:
    """Hands everything to the other end, at once; keeps what was posted."""

    def __init__(self) -> None:
        self.posts: list[bytes] = []
        self.other: Channel | None = None

    def post(self, data: bytes) -> None:
        self.posts.append(data)
        if self.other is not None:
            self.other.arrived(data)


class Ends:
    """Two channels; the other one writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.replies: list[PipeReply] = []
        self.here, self.there = Channel({}), Channel({"say": self._say})
        self.out, self.back = Line(), Line()
        self.out.other, self.back.other = self.there, self.here
        self.here.attach(self.out)
        self.there.attach(self.back)

    def _say(self, reply: PipeReply, payload: bytes, *fields: Any) -> None:
        self.heard.append((*fields, payload))
        self.replies.append(reply)


async def test_what_is_said_in_one_turn_is_one_post() -> None:
    ends = Ends()
    for n in range(100):
        ends.here.post("say", n, payload=b"x")
    assert not ends.out.posts
    await asyncio.sleep(0)
    assert len(ends.out.posts) == 1
    assert ends.heard == [(n, b"x") for n in range(100)]


async def test_what_was_said_before_there_was_a_pipe_goes_out_when_there_is_one() -> None:
    channel, line = Channel({}), Line()
    channel.post("say")
    await asyncio.sleep(0)
    channel.attach(line)
    assert line.posts == [pack(["say", 0])]
    channel.flush()
    assert len(line.posts) == 1


async def test_a_call_is_answered_with_a_value_or_an_error() -> None:
    ends = Ends()
    calls = [asyncio.create_task(ends.here.ask("say", n)) for n in range(3)]
    while len(ends.replies) < 3:
        await asyncio.sleep(0)
    ends.replies[2].set_result({"a": [1]})
    ends.replies[0].set_exception(NotConnected("nats://x"))
    ends.replies[1].set_result(object())
    assert [reply.done() for reply in ends.replies] == [True] * 3
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[0], NotConnected)
    assert str(results[1]) == "can't encode object: not a dataclass and not JSON"
    assert results[2] == {"a": [1]}


async def test_calls_that_are_only_to_be_done_are_answered_together() -> None:
    ends = Ends()
    replies: list[asyncio.Future[Any]] = []
    for _ in range(50):
        replies.append(asyncio.get_running_loop().create_future())
        ends.here.call(replies[-1], "say")
    await asyncio.sleep(0)
    for reply in ends.replies:
        reply.wanted = False
        reply.set_result("nobody cares")
    assert await asyncio.gather(*replies) == [Encoded("", b"")] * 50
    assert len(ends.back.posts) == 1
    assert len(ends.back.posts[0]) < 50 * 10


async def test_an_answer_that_nobody_waits_for_is_dropped() -> None:
    ends = Ends()
    call = asyncio.create_task(ends.here.ask("say"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    ends.replies[0].set_result(1)
    ends.there.answer(77, 1)
    await asyncio.sleep(0)


async def test_more_than_the_other_side_reads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "UNREAD_BYTES_MAX", 10_000)
    monkeypatch.setattr(channel_module, "READ_BYTES", 1_000)
    ends = Ends()
    ends.here.check()
    ends.here.post("say", payload=bytes(9_000))
    ends.here.check()
    ends.here.post("say", payload=bytes(1_000))
    assert not ends.here.room
    with pytest.raises(OutboundBufferFull):
        ends.here.check()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ends.here.room
    assert ends.here._unread < 1_000


async def test_the_end_is_told_to_whoever_waits_and_whoever_comes_later() -> None:
    ends = Ends()
    call = asyncio.create_task(ends.here.ask("say"))
    gone = asyncio.get_running_loop().create_future()
    ends.here.call(gone, "say")
    gone.cancel()
    await asyncio.sleep(0)
    ends.here.close(HostLost("h", "why"))
    for waiting in (call, ends.here.ask("say")):
        with pytest.raises(HostLost, match="why"):
            await waiting
    ends.here.post("say")
    ends.here.told(1)
    posts = len(ends.out.posts)
    ends.here.flush()
    assert len(ends.out.posts) == posts
    assert PipeReply(ends.here, 1).done()


async def test_nothing_is_heard_after_the_end() -> None:
    heard: list[Any] = []

    def last(_: PipeReply, __: bytes) -> None:
        heard.append("last")
        channel.close(HostLost("h", "why"))

    channel = Channel({"last": last})
    channel.arrived(pack(["last", 0]) * 3)
    assert heard == ["last"]


@pytest.mark.parametrize(
    "header", [[], ["say"], ["say", "x"], [1, 1], ["nonsense", 0], ["=", 1], ["read", 1, 1]]
)
async def test_what_makes_no_sense_is_refused(header: list[Any]) -> None:
    with pytest.raises(InvalidMessage):
        Ends().there.arrived(pack(header))
