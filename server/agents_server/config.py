"""What `agents up` is to do: the command's flags, and the environment where a flag says nothing."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

NATS_PORT = 4222
WEBSOCKET_PORT = 8080
HTTP_PORT = 8000


@dataclass(frozen=True)
class Config:
    """Settings of `agents up`.

    Attributes:
        nats: the server to use; empty to start one; `local://` for none.
        creds: a credentials file for that server, or empty.
        websocket: where pages reach that server; empty if they can't, or with one of our own.
        origins: of further pages that may reach the NATS server that is started here.
        host: the address that the HTTP app binds to.
        port: its port; the next free one if taken.
        example: the folder under `examples/` to run, or empty.
        input: what the example works on; None for its default.
        pages: a folder with pages of one's own, or None.
        space: of all subjects.
        pyodide_url: another copy of Pyodide than the installed one, or empty.
        log_level, log_format: see `agents_server.log`.
        data: the folder for everything that is written.
    """

    nats: str = ""
    creds: str = ""
    websocket: str = ""
    origins: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = HTTP_PORT
    example: str = ""
    input: str | None = None
    pages: Path | None = None
    space: str = "default"
    pyodide_url: str = ""
    log_level: str = "info"
    log_format: str = "plain"
    data: Path = Path(".agents")

    @classmethod
    def of(cls, flags: argparse.Namespace) -> Config:
        """Flags first, then the environment, then the defaults above."""
        environment = os.environ
        websocket = flags.nats_websocket or environment.get("NATS_WEBSOCKET_URL", "")
        nats = flags.nats or environment.get("NATS_URL", "") or websocket
        if flags.no_nats:
            nats, websocket = "local://", ""
        elif not websocket and nats.startswith(("ws://", "wss://")):
            websocket = nats
        remote = nats and nats != "local://"  # one of our own asks for no credentials
        level = flags.log_level or environment.get("AGENTS_LOG_LEVEL", "").lower() or "info"
        return cls(
            nats=nats,
            creds=(flags.creds or environment.get("NATS_CREDS", "")) if remote else "",
            websocket=websocket,
            origins=tuple(flags.origin),
            host=flags.host,
            port=flags.port,
            example=flags.example,
            input=flags.input,
            pages=Path(flags.pages).resolve() if flags.pages else None,
            space=flags.space,
            pyodide_url=flags.pyodide_url,
            log_level=level,
            log_format=flags.log_format,
            data=Path(flags.data),
        )
