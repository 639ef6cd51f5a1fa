"""Which browser the tests drive, and how it is started.

`python -m tests.browser.chromium` sees to it that there is one: on the PATH, else Debian's if this
is root, else Playwright's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable() -> str | None:
    """The Chromium on the PATH; None means the one that Playwright downloaded for itself."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def opened(url: str, profile: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A browser that nobody looks into, at a page that has its own way to answer.

    Playwright has it report each WebSocket message, which costs more than the message.

    Args:
        url: of the page.
        profile: the folder of its profile; a fresh one by default.
    """
    program = executable()
    if program is None:
        raise FileNotFoundError("no Chromium on the PATH: run `make browser`")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as fresh:
        flags = ["--headless", f"--user-data-dir={profile or fresh}", *ARGUMENTS]
        process = subprocess.Popen([program, *flags, url], stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def install() -> bool:
    """Try what can be tried; True if there is a Chromium then."""
    if executable() is not None or _playwrights_own():
        return True
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        command = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "chromium"]
        subprocess.run(command, check=False)
        if executable() is not None:
            return True
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    return _playwrights_own()


def _playwrights_own() -> bool:
    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).exists()


if __name__ == "__main__":
    if not install():
        sys.exit(
            "no Chromium: install the package `chromium`, or run `playwright install chromium`"
        )
