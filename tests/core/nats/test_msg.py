"""A message: lazy headers, status, and answers."""

from __future__ import annotations

import pytest

from agents_core.errors import ConnectionClosed, InvalidSubject
from agents_core.localbus import LocalBus
from agents_core.nats.msg import Msg


def test_headers_and_status() -> None:
    msg = Msg("a", b"x", raw_headers=b"NATS/1.0 404 No Messages\r\nK: v\r\n\r\n")
    assert (msg.status, msg.description, msg.headers["K"]) == (404, "No Messages", "v")
    assert msg.headers is msg.headers
    bare = Msg("a", b"xy", "r")
    assert (bare.status, bare.description, dict(bare.headers)) == (0, "", {})
    assert repr(bare) == "Msg('a', 2 bytes, reply='r')"


async def test_respond() -> None:
    with pytest.raises(ConnectionClosed):
        Msg("a", reply="r").respond()
    bus = LocalBus()
    subscription = await bus.subscribe("r")
    await Msg("a", reply="r", bus=bus).respond(b"x", {"K": "v"})
    answer = await subscription.next_msg()
    assert (answer.data, answer.headers["K"]) == (b"x", "v")
    with pytest.raises(InvalidSubject, match="the message on 'a' asks for no answer"):
        Msg("a", bus=bus).respond()
    await bus.close()
