"""Any frames in any chunks come out as they went in."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_core.errors import InvalidMessage, MaxPayloadExceeded
from agents_core.hosts.frames import (
    HEADER_BYTES_MAX,
    NAMES_CHARS_MAX,
    PAYLOAD_BYTES_MAX,
    Reader,
    check_names,
    pack,
)

headers = st.lists(st.text() | st.integers() | st.booleans(), max_size=5)
frames = st.lists(st.tuples(headers, st.binary(max_size=200)), max_size=8)


def read(chunks: list[bytes]) -> list[Any]:
    reader = Reader()
    return [frame for chunk in chunks for frame in reader.feed(chunk)]


@given(frames, st.lists(st.integers(0, 1000)))
def test_frames_survive_any_split(sent: list[tuple[list[Any], bytes]], cuts: list[int]) -> None:
    data = b"".join(pack(header, payload) for header, payload in sent)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[begin:end] for begin, end in pairwise(edges)]
    assert read(chunks) == sent
    assert read([data[i : i + 1] for i in range(len(data))]) == sent


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_any_bytes_are_frames_or_refused(chunks: list[bytes]) -> None:
    try:
        read(chunks)
    except InvalidMessage:
        return


def test_a_large_payload_in_many_chunks_is_joined_once() -> None:
    payload = bytes(range(256)) * 10_000
    data = pack(["x"], payload)
    reader = Reader()
    chunks = [data[i : i + 10_000] for i in range(0, len(data), 10_000)]
    found = [frame for chunk in chunks[:-1] for frame in reader.feed(chunk)]
    assert not found
    assert len(reader._chunks) == len(chunks) - 1
    assert list(reader.feed(chunks[-1])) == [(["x"], payload)]


@pytest.mark.parametrize(
    "data",
    [
        (HEADER_BYTES_MAX + 1).to_bytes(4, "big") + bytes(4),
        bytes(4) + (PAYLOAD_BYTES_MAX + 1).to_bytes(4, "big"),
        pack([])[:8] + b"{}",
        pack([])[:8] + b"[x",
        pack([])[:8] + b"[\xff",
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidMessage):
        read([data])


def test_a_payload_has_a_bound() -> None:
    with pytest.raises(MaxPayloadExceeded):
        pack([], bytes(PAYLOAD_BYTES_MAX + 1))


def test_a_header_has_a_bound() -> None:
    with pytest.raises(MaxPayloadExceeded):
        pack(["x" * HEADER_BYTES_MAX])


def test_the_names_of_a_message_fit_into_a_header() -> None:
    longest = "\U0001f600" * NAMES_CHARS_MAX
    check_names(longest, "")
    assert read([pack([longest])]) == [([longest], b"")]
    with pytest.raises(InvalidMessage):
        check_names(longest, "x")
