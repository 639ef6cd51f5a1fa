"""The parser's promise: any bytes parse or raise ProtocolError, and every chunking agrees."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_core.errors import ProtocolError
from agents_core.nats import parser
from agents_core.nats.msg import Msg
from agents_core.nats.parser import Err, Event, Info, Ok, Parser, Ping, Pong
from agents_core.nats.protocol import encode_publish

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "parser.json").read_text())


def plain(event: Msg | Event) -> Any:
    """An event as data that can be compared and written down."""
    if isinstance(event, Msg):
        text = [event.raw_headers.decode("latin-1"), event.data.decode("latin-1")]
        return ["MSG", event.subject, event.sid.decode("latin-1"), event.reply, *text]
    names = {Ping: "PING", Pong: "PONG", Ok: "+OK", Info: "INFO", Err: "-ERR"}
    detail = event.data if isinstance(event, Info) else getattr(event, "text", None)
    return [names[type(event)], *([detail] if detail is not None else [])]


def parse(chunks: list[bytes]) -> tuple[list[Any], bool]:
    """The messages of some chunks, then their events, and whether they ended in an error."""
    msgs: list[Msg] = []
    events: list[Event] = []
    machine = Parser()
    failed = False
    try:
        for chunk in chunks:
            machine.feed(chunk, msgs, events)
    except ProtocolError:
        failed = True
    return [plain(item) for item in (*msgs, *events)], failed


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vectors_under_every_split(vector: dict[str, Any]) -> None:
    data = vector["bytes"].encode("latin-1")
    in_order = sorted(vector["events"], key=lambda item: item[0] != "MSG")
    expected = in_order, vector.get("error", False)
    assert parse([data]) == expected
    assert parse([data[i : i + 1] for i in range(len(data))]) == expected
    for cut in range(len(data)):
        assert parse([data[:cut], data[cut:]]) == expected


TOKEN = st.text("abcXYZ019_$é", min_size=1, max_size=8)
SUBJECT = st.lists(TOKEN, min_size=1, max_size=4).map(".".join)
PIECES = st.one_of(
    st.builds(
        lambda subject, sid, reply, data: (
            b"MSG %b %b%b %d\r\n%b\r\n"
            % (
                subject.encode(),
                b"%d" % sid,
                f" {reply}".encode() if reply else b"",
                len(data),
                data,
            )
        ),
        SUBJECT,
        st.integers(1, 99),
        st.one_of(st.just(""), SUBJECT),
        st.binary(max_size=60),
    ),
    st.builds(
        lambda subject, data: (
            b"HMSG %b 1 %d %d\r\nNATS/1.0\r\nA: b\r\n\r\n%b\r\n"
            % (subject.encode(), 18, 18 + len(data), data)
        ),
        SUBJECT,
        st.binary(max_size=60),
    ),
    st.sampled_from(
        [b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'x'\r\n", b'INFO {"a":1} \r\n', b"ping\n"]
    ),
    st.sampled_from([b"msg a 1 1\r\nx\r\n", b"MSG  a\t1 1\r\nx\r\n", b"MSG a 1 1\nx\r\n"]),
    st.binary(max_size=12),
)


@given(st.lists(PIECES, max_size=8).map(b"".join), st.lists(st.integers(0, 400), max_size=12))
def test_every_chunking_gives_the_same_events(data: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[a:b] for a, b in pairwise(edges)]
    assert parse(chunks) == parse([data])


@given(SUBJECT, SUBJECT, st.binary(max_size=200), st.booleans())
def test_what_is_encoded_parses_to_the_same(
    subject: str, reply: str, data: bytes, headers: bool
) -> None:
    block = b"NATS/1.0\r\nK: v\r\n\r\n" if headers else b""
    sent = encode_publish(subject, data, reply, {"K": "v"} if headers else None, 1000)
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
    msgs: list[Msg] = []
    machine = Parser()
    for i in range(parser.MEMO_LINES_MAX + 10):
        machine.feed(b"MSG s%d 1 0\r\n\r\n" % i, msgs, [])
    assert len(machine._memo) <= parser.MEMO_LINES_MAX
    assert [msg.subject for msg in msgs[-2:]] == [
        f"s{parser.MEMO_LINES_MAX + 8}",
        f"s{parser.MEMO_LINES_MAX + 9}",
    ]
