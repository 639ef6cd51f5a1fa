"""What a memory snapshot of Pyodide holds of this project, and what each restore makes anew.

A snapshot is the interpreter's memory, taken once and loaded by every worker of every page. So a
module that is imported in it must not keep what belongs to one page or one process:

- no object of JavaScript's, but for the modules `js` and `pyodide.ffi` themselves: `import js` and
  `js.WebSocket` at use, not `from js import WebSocket`;
- nothing drawn at random, no clock reading, no name of the machine.

`web/snapshot.mjs` calls both functions; docs/boot.md has the whole of it.
"""

from __future__ import annotations

import gc
import importlib.util
import locale
import os
import random
import sys
import time
from importlib import import_module

import js

MODULES = (
    "agents_browser.host",
    "agents_browser.platform",
    "agents_browser.tab",
    "agents_core.nats",
)
"""What a tab and a host import at their start; they import all the others."""

TIME_ZONE = ("timezone", "altzone", "daylight", "tzname")


def prepare() -> None:
    """Import what a tab needs, and leave no garbage behind."""
    for name in MODULES:
        import_module(name)
    sys.path.remove("")  # Pyodide puts it there at each start
    gc.collect()


def restored() -> None:
    """Make this interpreter one of its own again.

    `os.urandom`, and with it `secrets` and `uuid.uuid4`, ask the browser at each call and need
    nothing. What stays the same in all workers of one snapshot is the seed of `hash(str)`.
    """
    random.seed()
    os.environ["LANG"] = f"{js.navigator.language.replace('-', '_')}.UTF-8"
    locale.setlocale(locale.LC_CTYPE, "")
    _set_time_zone()


def _set_time_zone() -> None:
    """Give `time` the constants of the zone that the user is in: they are read at its import."""
    spec = importlib.util.find_spec("time")
    assert spec is not None
    assert spec.loader is not None
    here = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(here)
    for name in TIME_ZONE:
        setattr(time, name, getattr(here, name))
