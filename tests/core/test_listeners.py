"""Who wants to be told of something."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_core.errors import Unsupported
from agents_core.listeners import Listeners
from tests.core.nats.scripted import unhandled


def test_each_is_called_in_the_order_they_were_added_until_it_is_taken_away() -> None:
    listeners: Listeners[[str]] = Listeners()
    found: list[str] = []
    first = listeners.add(lambda word: found.append(f"first {word}"))
    listeners.add(lambda word: found.append(f"second {word}"))
    listeners.call("a")
    first()
    first()
    listeners.call("b")
    assert found == ["first a", "second a", "second b"]


def test_the_same_function_may_be_added_twice() -> None:
    listeners: Listeners[[int]] = Listeners()
    found: list[int] = []
    end = listeners.add(found.append)
    listeners.add(found.append)
    listeners.call(1)
    end()
    listeners.call(2)
    assert found == [1, 1, 2]


async def test_one_that_raises_is_reported_and_the_next_is_called() -> None:
    def fail() -> None:
        raise RuntimeError("listener")

    def wait_for_what_was_cancelled() -> None:
        raise asyncio.CancelledError

    listeners: Listeners[[]] = Listeners()
    found: list[str] = []
    listeners.add(fail)
    listeners.add(wait_for_what_was_cancelled)
    listeners.add(lambda: found.append("called"))
    with unhandled() as errors:
        listeners.call()
    assert found == ["called"]
    assert [str(error) for error in errors] == ["listener", ""]


def test_listeners_may_come_and_go_while_they_are_called() -> None:
    listeners: Listeners[[]] = Listeners()
    found: list[str] = []

    def once() -> None:
        end()
        listeners.add(lambda: found.append("new"))

    end = listeners.add(once)
    listeners.call()
    assert found == []
    listeners.call()
    assert found == ["new"]


async def forgotten() -> None:
    """Nobody would await it."""


@pytest.mark.parametrize(
    ("wrong", "what"), [(forgotten, "an async listener"), (None, "NoneType as a listener")]
)
def test_what_can_not_be_called_at_once_is_refused(wrong: Any, what: str) -> None:
    listeners: Listeners[[]] = Listeners()
    with pytest.raises(Unsupported, match=f"{what}.*give a plain function"):
        listeners.add(wrong)
    listeners.call()
