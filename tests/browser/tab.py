"""Python in a worker of a real Chromium, with the built wheel and what a test brings along."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.browser.site import serve

SECONDS_MAX = 120
"""A piece of Python that takes longer waits for something that will not come."""

PAGE = b'<!doctype html><title>tab</title><script type="module" src="/page.mjs"></script>'
SCRIPT = b"""
window.run = (order) => new Promise((resolve, reject) => {
  const worker = new Worker("/worker.mjs", { type: "module" });
  worker.onerror = (event) => reject(new Error(event.message));
  worker.onmessage = ({ data: { error, result } }) =>
    error ? reject(new Error(error)) : resolve(result);
  setTimeout(() => reject(new Error("no answer in time")), order.seconds * 1000);
  worker.postMessage(order);
});
document.documentElement.dataset.ready = "yes";
"""


def run_python(
    page: Page,
    python: str,
    *,
    wheel: Path,
    pyodide: Path,
    files: Mapping[str, bytes] | None = None,
    modules: Mapping[str, bytes] | None = None,
    pages: Mapping[str, Path | bytes] | None = None,
    values: Mapping[str, Any] | None = None,
) -> Any:
    """Run Python in a fresh worker of `page` and give what it returns, by way of JSON.

    Args:
        page: any; it goes elsewhere.
        python: may await; its last expression is JSON text.
        wheel: of this project.
        pyodide: the folder of its files.
        files: what `import` and `open` find, by path below `/project`.
        modules: JavaScript modules, by the name that Python imports them by.
        pages: what else the server has, by path.
        values: what the Python sees as `values`.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        for path, data in (files or {}).items():
            target.writestr(path, data)
    content: dict[str, Path | bytes] = {
        "/index.html": PAGE,
        "/page.mjs": SCRIPT,
        "/worker.mjs": Path(__file__).parent / "worker.mjs",
        "/files.zip": archive.getvalue(),
        f"/{wheel.name}": wheel,
        **{f"/modules/{name}.mjs": source for name, source in (modules or {}).items()},
        **(pages or {}),
        **{f"/pyodide/{path.name}": path for path in pyodide.iterdir()},
    }
    order = {
        "wheel": f"/{wheel.name}",
        "modules": {name: f"/modules/{name}.mjs" for name in modules or {}},
        "values": dict(values or {}),
        "python": python,
        "seconds": SECONDS_MAX,
    }
    with serve(content) as url:
        page.goto(f"{url}/index.html")
        page.locator("html[data-ready]").wait_for(state="attached")
        return json.loads(page.evaluate("(order) => window.run(order)", order))
