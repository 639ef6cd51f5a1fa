"""What every host promises, as checks that any test can call.

async with Kit.over("local://") as kit:
    for check in suite.CHECKS:
        await check(kit)
        await kit.clean()
"""

from __future__ import annotations

from agents_core.testing.hosts import lives, messages
from agents_core.testing.hosts.kit import Check

CHECKS: tuple[Check, ...] = (*messages.CHECKS, *lives.CHECKS)
