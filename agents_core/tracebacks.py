"""Tracebacks as text, for those who wrote the agents: they begin where their code does."""

from __future__ import annotations

import traceback
from types import TracebackType

MACHINERY = frozenset(
    {"_pyodide", "agents_browser", "agents_core", "agents_server", "asyncio", "importlib"}
)
"""Packages whose frames tell nothing at the top of a traceback: they call everybody's code."""


def text_of(error: BaseException) -> str:
    """The traceback, without the frames of what called the code that raised.

    All of it if there is no other code in it. A syntax error says by itself where it is. An error
    that Python can't show, as some with odd attributes, still has its frames and its type.
    """
    whole = error.__traceback__
    begin = whole
    while begin is not None and _is_machinery(begin):
        begin = begin.tb_next
    if begin is None and not isinstance(error, SyntaxError):
        begin = whole
    try:
        return "".join(traceback.format_exception(type(error), error, begin))
    except Exception as failure:
        shown = f"{type(error).__name__}: <no text: {type(failure).__name__}>"
        return "".join(["Traceback (most recent call last):\n", *traceback.format_tb(begin), shown])


def _is_machinery(frame: TracebackType) -> bool:
    name = str(frame.tb_frame.f_globals.get("__name__", ""))
    return name.partition(".")[0] in MACHINERY
