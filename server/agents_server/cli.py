"""The command `agents`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from agents_core.errors import AgentsError
from agents_core.node import VERSION
from agents_server import log
from agents_server.config import HTTP_PORT, Config
from agents_server.up import up

_ENVIRONMENT = """\
environment, where the flag is not given:
  NATS_URL            as --nats
  NATS_CREDS          as --creds
  NATS_WEBSOCKET_URL  as --nats-websocket
  AGENTS_LOG_LEVEL    as --log-level
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="agents", description="Python agents over NATS")
    root.add_argument("--version", action="version", version=f"agents-core {VERSION}")
    commands = root.add_subparsers(required=True, metavar="command")
    command = commands.add_parser(
        "up",
        help="start a NATS server, a node and the page",
        description="Start a NATS server, a node and the page. Ctrl-C ends all of them in order.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    server = command.add_mutually_exclusive_group()
    server.add_argument("--nats", metavar="URL", default="", help="use a running NATS server")
    server.add_argument("--no-nats", action="store_true", help="work without a server: local://")
    add = command.add_argument
    add("--creds", metavar="FILE", default="", help="a user's credentials for that server")
    add("--nats-websocket", metavar="URL", default="", help="where pages reach that server")
    add("--host", default="127.0.0.1", help="the address of the page (default %(default)s)")
    add("--port", type=_port, default=HTTP_PORT, help="of the page (default %(default)s)")
    add("--example", metavar="NAME", default="", help="run examples/NAME")
    add("--input", metavar="FILE", help="what the example works on")
    add("--space", default="default", help="nodes of one space see one another")
    add("--pyodide-url", metavar="URL", default="", help="another copy of Pyodide, with a / last")
    add("--log-level", choices=log.LEVELS, help="default info")
    add("--log-format", choices=("plain", "json"), default="plain", help="default %(default)s")
    add("--data", metavar="FOLDER", default=".agents", help="default %(default)s")
    return root


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError(text)
    return port


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the return value is the exit code."""
    command = parser()
    flags = command.parse_args(arguments)
    config = Config.of(flags)
    if flags.creds and not config.creds:
        command.error("--creds is for the server that --nats names")
    try:
        log.install(config.log_level, config.log_format)
        asyncio.run(up(config))
    except AgentsError as error:
        print(f"agents: {log.redacted(str(error))}", file=sys.stderr)
        return 1
    return 0
