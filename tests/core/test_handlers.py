"""Which method handles what: read once per class, wrong classes refused when they are made."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass, make_dataclass
from typing import Any

import pytest

from agents_core import Agent, connect, every, on
from agents_core.codec import decode_named
from agents_core.errors import InvalidMessage, InvalidSpec
from agents_core.handlers import Refused
from agents_core.mailbox import Envelope
from tests.core.sample import Add, Counter, Total


def test_a_class_knows_its_handlers_by_type_and_by_name() -> None:
    assert Counter.__agents_handlers__.by_type[Add].name == "add"
    assert Counter.__agents_handlers__.by_name["Add"] is Counter.__agents_handlers__.by_type[Add]
    assert not Counter.__agents_handlers__.by_name["total"].takes_payload
    assert Counter.__agents_handlers__.by_name["echo"].takes_payload


def test_types_that_handlers_take_and_return_are_known_by_name() -> None:
    assert decode_named("Add", {"n": 1}) == Add(1)
    assert decode_named("Total", {"value": 1}) == Total(1)
    assert decode_named("nothing", {"n": 1}) == {"n": 1}


def test_handlers_are_inherited_and_replaced() -> None:
    class More(Counter):
        @on("total")
        def total_twice(self) -> None: ...

        total = None  # type: ignore[assignment]

        @every(1)
        def tick(self) -> None: ...

    assert More.__agents_handlers__.by_name["total"].name == "total_twice"
    assert More.__agents_handlers__.by_type[Add].name == "add"
    assert More.__agents_handlers__.every == [(1.0, "tick")]
    assert Counter.__agents_handlers__.every == []


async def test_a_method_that_overrides_a_handler_handles_the_same() -> None:
    class Twice(Counter):
        async def add(self, m):  # type: ignore[no-untyped-def,override]
            return 2 * await super().add(m)

        def total(self) -> Total:
            return Total(-1)

    async with connect("local://") as node:
        twice = await node.spawn(Twice, "t")
        assert await twice.ask(Add(1)) == 2
        assert await twice.ask({"type": "Add", "n": 1}) == 4
        assert await twice.ask("total") == Total(-1)


@dataclass
class Average:
    mean: float


def test_the_reply_of_a_method_that_overrides_a_handler_is_known_by_name() -> None:
    class Mean(Counter):
        def total(self) -> Average:  # type: ignore[override]
            return Average(0.5)

    assert decode_named("Average", {"mean": 0.5}) == Average(0.5)


def test_a_method_that_overrides_one_may_say_something_else() -> None:
    class Base(Agent):
        @on("a")
        def one(self) -> None: ...

        @every(1)
        def tick(self) -> None: ...

    class Other(Base):
        @on("b")
        def one(self) -> None: ...

        def tick(self) -> None: ...

    class Last(Other):
        def one(self) -> None: ...

    assert (
        list(Other.__agents_handlers__.by_name) == list(Last.__agents_handlers__.by_name) == ["b"]
    )
    assert Last.__agents_handlers__.every == [(1.0, "tick")]


def test_the_argument_is_the_payload_or_made_from_it() -> None:
    add, echo = (
        Counter.__agents_handlers__.by_type[Add],
        Counter.__agents_handlers__.by_name["echo"],
    )
    assert add.argument(Envelope({"type": "Add", "n": 2}, "s")) == Add(2)
    assert add.argument(Envelope({"n": 2}, "s", type="Add")) == Add(2)
    assert echo.argument(Envelope({"type": "echo", "n": 2}, "s")) == {"n": 2}
    assert echo.argument(Envelope({"type": "mine"}, "s", type="echo")) == {"type": "mine"}
    with pytest.raises(Refused):
        add.argument(Envelope({"type": "Add"}, "s"))


async def test_a_decorated_plain_method_may_return_an_awaitable() -> None:
    def traced(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(self: Any, payload: Any) -> Any:
            return function(self, payload)

        return wrapper

    class Traced(Agent):
        @on("x")
        @traced
        async def x(self, payload: Any) -> Any:
            return payload["n"]

    async with connect("local://") as node:
        traced_agent = await node.spawn(Traced, "t")
        assert await traced_agent.ask({"type": "x", "n": 1}) == 1


def test_a_payload_that_does_not_fit_is_an_invalid_message() -> None:
    assert issubclass(Refused, InvalidMessage)


def test_a_payload_whose_class_was_made_again_still_fits() -> None:
    add = Counter.__agents_handlers__.by_type[Add]
    again = make_dataclass("Add", [("n", int)])
    assert add.argument(Envelope(again(2), "s")) == Add(2)
    for other in (again("x"), again(object()), make_dataclass("Add", ["m"])(2)):
        with pytest.raises(Refused):
            add.argument(Envelope(other, "s"))


def no_parameter() -> None:
    class Wrong(Agent):
        @on
        def handle(self) -> None: ...


def not_annotated() -> None:
    class Wrong(Agent):
        @on
        def handle(self, x) -> None: ...  # type: ignore[no-untyped-def]


def not_a_dataclass() -> None:
    class Wrong(Agent):
        @on
        def handle(self, x: int) -> None: ...


def two_parameters() -> None:
    class Wrong(Agent):
        @on("name")
        def handle(self, x: int, y: int) -> None: ...


def unreadable() -> None:
    class Wrong(Agent):
        @on
        def handle(self, x: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def two_of_a_name() -> None:
    class Wrong(Agent):
        @on("a")
        def one(self) -> None: ...

        @on("a")
        def two(self) -> None: ...


def a_type_in_place_of_a_name() -> None:
    on(Add)  # type: ignore[type-var]


def never() -> None:
    every(0)


def a_parameter_that_nobody_gives() -> None:
    class Wrong(Agent):
        @every(1)
        def tick(self, now: float) -> None: ...


def a_name_that_is_taken() -> None:
    class Wrong(Agent):
        @on("state")
        def state(self) -> None: ...  # type: ignore[assignment]


def several_replies() -> None:
    class Wrong(Agent):
        @on("count")
        async def count(self) -> AsyncIterator[int]:
            yield 1


def test_what_is_called_by_the_clock_may_be_static() -> None:
    class Clock(Agent):
        @every(1)
        @staticmethod
        def tick() -> None: ...

        @every(2)
        def tock(self, of: str = "day") -> None: ...

    assert Clock.__agents_handlers__.every == [(1.0, "tick"), (2.0, "tock")]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (no_parameter, "dataclass"),
        (not_annotated, "dataclass"),
        (not_a_dataclass, "dataclass"),
        (two_parameters, "at most one parameter"),
        (unreadable, "Missing"),
        (two_of_a_name, "both handle a"),
        (a_type_in_place_of_a_name, "neither"),
        (never, "more than 0"),
        (a_parameter_that_nobody_gives, "@every tick: it takes no parameter"),
        (a_name_that_is_taken, "@on state: an agent has an attribute of that name"),
        (several_replies, "@on count: it has a yield, and a message has one reply"),
    ],
)
def test_wrong_classes_are_refused_at_once(make: Any, words: str) -> None:
    with pytest.raises(InvalidSpec, match=words):
        make()
