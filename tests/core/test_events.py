"""What happened to agents, there and back, and how much of it is remembered."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core import Event, Exit
from agents_core.errors import InvalidMessage
from agents_core.events import EVENTS_MAX, History
from agents_core.exit import Kind
from agents_core.nats.msg import Msg


@pytest.mark.parametrize("reason", [None, Exit(Kind.ERROR, "ValueError", "text", "trace")])
def test_an_event_there_and_back(reason: Exit | None) -> None:
    event = Event("n", "a", "Counter", "crashed", reason)
    assert Event.from_json(event.to_json(), "n") == event


def test_its_form_on_the_wire() -> None:
    event = Event("n", "a", "Counter", "crashed", Exit(Kind.KILLED, "Killed", "why", "trace"), 5.0)
    assert event.to_json() == {
        "node": "n",
        "agent": "a",
        "type": "Counter",
        "kind": "crashed",
        "reason": {"kind": "killed", "type": "Killed", "message": "why"},
        "traceback": "trace",
        "timestamp": 5.0,
    }


def test_the_node_is_what_the_subject_says() -> None:
    assert Event.from_json({"node": "liar", "timestamp": 1}, "n").node == "n"


@pytest.mark.parametrize("reason", [5, {}, {"kind": "from the future"}, {"kind": []}])
def test_a_reason_that_is_not_known_is_none(reason: Any) -> None:
    assert Event.from_json({"timestamp": 1, "reason": reason}, "n").reason is None


@pytest.mark.parametrize("data", [None, [], {}, {"timestamp": "now"}])
def test_what_is_no_event_is_refused(data: Any) -> None:
    with pytest.raises(InvalidMessage):
        Event.from_json(data, "n")


def test_so_many_events_are_remembered_and_all_are_told() -> None:
    history, told = History("n"), []
    end = history.listeners.add(told.append)
    events = [Event("n", f"a{index}", "Counter", "started") for index in range(EVENTS_MAX + 5)]
    for event in events:
        history.add(event)
    end()
    history.add(events[0])
    assert list(history.recent) == [*events[6:], events[0]]
    assert told == events


def test_one_s_own_events_come_back_and_those_of_others_are_read_with_care() -> None:
    history, told = History("n"), []
    history.listeners.add(told.append)
    for data in (b"garbage", b"{}", b'{"timestamp": 1}'):
        history.take(Msg("acore.default.event.other", data=data))
        history.take(Msg("acore.default.event.n", data=data))
    assert [event.node for event in told] == ["other"]
    assert list(history.recent) == told
