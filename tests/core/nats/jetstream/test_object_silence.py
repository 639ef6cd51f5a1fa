"""Silence: a reader stops waiting when nothing comes and the server says that nothing will."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_core.nats.jetstream import object_silence
from agents_core.nats.jetstream.object_silence import ROUNDS, Silence
from tests.core.nats.jetstream.fake import CONSUMER, settle
from tests.core.nats.jetstream.fake_bucket import NO_CONSUMER, STREAM, bucket

INFO = f"CONSUMER.INFO.{STREAM}"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_silence, "SILENCE_S", 0.001)


def info(pending: int) -> dict[str, Any]:
    return {**CONSUMER, "num_pending": pending}


async def test_it_is_asked_for_until_nothing_is_left() -> None:
    async with bucket() as (store, stream):
        said = iter([info(3), NO_CONSUMER, info(0), info(1), info(0), info(0)])
        stream.answers = lambda operation, body: next(said) if operation.startswith(INFO) else None
        silence = Silence(store._js, STREAM)
        async with await store._js.ordered_consumer(STREAM, created_cb=silence.created) as messages:
            await silence.wait(messages)
        asked = [operation for operation in stream.operations if operation.startswith(INFO)]
        assert len(asked) == 6
        assert {operation.rpartition(".")[2] for operation in asked} == {silence._consumer}


async def test_nobody_asks_while_something_waits_to_be_read() -> None:
    async with bucket() as (store, stream):
        stream.answers = lambda operation, body: info(0) if operation.startswith(INFO) else None
        silence = Silence(store._js, STREAM)
        stream.add("$O.b.C.n", b"x")
        messages = await store._js.ordered_consumer(STREAM, created_cb=silence.created)
        await settle(stream.bus)
        waiting = asyncio.create_task(silence.wait(messages))
        for _ in range(20):
            await asyncio.sleep(object_silence.SILENCE_S)
        assert not waiting.done()
        assert not [operation for operation in stream.operations if operation.startswith(INFO)]
        async for _ in messages:
            break
        await waiting
        messages.stop()


async def test_what_comes_meanwhile_begins_it_anew() -> None:
    async with bucket() as (store, stream):
        silence = Silence(store._js, STREAM)
        asked = 0

        def answer(operation: str, body: object) -> Any:
            nonlocal asked
            if not operation.startswith(INFO):
                return None
            asked += 1
            silence.taken += asked == 1  # after the first answer
            return info(0)

        stream.answers = answer
        async with await store._js.ordered_consumer(STREAM, created_cb=silence.created) as messages:
            await silence.wait(messages)
        assert asked == ROUNDS
