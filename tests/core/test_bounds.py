"""Numbers that can't be are refused by the name of their field."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core.bounds import at_least, more_than
from agents_core.errors import InvalidSpec


def test_a_number_within_its_bound() -> None:
    at_least("mailbox", 1, 1)
    at_least("max_restarts", float("inf"), 0)
    more_than("deadline", 0.1, 0)


@pytest.mark.parametrize("wrong", [0.9, "10", None, float("nan")])
def test_what_is_no_number_or_too_small_is_named(wrong: Any) -> None:
    with pytest.raises(InvalidSpec, match=f"mailbox is at least 1, not {wrong!r}"):
        at_least("mailbox", wrong, 1)
    with pytest.raises(InvalidSpec, match=f"deadline is more than 1, not {wrong!r}"):
        more_than("deadline", wrong, 1)
