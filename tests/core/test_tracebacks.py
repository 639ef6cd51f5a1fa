"""Tracebacks begin where the code of whoever wrote the agent does."""

from __future__ import annotations

import pytest

from agents_core import Agent, connect, jsonvalue, on, tracebacks
from agents_core.errors import EncodeError, RemoteError
from tests.core.sample import Counter, Events


async def test_a_crash_begins_in_the_agents_code() -> None:
    async with connect("local://") as node:
        events = Events(node)
        counter = await node.spawn(Counter, "c")
        counter.tell("boom")
        crash = await events.wait("crashed")
    assert crash.reason is not None
    first, second = crash.reason.traceback.splitlines()[:2]
    assert first == "Traceback (most recent call last):"
    assert "sample.py" in second
    assert "in boom" in second


def test_what_lies_deeper_stays() -> None:
    with pytest.raises(EncodeError) as caught:
        jsonvalue.dumps(object())
    text = tracebacks.text_of(caught.value)
    assert "test_tracebacks.py" in text
    assert "jsonvalue.py" in text


def test_where_there_is_nothing_else_all_of_it_stays() -> None:
    with pytest.raises(EncodeError) as caught:
        jsonvalue.dumps(object())
    inside = caught.tb.tb_next
    assert inside is not None
    text = tracebacks.text_of(caught.value.with_traceback(inside))
    assert text.startswith("Traceback")
    assert "jsonvalue.py" in text


async def test_an_error_that_python_can_not_show_is_a_crash_as_any_other() -> None:
    class Odd(Agent):
        @on("boom")
        def boom(self) -> None:
            cause = AttributeError(name="\ud800", obj=self)  # which Python 3.14 can't show
            raise SyntaxError("odd", ("f", 1, 1, 5)) from cause  # type: ignore[arg-type]

    async with connect("local://") as node:
        odd = await node.spawn(Odd, "odd")
        with pytest.raises(RemoteError) as caught:
            await odd.ask("boom")
        assert "in boom" in caught.value.traceback
        assert "\nSyntaxError: <no text: " in caught.value.traceback
        with pytest.raises(RemoteError):  # it was restarted
            await odd.ask("boom")
