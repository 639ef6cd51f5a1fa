"""What every host promises, by hosts that are none."""

from __future__ import annotations

import pytest

from agents_core.testing.hosts import suite
from agents_core.testing.hosts.fake import FakeKit
from agents_core.testing.hosts.kit import Check


@pytest.mark.parametrize("check", suite.CHECKS, ids=lambda check: check.__name__)
async def test_promise(check: Check) -> None:
    async with FakeKit.made() as kit:
        await check(kit)
        await kit.clean()
