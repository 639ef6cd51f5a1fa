"""The command `agents`."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from agents_core.errors import AgentsError, InvalidModule
from agents_core.version import VERSION
from agents_server import log
from agents_server.__main__ import INTERRUPTED
from agents_server.config import HTTP_PORT, Config
from agents_server.export import export
from agents_server.output import say
from agents_server.project import Project
from agents_server.site import Site
from agents_server.up import up
from agents_server.web import PORT_MAX

_EXPORT = "write the page, Pyodide and pages of your own as files for any server"
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
    own = "pages of this origin may reach the NATS server that is started here; may be repeated"
    add("--origin", metavar="URL", action="append", type=_origin, default=[], help=own)
    add("--host", default="127.0.0.1", help="the address of the page (default %(default)s)")
    add("--port", type=_port, default=HTTP_PORT, help="of the page (default %(default)s)")
    add("--example", metavar="NAME", default="", help="run examples/NAME")
    add("--input", metavar="FILE", help="what the example works on")
    add(
        "--pages",
        metavar="FOLDER",
        type=_folder,
        help="serve pages of your own too, at /NAME OF THE FOLDER/",
    )
    _add_both(command)
    add("--log-level", choices=log.LEVELS, help="default info")
    add("--log-format", choices=("plain", "json"), default="plain", help="default %(default)s")
    add("--data", metavar="FOLDER", type=_folder, default=".agents", help="default %(default)s")
    command.set_defaults(run=_up, command=command)
    _add_export(
        commands.add_parser(
            "export", help=_EXPORT, description=f"{_EXPORT[0].upper()}{_EXPORT[1:]}."
        )
    )
    return root


def _add_export(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("folder", metavar="FOLDER", type=_folder, help="where to; what is there is overwritten")
    add(
        "--pages", metavar="FOLDER", type=_folder, help="pages of your own, at /NAME OF THE FOLDER/"
    )
    add("--nats-websocket", metavar="URL", default="local://", help="default %(default)s: none")
    add(
        "--base",
        metavar="PATH",
        type=_base,
        default="/",
        help="where the files will be (default %(default)s)",
    )
    _add_both(command)
    command.set_defaults(run=_export, command=command)


def _add_both(command: argparse.ArgumentParser) -> None:
    """What both commands take."""
    command.add_argument("--space", default="default", help="nodes of one space see one another")
    command.add_argument(
        "--pyodide-url",
        metavar="URL",
        type=_pyodide,
        default="",
        help="another copy of Pyodide, with a / last",
    )


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= PORT_MAX):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give 0 to {PORT_MAX}")
    return int(text)


def _folder(text: str) -> str:
    if not text:  # would be the one that we are in, and its files overwritten
        raise argparse.ArgumentTypeError("'' is no folder: give . for this one")
    return text


def _origin(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+", text):
        instead = "give one such as http://localhost:8888"
        raise argparse.ArgumentTypeError(f"{text!r} is no origin of a page: {instead}")
    return text


def _base(text: str) -> str:
    if not re.fullmatch(r"/|(/[^\s/?#]+)+/?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no path: give one such as /some/where/")
    return text


def _pyodide(text: str) -> str:
    """A URL, or a path on the page's own server."""
    if text and not re.fullmatch(r"(https?://[^\s/?#;,]+)?(/[^\s/?#;,]+)*/", text):
        where = "an http(s) URL, or a path, with a / last"
        raise argparse.ArgumentTypeError(f"{text!r} is no place of Pyodide: give {where}")
    return text


def _up(flags: argparse.Namespace) -> None:
    config = Config.of(flags)
    if flags.creds and not config.creds:
        flags.command.error("--creds is for the server that --nats names")
    if config.origins and config.nats:
        flags.command.error("--origin is for a server that is started here, not for another one")
    if flags.no_nats and flags.nats_websocket:
        flags.command.error("--nats-websocket is a server's, and --no-nats has none")
    if flags.input is not None and not config.example:
        flags.command.error("--input is for what --example names")
    log.install(config.log_level, config.log_format)
    asyncio.run(up(config))


def _export(flags: argparse.Namespace) -> None:
    pages = Path(flags.pages).resolve() if flags.pages else None
    config = Config(pages=pages, space=flags.space, pyodide_url=flags.pyodide_url)
    site = Site.gather(Project.find(), config, None)
    folder = Path(flags.folder)
    count = export(site, folder, nats=flags.nats_websocket, base=flags.base)
    say(f"{count} files in {folder}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the return value is the exit code."""
    try:
        flags = parser().parse_args(arguments)
        flags.run(flags)
    except (KeyboardInterrupt, asyncio.CancelledError):  # the latter of a second signal
        return INTERRUPTED
    except AgentsError as error:
        if isinstance(error, InvalidModule):
            print(error.traceback, end="", file=sys.stderr)
        print(f"agents: {log.redacted(str(error))}", file=sys.stderr)
        return 1
    return 0
