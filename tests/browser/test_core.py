"""The core's own tests, inside Pyodide in a Chromium worker, from the built wheel."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.browser.site import Content, serve

ROOT = Path(__file__).parents[2]
TOOLS = ("pytest", "pluggy", "iniconfig", "packaging", "pygments", "sortedcontainers")
MINUTES_MAX = 6
PAGE = b"""<!doctype html><title>core</title><script type="module" src="/page.mjs"></script>"""
SCRIPT = b"""
window.run = (order) => new Promise((resolve, reject) => {
  const worker = new Worker("/worker.mjs", { type: "module" });
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => reject(new Error(event.message));
  worker.postMessage(order);
});
document.documentElement.dataset.ready = "yes";
"""


def tools() -> bytes:
    """The test tools that are pure Python, as they are installed here."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        for name in TOOLS:
            for file in distribution(name).files or ():
                if file.suffix != ".pyc" and not str(file).startswith(".."):
                    target.write(file.locate(), str(file))
    return archive.getvalue()


def project() -> bytes:
    """The tests of the core and what they read; not the core itself, which comes as the wheel."""
    archive = io.BytesIO()
    files = [ROOT / name for name in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py")]
    for folder in ("tests/core", "tests/vectors"):
        files += [path for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".json"}]
    with zipfile.ZipFile(archive, "w") as target:
        for path in files:
            target.write(path, str(path.relative_to(ROOT)))
    return archive.getvalue()


def collected() -> int:
    """How many tests of the core there are."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/core"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return sum("::" in line for line in found.stdout.splitlines())


def test_the_core_passes_its_tests_in_the_browser(
    page: Page, wheel: Path, hypothesis_wheel: Path, pyodide: Path
) -> None:
    content: dict[str, Any] = {
        "/index.html": PAGE,
        "/page.mjs": SCRIPT,
        "/worker.mjs": Path(__file__).parent / "pytest_worker.mjs",
        "/tools.zip": tools(),
        "/project.zip": project(),
        **{f"/{path.name}": path for path in (wheel, hypothesis_wheel)},
        **{f"/pyodide/{path.name}": path for path in pyodide.iterdir()},
    }
    order = {
        "wheels": [f"/{wheel.name}", f"/{hypothesis_wheel.name}"],
        "archives": [["/tools.zip", "/tools"], ["/project.zip", "/project"]],
    }
    result = _run(page, content, order)
    assert not result["failed"], "\n\n".join(f"{k}\n{v}" for k, v in result["failed"].items())
    assert result["code"] == 0
    assert len(result["passed"]) == collected()


def _run(page: Page, content: Content, order: dict[str, Any]) -> dict[str, Any]:
    page.set_default_timeout(MINUTES_MAX * 60_000)
    with serve(content) as url:
        page.goto(f"{url}/index.html")
        page.locator("html[data-ready]").wait_for(state="attached")
        order["wheels"] = [url + path for path in order["wheels"]]
        order["archives"] = [[url + path, folder] for path, folder in order["archives"]]
        return json.loads(page.evaluate("(order) => window.run(order)", order))
