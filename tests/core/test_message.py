"""The seed's five fields."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core import Message
from agents_core.errors import InvalidMessage


def test_the_five_fields_there_and_back() -> None:
    message = Message("a", "b", {"x": 1})
    data = message.to_json()
    assert sorted(data) == ["from", "id", "payload", "timestamp", "to"]
    assert Message.from_json(data, recipient="b") == message


def test_only_the_payload_is_required() -> None:
    message = Message.from_json({"payload": None}, recipient="b", sender="node")
    assert (message.sender, message.recipient, message.payload) == ("node", "b", None)
    assert len(message.id) == 22
    assert message.timestamp > 1.7e9


def test_the_recipient_is_what_the_subject_says() -> None:
    assert Message.from_json({"payload": 1, "to": "else"}, recipient="b").recipient == "b"


def test_the_payload_s_sender_is_shown_where_the_body_has_one() -> None:
    assert Message.from_json({"payload": 1, "from": "a"}, sender="node").sender == "a"


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "text",
        {},
        {"payload": 1, "extra": 2},
        {"payload": 1, "id": 5},
        {"payload": 1, "from": ["a"]},
        {"payload": 1, "timestamp": "now"},
        {"payload": 1, "timestamp": True},
    ],
)
def test_what_is_no_message_is_refused(data: Any) -> None:
    with pytest.raises(InvalidMessage):
        Message.from_json(data)
