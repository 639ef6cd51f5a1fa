"""Messages of a consumer: what the reply subject tells, and acknowledgements."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agents_core.errors import ConnectionClosed, RequestTimeout
from agents_core.localbus import LocalBus
from agents_core.nats.jetstream import JSMsg, Metadata
from agents_core.nats.jetstream.errors import MsgAlreadyAckd, NotJSMessage
from agents_core.nats.msg import Msg

V1 = "$JS.ACK.orders.worker.2.30.40.1700000000123456789.5"
V2 = "$JS.ACK.hub.hash.orders.worker.2.30.40.1700000000123456789.5"


@pytest.mark.parametrize(
    ("reply", "domain"),
    [
        (V1, None),
        (V2, "hub"),
        (V2.replace("hub", "_"), None),
        (f"{V2}.random", "hub"),
        (f"{V2}.random.and.more", "hub"),
    ],
)
def test_both_forms_of_the_reply_subject(reply: str, domain: str | None) -> None:
    said = Metadata(reply)
    assert (said.stream, said.consumer, said.domain) == ("orders", "worker", domain)
    assert (said.num_delivered, said.num_pending) == (2, 5)
    assert (said.sequence.stream, said.sequence.consumer) == (30, 40)
    assert said.timestamp_ns == 1700000000123456789
    assert said.timestamp == datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)
    assert repr(said) == (
        "Metadata(orders/worker, sequence=SequencePair(consumer=40, stream=30), num_pending=5)"
    )


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "_INBOX.a",
        "$JS.ACK.a.b.1.2.3.4",
        f"{V1}.6",
        V1.replace("ACK", "FC"),
        f"{V1}x",
        "a." * 12,
    ],
)
def test_reply_subjects_that_tell_nothing(reply: str) -> None:
    msg = JSMsg(Msg("a", reply=reply))
    with pytest.raises(NotJSMessage):
        _ = msg.metadata


def test_it_is_a_message() -> None:
    raw = b"NATS/1.0\r\nK: v\r\n\r\n"
    msg = JSMsg(Msg("a", b"x", V1, raw, b"7"))
    assert (msg.subject, msg.data, msg.reply, msg.headers["K"]) == ("a", b"x", V1, "v")
    assert msg.metadata is msg.metadata
    assert not msg.is_acked


async def answers(act: str, *arguments: object) -> bytes:
    """What one acknowledgement sends."""
    bus = LocalBus()
    subscription = await bus.subscribe("$JS.ACK.>")
    msg = JSMsg(Msg("a", reply=V1, bus=bus))
    await getattr(msg, act)(*arguments)
    sent = await subscription.next_msg()
    assert sent.subject == V1
    await bus.close()
    return sent.data


async def test_what_acknowledgements_send() -> None:
    assert await answers("ack") == b"+ACK"
    assert await answers("nak") == b"-NAK"
    assert await answers("nak", 1.5) == b'-NAK {"delay":1500000000}'
    assert await answers("term") == b"+TERM"
    assert await answers("term", "no use") == b"+TERM no use"
    assert await answers("in_progress") == b"+WPI"


async def test_a_delay_without_end_is_refused_and_nothing_is_sent() -> None:
    msg = JSMsg(Msg("a", reply=V1, bus=LocalBus()))
    with pytest.raises(ValueError, match="inf is not a number of seconds"):
        msg.nak(float("inf"))
    assert not msg.is_acked


@pytest.mark.parametrize("act", ["ack", "nak", "term"])
async def test_there_is_one_final_acknowledgement(act: str) -> None:
    bus = LocalBus()
    msg = JSMsg(Msg("a", reply=V1, bus=bus))
    msg.in_progress()
    msg.in_progress()
    getattr(msg, act)()
    assert msg.is_acked
    for again in (msg.ack, msg.nak, msg.term, msg.in_progress):
        with pytest.raises(MsgAlreadyAckd, match="'a'"):
            again()
    with pytest.raises(MsgAlreadyAckd):
        await msg.ack_sync()
    await bus.close()


async def test_an_acknowledgement_that_is_answered() -> None:
    bus = LocalBus()
    msg = JSMsg(Msg("a", reply=V1, bus=bus))
    silent = await bus.subscribe("$JS.ACK.>")
    with pytest.raises(RequestTimeout):
        await msg.ack_sync(timeout=0.001)
    assert not msg.is_acked  # so that it can be tried again
    silent.end()
    await bus.subscribe("$JS.ACK.>", cb=lambda asked: asked.respond(asked.data))
    assert (await msg.ack_sync()).data == b"+ACK"
    assert msg.is_acked
    await bus.close()


async def test_what_cannot_be_acknowledged() -> None:
    with pytest.raises(ConnectionClosed):
        JSMsg(Msg("a", reply=V1)).ack()
    with pytest.raises(ConnectionClosed):
        await JSMsg(Msg("a", reply=V1)).ack_sync()
    bus = LocalBus()
    with pytest.raises(NotJSMessage):
        JSMsg(Msg("a", reply="_INBOX.a", bus=bus)).ack()
    await bus.close()
    closed = JSMsg(Msg("a", reply=V1, bus=bus))
    with pytest.raises(ConnectionClosed):
        closed.ack()
    assert not closed.is_acked
