"""These tests need JavaScript around them: `tests/browser` runs them, inside Pyodide."""

from __future__ import annotations

import sys

if sys.platform != "emscripten":
    collect_ignore_glob = ["test_*.py"]
