"""How long a page takes until an agent of it has handled a message, beside Pyodide's own start.

Every first visit is one of a browser that has never been anywhere. A second visit is one of a
browser that was ended and started again. All times count from the navigation on, but that of a
further worker, which counts from its start on.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from agents_server.project import Example
from benchmarks.suite import Results, note
from benchmarks.targets import FIRST, FURTHER, OUR_PAGE, SECOND, STOCK_BOOT
from tests.browser.chromium import opened
from tests.browser.served import Served, gathered

FOLDER = Path(__file__).parent / "pages" / "boot"
ANSWER_S_MAX = 120
SETTLE_MS = 2_000
"""Milliseconds that a browser has for its own start, before it is sent to the page."""


def of_boot(url: str, runs: int) -> Results:
    """The times, in turns; needs `make wheel`, and the WebSocket listener of a server at `url`."""
    pages = {f"/{name}": FOLDER / name for name in ("stock.html", "stock.mjs", "stock_worker.mjs")}
    results: Results = {}
    for _ in range(runs):
        with Served(gathered(Example("boot", FOLDER), pages), url) as served:
            stock = _visit(served, "stock.html", None)["page"] * 1e3
            for what in (FIRST, SECOND, FURTHER):
                note(results, STOCK_BOOT, what, stock)
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
                served.sent.clear()
                first = _visit(served, "", profile)
                note(results, OUR_PAGE, "first visit, kB sent", sum(served.sent.values()) / 1e3)
                second = _visit(served, "", profile)
        note(results, OUR_PAGE, FIRST, first["page"] * 1e3)
        note(results, OUR_PAGE, SECOND, second["page"] * 1e3)
        note(results, OUR_PAGE, FURTHER, second["further"] * 1e3)
    return results


def _visit(served: Served, path: str, profile: str | None) -> dict[str, Any]:
    script = f"setTimeout(() => (location = '{served.url}{path}'), {SETTLE_MS})"
    with opened(f"data:text/html,<script>{script}</script>", profile):
        answer: dict[str, Any] = json.loads(served.answers.get(timeout=ANSWER_S_MAX))
    if answer.get("error"):
        raise RuntimeError(answer["error"])
    return answer
