"""The seed's five state actions as JSON."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core import Clear, Delete, Get, List, StateAction, Store
from agents_core.errors import InvalidMessage
from agents_core.state import actions


@pytest.mark.parametrize(
    ("action", "data"),
    [
        (Store("k", {"a": [1]}), {"Store": {"key": "k", "value": {"a": [1]}}}),
        (Get("k"), {"Get": {"key": "k"}}),
        (Delete("k"), {"Delete": {"key": "k"}}),
        (Clear(), "Clear"),
        (List("p"), {"List": {"prefix": "p"}}),
    ],
)
def test_there_and_back(action: StateAction, data: Any) -> None:
    assert actions.to_json(action) == data
    assert actions.from_json(data) == action


@pytest.mark.parametrize("wrong", ["theme", None, Get])
def test_what_is_no_action_is_not_sent(wrong: Any) -> None:
    with pytest.raises(InvalidMessage, match="use Store, Get, Delete, Clear or List"):
        actions.to_json(wrong)


def test_the_seed_lists_without_a_prefix() -> None:
    assert actions.from_json("List") == List()


@pytest.mark.parametrize(
    "data",
    [
        None,
        5,
        [],
        {},
        "Explode",
        {"Get": {"key": "a"}, "Delete": {"key": "a"}},
        {"Get": "a"},
        {"Get": {}},
        {"Get": {"key": 5}},
        {"Get": {"key": "a", "more": 1}},
        {"Store": {"key": "a"}},
        {"List": {"prefix": 5}},
        "Get",
    ],
)
def test_what_is_no_action_is_refused(data: Any) -> None:
    with pytest.raises(InvalidMessage):
        actions.from_json(data)
