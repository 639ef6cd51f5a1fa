"""The bus of one process keeps every promise of a bus; one that does not is found out."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core import LocalBus
from agents_core.bus import DONE, Done
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


class Careless(LocalBus):
    """Takes whatever it is given, and forgets it."""

    def publish(self, subject: str, *_: Any, **__: Any) -> Done:  # type: ignore[override]
        return DONE


async def test_a_bus_that_takes_anything_is_found_out() -> None:
    one, other = Careless(), Careless()
    for check in (bus.refuses_what_is_no_subject, bus.refuses_what_is_too_large):
        with pytest.raises(AssertionError, match="was not raised"):
            await check(one, other)
    await one.close()
    await other.close()
