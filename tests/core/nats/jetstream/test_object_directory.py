"""A directory: one change follows the other, and what is lost on the way is made good."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from agents_core import jsonvalue
from agents_core.bus import Status
from agents_core.errors import NotConnected, RequestTimeout
from agents_core.nats.jetstream import (
    ObjectInfo,
    ObjectLink,
    ObjectMetaOptions,
    object_directory,
)
from agents_core.nats.jetstream.errors import (
    ServerFault,
    StoreFailed,
    StreamNotFound,
    WrongLastSequence,
)
from agents_core.nats.jetstream.header import Header
from agents_core.nats.jetstream.object_directory import ATTEMPTS_MAX, PURGES_MAX, Directory
from agents_core.nats.jetstream.object_errors import BadObjectMeta, ObjectNotFound
from tests.core.nats.jetstream.fake import set_status
from tests.core.nats.jetstream.fake_bucket import (
    BUCKET,
    BUSY,
    NO_SEQUENCE,
    NO_STREAM,
    STREAM,
    WRONG_SEQUENCE,
    Bucket,
    bucket,
    error,
)

META = "$O.b.M.YQ=="
CHUNKS = "$O.b.C.n"
FULL = error(400, 10077, "maximum bytes exceeded")
INFO = ObjectInfo("a", BUCKET, "n", size=1, chunks=1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_directory, "PAUSE_S_MAX", 0.001)


def add(before: ObjectInfo | None) -> ObjectInfo:
    """One byte more."""
    return replace(before or INFO, size=before.size + 1 if before else 1, mtime=None)


def sizes(stream: Bucket) -> list[int]:
    return [jsonvalue.loads(data)["size"] for data in stream.stored(META)]


async def test_what_is_stored_under_a_name() -> None:
    async with bucket() as (store, stream):
        directory = Directory(store._js, BUCKET)
        assert await directory.look("a") == (None, 0, "")
        before, after = await directory.change("a", add)
        assert (before, after.as_dict()) == (None, INFO.as_dict())
        assert after.mtime is not None
        found, seq, replaced = await directory.look("a")
        assert found is not None
        assert (found.as_dict(), seq, replaced) == (INFO.as_dict(), 1, "0")
        before, after = await directory.change("a", add)
        assert before is not None
        assert (before.size, after.size, sizes(stream)) == (1, 2, [2])
        stream.add(META, b"damaged")
        for call in (directory.look("a"), directory.change("a", add)):
            with pytest.raises(BadObjectMeta):
                await call
        stream.answers = lambda operation, body: NO_STREAM
        for call in (directory.look("a"), directory.change("a", add)):
            with pytest.raises(StreamNotFound):
                await call


async def test_changes_at_once_follow_one_another() -> None:
    async with bucket() as (store, stream):
        directory = Directory(store._js, BUCKET)
        changes = await asyncio.gather(*(directory.change("a", add) for _ in range(5)))
        assert sizes(stream) == [5]
        assert sorted(after.size for _, after in changes) == [1, 2, 3, 4, 5]
        assert [before.size + 1 for before, after in changes if before] == [
            after.size for before, after in changes if before
        ]


async def test_somebody_is_always_faster() -> None:
    async with bucket() as (store, stream):
        stream.faults = lambda subject, times: WRONG_SEQUENCE
        with pytest.raises(WrongLastSequence):
            await Directory(store._js, BUCKET).change("a", add)
        assert len(stream.published) == ATTEMPTS_MAX


@pytest.mark.parametrize("fault", ["silent", "lost", "nobody", BUSY])
async def test_an_answer_or_a_change_is_lost(fault: Any) -> None:
    """It is made once, however often it has to be published."""
    async with bucket(timeout=0.03) as (store, stream):
        directory = Directory(store._js, BUCKET)
        await directory.change("a", add)
        stream.faults = lambda subject, times: fault if times in {2, 3} else None
        before, after = await directory.change("a", add)
        assert before is not None
        assert (before.size, after.size, sizes(stream)) == (1, 2, [2])
        assert after.mtime is not None


async def test_a_change_arrives_late() -> None:
    """Not stored yet when it is looked for, but before it is published again."""
    async with bucket(timeout=0.03) as (store, stream):

        def fault(subject: str, times: int) -> str | None:
            if times == 2:
                stream.add(META, jsonvalue.dumps(INFO.as_dict()))
            return "lost" if times == 1 else None

        stream.faults = fault
        before, after = await Directory(store._js, BUCKET).change("a", add)
        assert (before, after.size, sizes(stream)) == (None, 1, [1])


@pytest.mark.parametrize("says", [True, False])
async def test_a_change_whose_answer_is_lost_is_replaced(says: bool) -> None:
    """It is not stored again: whoever replaced it has deleted the chunks."""
    other = jsonvalue.dumps(replace(INFO, nuid="other").as_dict())
    async with bucket(timeout=0.03) as (store, stream):
        directory = Directory(store._js, BUCKET)
        await directory.change("a", lambda _: replace(INFO, nuid="former"))

        def fault(subject: str, times: int) -> str | None:
            if times == 2:
                stream.faults = lambda subject, times: None
                asyncio.get_running_loop().call_soon(put)
                return "silent"
            return None

        def put() -> None:
            headers = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE: str(stream.last)} if says else {}
            stream.add(META, other, {Header.ROLLUP: "sub", **headers})

        stream.faults = fault
        former, after = await directory.change("a", lambda _: INFO)
        assert former is not None
        assert (former.nuid, after.nuid, after.mtime is not None) == ("former", "n", True)
        assert stream.stored(META) == [other]


async def test_a_change_is_lost_and_another_one_is_not() -> None:
    """What is there says that it replaced the same, so ours was not stored."""
    async with bucket(timeout=0.03) as (store, stream):
        directory = Directory(store._js, BUCKET)
        await directory.change("a", add)

        def fault(subject: str, times: int) -> str | None:
            if times != 2:
                return None
            said = {Header.ROLLUP: "sub", Header.EXPECTED_LAST_SUBJECT_SEQUENCE: str(stream.last)}
            stream.add(META, jsonvalue.dumps(replace(INFO, size=5).as_dict()), said)
            return "lost"

        stream.faults = fault
        before, after = await directory.change("a", add)
        assert before is not None
        assert (before.size, after.size, sizes(stream)) == (5, 6, [6])


async def test_the_connection_is_lost_meanwhile() -> None:
    async with bucket(timeout=5) as (store, stream):
        stream.faults = lambda subject, times: "lost" if times == 1 else None
        change = asyncio.create_task(Directory(store._js, BUCKET).change("a", add))
        while not stream.published:
            await asyncio.sleep(0)
        set_status(store._js, Status.RECONNECTING)
        store._js.bus._requests.fail_all(NotConnected(""))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not change.done()
        set_status(store._js, Status.CONNECTED)
        before, after = await change
        assert (before, after.as_dict()) == (None, INFO.as_dict())


async def test_an_answer_never_comes() -> None:
    async with bucket(timeout=0.05) as (store, stream):
        stream.faults = lambda subject, times: "lost"
        with pytest.raises(RequestTimeout):
            await Directory(store._js, BUCKET).change("a", add)
        assert len(stream.published) == ATTEMPTS_MAX


async def test_a_name_is_forgotten_up_to_a_sequence() -> None:
    async with bucket() as (store, stream):
        directory = Directory(store._js, BUCKET)
        await directory.change("a", add)
        seq = (await directory.look("a")).seq
        await directory.change("a", add)
        await directory.forget("a", seq)
        assert sizes(stream) == [2]
        await directory.forget("a", seq + 1)
        assert sizes(stream) == []


def existing(stored: ObjectInfo | None) -> ObjectInfo:
    if stored is None:
        raise ObjectNotFound(BUCKET, "a")
    return stored


async def test_an_object_is_deleted_where_there_is_no_room_for_a_word_about_it() -> None:
    async with bucket() as (store, stream):
        directory = Directory(store._js, BUCKET)
        stream.add(CHUNKS, b"x")
        await directory.change("a", add)
        stream.faults = lambda subject, times: FULL
        left = await directory.delete("a", existing)
        assert (left.deleted, left.size) == (True, 0)
        assert stream.msgs == {}
        with pytest.raises(ObjectNotFound):
            await directory.delete("a", existing)


async def test_an_object_in_a_full_bucket_is_replaced_while_it_is_deleted() -> None:
    async with bucket() as (store, stream):
        directory = Directory(store._js, BUCKET)
        await directory.change("a", add)
        stream.faults = lambda subject, times: FULL if times == 2 else None
        another = ObjectInfo("a", BUCKET, "another", size=5, chunks=1)

        def answer(operation: str, body: Mapping[str, Any]) -> Any:
            if operation != f"STREAM.MSG.DELETE.{STREAM}":
                return None
            stream.remove([body["seq"]])
            stream.add(META, jsonvalue.dumps(another.as_dict()))
            return NO_SEQUENCE

        stream.answers = answer
        assert (await directory.delete("a", existing)).nuid == "another"
        assert [jsonvalue.loads(data)["nuid"] for data in stream.stored(META)] == ["another"]
        assert jsonvalue.loads(stream.stored(META)[0])["deleted"]


# -- renaming


NEW = "$O.b.M.eQ=="


def to_y(stored: ObjectInfo | None) -> ObjectInfo:
    assert stored is not None
    return replace(stored, name="y")


def nuids(stream: Bucket, subject: str = "$O.b.M.*") -> list[str]:
    return [jsonvalue.loads(data)["nuid"] for data in stream.stored(subject)]


async def test_an_object_gets_another_name() -> None:
    async with bucket() as (store, stream):
        directory = Directory(store._js, BUCKET)
        await directory.change("a", add)
        assert (await directory.rename("a", to_y)).name == "y"
        assert (nuids(stream, NEW), nuids(stream, META)) == (["n"], [])


async def test_the_former_name_is_somebody_elses_at_once() -> None:
    async with bucket() as (store, stream):
        directory = Directory(store._js, BUCKET)
        await directory.change("a", add)
        stream.faults = lambda subject, times: "queued" if subject == META else None
        renaming = asyncio.create_task(directory.rename("a", to_y))
        while not stream.queued:
            await asyncio.sleep(0)
        stream.work()
        marker = nuids(stream, META)
        stream.add(META, jsonvalue.dumps(replace(INFO, nuid="other").as_dict()))
        await renaming
        assert (nuids(stream, NEW), nuids(stream, META)) == (["n"], [*marker, "other"])
        assert marker != ["n"]  # nobody who replaces it deletes the object's chunks


async def test_the_former_name_is_always_somebody_elses() -> None:
    async with bucket() as (store, stream):
        directory = Directory(store._js, BUCKET)
        await directory.change("a", add)

        def replaced(subject: str, times: int) -> None:
            if subject == NEW:
                other = replace(INFO, nuid=f"{times}")
                stream.add(META, jsonvalue.dumps(other.as_dict()), {"Nats-Rollup": "sub"})

        stream.faults = replaced
        with pytest.raises(ObjectNotFound):
            await directory.rename("a", to_y)
        assert nuids(stream) == [f"{ATTEMPTS_MAX}"]


async def test_the_new_name_is_taken_back_when_the_former_one_stays() -> None:
    async with bucket() as (store, stream):
        directory = Directory(store._js, BUCKET)
        await directory.change("a", add)
        stream.faults = lambda subject, times: FULL if subject == META else None
        with pytest.raises(StoreFailed):
            await directory.rename("a", to_y)
        assert (nuids(stream, NEW), nuids(stream, META)) == ([], ["n"])


async def test_the_new_name_stays_when_the_former_one_is_gone_in_spite_of_an_error() -> None:
    async with bucket(timeout=0.03) as (store, stream):
        directory = Directory(store._js, BUCKET)
        await directory.change("a", add)
        failed = iter([error(500, 1, "no idea")])

        def answer(operation: str, body: Mapping[str, Any]) -> Any:
            looked = operation.startswith("STREAM.MSG.GET") and stream.published[-2:] == [NEW, META]
            return next(failed, None) if looked else None

        stream.answers = answer
        stream.faults = lambda subject, times: "silent" if subject == META else None
        with pytest.raises(ServerFault):
            await directory.rename("a", to_y)
        assert nuids(stream, NEW) == ["n"]
        assert nuids(stream, META) != ["n"]


# -- chunks


async def test_chunks_are_purged() -> None:
    async with bucket() as (store, stream):
        directory = Directory(store._js, BUCKET)
        for subject in (CHUNKS, "$O.b.C.m", CHUNKS):
            stream.add(subject, b"x")
        await directory.purge_chunks(INFO)
        assert len(stream.msgs) == 1
        link = replace(INFO, nuid="m", options=ObjectMetaOptions(ObjectLink("x")))
        for nothing in (link, replace(INFO, nuid="")):
            await directory.purge_chunks(nothing)
        assert len(stream.msgs) == 1


async def test_chunks_are_purged_as_soon_as_it_can_be() -> None:
    async with bucket(timeout=0.03) as (store, stream):
        stream.add(CHUNKS, b"x")
        answers = iter([b""])  # the first request gets none, and is as good as lost

        def answer(operation: str, body: Mapping[str, Any]) -> Any:
            return next(answers, None)

        stream.answers = answer
        await Directory(store._js, BUCKET).purge_chunks(INFO)
        await store._js.bus.flush()
        assert stream.msgs == {}


@pytest.mark.parametrize("deleted", [True, False])
async def test_former_chunks_are_purged_when_there_is_a_leader_again(deleted: bool) -> None:
    async with bucket(timeout=0.03) as (store, stream):
        directory = Directory(store._js, BUCKET)
        await directory.change("a", lambda _: INFO)
        stream.add(CHUNKS, b"x")
        lost = iter([b""] * (PURGES_MAX - 1))

        def answer(operation: str, body: Mapping[str, Any]) -> Any:
            return next(lost, None) if operation.startswith("STREAM.PURGE") else None

        stream.answers = answer
        if deleted:
            await directory.delete("a", lambda stored: stored or INFO)
        else:
            await directory.replace(replace(INFO, nuid="new"))
        assert stream.stored(CHUNKS) == []


async def test_chunks_that_can_not_be_purged(caplog: pytest.LogCaptureFixture) -> None:
    async with bucket(timeout=0.03) as (store, stream):
        directory = Directory(store._js, BUCKET)
        stream.answers = lambda operation, body: error(500, 1, "disk full")
        with caplog.at_level(logging.WARNING):
            await directory.purge_chunks(INFO)
        assert "chunks of 'a' stay in bucket 'b': disk full" in caplog.text
        await store._js.bus.close()
        await directory.purge_chunks(INFO)


@pytest.mark.parametrize("former", [None, replace(INFO, nuid="former")])
async def test_what_is_left_of_a_put_that_failed(former: ObjectInfo | None) -> None:
    async with bucket() as (store, stream):
        directory = Directory(store._js, BUCKET)
        stream.add(CHUNKS, b"x")
        await directory.discard(INFO, former)
        assert stream.msgs == {}
        stream.add(CHUNKS, b"x")
        stream.add(META, jsonvalue.dumps(INFO.as_dict()))
        await directory.discard(replace(INFO, nuid="other"), former)
        assert len(stream.msgs) == 2


async def test_what_is_left_of_a_put_that_came_through_after_all() -> None:
    async with bucket() as (store, stream):
        directory = Directory(store._js, BUCKET)
        for subject in (CHUNKS, "$O.b.C.former"):
            stream.add(subject, b"x")
        stream.add(META, jsonvalue.dumps(INFO.as_dict()))
        await directory.discard(INFO, replace(INFO, nuid="former"))
        assert [subject for subject, _ in stream.msgs.values()] == [CHUNKS, META]


async def test_what_may_have_been_stored_after_all_is_kept() -> None:
    async with bucket() as (store, stream):
        directory = Directory(store._js, BUCKET)
        stream.add(CHUNKS, b"x")
        stream.answers = lambda operation, body: error(500, 1, "no idea")
        await directory.discard(INFO, None)
        stream.answers = lambda operation, body: None
        await directory.change("a", lambda before: INFO)
        await directory.discard(INFO, None)
        assert len(stream.msgs) == 2
        with pytest.raises(ServerFault):
            stream.answers = lambda operation, body: error(500, 1, "no idea")
            await directory.look("a")
        assert f"STREAM.PURGE.{STREAM}" not in stream.operations
