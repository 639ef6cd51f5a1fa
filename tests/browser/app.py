"""`agents up` as a process of its own, as a user has it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STOP_SECONDS_MAX = 10


@dataclass
class App:
    """The running command.

    Args:
        folder: where it is started; its `.agents` will be there.
        arguments: after `agents up`.
    """

    folder: Path
    arguments: list[str]
    url: str = field(default="", init=False)
    lines: list[str] = field(default_factory=list, init=False)

    def start(self) -> None:
        """Start it and read its output up to the page's URL."""
        command = [sys.executable, "-m", "agents_server", "up", *self.arguments]
        self.process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("open http://"):
                self.url = line.split()[1]
                return
        raise AssertionError("`agents up` ended:\n" + "\n".join(self.lines))

    def get(self, path: str, accept: str = "application/json") -> Any:
        """The JSON at a path of it."""
        request = urllib.request.Request(self.url.rstrip("/") + path, headers={"Accept": accept})
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def stop(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.communicate(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode
