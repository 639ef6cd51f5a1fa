"""`agents up` as a process of its own, as a user has it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

STOP_SECONDS_MAX = 10


@dataclass
class App:
    """The running command.

    Args:
        folder: where it is started; its `.agents` will be there.
        arguments: after `agents up`.
        environment: more variables.
        program: what Python runs.
    """

    folder: Path
    arguments: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    program: Sequence[str] = ("-m", "agents_server", "up")
    url: str = field(default="", init=False)
    lines: list[str] = field(default_factory=list, init=False)

    def start(self) -> None:
        """Start it and read its output up to the page's URL."""
        command = [sys.executable, *self.program, *self.arguments]
        environment = {**os.environ, **self.environment}
        pipe, both = subprocess.PIPE, subprocess.STDOUT
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=pipe, stderr=both, text=True
        )
        if not self.read_until("open http://"):
            raise AssertionError("`agents up` ended:\n" + "\n".join(self.lines))
        self.url = self.lines[-1].split()[1]

    def read_until(self, text: str) -> bool:
        """Read its output up to a line with that text; False if it ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if text in line:
                return True
        return False

    def fetch(self, path: str, **headers: str) -> tuple[int, Message, bytes]:
        """Status, headers and body at a path of it; `If_None_Match` is a header, for example."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url.rstrip("/") + path, headers=names)
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def get(self, path: str, accept: str = "application/json") -> Any:
        """The JSON at a path of it."""
        return json.loads(self.fetch(path, Accept=accept)[2])

    def children(self) -> list[int]:
        """The processes that it started and that live."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for path in threads for pid in path.read_text().split()]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C, or another signal; returns the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end, read the rest of its output, and return the exit code."""
        try:
            out, _ = self.process.communicate(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        self.lines += out.splitlines()
        return self.process.returncode
