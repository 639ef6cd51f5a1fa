"""Numbers that can't be are refused by the name of their option."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core.nats.jetstream.bounds import whole
from agents_core.nats.jetstream.errors import InvalidOption


def test_a_whole_number_within_its_bounds() -> None:
    whole("batch", 1, 1)
    whole("batch", 3, 1, 3)


@pytest.mark.parametrize("wrong", [0, "5", None, 1.5, True, float("inf"), float("nan")])
def test_what_is_no_whole_number_or_too_small_is_named(wrong: Any) -> None:
    with pytest.raises(InvalidOption, match=f"batch: at least 1, a whole number, not {wrong!r}"):
        whole("batch", wrong, 1)


def test_what_is_too_large_is_named() -> None:
    with pytest.raises(InvalidOption, match="batch: 1 to 3, a whole number, not 4"):
        whole("batch", 4, 1, 3)
