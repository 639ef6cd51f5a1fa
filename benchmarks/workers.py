"""Hosts of a tab: the same measures as of processes, in a page that is served as the real one."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.memory import CROWDS, ONE_MORE_HOST, of_family, one_more
from benchmarks.suite import Results
from benchmarks.tab import sources
from benchmarks.targets import WORKERS
from tests.browser.chromium import opened
from tests.browser.served import Served, gathered

FOLDER = Path(__file__).parent / "pages" / "hosts"
ANSWER_S_MAX = 600


def of_hosts(runs: int, scale: float) -> Results:
    """All figures; needs `make wheel`."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "benchmarks.zip"
        archive.write_bytes(sources())
        names = ("hosts.html", "hosts_page.mjs", "hosts_worker.mjs")
        pages = {f"/{name}": FOLDER / name for name in names} | {"/benchmarks.zip": archive}
        with Served(gathered(None, pages)) as served:
            sizes = [_visit(served, {"crowd": count})[1] for count in CROWDS]
            order = {"place": WORKERS, "runs": runs, "scale": scale}
            results: Results = _visit(served, order)[0]
    results[WORKERS][ONE_MORE_HOST] = [one_more(CROWDS, sizes)]
    return results


def _visit(served: Served, order: dict[str, Any]) -> tuple[Any, int]:
    """What the page answers, and the bytes that the browser has then."""
    with opened(f"{served.url}hosts.html?order={quote(json.dumps(order))}") as process:
        answer = json.loads(served.answers.get(timeout=ANSWER_S_MAX))
        size = of_family(process.pid)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["results"], size
