"""Chunks of what is put: the same bytes, in chunks of one size."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_core.nats.jetstream.errors import InvalidOption
from agents_core.nats.jetstream.object_source import Source, chunks_of


async def chunks(data: Source, size: int) -> list[bytes]:
    return [chunk async for chunk in chunks_of(data, size)]


async def asynchronous(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


class AsyncReader:
    """Gives less than it is asked for."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    async def read(self, size: int) -> bytes:
        return self._file.read(max(1, size // 2))


@given(st.lists(st.binary(max_size=20), max_size=8), st.integers(1, 25))
def test_the_same_bytes_in_chunks_of_one_size(pieces: list[bytes], size: int) -> None:
    whole = b"".join(pieces)
    expected = [whole[at : at + size] for at in range(0, len(whole), size)]
    for data in (
        whole,
        bytearray(whole),
        memoryview(whole),
        pieces,
        tuple(pieces),
        iter(pieces),
        asynchronous(pieces),
        io.BytesIO(whole),
        AsyncReader(whole),
        [bytearray(piece) for piece in pieces],
    ):
        assert run(chunks(data, size)) == expected


def run(coroutine: object) -> object:
    """Run what never waits for anything, as Hypothesis can't await."""
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    return stop.value.value


async def test_text_and_files_opened_as_text() -> None:
    assert await chunks("grün", 3) == [b"gr\xc3", b"\xbcn"]
    file = io.TextIOWrapper(io.BytesIO(b"abc"))
    assert await chunks(file, 2) == [b"ab", b"c"]


async def test_items_of_several_bytes() -> None:
    numbers = memoryview(bytes(8)).cast("I")
    assert await chunks(numbers, 5) == [bytes(5), bytes(3)]


async def test_a_buffer_that_is_filled_again() -> None:
    def fill() -> Iterator[bytearray]:
        buffer = bytearray(2)
        for number in range(3):
            buffer[:] = bytes([number]) * 2
            yield buffer

    assert await chunks(fill(), 3) == [b"\0\0\1", b"\1\2\2"]


@pytest.mark.parametrize("data", [None, 3, object(), ["text"], [1], [b"", None], io.StringIO("a")])
async def test_what_can_not_be_put(data: Source) -> None:
    with pytest.raises(InvalidOption, match="data: "):
        await chunks(data, 10)


async def test_a_reader_that_has_nothing_yet() -> None:
    class NonBlocking:
        def __init__(self) -> None:
            self._gives = iter([b"abc", None, b"def", b""])

        def read(self, size: int) -> bytes | None:
            return next(self._gives)

    found = chunks_of(NonBlocking(), 3)
    assert await anext(found) == b"abc"
    with pytest.raises(InvalidOption, match="data: it gives NoneType, not bytes"):
        await anext(found)


async def test_the_source_is_left_when_the_chunks_are() -> None:
    left = []

    async def source() -> AsyncIterator[bytes]:
        try:
            yield b"ab"
            yield b"cd"
        finally:
            left.append(True)

    generator = source()
    found = chunks_of(generator, 1)
    assert await anext(found) == b"a"
    await found.aclose()
    await generator.aclose()
    assert left == [True]
