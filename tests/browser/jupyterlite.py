"""A JupyterLite site that needs nothing from elsewhere.

`python -m tests.browser.jupyterlite` builds it, with Pyodide and the kernel's packages in it: what
other sites let the browser fetch from Pyodide's distribution.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agents_server.project import LOCK_FILE, PYODIDE_FILES, Project

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "jupyterlite"
EXAMPLE = ROOT / "examples" / "jupyterlite"

KERNEL = ("micropip", "ipython", "jedi")
"""What the kernel loads by Pyodide's lock file, with what that depends on."""

NOT_LOCKED = "comm==0.2.3"
"""What it installs from a package index."""


def reachable(packages: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The packages of a lock file that have those names, and all that they depend on."""
    found: dict[str, Any] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop().replace("_", "-")
        if name not in found:
            found[name] = packages[name]
            waiting += found[name]["depends"]
    return found


def download(requirements: Iterable[str], python: str, folder: Path) -> None:
    """Wheels for another Python than this one."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    rules = ["--only-binary=:all:", f"--python-version={python}", f"--dest={folder}"]
    subprocess.run([*pip, *rules, *requirements], check=True)


def put_pyodide(lock: dict[str, Any], folder: Path) -> None:
    """Pyodide as npm has it, and the kernel's packages beside it, of the versions that it locks."""
    folder.mkdir(parents=True)
    for name in PYODIDE_FILES:
        shutil.copy(Project(ROOT).pyodide() / name, folder)
    packages = reachable(lock["packages"], KERNEL)
    pinned = [f"{package['name']}=={package['version']}" for package in packages.values()]
    download(pinned, lock["info"]["python"], folder)
    for package in packages.values():
        # Pyodide builds wheels anew: PyPI's have the same content and another checksum.
        wheel = (folder / package["file_name"]).read_bytes()
        package["sha256"] = hashlib.sha256(wheel).hexdigest()
    text = json.dumps({**lock, "packages": packages})
    (folder / LOCK_FILE).write_text(text, encoding="utf-8")


def build() -> None:
    """Build the site, with the example and this project's wheel."""
    lock = json.loads((Project(ROOT).pyodide() / LOCK_FILE).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        put_pyodide(lock, folder / "static" / "pyodide")
        download([NOT_LOCKED], lock["info"]["python"], folder / "pypi")
        shutil.rmtree(SITE, ignore_errors=True)
        command = [sys.executable, "-m", "jupyterlite_core", "build", f"--output-dir={SITE}"]
        flags = [f"--contents={EXAMPLE}", f"--piplite-wheels={Project(ROOT).wheel()}"]
        flags += ["--apps=notebooks", "--no-unused-shared-packages"]
        built = subprocess.run([*command, *flags], cwd=folder, capture_output=True, check=False)
        if built.returncode:
            sys.exit((built.stdout + built.stderr).decode())


if __name__ == "__main__":
    build()
