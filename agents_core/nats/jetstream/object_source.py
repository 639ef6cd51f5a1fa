"""What can be put into a bucket, as chunks of one size."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Iterable
from contextlib import aclosing
from typing import Protocol, TypeAlias

from agents_core.nats.jetstream.errors import InvalidOption

Piece: TypeAlias = "bytes | bytearray | memoryview"


class Reader(Protocol):
    """What is read until it gives nothing more; in one's own time if `read` is a coroutine."""

    def read(self, size: int, /) -> Piece | Awaitable[Piece]:
        """At most so many bytes; none at the end, and None never: that is no bytes, but no end."""
        ...


Source: TypeAlias = "Piece | str | Reader | Iterable[Piece] | AsyncIterable[Piece]"
"""What can be put: it is there as a whole, or comes piece by piece."""


async def chunks_of(data: Source, size: int) -> AsyncGenerator[bytes]:
    """The data in chunks of `size` bytes; only the last one is smaller, and none is empty.

    At most one chunk and one piece of the data are held.

    Raises:
        InvalidOption: it is nothing that can be put.
        and what reading it raises.
    """
    held: list[Piece] = []
    missing = size
    async with aclosing(_pieces(data, size)) as pieces:
        async for piece in pieces:
            view = memoryview(piece).cast("B")
            while len(view) >= missing:
                yield b"".join([*held, view[:missing]])
                view, held, missing = view[missing:], [], size
            if view:
                held.append(bytes(view))  # the piece may be a buffer that is filled again
                missing -= len(view)
    if held:
        yield b"".join(held)


async def _pieces(data: Source, size: int) -> AsyncGenerator[Piece]:
    """The data as it comes."""
    data = getattr(data, "buffer", data)  # of a file that was opened as text
    if isinstance(data, str):
        yield data.encode()
    elif isinstance(data, bytes | bytearray | memoryview):
        yield data
    elif hasattr(data, "read"):
        while piece := _checked(await _awaited(data.read(size))):
            yield piece
    elif isinstance(data, AsyncIterable):
        async for piece in data:
            yield _checked(piece)
    elif isinstance(data, Iterable):
        for item in data:  # a name of its own, as the type is another one
            yield _checked(item)
    else:
        raise InvalidOption("data", f"not {type(data).__name__}: {_KINDS}")


_KINDS = "bytes, text, a reader, or an iterable of bytes"


async def _awaited(piece: Piece | Awaitable[Piece]) -> Piece:
    return await piece if inspect.isawaitable(piece) else piece


def _checked(piece: object) -> Piece:
    if not isinstance(piece, bytes | bytearray | memoryview):
        raise InvalidOption("data", f"it gives {type(piece).__name__}, not bytes")
    return piece
