"""The same measures in a worker of a real Chromium, beside nats.js and the bare WebSocket."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from pathlib import Path
from queue import Queue

from benchmarks.suite import Results
from tests.browser import chromium
from tests.browser.site import serve

ROOT = Path(__file__).parents[1]
PAGES = Path(__file__).parent / "pages"
INTEROP = ROOT / "tests" / "interop"
MINUTES_MAX = 10

HTML = b"""<!doctype html><title>benchmark</title><script type="module">
const worker = new Worker("/worker.mjs", { type: "module" });
const answer = (body) => fetch("/", { method: "POST", body });
worker.onmessage = ({ data }) => answer(data);
worker.onerror = ({ message }) => answer(JSON.stringify({ error: message }));
</script>"""

MODULES = ("__init__", "hosts", "in_tab", "loops", "measures", "peer", "suite")


def sources() -> bytes:
    """What of this package runs in a tab, as a zip archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        for name in MODULES:
            target.write(ROOT / "benchmarks" / f"{name}.py", f"benchmarks/{name}.py")
    return archive.getvalue()


def _nats_js() -> bytes:
    """nats.js comes as CommonJS: a browser needs it in one module."""
    esbuild = INTEROP / "node_modules" / ".bin" / "esbuild"
    command = [str(esbuild), "--bundle", "--format=esm", str(PAGES / "nats_js.mjs")]
    paths = {"NODE_PATH": str(INTEROP / "node_modules")}
    return subprocess.run(command, env=paths, capture_output=True, check=True).stdout


def of_tab(url: str, runs: int, scale: float) -> Results:
    """Run `pages/worker.mjs` against the WebSocket listener at `url`; needs `make wheel`."""
    wheel = max((ROOT / "dist").glob("agents_core-*-py3-none-any.whl"))
    pyodide = ROOT / "web" / "node_modules" / "pyodide"
    content: dict[str, Path | bytes] = {
        "/index.html": HTML,
        "/benchmarks.zip": sources(),
        "/nats_js.mjs": _nats_js(),
        f"/{wheel.name}": wheel,
        "/pump.mjs": ROOT / "web" / "pump.mjs",
        **{f"/{name}.mjs": PAGES / f"{name}.mjs" for name in ("worker", "measures", "raw")},
        **{f"/pyodide/{path.name}": path for path in pyodide.iterdir()},
    }
    order = {"wheel": f"/{wheel.name}", "url": url, "runs": runs, "scale": scale}
    content["/order.json"] = json.dumps(order).encode()
    answers: Queue[bytes] = Queue()
    with serve(content, answers.put) as site, chromium.opened(f"{site}/index.html"):
        answer = json.loads(answers.get(timeout=MINUTES_MAX * 60))
    if "error" in answer:
        raise RuntimeError(answer["error"])
    found: Results = answer["results"]
    return found
