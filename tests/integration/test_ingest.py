"""Fast ingest against real servers: what is stored, and what is known when something fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from random import Random

import nats as nats_py
import pytest

from agents_core import nats
from agents_core.errors import AgentsError
from agents_core.nats.jetstream import JetStreamContext, PersistMode, StorageType, ingest
from agents_core.nats.jetstream.errors import (
    BatchDisabled,
    BatchEnded,
    BatchGap,
    BatchLost,
    NoStreamResponse,
    StoreFailed,
    WrongLastSequence,
)
from agents_core.nats.msg import Msg
from agents_server.nats_server import NatsServer
from tests.integration.streams import BUSES, restart, stream
from tests.integration.test_object_store_cluster import elected, named
from tests.nats_cluster import cluster

pytestmark = pytest.mark.nats


async def stored(js: JetStreamContext, name: str) -> int:
    return (await js.stream_info(name)).state.messages


async def read(js: JetStreamContext, name: str, count: int) -> list[bytes]:
    """The payloads of the stream, in order."""
    found = []
    async with await js.ordered_consumer(name) as messages:
        async for msg in messages:
            found.append(msg.data)
            if len(found) == count:
                break
    return found


def losing(js: JetStreamContext, lost: Callable[[str], bool]) -> None:
    """Lose messages on their way, by the number and the operation in their reply subjects."""
    publish = js.bus.publish

    def some(*arguments: object) -> object:
        reply = str(arguments[2])
        if reply.endswith(".$FI") and lost(".".join(reply.split(".")[-3:-1])):
            return None
        return publish(*arguments)  # type: ignore[arg-type]

    js.bus.publish = some  # type: ignore[method-assign,assignment]


@BUSES
@pytest.mark.parametrize("gaps", ["fail", "ok"])
async def test_messages_are_stored_in_order(
    nats_server: NatsServer, kind: str, gaps: ingest.GapPolicy
) -> None:
    async with stream(nats_server, kind, allow_batched=True, storage="memory") as (js, name):
        async with js.fast_ingest(gaps) as batch:
            for number in range(1000):
                assert await batch.add(f"{name}.a", b"%d" % number, {"K": "v"}) == number + 1
        assert batch.ack is not None
        assert (batch.ack.stream, batch.ack.seq, batch.ack.batch_size) == (name, 1000, 1000)
        assert (batch.ack.batch_id, batch.acked, batch.missing) == (batch.id, 1000, 0)
        assert await read(js, name, 1000) == [b"%d" % number for number in range(1000)]
        assert (await js.get_msg(name, 7)).headers["K"] == "v"
        other = js.fast_ingest(gaps)
        await other.add(f"{name}.b")
        ack = await other.commit(f"{name}.b", b"last", msg_id="1002")
        assert (ack.seq, ack.batch_size) == (1002, 2)
        assert (await js.get_msg(name, 1002)).data == b"last"
        alone = await js.fast_ingest(gaps).commit(f"{name}.c", b"alone")
        assert (alone.seq, alone.batch_size) == (1003, 1)


async def test_nats_py_reads_them(nats_server: NatsServer) -> None:
    async with stream(nats_server, allow_batched=True) as (js, name):
        async with js.fast_ingest() as batch:
            for number in range(10):
                await batch.add(f"{name}.a", b"%d" % number, msg_id=str(number))
        peer = await nats_py.connect(nats_server.url)
        subscription = await peer.jetstream().pull_subscribe(f"{name}.a", "d")
        msgs = await subscription.fetch(10)
        assert [msg.data for msg in msgs] == [b"%d" % number for number in range(10)]
        assert msgs[3].headers == {"Nats-Msg-Id": "3"}
        await peer.close()


async def test_several_at_once_on_a_stream_that_does_not_wait_for_its_disk(
    nats_server: NatsServer,
) -> None:
    config = {"allow_batched": True, "persist_mode": PersistMode.ASYNC}
    async with stream(nats_server, **config) as (js, name):

        async def publisher(number: int) -> None:
            async with js.fast_ingest() as batch:  # the server begins with 1 for all but the first
                for _ in range(300):
                    await batch.add(f"{name}.{number}")

        await asyncio.gather(*(publisher(number) for number in range(10)))
        assert await stored(js, name) == 3000


async def test_one_batch_of_several_tasks(nats_server: NatsServer) -> None:
    async with stream(nats_server, allow_batched=True) as (js, name):
        async with js.fast_ingest(ack_every=3) as batch:

            async def publisher(number: int) -> list[int]:
                return [await batch.add(f"{name}.{number}") for _ in range(30)]

            numbers = await asyncio.gather(*(publisher(number) for number in range(5)))
        assert sorted(chain.from_iterable(numbers)) == list(range(1, 151))
        assert await stored(js, name) == 150


async def test_large_messages_do_not_flood_the_server(nats_server: NatsServer) -> None:
    """Together they are more than it keeps for one stream, and would refuse in part."""
    async with stream(nats_server, allow_batched=True, max_msgs=10) as (js, name):
        async with js.fast_ingest(ack_every=500) as batch:
            for _ in range(150):
                await batch.add(f"{name}.a", bytes(1_000_000))
        assert batch.ack is not None
        assert batch.ack.batch_size == 150


async def test_what_the_stream_had_already(nats_server: NatsServer) -> None:
    async with stream(nats_server, allow_batched=True) as (js, name):
        for new in (20, 25):
            async with js.fast_ingest(ack_every=3) as batch:
                for number in range(new):
                    await batch.add(f"{name}.a", msg_id=str(number))
            assert batch.ack is not None
            assert batch.ack.batch_size == new
            assert await stored(js, name) == new


# -- refusals and gaps


async def test_a_stream_that_does_not_allow_it(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        batch = js.fast_ingest()
        with pytest.raises(BatchDisabled, match="batch publish is disabled") as caught:
            await batch.add(f"{name}.a")
        assert caught.value.err_code == 10205
        with pytest.raises(BatchDisabled):
            await js.fast_ingest().commit(f"{name}.a")
        with pytest.raises(BatchDisabled):
            await js.atomic_batch().add(f"{name}.a")
        with pytest.raises(NoStreamResponse):
            await js.fast_ingest().add("nobody.stores.this")
        assert await stored(js, name) == 0


async def test_it_is_forbidden_in_the_middle(nats_server: NatsServer) -> None:
    async with stream(nats_server, allow_batched=True) as (js, name):
        batch = js.fast_ingest()
        await batch.add(f"{name}.a")
        await js.update_stream((await js.stream_info(name)).config, allow_batched=False)
        with pytest.raises(BatchDisabled):
            await batch.commit()


async def test_a_refused_message_ends_the_batch(nats_server: NatsServer) -> None:
    async with stream(nats_server, allow_batched=True) as (js, name):
        with pytest.raises(WrongLastSequence):
            async with js.fast_ingest() as batch:
                for number in range(200):
                    expected = 999 if number == 25 else None
                    await batch.add(f"{name}.a", expected_last_sequence=expected)
        assert (batch.acked, await stored(js, name)) == (25, 25)
        first = js.fast_ingest()
        with pytest.raises(WrongLastSequence):
            await first.add(f"{name}.a", expected_last_sequence=999)
            await first.commit()
        with pytest.raises(WrongLastSequence):
            await js.fast_ingest().commit(f"{name}.a", expected_last_sequence=999)
        assert await stored(js, name) == 25


async def test_a_message_that_is_too_large_ends_the_batch(nats_server: NatsServer) -> None:
    async with stream(nats_server, allow_batched=True, max_msg_size=100) as (js, name):
        batch = js.fast_ingest()
        await batch.add(f"{name}.a")
        await batch.add(f"{name}.a", bytes(200))  # the server does not even count it
        with pytest.raises(AgentsError, match="message size exceeds maximum allowed"):
            await batch.commit(f"{name}.a")
        assert (batch.acked, await stored(js, name)) == (1, 1)


async def test_refusals_that_are_ok(nats_server: NatsServer) -> None:
    told: list[Exception] = []
    async with stream(nats_server, allow_batched=True, discard="new", max_msgs=8) as (js, name):
        async with js.fast_ingest("ok", ack_every=2, error_cb=told.append) as batch:
            for number in range(100):  # far beyond the window: the server acknowledges none of them
                await batch.add(f"{name}.a", b"%d" % number, msg_id=str(number))
        assert batch.ack is not None
        assert (batch.ack.batch_size, batch.missing, await stored(js, name)) == (100, 92, 8)
        assert [str(error) for error in told][:2] == [
            "the messages 9 to 9 of the batch are not stored",
            "the messages 10 to 10 of the batch are not stored",
        ]
        assert {type(error.__cause__) for error in told} == {StoreFailed}
        with pytest.raises(StoreFailed):
            await js.fast_ingest("ok").commit(f"{name}.a")


@BUSES
async def test_messages_lost_on_their_way(nats_server: NatsServer, kind: str) -> None:
    told: list[Exception] = []
    async with stream(nats_server, kind, allow_batched=True) as (js, name):
        losing(js, {"5.1", "6.1", "30.1"}.__contains__)
        async with js.fast_ingest("ok", error_cb=told.append) as batch:
            for _ in range(30):
                await batch.add(f"{name}.a")
        assert batch.ack is not None
        assert (batch.ack.batch_size, batch.missing, await stored(js, name)) == (30, 3, 27)
        assert [error.data() for error in told if isinstance(error, BatchGap)] == [
            {"first": 5, "last": 6},
            {"first": 30, "last": 30},
        ]
        batch = js.fast_ingest(ack_every=2)
        with pytest.raises(BatchGap) as caught:
            for _ in range(30):
                await batch.add(f"{name}.a")
        assert (caught.value.first, caught.value.last) == (5, 6)
        assert (batch.acked, await stored(js, name)) == (4, 31)


async def test_the_end_of_a_window_is_lost(nats_server: NatsServer) -> None:
    """Nothing but the ping tells; in a batch that may have gaps it goes on."""
    async with stream(nats_server, allow_batched=True) as (js, name):
        losing(js, {"3.1", "4.1"}.__contains__)
        batch = js.fast_ingest("ok", ack_every=2, timeout=1)
        for number in range(1, 7):
            assert await batch.add(f"{name}.a") == number
        assert (await batch.commit()).batch_size == 6
        assert (batch.missing, await stored(js, name)) == (2, 4)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("gaps", ["fail", "ok"])
async def test_whatever_is_lost_what_is_said_is_true(
    nats_server: NatsServer, gaps: ingest.GapPolicy, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages, pings and acknowledgements go astray; not what tells of a gap, nor the end."""
    monkeypatch.setattr(ingest, "BEAT_S", 0.02)
    random, take, gap = Random(seed), ingest.FastIngest._take, None

    def take_some(self: ingest.FastIngest, msg: Msg) -> None:
        if b'"ack"' not in msg.data or random.random() < 0.5:
            take(self, msg)

    monkeypatch.setattr(ingest.FastIngest, "_take", take_some)
    async with stream(nats_server, allow_batched=True, storage="memory") as (js, name):
        losing(js, lambda what: what != "1.0" and random.random() < 0.01)
        try:
            async with js.fast_ingest(gaps, ack_every=10) as batch:
                for _ in range(500):
                    await batch.add(f"{name}.a")
        except BatchGap as error:
            gap = error
        if gap is None:
            assert batch.ack is not None
            assert (batch.acked, await stored(js, name)) == (500, 500 - batch.missing)
        else:
            assert (gaps, gap.first) == ("fail", batch.acked + 1)
            assert await stored(js, name) == batch.acked


@pytest.mark.parametrize("last", ["", "a"])
async def test_a_commit_that_is_lost_is_sent_again(nats_server: NatsServer, last: str) -> None:
    async with stream(nats_server, allow_batched=True) as (js, name):
        lost = ["4.2", "4.3"]
        losing(js, lambda what: what in lost and not lost.clear())
        batch = js.fast_ingest(timeout=1)
        for _ in range(3):
            await batch.add(f"{name}.a")
        count = 4 if last else 3
        ack = await batch.commit(last and f"{name}.a")
        assert (ack.batch_size, await stored(js, name)) == (count, count)


# -- time, connections, crashes


async def test_a_quiet_batch_lives_by_pings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = f'jetstream {{ store_dir: "{tmp_path}", limits {{ batch {{ timeout: "300ms" }} }} }}'
    server = NatsServer(tmp_path / "nats", extra=limits)
    server.start()
    try:
        async with stream(server, allow_batched=True) as (js, name):
            quiet = js.fast_ingest()
            await quiet.add(f"{name}.a")
            monkeypatch.setattr(ingest, "BEAT_S", 0.05)
            kept = js.fast_ingest()
            await kept.add(f"{name}.a")
            with pytest.raises(BatchLost, match="does not know it any more"):
                while True:
                    await quiet.add(f"{name}.a")
                    await asyncio.sleep(0.5)
            await kept.add(f"{name}.a")
            assert (await kept.commit()).batch_size == 2
    finally:
        server.kill()


@BUSES
async def test_it_outlives_its_connection(nats_server: NatsServer, kind: str) -> None:
    async with stream(nats_server, kind, allow_batched=True) as (js, name):
        async with js.fast_ingest(ack_every=10) as batch:
            for number in range(100):
                await batch.add(f"{name}.a", b"%d" % number)
                if number % 30 == 7:
                    await js.bus.suspend()
                    await js.bus.resume()
        assert await read(js, name, 100) == [b"%d" % number for number in range(100)]


@BUSES
@pytest.mark.parametrize("gaps", ["fail", "ok"])
async def test_a_server_that_crashes(
    own_nats_server: NatsServer, kind: str, gaps: ingest.GapPolicy
) -> None:
    """It forgets the batch, not what it has acknowledged."""
    async with stream(own_nats_server, kind, allow_batched=True) as (js, name):
        batch = js.fast_ingest(gaps, ack_every=5)
        with pytest.raises(BatchLost) as caught:
            for number in range(100):
                await batch.add(f"{name}.a", b"%d" % number, msg_id=str(number))
                if number == 42:
                    await restart(own_nats_server, js.bus)
        lost = caught.value
        assert 30 <= lost.acked <= lost.sent
        kept = await stored(js, name)
        assert lost.acked <= kept <= lost.sent
        assert await read(js, name, kept) == [b"%d" % number for number in range(kept)]
        async with js.fast_ingest() as again:  # what may be there already is not stored twice
            for number in range(lost.acked, 100):
                await again.add(f"{name}.a", b"%d" % number, msg_id=str(number))
        assert await read(js, name, 100) == [b"%d" % number for number in range(100)]
        assert await stored(js, name) == 100


async def test_a_server_that_does_not_come_back(own_nats_server: NatsServer) -> None:
    async with stream(own_nats_server, allow_batched=True) as (js, name):
        batch = js.fast_ingest(ack_every=5, timeout=0.5)
        await batch.add(f"{name}.a")
        own_nats_server.kill()
        with pytest.raises(BatchLost, match=r"no progress for 0.5 s"):
            await batch.commit()
        with pytest.raises(BatchLost):
            await batch.add(f"{name}.a")


async def test_it_is_closed(nats_server: NatsServer) -> None:
    async with stream(nats_server, allow_batched=True) as (js, name):
        batch = js.fast_ingest()
        await batch.add(f"{name}.a")
        await batch.add(f"{name}.a")
        await batch.close()
        with pytest.raises(BatchEnded):
            await batch.add(f"{name}.a")
        await js.bus.flush()
        assert await stored(js, name) == 2


@pytest.mark.parametrize("gaps", ["fail", "ok"])
async def test_another_leader(tmp_path: Path, gaps: ingest.GapPolicy) -> None:
    """What is lost while there is none is known by number."""
    with cluster(tmp_path, jetstream=True) as servers:
        nc = await nats.connect([server.url for server in servers], reconnect_time_wait=0.1)
        js = nc.jetstream(timeout=1)
        config = {"num_replicas": 3, "storage": StorageType.MEMORY, "allow_batched": True}
        made = await elected(lambda: js.add_stream(name="S", subjects=["s"], **config))
        assert made.cluster is not None
        batch = js.fast_ingest(gaps)
        gap = None
        try:
            async with batch:
                for number in range(1000):
                    if number == 500:
                        named(servers, made.cluster.leader).kill()
                    await batch.add("s")
        except BatchGap as error:
            gap = error
        kept = await elected(lambda: stored(js, "S"))
        if gap is not None:
            assert (gaps, batch.acked, gap.first) == ("fail", kept, kept + 1)
        else:
            assert batch.ack is not None
            assert (batch.ack.batch_size, kept + batch.missing) == (1000, 1000)
        await nc.close()
