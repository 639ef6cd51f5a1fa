"""Slow handlers in the browser's Performance panel, on the worker's own track."""

from __future__ import annotations

from time import monotonic

import js
from pyodide.ffi import to_js

from agents_core.events import Slow

PER_SECOND_MAX = 20
"""Measures in one second; with more, a recording would show little else."""


class SlowMeasures:
    """Makes a `performance.measure` of each slow handler: `counter-1: Add`.

    The panel and every `PerformanceObserver` of the worker have it then; the worker's own list of
    entries does not keep it, so that it can't grow.
    """

    def __init__(self) -> None:
        self._second = 0.0
        self._made = 0
        self._left_out = 0

    def add(self, slow: Slow) -> bool:
        """Show it, unless there were too many in this second; the next one says how many."""
        now = monotonic()
        if now - self._second >= 1:
            self._second, self._made = now, 0
        if self._made == PER_SECOND_MAX:
            self._left_out += 1
            return False
        self._made += 1
        row = f" and the {slow.messages - 1} before it" if slow.messages > 1 else ""
        self._measure(f"{slow.agent}: {slow.message}{row}", slow)
        self._left_out = 0
        return True

    def _measure(self, name: str, slow: Slow) -> None:
        end = js.performance.now()
        detail = {
            "agent": slow.agent,
            "message": slow.message,
            "messages": slow.messages,
            "awaited": slow.awaited,
            "leftOut": self._left_out,
            "devtools": {"track": "slow handlers", "trackGroup": "agents-core", "color": "warning"},
        }
        options = {"start": max(0, end - slow.seconds * 1000), "end": end, "detail": detail}
        js.performance.measure(name, to_js(options, dict_converter=js.Object.fromEntries))
        js.performance.clearMeasures(name)
