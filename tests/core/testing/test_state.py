"""A backend that keeps its promises passes in tests/core/state; one that does not is found out."""

from __future__ import annotations

import pytest

from agents_core.state.backend import Json
from agents_core.testing import state


class Careless:
    """Keeps the caller's own objects, under any key, and forgets nothing."""

    def __init__(self) -> None:
        self._values: dict[str, Json] = {}

    async def store(self, key: str, value: Json) -> None:
        self._values[key] = value

    async def retrieve(self, key: str) -> Json:
        return self._values.get(key)

    async def delete(self, key: str) -> bool:
        return True

    async def list_keys(self, prefix: str | None = None) -> list[str]:
        return list(self._values)

    async def clear(self) -> None:
        pass


FOUND_OUT = (
    state.copies,
    state.deletes,
    state.lists_keys,
    state.clears,
    state.refuses_bad_keys,
    state.refuses_what_is_not_json,
)


@pytest.mark.parametrize("check", FOUND_OUT, ids=lambda check: check.__name__)
async def test_a_careless_backend_is_found_out(check: state.Check) -> None:
    with pytest.raises(AssertionError):
        await check(Careless())
