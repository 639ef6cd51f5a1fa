"""Atomic batches: headers, when the server is asked, and how they end."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core.errors import OutboundBufferFull, RequestTimeout
from agents_core.localbus import LocalBus
from agents_core.nats.headers import Headers
from agents_core.nats.jetstream import JetStreamContext, batch
from agents_core.nats.jetstream.errors import (
    BadRequest,
    BatchEnded,
    InvalidAnswer,
    InvalidOption,
    NoStreamResponse,
)
from agents_core.nats.msg import Msg

ACK = b'{"stream":"s","seq":9,"batch":"b","count":3}'


class Stream:
    """Acknowledges what asks for it: with nothing, and a commit with `ack`."""

    def __init__(self) -> None:
        self.bus = LocalBus()
        self.js = JetStreamContext(self.bus, timeout=1)
        self.asked: list[Msg] = []
        self.answer: Any = b""

    async def __aenter__(self) -> Stream:
        await self.bus.subscribe("a", cb=self._take)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bus.close()

    def _take(self, msg: Msg) -> None:
        self.asked.append(msg)
        if msg.reply:
            msg.respond(ACK if "Nats-Batch-Commit" in msg.headers else self.answer)


async def test_headers_and_acknowledgements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "ACK_EVERY", 2)
    async with Stream() as stream:
        made, came = stream.js.atomic_batch(), Headers([("K", "v"), ("K", "w")])
        for number in range(3):
            await made.add("a", b"%d" % number, came, expected_last_subject_sequence=0)
        ack = await made.commit("a", b"last")
        assert (ack.seq, ack.batch_size, len(made)) == (9, 3, 4)
        said = [
            (msg.data, msg.headers["Nats-Batch-Sequence"], bool(msg.reply)) for msg in stream.asked
        ]
        assert said == [
            (b"0", "1", True),
            (b"1", "2", False),
            (b"2", "3", True),
            (b"last", "4", True),
        ]
        assert {msg.headers["Nats-Batch-Id"] for msg in stream.asked} == {made.id}
        assert stream.asked[0].headers.get_all("K") == ["v", "w"]
        assert stream.asked[0].headers["Nats-Expected-Last-Subject-Sequence"] == "0"
        assert stream.asked[3].headers["Nats-Batch-Commit"] == "1"


async def test_a_commit_without_a_last_message() -> None:
    async with Stream() as stream:
        made = stream.js.atomic_batch()
        await made.add("a", b"0")
        await made.commit()
        assert stream.asked[1].headers["Nats-Batch-Commit"] == "eob"


async def test_an_error_ends_it() -> None:
    async with Stream() as stream:
        stream.answer = b'{"error":{"code":400,"err_code":10174,"description":"disabled"}}'
        made = stream.js.atomic_batch()
        with pytest.raises(BadRequest, match="disabled"):
            await made.add("a")
        with pytest.raises(BatchEnded):
            await made.add("a")
        stream.answer = ACK
        with pytest.raises(InvalidAnswer, match="before its commit"):
            await stream.js.atomic_batch().add("a")
        with pytest.raises(NoStreamResponse):
            await stream.js.atomic_batch().add("nobody")
        with pytest.raises(BatchEnded):
            await stream.js.atomic_batch().commit()


async def test_a_bus_without_room_is_flushed() -> None:
    async with Stream() as stream:
        made = stream.js.atomic_batch()
        await made.add("a")
        publish, tried = stream.bus.publish, 0

        def full_once(*arguments: Any, **options: Any) -> object:
            nonlocal tried
            tried += 1
            if tried == 1:
                raise OutboundBufferFull(7)
            return publish(*arguments, **options)

        stream.bus.publish = full_once  # type: ignore[assignment,method-assign]
        await made.add("a", b"1")
        await made.commit("a")
        assert [msg.data for msg in stream.asked] == [b"", b"1", b""]


async def test_what_could_not_be_sent_ends_it() -> None:
    async with Stream() as stream:
        made = stream.js.atomic_batch()
        await made.add("a", b"1")
        with pytest.raises(TypeError):
            await made.add("a", "text")  # type: ignore[arg-type]
        with pytest.raises(BatchEnded):  # and not at the commit, when all of it is lost
            await made.add("a", b"2")


async def test_a_stream_that_falls_silent() -> None:
    bus = LocalBus()
    js = JetStreamContext(bus, timeout=0.001)
    await bus.subscribe("a")
    made = js.atomic_batch()
    with pytest.raises(RequestTimeout):
        await made.add("a")
    with pytest.raises(BatchEnded):
        await made.commit("a")
    await bus.close()


@pytest.mark.parametrize(
    "last", [{"payload": b"x"}, {"headers": {"K": "v"}}, {"expected_last_subject_sequence": 7}]
)
async def test_a_last_message_needs_a_subject(last: dict[str, Any]) -> None:
    async with Stream() as stream:
        made = stream.js.atomic_batch()
        await made.add("a", b"1")
        with pytest.raises(InvalidOption, match="subject"):
            await made.commit(**last)
        assert (await made.commit("a", **last)).seq == 9
        assert [msg.headers["Nats-Batch-Sequence"] for msg in stream.asked] == ["1", "2"]
