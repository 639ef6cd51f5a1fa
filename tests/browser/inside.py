"""Python inside Pyodide, and pytest above all: what is served for it, and how it is started.

The same files serve every browser. What drives it opens `Inside.page`, evaluates `RUN` with an
order, and hands back the text that this resolves to.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Literal

from tests.browser.site import serve

ROOT = Path(__file__).parents[2]
TOOLS = ("pytest", "pluggy", "iniconfig", "packaging", "pygments", "sortedcontainers")
PAGE = b"""<!doctype html><title>inside</title><script type="module" src="/page.mjs"></script>"""
SCRIPT = b"""
import * as inside from "/inside.mjs";
const inWorker = (order) => new Promise((resolve, reject) => {
  const worker = new Worker("/inside.mjs", { type: "module" });
  worker.onmessage = ({ data: { answer, error } }) =>
    error === undefined ? resolve(answer) : reject(new Error(error));
  worker.onerror = (event) => reject(new Error(event.message));
  worker.postMessage(order);
});
window.run = (order) => (order.where === "page" ? inside.run(order) : inWorker(order));
document.documentElement.dataset.ready = "yes";
"""
PYTEST = """
import json, os, sys
sys.path[:0] = ["/tools", "/project"]
os.chdir("/project")
import pytest

class Collector:
    def __init__(self):
        self.passed, self.failed, self.skipped = [], {}, []

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed[report.nodeid] = str(report.longrepr)
        elif report.skipped:
            self.skipped.append(report.nodeid)
        elif report.when == "call":
            self.passed.append(report.nodeid)

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed[report.nodeid] = str(report.longrepr)

collector = Collector()
flags = ["-q", "-p", "no:cacheprovider", "--rootdir", "/project"]
code = pytest.main([*flags, *PATHS], [collector])
json.dumps({"code": int(code), **vars(collector)})
"""
SNAPSHOT = "/snapshot.bin"
RUN = "(order) => window.run(order)"

Where = Literal["worker", "page"]


@dataclass
class Result:
    """What pytest inside says; `failed` has the reports by test."""

    code: int
    passed: list[str]
    skipped: list[str]
    failed: dict[str, str]

    @classmethod
    def read(cls, text: str) -> Result:
        """From what `RUN` resolved to."""
        return cls(**json.loads(text))

    def check(self, functions: Set[str], skipped: Set[str] = frozenset()) -> None:
        """Exactly these test functions have passed or been skipped, with all their parameters."""
        assert not self.failed, "\n\n".join(f"{k}\n{v}" for k, v in self.failed.items())
        assert self.code == 0
        assert {test.partition("[")[0] for test in self.skipped} == skipped
        assert {test.partition("[")[0] for test in self.passed} == functions - skipped


@dataclass
class Inside:
    """A site that is being served, and what its page wants to know of it."""

    url: str
    wheels: list[str]
    archives: list[str]
    restored: bool

    @property
    def page(self) -> str:
        """The page to open; it is ready when its root element has `data-ready`."""
        return f"{self.url}/index.html"

    def order(self, python: str, where: Where = "worker", suspends: bool = True) -> dict[str, Any]:
        """To run Python in a worker of the page, or in the page itself."""
        return {
            "pyodide": f"{self.url}/pyodide/",
            "wheels": [f"{self.url}/{name}" for name in self.wheels],
            "snapshot": SNAPSHOT if self.restored else None,
            "archives": [[f"{self.url}/{name}.zip", f"/{name}"] for name in self.archives],
            "python": python,
            "where": where,
            "suspends": suspends,
        }


def pytest_of(*paths: str, before: str = "") -> str:
    """The Python that runs these tests, of a site with the archives of `tests`."""
    return f"{before}\nPATHS = {[f'/project/{path}' for path in paths]!r}\n{PYTEST}"


@contextmanager
def site(
    pyodide: Path,
    wheels: Iterable[Path],
    archives: Mapping[str, bytes],
    snapshot: bytes = b"",
) -> Iterator[Inside]:
    """Serve a Pyodide, wheels that are loaded with it, and archives by the folder they go to.

    With a snapshot, Python is restored from it as the page does; the first wheel is the one in it.
    """
    found = {path.name: path for path in wheels}
    content: dict[str, Path | bytes] = {
        "/index.html": PAGE,
        "/page.mjs": SCRIPT,
        "/inside.mjs": Path(__file__).parent / "inside.mjs",
        **{f"/{name}.zip": archive for name, archive in archives.items()},
        **{f"/{name}": path for name, path in found.items()},
        **{f"/pyodide/{path.name}": path for path in pyodide.iterdir()},
        **{f"/{path.name}": path for path in (ROOT / "web").glob("*.mjs")},
        SNAPSHOT: snapshot,
    }
    with serve(content) as url:
        yield Inside(url, list(found), list(archives), bool(snapshot))


def tests(*paths: str) -> dict[str, bytes]:
    """Archives of pytest and of the tests below these paths, without the sources they test."""
    return {"tools": _tools(), "project": _project(paths)}


def archive(files: Mapping[str, Path]) -> bytes:
    """These files, by their names in the archive."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as target:
        for name, file in files.items():
            target.write(file, name)
    return packed.getvalue()


def collected(path: str) -> int:
    """How many tests there are below this path, as pytest on this side finds them."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", path]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return sum("::" in line for line in found.stdout.splitlines())


def functions(*paths: str) -> set[str]:
    """The test functions in the files below these paths, also of files for Pyodide only."""
    return {
        f"{file.relative_to(ROOT)}::{name}"
        for path in paths
        for file in (ROOT / path).rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    }


def _tools() -> bytes:
    """The test tools that are pure Python, as they are installed here."""
    return archive(
        {
            str(file): Path(str(file.locate()))
            for name in TOOLS
            for file in distribution(name).files or ()
            if file.suffix != ".pyc" and not str(file).startswith("..")
        }
    )


def _project(paths: Iterable[str]) -> bytes:
    files = [ROOT / name for name in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py")]
    for path in (*paths, "tests/vectors"):
        files += [file for file in (ROOT / path).rglob("*") if file.suffix in {".py", ".json"}]
    return archive({str(file.relative_to(ROOT)): file for file in files})
