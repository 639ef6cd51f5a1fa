"""Log records as one line each, plain or JSON, without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
import time

from agents_core.errors import Unsupported

LEVELS = ("debug", "info", "warning", "error")

_CREDENTIALS = re.compile(r"(\w+://)[^/\s]+@")


def redacted(text: str) -> str:
    """The text with the credentials of every URL in it made unreadable."""
    return _CREDENTIALS.sub(r"\1***@", text)


class PlainFormatter(logging.Formatter):
    """`12:00:01 info agents_core: c1 started`; line breaks become ` | `."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock} {record.levelname.lower():7} {record.name}: {_text(self, record)}"
        return " | ".join(line.splitlines())


class JsonFormatter(logging.Formatter):
    """One JSON object: `time` (seconds since 1970), `level`, `logger`, `message`."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        fields = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _text(self, record),
        }
        return json.dumps(fields, ensure_ascii=False)


def _text(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info:
        text = f"{text}\n{formatter.formatException(record.exc_info)}"
    return redacted(text)


def install(level: str, style: str) -> None:
    """Write the records of every logger to stderr, from `level` on.

    Raises:
        Unsupported: there is no such level.
    """
    if level not in LEVELS:
        raise Unsupported(f"the log level {level!r}", f"use one of {', '.join(LEVELS)}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else PlainFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # What asyncio and uvicorn have to say at `info` is about themselves.
    for name in ("asyncio", "uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel("DEBUG" if level == "debug" else "WARNING")
