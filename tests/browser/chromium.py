"""Which browser the tests drive, and how it is started."""

from __future__ import annotations

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


def executable() -> str | None:
    """The Chromium on the PATH; None means the one that Playwright downloaded for itself."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)
