"""Bytes as a server sends them, nearly so, and not at all; and what a parser makes of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from agents_core.errors import ProtocolError
from agents_core.nats.msg import Msg
from agents_core.nats.parser import Arrival, Err, Event, Info, Ok, Parser, Ping, Pong


def plain(item: Msg | Event) -> Any:
    """A message or an event as data that can be compared and written down."""
    if isinstance(item, Msg):
        text = [item.raw_headers.decode("latin-1"), item.data.decode("latin-1")]
        return ["MSG", item.subject, item.sid.decode("latin-1"), item.reply, *text]
    names = {Ping: "PING", Pong: "PONG", Ok: "+OK", Info: "INFO", Err: "-ERR"}
    detail = item.data if isinstance(item, Info) else getattr(item, "text", None)
    return [names[type(item)], *([detail] if detail is not None else [])]


def parse(chunks: list[bytes]) -> tuple[list[Any], bool]:
    """The messages of some chunks, then their events, and whether they ended in an error."""
    arrival, machine = Arrival(), Parser()
    failed = False
    try:
        for chunk in chunks:
            machine.feed(chunk, arrival)
    except ProtocolError:
        failed = True
    msgs = [msg for sid, batch in arrival.batches for msg in batch if msg.sid == sid]
    assert arrival.size == sum(len(msg.data) for msg in msgs)
    return [plain(item) for item in (*msgs, *arrival.events)], failed


def _msg(verb: bytes, subject: str, sid: int, reply: str, block: bytes, data: bytes) -> bytes:
    target = f"{subject} {sid} {reply}".rstrip().encode()
    sizes = b"%d %d" % (len(block), len(block) + len(data)) if block else b"%d" % len(data)
    return b"%b %b %b\r\n%b%b\r\n" % (verb, target, sizes, block, data)


TOKEN = st.text("abcXYZ019_$é", min_size=1, max_size=8)
SUBJECT = st.lists(TOKEN, min_size=1, max_size=4).map(".".join)
REPLY = st.one_of(st.just(""), SUBJECT)
SID = st.integers(1, 99)
DATA = st.binary(max_size=60)
BLOCK = st.sampled_from(
    [b"NATS/1.0\r\n\r\n", b"NATS/1.0\r\nA: b\r\n\r\n", b"NATS/1.0 503\r\n\r\n", b"NATS/1.0 no\r\n"]
)
MESSAGE = st.one_of(
    st.builds(_msg, st.just(b"MSG"), SUBJECT, SID, REPLY, st.just(b""), DATA),
    st.builds(_msg, st.just(b"HMSG"), SUBJECT, SID, REPLY, BLOCK, DATA),
)
RUN = st.builds(lambda message, times: message * times, MESSAGE, st.integers(2, 40))
PIECE = st.one_of(
    MESSAGE,
    RUN,
    st.sampled_from(
        [b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'x'\r\n", b'INFO {"a":1} \r\n', b"ping\n"]
    ),
    st.sampled_from([b"msg a 1 1\r\nx\r\n", b"MSG  a\t1 1\r\nx\r\n", b"MSG a 1 1\nx\r\n"]),
    st.binary(max_size=12),
)
STREAM = st.lists(PIECE, max_size=8).map(b"".join)
