"""State in memory keeps every promise of a backend."""

from __future__ import annotations

import pytest

from agents_core import InMemoryBackend
from agents_core.testing import state


@pytest.mark.parametrize("check", state.CHECKS, ids=lambda check: check.__name__)
async def test_promise(check: state.Check) -> None:
    await check(InMemoryBackend())
