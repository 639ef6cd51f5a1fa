"""An upload: a bounded number of chunks under way, each stored once, in order, whatever happens."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest

from agents_core.bus import Status
from agents_core.errors import ConnectionClosed, NotConnected, OutboundBufferFull, RequestTimeout
from agents_core.localbus import LocalBus
from agents_core.nats.jetstream import JetStreamContext, PubAck, object_upload
from agents_core.nats.jetstream.errors import (
    APIError,
    InvalidAnswer,
    NoStreamResponse,
    ServiceUnavailable,
    StoreFailed,
    StreamNotFound,
)
from agents_core.nats.jetstream.object_upload import (
    INTERRUPTIONS_MAX,
    WINDOW_BYTES,
    WINDOW_CHUNKS_FIRST,
    Upload,
    connected,
    finished,
)
from tests.core.nats.jetstream.fake import set_status, settle
from tests.core.nats.jetstream.fake_bucket import (
    BUSY,
    NO_MESSAGE,
    NO_SEQUENCE,
    NO_STREAM,
    STREAM,
    Bucket,
    bucket,
    error,
)

CHUNKS = [b"%d" % number for number in range(10)]
SUBJECT = "$O.b.C.x"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_upload, "PAUSE_S_MAX", 0.001)


async def upload(js: JetStreamContext, chunks: list[bytes] = CHUNKS) -> int:
    with Upload(js, STREAM, SUBJECT, 1000) as sending:
        try:
            for chunk in chunks:
                await sending.send(chunk)
            found = await sending.complete()
        except BaseException:
            await sending.settle()
            raise
        assert sending.chunks == len(chunks)
        assert sending.size == sum(map(len, chunks))
        assert sending.sha256 == sha256(b"".join(chunks)).digest()
    return found


def order(stream: Bucket) -> list[bytes]:
    return stream.stored(SUBJECT)


async def test_chunks_are_stored_in_order() -> None:
    async with bucket() as (store, stream):
        assert await upload(store._js) == 10
        assert order(stream) == CHUNKS
        assert not stream.operations  # nothing is asked while all goes well


@pytest.mark.parametrize("fault", ["silent", "lost"])
@pytest.mark.parametrize("number", [1, 3, 7, 10])
async def test_an_acknowledgement_or_a_chunk_is_lost(fault: str, number: int) -> None:
    async with bucket(timeout=0.05) as (store, stream):
        stream.faults = lambda subject, times: fault if times == number else None
        assert await upload(store._js) == 10
        assert order(stream) == CHUNKS


async def test_equal_chunks_are_told_apart_by_their_number() -> None:
    async with bucket(timeout=0.05) as (store, stream):
        stream.faults = lambda subject, times: {2: "lost", 3: "silent", 5: "lost"}.get(times)
        assert await upload(store._js, [b"same"] * 6) == 6
        assert order(stream) == [b"same"] * 6


async def test_a_chunk_that_is_stored_behind_its_successors() -> None:
    """The context publishes it again when nobody took it, which others were not to wait for."""
    async with bucket() as (store, stream):
        stream.faults = lambda subject, times: "nobody" if times == 2 else None
        assert await upload(store._js) == 10
        assert order(stream) == CHUNKS
        assert "STREAM.MSG.DELETE.OBJ_b" in stream.operations


async def test_a_chunk_that_was_to_be_deleted_is_gone() -> None:
    async with bucket() as (store, stream):
        stream.faults = lambda subject, times: "nobody" if times == 2 else None

        def answer(operation: str, body: object) -> object:
            if operation.startswith("STREAM.MSG.DELETE"):
                stream.remove([body["seq"]])
                return NO_SEQUENCE
            return None

        stream.answers = answer
        assert await upload(store._js) == 10
        assert order(stream) == CHUNKS


async def test_chunks_that_are_stored_late() -> None:
    """Not yet when they are looked for, but before they are sent again: the server was busy."""
    async with bucket(timeout=0.05) as (store, stream):

        def late(subject: str, times: int) -> str | None:
            if times in {3, 4}:
                return "queued"
            stream.work()
            return None

        stream.faults = late
        assert await upload(store._js, CHUNKS[:4]) == 4
        assert order(stream) == CHUNKS[:4]


async def test_the_connection_is_lost_and_comes_back() -> None:
    async with bucket() as (store, stream):
        stream.faults = lambda subject, times: "lost" if 3 <= times <= 5 else None
        sending = asyncio.create_task(upload(store._js))
        while len(stream.published) < 5:
            await asyncio.sleep(0)
        set_status(store._js, Status.RECONNECTING)
        await settle(stream.bus)
        assert not sending.done()
        set_status(store._js, Status.CONNECTED)
        assert await sending == 10
        assert order(stream) == CHUNKS


async def test_the_connection_is_lost_when_some_are_acknowledged() -> None:
    async with bucket() as (store, stream):
        stream.faults = lambda subject, times: "lost" if times == 4 else None
        with Upload(store._js, STREAM, SUBJECT, 1000) as sending:
            for chunk in CHUNKS[:4]:
                await sending.send(chunk)
            await settle(stream.bus)
            set_status(store._js, Status.RECONNECTING)
            set_status(store._js, Status.CONNECTED)
            assert await sending.complete() == 4
        assert order(stream) == CHUNKS[:4]


async def test_what_was_lost_is_lost_again() -> None:
    async with bucket(timeout=0.05) as (store, stream):
        stream.faults = lambda subject, times: "lost" if 2 <= times <= 12 else None
        assert await upload(store._js) == 10
        assert order(stream) == CHUNKS


async def test_asking_what_is_stored_fails_for_a_while() -> None:
    async with bucket(timeout=0.05) as (store, stream):
        stream.faults = lambda subject, times: "lost" if times == 2 else None
        asked = iter([b"", BUSY])
        stream.answers = lambda operation, body: (
            next(asked, None) if operation.startswith("STREAM.MSG.GET") else None
        )
        assert await upload(store._js) == 10
        assert order(stream) == CHUNKS


@pytest.mark.parametrize(
    ("fault", "kind"), [("lost", RequestTimeout), (BUSY, APIError), ("nobody", NoStreamResponse)]
)
async def test_interruptions_without_end(
    fault: object, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("window", "context"):
        monkeypatch.setattr(f"agents_core.nats.jetstream.{module}.RETRY_WAIT_S", 0.001)
    async with bucket(timeout=0.03) as (store, stream):
        stream.faults = lambda subject, times: fault if times > 2 else None
        with pytest.raises(kind):
            await upload(store._js)
        repeated = stream.operations.count(f"STREAM.MSG.GET.{STREAM}")
        assert repeated == INTERRUPTIONS_MAX


async def test_a_stream_that_stores_out_of_order() -> None:
    async with bucket(timeout=0.05) as (store, stream):
        stream.answers = lambda operation, body: (
            NO_MESSAGE if operation.startswith("STREAM.MSG") else None
        )

        def add(subject: str, data: bytes, headers: object = ()) -> dict[str, object]:
            stream.last += 1
            return {"stream": STREAM, "seq": 1000 - stream.last}

        stream.add = add
        with pytest.raises(InvalidAnswer, match="out of order"):
            await upload(store._js)


async def test_a_chunk_is_deleted_by_somebody_else() -> None:
    async with bucket(timeout=0.05) as (store, stream):
        stream.faults = lambda subject, times: "lost" if times == 9 else None
        sending = asyncio.create_task(upload(store._js))
        while len(stream.published) < 9:
            await asyncio.sleep(0)
        stream.remove([1])
        assert await sending == 9


@pytest.mark.parametrize("count", [1, 2])
async def test_the_last_chunk_there_is_deleted_by_somebody_else(count: int) -> None:
    """What comes behind it is stored nevertheless; the sum shows that one is missing."""
    async with bucket(timeout=0.05) as (store, stream):

        def fault(subject: str, times: int) -> str | None:
            if times != count + 1:
                return None
            stream.remove([count])
            return "lost"

        stream.faults = fault
        assert await upload(store._js, CHUNKS[: count + 1]) == count
        assert order(stream) == [*CHUNKS[: count - 1], CHUNKS[count]]


async def test_what_is_stored_in_the_end_is_asked_for_until_there_is_an_answer() -> None:
    async with bucket(timeout=0.05) as (store, stream):
        stream.faults = lambda subject, times: "lost" if times == 4 else None
        said = iter([BUSY, BUSY])
        stream.answers = lambda operation, body: (
            next(said, None) if operation.startswith("STREAM.INFO") else None
        )
        assert await upload(store._js) == 10
        stream.faults = lambda subject, times: "lost" if times == 25 else None
        stream.answers = lambda operation, body: (
            BUSY if operation.startswith("STREAM.INFO") else None
        )
        with pytest.raises(ServiceUnavailable):
            await upload(store._js, [b"%d" % number for number in range(20)])


async def test_errors_that_do_not_pass() -> None:
    async with bucket(timeout=0.05) as (store, stream):
        stream.faults = lambda subject, times: (
            error(503, 10077, "maximum bytes exceeded") if times == 4 else None
        )
        with pytest.raises(StoreFailed, match="maximum bytes"):
            await upload(store._js)
        assert not stream.operations  # it is no use to try again
        stream.faults = lambda subject, times: "lost"
        stream.answers = lambda operation, body: NO_STREAM
        with pytest.raises(StreamNotFound):
            await upload(store._js)
        await store._js.bus.close()
        with pytest.raises(ConnectionClosed):
            await upload(store._js)


@pytest.mark.parametrize("times", [range(1, 4), range(2, 5)])
async def test_a_bus_whose_buffer_is_full(times: range, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bucket() as (store, stream):
        publish, count = store._js.bus.publish, 0

        def full(subject: str, *args: object) -> object:
            nonlocal count
            count += subject == SUBJECT
            if subject == SUBJECT and count in times:
                raise OutboundBufferFull(10)
            return publish(subject, *args)

        monkeypatch.setattr(store._js.bus, "publish", full)
        assert await upload(store._js) == 10
        assert order(stream) == CHUNKS


# -- how many are under way


class Slow:
    """Takes chunks, and acknowledges them when it is told to."""

    def __init__(self, js: JetStreamContext) -> None:
        self.js = js
        self.waiting: list[asyncio.Future] = []
        self.count = 0
        self.now = 0.0
        js.publish, js.publish_async = self.store, self.publish
        js.timers.now = lambda: self.now

    async def store(self, subject: str, data: bytes) -> PubAck:
        self.count += 1
        return PubAck(STREAM, self.count)

    async def publish(self, subject: str, data: bytes) -> asyncio.Future:
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]

    async def acknowledge(self, seconds: float) -> int:
        """All that are under way once no more are sent, after so many seconds; how many."""
        known = -1
        while known != len(self.waiting):
            known = len(self.waiting)
            for _ in range(20):
                await asyncio.sleep(0)
        waiting, self.waiting = self.waiting, []
        self.now += seconds
        for future in waiting:
            self.count += 1
            future.set_result(PubAck(STREAM, self.count))
        return len(waiting)


async def test_the_window_grows_while_it_is_quick_and_shrinks_when_not() -> None:
    bus = LocalBus()
    slow = Slow(JetStreamContext(bus, timeout=10))
    sending = Upload(slow.js, STREAM, SUBJECT, WINDOW_BYTES // 16)

    async def send() -> None:
        for _ in range(200):
            await sending.send(b"x")

    with sending:
        task = asyncio.create_task(send())
        grown = [await slow.acknowledge(0.1) for _ in range(5)]
        assert grown[:2] == [WINDOW_CHUNKS_FIRST, 2 * WINDOW_CHUNKS_FIRST]
        assert grown[-1] == 16  # two MiB, and no more
        shrunk = [await slow.acknowledge(1.1) for _ in range(12)]
        assert shrunk[-1] == 1
        assert await slow.acknowledge(0.1) == 1
        assert await slow.acknowledge(0.1) == 2
        task.cancel()
        await asyncio.wait([task])
    await bus.close()


async def test_at_least_one_chunk_is_under_way() -> None:
    bus = LocalBus()
    slow = Slow(JetStreamContext(bus))
    with Upload(slow.js, STREAM, SUBJECT, 2 * WINDOW_BYTES) as sending:
        await sending.send(b"first")
        await sending.send(b"second")
        task = asyncio.create_task(sending.send(b"third"))
        assert await slow.acknowledge(0) == 1
        await task
        assert await slow.acknowledge(0) == 1
        await sending.complete()
    await bus.close()


# -- waiting for a connection


async def test_a_connection_is_waited_for() -> None:
    bus = LocalBus()
    await connected(bus)
    js = JetStreamContext(bus)
    set_status(js, Status.RECONNECTING)
    waiting = asyncio.create_task(connected(bus))
    await settle(LocalBus())
    set_status(js, Status.DRAINING)
    await settle(LocalBus())
    assert not waiting.done()
    set_status(js, Status.CONNECTED)
    await waiting
    set_status(js, Status.RECONNECTING)
    waiting = asyncio.create_task(connected(bus))
    await asyncio.sleep(0)
    await bus.close()
    for _ in range(2):
        with pytest.raises(ConnectionClosed):
            await waiting
        waiting = asyncio.create_task(connected(bus))
    with pytest.raises(ConnectionClosed):
        await waiting


async def test_something_is_done_to_its_end() -> None:
    async def work(end: asyncio.Future[str]) -> str:
        return await end

    async def begin() -> tuple[asyncio.Future[str], asyncio.Task[str]]:
        end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(finished(work(end), 0.01))
        await settle(LocalBus())
        return end, task

    end, task = await begin()
    end.set_result("done")
    assert await task == "done"
    end, task = await begin()
    end.set_exception(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await task
    end, task = await begin()
    task.cancel()
    await settle(LocalBus())
    assert not task.done()
    end.set_exception(ZeroDivisionError())
    with pytest.raises(asyncio.CancelledError):
        await task
    end, task = await begin()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert end.cancelled()


async def test_nothing_is_listened_to_afterwards() -> None:
    async with bucket() as (store, _):
        with Upload(store._js, STREAM, SUBJECT, 1000) as sending:
            await sending.send(b"x")
            await sending.send(b"y")
            future = sending._flight[0].future
        set_status(store._js, Status.RECONNECTING)
        assert not future.done()
        set_status(store._js, Status.CONNECTED)
        assert (await future).seq == 2
        with pytest.raises(NotConnected), Upload(store._js, STREAM, SUBJECT, 1000) as sending:
            await sending.send(b"x")
            await sending.send(b"y")
            set_status(store._js, Status.RECONNECTING)
            await sending._flight[0].future
