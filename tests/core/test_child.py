"""Specifications that make no sense are refused when they are made."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core import AgentConfig, AgentId, Child, InMemoryBackend, Supervisor
from agents_core.child import MAILBOX_MAX, SHUTDOWN_S
from agents_core.errors import InvalidAgentId, InvalidSpec
from tests.core.sample import Counter


def test_the_defaults() -> None:
    child = Child(Counter, "c")
    assert (child.restart, child.mailbox, child.shutdown) == ("permanent", MAILBOX_MAX, SHUTDOWN_S)
    supervisor = Supervisor()
    assert (supervisor.strategy, supervisor.max_restarts, supervisor.max_seconds) == (
        "one_for_one",
        3,
        5.0,
    )


@pytest.mark.parametrize("name", ["", "a.b", "a b", "*", ">", "x" * 129, "é", 5])
def test_ids_are_one_token_of_a_subject(name: Any) -> None:
    with pytest.raises(InvalidAgentId):
        Child(Counter, name)
    with pytest.raises(InvalidAgentId):
        Supervisor(name=name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cls": int},
        {"cls": Counter(), "id": "c"},
        {"restart": "sometimes"},
        {"mailbox": 0},
        {"mailbox": "10"},
        {"shutdown": -1},
        {"shutdown": None},
        {"shutdown": float("nan")},
        {"deadline": 0},
        {"deadline": "1"},
        {"deadline": float("nan")},
        {"state": None},
        {"state": 5},
        {"state": InMemoryBackend},
        {"host": None},
        {"host": ""},
        {"args": "text"},
        {"args": 5},
        {"kwargs": [("a", 1)]},
    ],
)
def test_wrong_children(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec, match=next(iter(wrong)).replace("cls", "class")):
        Child(**{"cls": Counter, "id": "c", **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "two_for_one"},
        {"restart": "sometimes"},
        {"max_restarts": -1},
        {"max_restarts": "3"},
        {"max_seconds": 0},
        {"max_seconds": float("nan")},
        {"children": [Counter]},
        {"children": Child(Counter, "c")},
        {"children": (Child(Counter, name) for name in "ab")},
    ],
)
def test_wrong_supervisors(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec, match=next(iter(wrong)).replace("children", "Child")):
        Supervisor(**wrong)


def test_the_seed_s_configuration() -> None:
    assert AgentConfig(AgentId("a")).state == "memory"
    assert AgentConfig(AgentId("a"), "file:./state").state == "file:./state"
