"""A stock Firefox, driven by the WebDriver BiDi that is built into it.

Playwright drives a Firefox of its own only, which is a download that is not to be had everywhere.

`python -m tests.browser.firefox` sees to it that there is one, if it can: on the PATH, else
Debian's if this is root.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("firefox-esr", "firefox")
LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
MESSAGE_BYTES_MAX = 16 * 1024 * 1024


def executable() -> str | None:
    """The Firefox on the PATH, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def install() -> bool:
    """Try what can be tried; True if there is a Firefox then."""
    if executable() is None and shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        command = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "firefox-esr"]
        subprocess.run(command, check=False)
    return executable() is not None


class Firefox:
    """One page of it."""

    def __init__(self, connection: ClientConnection, seconds_max: float) -> None:
        self._connection = connection
        self._seconds_max = seconds_max
        self._ids = itertools.count(1)
        self._send("session.new", capabilities={})
        self._page: str = self._send("browsingContext.getTree")["contexts"][0]["context"]

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        id = next(self._ids)
        self._connection.send(json.dumps({"id": id, "method": method, "params": params}))
        while True:
            message = json.loads(self._connection.recv(timeout=self._seconds_max))
            if message.get("id") == id:
                assert message["type"] == "success", message
                return message["result"]

    def goto(self, url: str) -> None:
        """Open it and wait for its load event."""
        self._send("browsingContext.navigate", context=self._page, url=url, wait="complete")

    def evaluate(self, function: str, argument: object) -> str:
        """Call a JavaScript function with a value that JSON can carry; it gives a string."""
        found = self._send(
            "script.callFunction",
            functionDeclaration=f"(text) => ({function})(JSON.parse(text))",
            arguments=[{"type": "string", "value": json.dumps(argument)}],
            target={"context": self._page},
            awaitPromise=True,
        )
        assert found["type"] == "success", found["exceptionDetails"]["text"]
        return found["result"]["value"]


@contextmanager
def start(seconds_max: float = 180.0) -> Iterator[Firefox]:
    """A fresh Firefox without a window, with a profile of its own; it ends with the context."""
    command = executable()
    assert command is not None, "no Firefox: install the package firefox-esr"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"]
        process = subprocess.Popen(
            [command, *flags],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "HOME": profile, "MOZ_DISABLE_AUTO_SAFE_MODE": "1"},
        )
        try:
            assert process.stderr is not None
            address = next(
                found.group(1) for line in process.stderr if (found := LISTENING.search(line))
            )
            with connect(f"{address}/session", max_size=MESSAGE_BYTES_MAX) as connection:
                yield Firefox(connection, seconds_max)
        finally:
            process.terminate()
            process.wait(timeout=30)
            process.stderr.close()


if __name__ == "__main__" and not install():
    sys.exit("no Firefox: install the package `firefox-esr`")
