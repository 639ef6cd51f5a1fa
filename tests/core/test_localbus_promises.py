"""The bus of one process keeps every promise of a bus."""

from __future__ import annotations

import pytest

from agents_core import LocalBus
from agents_core.ids import unique
from agents_core.testing import bus


@pytest.mark.parametrize("check", bus.CHECKS, ids=lambda check: check.__name__)
async def test_promise(check: bus.Check) -> None:
    hub = unique()
    one, other = LocalBus(hub), LocalBus(hub)
    try:
        await check(one, other)
    finally:
        await one.close()
        await other.close()
