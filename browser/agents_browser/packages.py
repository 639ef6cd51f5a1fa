"""Wheels that a page wants in its worker, installed by micropip."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any
from zipfile import BadZipFile

from agents_core.errors import InstallFailed


async def install(package: str, index: str | None) -> None:
    """Install a wheel, and what it needs.

    Args:
        package: the wheel's URL, or a requirement such as `shop>=2`.
        index: where projects are looked up by name; None for micropip's own choice, PyPI.

    Raises:
        InstallFailed: it could not be had, does not fit, or needs what is not there.
    """
    try:
        await _load_micropip()
        micropip: Any = import_module("micropip")
        logging.getLogger("micropip").propagate = False  # it prints by itself
        await micropip.install(package, index_urls=index)
    except BadZipFile:  # micropip looks at no answer's status
        reason = "the server sent something else, as it does for a wheel that it does not have"
        raise InstallFailed(package, reason) from None
    except Exception as error:  # micropip raises what comes from everywhere
        raise InstallFailed(package, _first_line(error)) from None


async def _load_micropip() -> None:
    pyodide: Any = import_module("pyodide_js")
    complaints: list[str] = []
    await pyodide.loadPackage(
        "micropip", messageCallback=lambda _: None, errorCallback=complaints.append
    )
    if complaints:
        raise InstallFailed("micropip", complaints[0])


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
