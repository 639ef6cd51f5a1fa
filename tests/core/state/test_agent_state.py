"""One agent's part of a backend: its own keys, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core import (
    AgentId,
    AgentState,
    Clear,
    Delete,
    Get,
    InMemoryBackend,
    List,
    StateAction,
    Store,
)
from agents_core.errors import EncodeError, InvalidKey


async def test_values_there_and_back() -> None:
    state = AgentState(AgentId("a"), InMemoryBackend())
    assert await state.get("k") is None
    assert await state.get("k", 5) == 5
    await state.set("k", {"x": [1, None]})
    assert await state.get("k") == {"x": [1, None]}
    assert await state.delete("k") is True
    assert await state.delete("k") is False


async def test_agents_that_share_a_backend_do_not_share_keys() -> None:
    backend = InMemoryBackend()
    one, two = AgentState(AgentId("a"), backend), AgentState(AgentId("ab"), backend)
    for state in (one, two):
        await state.set("k2", state.agent)
        await state.set("k1", 1)
        await state.set("other", 1)
    assert await one.keys() == ["k1", "k2", "other"]
    assert await one.keys("k") == ["k1", "k2"]
    assert await one.items() == {"k1": 1, "k2": "a", "other": 1}
    await one.clear()
    assert await one.keys() == []
    assert await two.items() == {"k1": 1, "k2": "ab", "other": 1}
    assert await backend.list_keys() == ["ab:k1", "ab:k2", "ab:other"]


@pytest.mark.parametrize(
    ("action", "result"),
    [
        (Store("k", 5), None),
        (Get("old"), 1),
        (Get("nothing"), None),
        (Delete("old"), True),
        (Delete("nothing"), False),
        (Clear(), None),
        (List(), ["old"]),
        (List("x"), []),
    ],
)
async def test_actions_return_their_results(action: StateAction, result: object) -> None:
    state = AgentState(AgentId("a"), InMemoryBackend())
    await state.set("old", 1)
    assert await state.handle(action) == result
    assert await state.handle_state_action(List()) == await state.keys()


async def test_what_can_not_be_kept_is_refused() -> None:
    state = AgentState(AgentId("a"), InMemoryBackend())
    with pytest.raises(InvalidKey):
        await state.set("k" * 600, 1)
    with pytest.raises(EncodeError):
        await state.set("k", object())


@pytest.mark.parametrize("key", [5, None, b"k", ["k"]])
async def test_a_key_that_is_no_text_is_refused(key: Any) -> None:
    backend = InMemoryBackend()
    state = AgentState(AgentId("a"), backend)
    for use in (state.get(key), state.set(key, 1), state.delete(key), state.keys(key)):
        with pytest.raises(InvalidKey):
            await use
    with pytest.raises(InvalidKey):
        await backend.store(key, 1)
    assert await backend.list_keys() == []
