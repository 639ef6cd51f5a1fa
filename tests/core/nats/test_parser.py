"""The parser's promise: any bytes parse or raise ProtocolError, and every chunking agrees."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_core.nats import parser
from agents_core.nats.frames import encode_publish
from agents_core.nats.parser import Arrival, Parser
from tests.core.nats import reference
from tests.core.nats.streams import STREAM, SUBJECT, parse

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "parser.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vectors_under_every_split(vector: dict[str, Any]) -> None:
    data = vector["bytes"].encode("latin-1")
    in_order = sorted(vector["events"], key=lambda item: item[0] != "MSG")
    expected = in_order, vector.get("error", False)
    assert parse([data]) == expected
    assert parse([data[i : i + 1] for i in range(len(data))]) == expected
    for cut in range(len(data)):
        assert parse([data[:cut], data[cut:]]) == expected


@given(STREAM, st.lists(st.integers(0, 400), max_size=12))
def test_every_chunking_gives_the_same_events(data: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[a:b] for a, b in pairwise(edges)]
    assert parse(chunks) == parse([data])


@given(STREAM)
def test_it_finds_what_a_simple_parser_finds(data: bytes) -> None:
    assert parse([data]) == reference.parse(data)


ALIKE = b"MSG abc 1 2\r\nhi\r\n"


def test_a_run_that_is_longer_than_what_is_cut_at_once() -> None:
    data = ALIKE * (2 * parser.RUN_BYTES // len(ALIKE)) + b"MSG abd 1 2\r\nhi\r\n"
    assert parse([data]) == reference.parse(data)


@pytest.mark.parametrize(
    "end",
    [
        b"",
        b"MSG abd 1 2\r\nhi\r\n",
        b"MSG abc 1 2\r\nhi",
        b"MSG abc 1 2\r\nhi\r\r",
        b"MSG abc 1 3\r\nhi!\r\n",
        b"PING\r\nMSG abc 1 2\r\nhi\r\n",
        b"MSG abd 1 2\r\nhi\r\n" + ALIKE * 40,
        b"MSG abc 1 2\r\nhi\r\r" + ALIKE * 40,
        b"MSG abc 1 2\r\nhi\r\n" + ALIKE * 40,
    ],
    ids=[
        *("chunk", "subject", "incomplete", "no CRLF", "size", "PING"),
        *("subject inside", "no CRLF inside", "longer"),
    ],
)
def test_a_run_of_messages_ends_where_it_ends(end: bytes) -> None:
    data = ALIKE * (4 * parser.RUN_MIN) + end
    expected = reference.parse(data)
    assert parse([data]) == expected
    for cut in range(len(data)):
        assert parse([data[:cut], data[cut:]]) == expected


@given(SUBJECT, SUBJECT, st.binary(max_size=200), st.booleans())
def test_what_is_encoded_parses_to_the_same(
    subject: str, reply: str, data: bytes, headers: bool
) -> None:
    block = b"NATS/1.0\r\nK: v\r\n\r\n" if headers else b""
    sent = b"".join(encode_publish(subject, data, reply, {"K": "v"} if headers else None, 1000))
    verb, _, rest = sent.partition(b" ")
    echoed = rest.replace(f"{subject} ".encode(), f"{subject} 7 ".encode(), 1)
    received = (b"HMSG " if verb == b"HPUB" else b"MSG ") + echoed
    expected = [["MSG", subject, "7", reply, block.decode(), data.decode("latin-1")]]
    assert parse([received]) == (expected, False)


@pytest.mark.parametrize(
    "data",
    [
        b"x" * (parser.LINE_BYTES_MAX + 1),
        b"MSG " + b"a" * parser.LINE_BYTES_MAX + b" 1 0\r\n\r\n",
        b"INFO " + b"x" * parser.INFO_BYTES_MAX,
        b"MSG a 1 %d\r\n" % (parser.PAYLOAD_BYTES_MAX + 1),
        b"MSG a 1 99999999999\r\n",
    ],
    ids=["line", "msg line", "info", "payload", "digits"],
)
def test_what_is_larger_than_its_bound_is_an_error(data: bytes) -> None:
    assert parse([data]) == ([], True)
    half = len(data) // 2
    assert parse([data[:half], data[half:]]) == ([], True)


def test_a_large_info_is_taken() -> None:
    urls = [f"10.0.{i // 256}.{i % 256}:4222" for i in range(1000)]
    line = b"INFO " + json.dumps({"connect_urls": urls}).encode() + b"\r\n"
    assert parse([line]) == ([["INFO", {"connect_urls": urls}]], False)


def test_more_lines_than_the_memo_holds() -> None:
    arrival, machine = Arrival(), Parser()
    for i in range(parser.MEMO_LINES_MAX + 10):
        machine.feed(b"MSG s%d 1 0\r\n\r\n" % i, arrival)
    assert len(machine._memo) <= parser.MEMO_LINES_MAX
    assert [msgs[0].subject for _, msgs in arrival.batches[-2:]] == [
        f"s{parser.MEMO_LINES_MAX + 8}",
        f"s{parser.MEMO_LINES_MAX + 9}",
    ]
