"""The bounded queue of an agent, and its lane for control."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_core.errors import AgentStopped, MailboxFull
from agents_core.mailbox import CONTROL_MAX, Control, Envelope, Mailbox
from tests.core.sample import Add


class Reply:
    """Holds one outcome."""

    def __init__(self) -> None:
        self.outcome: Any = None

    def done(self) -> bool:
        return self.outcome is not None

    def set_result(self, result: Any) -> None:
        self.outcome = result

    def set_exception(self, exception: Any) -> None:
        self.outcome = exception


def test_messages_come_out_in_order_and_no_more_than_the_limit_wait() -> None:
    mailbox = Mailbox("a", 2)
    first, second = Envelope(1, "s"), Envelope(2, "s")
    mailbox.put(first)
    mailbox.put(second)
    with pytest.raises(MailboxFull) as caught:
        mailbox.put(Envelope(3, "s"))
    assert caught.value.data() == {"agent": "a", "limit": 2}
    assert len(mailbox) == 2
    assert [mailbox.take(), mailbox.take(), mailbox.take()] == [first, second, None]


def test_control_goes_first_and_has_its_own_bound() -> None:
    mailbox = Mailbox("a", 1)
    mailbox.put(Envelope(1, "s"))
    controls = [Control(print, Reply()) for _ in range(CONTROL_MAX)]
    for control in controls:
        mailbox.put_control(control)
    with pytest.raises(MailboxFull):
        mailbox.put_control(Control(print, Reply()))
    mailbox.put_control(own := Control(print))  # an agent's own timers are not refused
    assert [mailbox.take() for _ in range(CONTROL_MAX)] == controls
    assert mailbox.take() is own
    assert len(mailbox) == 1


def test_what_an_instance_set_up_goes_with_it_and_what_others_ask_for_stays() -> None:
    mailbox = Mailbox("a", 1)
    mailbox.put_control(Control(print))
    mailbox.put_control(asked := Control(print, Reply()))
    mailbox.drop_own()
    assert [mailbox.take(), mailbox.take()] == [asked, None]


def test_closing_tells_who_waits_and_takes_nothing_more() -> None:
    mailbox, replies = Mailbox("a", 5), [Reply(), Reply()]
    mailbox.put(Envelope(1, "s", replies[0]))
    mailbox.put(Envelope(1, "s"))
    mailbox.put_control(Control(print, replies[1]))
    mailbox.close()
    assert [type(reply.outcome) for reply in replies] == [AgentStopped, AgentStopped]
    assert mailbox.take() is None
    for put, item in ((mailbox.put, Envelope(1, "s")), (mailbox.put_control, Control(print))):
        with pytest.raises(AgentStopped):
            put(item)  # type: ignore[operator]


def test_an_answer_is_given_once() -> None:
    reply = Reply()
    envelope = Envelope(1, "s", reply)
    envelope.answer("first")
    envelope.answer("second")
    envelope.fail(ValueError())
    assert reply.outcome == "first"


async def test_nobody_is_answered_who_has_given_up() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    Envelope(1, "s", future).answer(2)
    Envelope(1, "s", future).fail(ValueError())


@pytest.mark.parametrize(
    ("payload", "type", "name"),
    [
        ({"type": "x"}, "", "x"),
        ({"type": "x"}, "y", "y"),
        ({"type": 1}, "", "dict"),
        ("word", "", "word"),
        (Add(1), "", "Add"),
        (None, "", "NoneType"),
    ],
)
def test_what_a_message_calls_itself(payload: Any, type: str, name: str) -> None:
    assert Envelope(payload, "s", type=type).name == name


def test_a_message_gets_an_id_when_somebody_asks_and_keeps_it() -> None:
    envelope = Envelope(1, "s")
    envelope.stamp()
    first = envelope.id, envelope.timestamp
    envelope.stamp()
    assert (envelope.id, envelope.timestamp) == first
    assert all(first)
