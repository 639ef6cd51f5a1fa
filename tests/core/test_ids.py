"""Ids: what may name an agent, and tokens that never meet."""

from __future__ import annotations

import pytest

from agents_core.errors import InvalidAgentId
from agents_core.ids import ID_CHARS_MAX, agent_id, unique
from agents_core.nats.subject import check_subject


@pytest.mark.parametrize("value", ["a", "A-z_09", "x" * ID_CHARS_MAX])
def test_good_ids_are_tokens_of_a_subject(value: str) -> None:
    assert agent_id(value) == value
    check_subject(f"to.{value}")


@pytest.mark.parametrize(
    "value", ["", "a.b", "a b", "*", ">", "é", "a\n", "x" * (ID_CHARS_MAX + 1), None, 7]
)
def test_what_is_no_id(value: object) -> None:
    with pytest.raises(InvalidAgentId):
        agent_id(value)  # type: ignore[arg-type]


def test_tokens_are_distinct_and_may_be_ids() -> None:
    tokens = {unique() for _ in range(1000)}
    assert len(tokens) == 1000
    assert {len(agent_id(token)) for token in tokens} == {22}
    assert len(unique(5)) == 5
    assert len(set("".join(tokens))) == 62
