"""The same measures in a worker of a real Chromium, over the browser's own WebSocket."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.suite import Figures
from tests.browser import chromium
from tests.browser.site import serve

ROOT = Path(__file__).parents[1]
MINUTES_MAX = 10
PAGE = b'<!doctype html><title>benchmark</title><script type="module" src="/page.mjs"></script>'
SCRIPT = b"""
window.run = (order) => new Promise((resolve, reject) => {
  const worker = new Worker("/worker.mjs", { type: "module" });
  worker.onmessage = ({ data: { error, json } }) =>
    error ? reject(new Error(error)) : resolve(json);
  worker.postMessage(order);
});
document.documentElement.dataset.ready = "yes";
"""
WORKER = b"""
import { loadPyodide } from "/pyodide/pyodide.mjs";
addEventListener("message", async ({ data: { wheel, url, runs, scale } }) => {
  try {
    const pyodide = await loadPyodide({ packages: [new URL(wheel, location.href).href] });
    const sources = await (await fetch("/benchmarks.zip")).arrayBuffer();
    pyodide.unpackArchive(sources, "zip");
    const suite = pyodide.pyimport("benchmarks.suite");
    postMessage({ json: await suite.of_tab(url, runs, scale) });
  } catch (error) {
    postMessage({ error: String(error) });
  }
});
"""


def _sources() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        for name in ("__init__.py", "measures.py", "suite.py"):
            target.write(ROOT / "benchmarks" / name, f"benchmarks/{name}")
    return archive.getvalue()


def of_tab(url: str, runs: int, scale: float) -> dict[str, Figures]:
    """Run `suite.of_tab` against the WebSocket listener at `url`; needs `make wheel`."""
    wheel = max((ROOT / "dist").glob("agents_core-*-py3-none-any.whl"))
    pyodide = ROOT / "web" / "node_modules" / "pyodide"
    content: dict[str, Path | bytes] = {
        "/index.html": PAGE,
        "/page.mjs": SCRIPT,
        "/worker.mjs": WORKER,
        "/benchmarks.zip": _sources(),
        f"/{wheel.name}": wheel,
        **{f"/pyodide/{path.name}": path for path in pyodide.iterdir()},
    }
    order = {"wheel": f"/{wheel.name}", "url": url, "runs": runs, "scale": scale}
    with sync_playwright() as playwright, serve(content) as site:
        browser = playwright.chromium.launch(
            executable_path=chromium.executable(), args=chromium.ARGUMENTS
        )
        page = browser.new_page()
        page.set_default_timeout(MINUTES_MAX * 60_000)
        page.goto(f"{site}/index.html")
        page.locator("html[data-ready]").wait_for(state="attached")
        found: dict[str, Figures] = json.loads(page.evaluate("(order) => window.run(order)", order))
        browser.close()
    return found
