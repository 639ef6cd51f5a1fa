"""Fast ingest: room, gaps, refusals, silence, and how a batch ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agents_core import jsonvalue
from agents_core.bus import Status
from agents_core.errors import (
    InvalidSubject,
    OutboundBufferFull,
    PermissionsViolation,
    Unsupported,
)
from agents_core.localbus import LocalBus
from agents_core.nats.jetstream import FastIngest, JetStreamContext, ingest
from agents_core.nats.jetstream.errors import (
    BatchDisabled,
    BatchEnded,
    BatchGap,
    BatchLost,
    InvalidAnswer,
    InvalidOption,
    NoStreamResponse,
    StoreFailed,
    WrongLastSequence,
)
from agents_core.nats.msg import Msg
from tests.core.nats.jetstream.fake import deafen, refuse, set_status, settle

WRONG = {"code": 400, "err_code": 10071, "description": "wrong last sequence: 1"}
UNKNOWN = {"code": 400, "err_code": 10208, "description": "batch publish ID unknown"}


class Stream:
    """Keeps what comes, and answers as a test says; the first message by itself."""

    def __init__(self) -> None:
        self.bus = LocalBus()
        self.js = JetStreamContext(self.bus)
        self.asked: list[Msg] = []
        self.flow: int | None = 2

    def _take(self, msg: Msg) -> None:
        self.asked.append(msg)
        if msg.reply.endswith(".1.0.$FI") and self.flow:
            self.answer(type="ack", seq=0, msgs=self.flow)

    @property
    def said(self) -> list[str]:
        """Number and operation of each."""
        return [".".join(msg.reply.split(".")[-3:-1]) for msg in self.asked]

    def answer(self, to: int = -1, **fields: Any) -> None:
        self.bus.publish(self.asked[to].reply, jsonvalue.dumps(fields))

    async def ack(self, seq: int, msgs: int = 2) -> None:
        self.answer(type="ack", seq=seq, msgs=msgs)
        await settle(self.bus)

    async def commit(self, batch: FastIngest, count: int) -> None:
        """Acknowledge the whole."""
        self.answer(stream="s", seq=count, batch=batch.id, count=count)
        await settle(self.bus)


@asynccontextmanager
async def stream() -> AsyncIterator[Stream]:
    made = Stream()
    await made.bus.subscribe("a", cb=made._take)
    try:
        yield made
    finally:
        await made.bus.close()


async def begun(made: Stream, count: int = 1, **options: Any) -> FastIngest:
    """A batch with so many messages, which have arrived."""
    batch = made.js.fast_ingest(**options)
    for _ in range(count):
        await batch.add("a", b"x")
    await settle(made.bus)
    return batch


def waiting(batch: FastIngest) -> asyncio.Task[int]:
    return asyncio.create_task(batch.add("a"))


# -- what is sent, and how much


async def test_what_is_sent() -> None:
    async with stream() as made:
        batch = made.js.fast_ingest("ok", ack_every=10)
        assert await batch.add("a", b"one", {"K": "v"}, msg_ttl=7, msg_id="1") == 1
        assert await batch.add("a", b"two") == 2
        committing = asyncio.create_task(batch.commit("a", b"three", msg_id="3"))
        await settle(made.bus)
        assert [msg.data for msg in made.asked] == [b"one", b"two", b"three"]
        assert [msg.reply.split(".", 3)[3] for msg in made.asked] == [
            f"{batch.id}.10.ok.{rest}.$FI" for rest in ("1.0", "2.1", "3.2")
        ]
        first = made.asked[0].headers
        assert (first["K"], first["Nats-TTL"], first["Nats-Msg-Id"]) == ("v", "7", "1")
        assert made.asked[2].headers["Nats-Msg-Id"] == "3"
        await made.commit(batch, 3)
        ack = await committing
        assert (ack.seq, ack.batch_size, ack.batch_id) == (3, 3, batch.id)
        assert (batch.ack, batch.acked, len(batch), batch.missing) == (ack, 3, 3, 0)
        for again in (batch.add("a"), batch.commit("a"), batch.commit()):
            with pytest.raises(BatchEnded):
                await again


async def test_the_first_waits_for_the_server() -> None:
    async with stream() as made:
        made.flow = None
        batch = made.js.fast_ingest()
        tasks = [waiting(batch) for _ in range(3)]
        await settle(made.bus)
        assert (made.said, tasks[0].done()) == (["1.0"], False)
        await made.ack(0, msgs=1)
        assert (made.said, tasks[0].result(), tasks[1].result()) == (["1.0", "2.1"], 1, 2)
        await made.ack(1, msgs=1)
        assert (made.said[2:], tasks[2].result()) == (["3.1"], 3)


async def test_two_that_come_first_share_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stream() as made:
        subscribe = made.bus.subscribe

        async def slowly(*arguments: Any, **options: Any) -> Any:
            await asyncio.sleep(0)
            return await subscribe(*arguments, **options)

        monkeypatch.setattr(made.bus, "subscribe", slowly)
        batch = made.js.fast_ingest()
        assert await asyncio.gather(waiting(batch), waiting(batch)) == [1, 2]
        await settle(made.bus)
        assert made.said == ["1.0", "2.1"]
        closed = made.js.fast_ingest()
        task = waiting(closed)
        await asyncio.gather(closed.close(), closed.close())
        with pytest.raises(BatchEnded):
            await task


async def test_no_more_are_on_their_way_than_the_server_allows() -> None:
    async with stream() as made:
        batch = await begun(made, 4)
        more = [waiting(batch) for _ in range(9)]
        await settle(made.bus)
        assert len(made.asked) == 4
        await made.ack(2)
        assert len(made.asked) == 6
        await made.ack(6, msgs=1)  # slower; those before are known, too
        assert (len(made.asked), batch.acked) == (8, 6)
        made.answer(3, type="ack", seq=4, msgs=1)  # late, and makes no room
        await settle(made.bus)
        assert (made.said[8:], batch.acked) == (["8.4"], 6)
        await made.ack(8, msgs=9)
        assert [task.result() for task in more] == list(range(5, 14))


async def test_never_more_than_was_asked_for() -> None:
    async with stream() as made:
        made.flow = 500
        batch = await begun(made, 6, ack_every=2, max_outstanding=3)
        late = waiting(batch)
        await settle(made.bus)
        assert (len(made.asked), late.done()) == (6, False)
        late.cancel()
        await made.ack(2)
        assert await batch.add("a") == 7  # what was cancelled was not sent


async def test_the_bytes_on_their_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "BYTES_MAX", 100)
    async with stream() as made:
        made.flow = 100
        batch = await begun(made)
        for _ in range(2):
            await batch.add("a", bytes(50))
        late = waiting(batch)
        await settle(made.bus)
        assert (made.said, late.done()) == (["1.0", "2.1", "3.1", "3.4"], False)
        made.answer(1, type="ack", seq=2, msgs=100)  # not of the last one
        await settle(made.bus)
        assert not late.done()
        await made.ack(0, msgs=100)  # to the ping: it has them all, acknowledged or not
        assert late.result() == 4


async def test_a_bus_without_room_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stream() as made:
        batch = await begun(made, timeout=0.01)
        publish, full = made.bus.publish, 0

        def often_full(*arguments: Any) -> object:
            nonlocal full
            full -= 1
            if full >= 0:
                raise OutboundBufferFull(7)
            return publish(*arguments)

        monkeypatch.setattr(made.bus, "publish", often_full)
        full = 1
        assert await batch.add("a") == 2
        full = 2
        with pytest.raises(OutboundBufferFull):
            await batch.add("a")
        monkeypatch.setattr(made.bus, "ready", asyncio.Event().wait)
        full = 1
        with pytest.raises(OutboundBufferFull):
            await batch.add("a")
        full = 0
        with pytest.raises(InvalidSubject):
            await batch.add("a b")
        assert await batch.add("a") == 3  # none of these ended it


@pytest.mark.parametrize(
    "options",
    [
        {"gaps": "maybe"},
        {"ack_every": 0},
        {"ack_every": 65_536},
        {"ack_every": 1.5},
        {"ack_every": True},
        {"max_outstanding": 0},
        {"max_outstanding": 4},
        {"timeout": 0},
    ],
)
async def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    async with stream() as made:
        with pytest.raises(InvalidOption):
            made.js.fast_ingest(**options)
        with pytest.raises(ValueError, match="timeout: nan"):  # it would never give up
            made.js.fast_ingest(timeout=float("nan"))


# -- refusals


async def test_a_stream_that_refuses_the_first() -> None:
    async with stream() as made:
        made.flow = None
        batch = made.js.fast_ingest("ok")
        tasks = [waiting(batch) for _ in range(2)]
        await settle(made.bus)
        error = {"code": 400, "err_code": 10205, "description": "batch publish is disabled"}
        made.answer(error=error, stream="s", seq=0)
        for task in tasks:
            with pytest.raises(BatchDisabled, match="disabled"):
                await task
        with pytest.raises(BatchDisabled):
            await batch.commit()


async def test_nobody_stores_the_subject() -> None:
    async with stream() as made:
        made.flow = None
        batch = made.js.fast_ingest()
        task = waiting(batch)
        await settle(made.bus)
        nobody(made)
        with pytest.raises(NoStreamResponse, match="'a'"):
            await task
        made.flow = 2
        batch = await begun(made)
        nobody(made)  # later it may be electing its leader
        await settle(made.bus)
        assert await batch.add("a") == 2


async def test_who_may_not_publish_or_hear_is_told_so() -> None:
    async with stream() as made:
        made.flow = None
        task = waiting(made.js.fast_ingest(gaps="ok"))
        await settle(made.bus)
        refuse(made.bus, "b")
        refuse(made.bus, "a")
        with pytest.raises(PermissionsViolation):
            await task
        made.flow = 2
        strict, loose = await begun(made), await begun(made, gaps="ok")
        inbox = made.asked[-1].reply.split(".1.0.$FI")[0].rsplit(".", 2)[0]
        refuse(made.bus, "a")
        with pytest.raises(PermissionsViolation):
            await strict.commit()
        assert await loose.add("a") == 2
        refuse(made.bus, f"{inbox}.>", "subscription")
        with pytest.raises(PermissionsViolation):
            await loose.commit()


async def test_what_others_may_not_hear_does_not_end_it() -> None:
    async with stream() as made:
        batch = made.js.fast_ingest()
        with pytest.raises(InvalidSubject):
            await batch.add("a b")
        refuse(made.bus, "else", "subscription")
        assert await batch.add("a") == 1


async def test_refused_before_the_first() -> None:
    async with stream() as made:
        deafen(made.bus)
        with pytest.raises(PermissionsViolation):
            await made.js.fast_ingest().add("a")
        assert not made.asked


def nobody(made: Stream) -> None:
    raw = b"NATS/1.0 503\r\n\r\n"
    made.bus._hub.publish(Msg(made.asked[-1].reply, raw_headers=raw))


async def test_a_server_that_does_not_know_it_stores_the_first() -> None:
    async with stream() as made:
        made.flow = None
        task = waiting(made.js.fast_ingest())
        await settle(made.bus)
        made.answer(stream="s", seq=1)
        with pytest.raises(Unsupported, match="server 2"):
            await task


async def test_it_is_forbidden_before_the_end() -> None:
    """Each attempt to end it is refused; two are enough."""
    async with stream() as made:
        batch = await begun(made)
        task = asyncio.create_task(batch.commit())
        await settle(made.bus)
        error = {"code": 400, "err_code": 10205, "description": "batch publish is disabled"}
        made.answer(error=error, stream="s", seq=0)
        await settle(made.bus)
        assert (made.said[1:], task.done()) == (["2.3", "2.3"], False)
        made.answer(error=error, stream="s", seq=0)
        with pytest.raises(BatchDisabled):
            await task


async def test_a_gap_ends_it() -> None:
    async with stream() as made:
        batch = await begun(made, 4)
        made.answer(type="gap", last_seq=3, seq=4)
        await settle(made.bus)
        task = waiting(batch)  # waits for the last word
        await settle(made.bus)
        assert (made.said[4:], task.done()) == (["4.4"], False)
        await made.commit(batch, 2)
        with pytest.raises(BatchGap, match="3 to 3") as caught:
            await task
        assert (caught.value.first, caught.value.last, batch.acked) == (3, 3, 2)
        with pytest.raises(BatchGap):
            await batch.commit()


async def test_a_refused_message_ends_it() -> None:
    async with stream() as made:
        batch = await begun(made, 3)
        made.answer(type="err", seq=3, error=WRONG)
        made.answer(type="err", seq=3, error=WRONG)  # whatever else is said
        await made.commit(batch, 2)
        with pytest.raises(WrongLastSequence):
            await batch.add("a")
        assert (batch.acked, batch.missing) == (2, 0)


async def test_the_first_message_is_refused() -> None:
    """The server says that there is a batch, and then that there is none."""
    async with stream() as made:
        made.flow = None
        batch = made.js.fast_ingest()
        task = waiting(batch)
        await settle(made.bus)
        made.answer(type="ack", seq=0, msgs=2)
        made.answer(error=WRONG, stream="s", seq=0)
        await settle(made.bus)
        assert (made.said, task.done()) == (["1.0", "1.4"], False)
        made.answer(error=UNKNOWN, stream="s", seq=0)
        with pytest.raises(WrongLastSequence):
            await task


async def test_the_last_message_is_refused() -> None:
    async with stream() as made:
        batch = await begun(made, gaps="ok")
        task = asyncio.create_task(batch.commit("a"))
        await settle(made.bus)
        made.answer(type="err", seq=2, error=WRONG)
        await made.commit(batch, 1)
        with pytest.raises(WrongLastSequence):
            await task
        assert (batch.acked, batch.ack) == (1, None)


async def test_gaps_that_are_ok() -> None:
    told: list[Exception] = []
    async with stream() as made:
        batch = await begun(made, 4, gaps="ok", error_cb=told.append)
        made.answer(type="gap", last_seq=2, seq=4)
        made.answer(type="gap", last_seq=3, seq=3)  # of nothing
        await made.ack(4)
        assert [str(error) for error in told] == [
            "the messages 2 to 3 of the batch are not stored",
        ]
        full = {"code": 503, "err_code": 10077, "description": "maximum messages exceeded"}
        for _ in range(2):
            await batch.add("a")
        await settle(made.bus)
        made.answer(4, error=full, stream="s", seq=0)
        made.answer(5, type="gap", last_seq=5, seq=6)  # the same message, as it was not taken
        await settle(made.bus)
        assert (len(told), batch.missing, batch.acked) == (2, 3, 4)
        assert isinstance(told[1].__cause__, StoreFailed)
        task = asyncio.create_task(batch.commit())
        await settle(made.bus)
        assert made.said[-1] == "7.3"
        await made.commit(batch, 6)
        assert (await task).batch_size == 6


async def test_refusals_make_room() -> None:
    """A server that refuses all acknowledges none; who waits for that waits for ever."""
    async with stream() as made:
        batch = await begun(made, 4, gaps="ok")
        task = waiting(batch)
        for number in range(2, 5):
            made.answer(number - 1, type="err", seq=number, error=WRONG)
        await settle(made.bus)
        assert (task.result(), batch.missing, batch.acked) == (5, 3, 0)


async def test_a_zero_gap_says_that_the_end_has_come() -> None:
    async with stream() as made:
        batch = await begun(made, 2)
        made.answer(type="gap", last_seq=3, seq=3)
        await made.commit(batch, 2)
        with pytest.raises(BatchLost, match="the server has ended it") as caught:
            await batch.add("a")
        assert (caught.value.acked, caught.value.sent) == (2, 2)


@pytest.mark.parametrize("last", [{"payload": b"x"}, {"headers": {"K": "v"}}, {"msg_id": "7"}])
async def test_a_last_message_needs_a_subject(last: dict[str, Any]) -> None:
    async with stream() as made:
        batch = await begun(made, 1)
        count = len(made.asked)
        with pytest.raises(InvalidOption, match="subject"):
            await asyncio.wait_for(batch.commit(**last), 5)
        assert len(made.asked) == count
        task = asyncio.create_task(batch.commit())
        await settle(made.bus)
        await made.commit(batch, 1)
        assert (await task).batch_size == 1


async def test_a_commit_of_fewer_than_were_sent() -> None:
    async with stream() as made:
        batch = await begun(made, 3)
        task = asyncio.create_task(batch.commit())
        await settle(made.bus)
        await made.commit(batch, 2)  # and the word of the gap is lost
        with pytest.raises(BatchLost, match="of 3 messages the server has acknowledged 2"):
            await task


@pytest.mark.parametrize(
    "said",
    [
        b"no",
        b"[]",
        b"{}",
        b'{"type":"ack","seq":2,"msgs":1}',
        b'{"type":"ack","seq":-1,"msgs":1}',
        b'{"type":"ack","seq":true,"msgs":1}',
        b'{"type":"ack","seq":0,"msgs":0}',
        b'{"type":"ack","seq":0}',
        b'{"type":"gap","last_seq":3,"seq":2}',
        b'{"type":"gap","last_seq":1,"seq":3}',
        b'{"type":"gap","seq":1}',
        b'{"stream":"s","seq":1,"batch":"b","count":2}',
        b'{"stream":"s","seq":1,"batch":"b"}',
    ],
)
async def test_what_is_no_answer(said: bytes) -> None:
    async with stream() as made:
        batch = await begun(made)
        made.bus.publish(made.asked[0].reply, said)
        made.bus.publish(made.asked[0].reply, said)
        await settle(made.bus)
        with pytest.raises(InvalidAnswer):
            await batch.add("a")


async def test_what_a_later_server_may_say_is_passed_over() -> None:
    async with stream() as made:
        batch = await begun(made)
        made.answer(type="news", seq="?")
        await settle(made.bus)
        assert await batch.add("a") == 2


# -- silence, and the connection


async def test_silence_is_asked_and_then_given_up() -> None:
    async with stream() as made:
        batch = await begun(made, 4, timeout=1.0)
        with pytest.raises(
            BatchLost, match=r"no progress for 1.0 s; of 4 messages .* 0$"
        ) as caught:
            await batch.add("a")
        assert (caught.value.acked, caught.value.sent, set(made.said[4:])) == (0, 4, {"4.4"})
        count = len(made.asked)
        await asyncio.sleep(0.05)
        assert len(made.asked) == count  # and no more


async def test_time_that_it_slept_through_is_not_the_servers_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stream() as made:
        batch = await begun(made, 4, timeout=2.0)
        task = waiting(batch)
        await settle(made.bus)
        now = batch._timers.now
        monkeypatch.setattr(batch._timers, "now", lambda: now() + 5)
        while "4.4" not in made.said:
            await asyncio.sleep(0)
        await made.ack(4)
        assert task.result() == 5


async def test_whoever_waits_since_it_woke_up_does_not_wait_for_as_long_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stream() as made:
        batch = await begun(made, 4, timeout=0.4)
        now = batch._timers.now
        monkeypatch.setattr(batch._timers, "now", lambda: now() + 1000)
        with pytest.raises(BatchLost, match="no progress"):
            await batch.add("a")
        assert set(made.said[4:]) == {"4.4"}


async def test_answers_without_progress_do_not_help() -> None:
    async with stream() as made:
        batch = await begun(made, 3, timeout=0.1)
        more = await made.bus.subscribe("a", cb=lambda _: made.answer(type="ack", seq=0, msgs=2))
        task = asyncio.create_task(batch.commit())
        with pytest.raises(BatchLost):
            await task
        assert set(made.said[3:]) == {"4.3"}  # the commit again, and no ping
        more.end()


async def test_a_lost_acknowledgement_comes_with_the_answer_to_a_ping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest, "BEAT_S", 0.001)
    async with stream() as made:
        batch = await begun(made, 4)
        task = waiting(batch)
        while "4.4" not in made.said:
            await asyncio.sleep(0)
        await made.ack(4)
        assert task.result() == 5


async def test_a_quiet_batch_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "BEAT_S", 0.001)
    async with stream() as made:
        batch = made.js.fast_ingest()
        opened = await batch.add("a")
        for count in range(1, 4):
            while len(made.asked) == count:
                await asyncio.sleep(0)
            await made.ack(0)
        assert (opened, made.said[:4]) == (1, ["1.0", "1.4", "1.4", "1.4"])
        await batch.close()


async def test_nothing_is_asked_before_the_first_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "BEAT_S", 0.001)
    async with stream() as made:
        batch = made.js.fast_ingest()
        with pytest.raises(InvalidSubject):
            await batch.add("a b")
        await asyncio.sleep(0.01)
        await batch.close()
        assert not made.asked


async def test_the_next_connection_is_asked_how_far_it_is() -> None:
    async with stream() as made:
        batch = await begun(made, 4)
        set_status(made.js, Status.RECONNECTING)
        batch._probe()  # as a beat would
        await settle(made.bus)
        assert made.said[4:] == []
        set_status(made.js, Status.CONNECTED)
        await settle(made.bus)
        assert made.said[4:] == ["4.4"]
        await made.ack(4)
        task = asyncio.create_task(batch.commit("a", bytearray(b"last")))
        await settle(made.bus)
        set_status(made.js, Status.RECONNECTING)
        set_status(made.js, Status.CONNECTED)
        await settle(made.bus)
        assert (made.said[5:], made.asked[-1].data) == (["5.2", "5.2"], b"last")
        await made.commit(batch, 5)
        assert (await task).batch_size == 5


async def test_a_new_leader_is_asked_what_it_missed() -> None:
    async with stream() as made:
        batch = await begun(made, 4, gaps="ok")
        await made.ack(2)
        assert len(made.said) == 4
        made.answer(1, type="ack", seq=2, msgs=2)  # it says where the old one was
        await settle(made.bus)
        assert made.said[4:] == ["4.4"]
        await made.ack(2)  # its answer is no reason to ask again
        assert (made.said[5:], batch.acked) == ([], 2)


async def test_a_server_that_was_restarted() -> None:
    async with stream() as made:
        batch = await begun(made, 4, gaps="ok")
        await made.ack(2)
        made.answer(error=UNKNOWN, stream="s", seq=0)
        await settle(made.bus)
        with pytest.raises(BatchLost, match="does not know it any more") as caught:
            await batch.add("a")
        assert (caught.value.acked, caught.value.sent) == (2, 4)


async def test_the_bus_is_closed() -> None:
    async with stream() as made:
        batch = await begun(made, 4)
        task = waiting(batch)
        await settle(made.bus)
        await made.bus.close()
        with pytest.raises(BatchLost, match="the connection was closed"):
            await task


async def test_a_ping_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stream() as made:
        batch = await begun(made, 4)

        def full(*_: object) -> None:
            raise OutboundBufferFull(7)

        with monkeypatch.context() as patch:
            patch.setattr(made.bus, "publish", full)
            set_status(made.js, Status.RECONNECTING)
            set_status(made.js, Status.CONNECTED)
        await made.ack(4)
        assert await batch.add("a") == 5


# -- its end


async def test_left_in_order_it_is_committed() -> None:
    async with stream() as made:

        async def work() -> FastIngest:
            async with made.js.fast_ingest() as batch:
                await batch.add("a")
            return batch

        task = asyncio.create_task(work())
        await settle(made.bus)
        made.answer(stream="s", seq=1, batch="its id", count=1)
        batch = await task
        assert batch.ack is not None
        assert (batch.ack.batch_size, made.said) == (1, ["1.0", "2.3"])


async def test_left_by_an_error_it_is_closed() -> None:
    async with stream() as made:
        with pytest.raises(ZeroDivisionError):
            async with made.js.fast_ingest() as batch:
                await batch.add("a")
                raise ZeroDivisionError
        await settle(made.bus)
        assert (made.said, batch.ack) == (["1.0", "2.3"], None)
        with pytest.raises(BatchEnded):
            await batch.add("a")


async def test_nothing_was_added() -> None:
    async with stream() as made:
        async with made.js.fast_ingest() as batch:
            pass
        assert (made.asked, batch.ack, len(batch)) == ([], None, 0)
        with pytest.raises(BatchEnded):
            await batch.add("a")
        with pytest.raises(BatchEnded):
            await made.js.fast_ingest().commit()


async def test_an_error_that_nobody_saw_is_raised_at_the_end() -> None:
    async with stream() as made:
        with pytest.raises(InvalidAnswer):
            async with made.js.fast_ingest() as batch:
                await batch.add("a")
                made.bus.publish(made.asked[0].reply, b"?")
                await settle(made.bus)


async def test_ended_inside() -> None:
    async with stream() as made:
        async with made.js.fast_ingest() as batch:
            await batch.add("a")
            await batch.close()
            await batch.close()
        await settle(made.bus)
        assert made.said == ["1.0", "2.3"]
        async with made.js.fast_ingest() as batch:
            task = asyncio.create_task(batch.commit("a"))
            await settle(made.bus)
            await made.commit(batch, 1)
            assert (await task).batch_size == 1
        assert made.said[2:] == ["1.2"]


async def test_closed_while_others_wait() -> None:
    async with stream() as made:
        batch = await begun(made, 4)
        tasks = [waiting(batch), asyncio.create_task(batch.commit())]
        await settle(made.bus)
        publish = made.bus.publish
        made.bus.publish = fail  # type: ignore[method-assign]
        await batch.close()
        made.bus.publish = publish  # type: ignore[method-assign]
        for task in tasks:
            with pytest.raises(BatchEnded):
                await task
        committing = await begun(made)
        late = asyncio.create_task(committing.commit())
        await settle(made.bus)
        count = len(made.asked)
        await committing.close()
        with pytest.raises(BatchEnded):
            await late
        assert len(made.asked) == count


def fail(*_: object) -> None:
    raise OutboundBufferFull(7)
