"""A Chromium that is driven by its DevTools protocol, and by nothing else.

Playwright keeps every page visible and awake. Here a page is hidden when another one is in front,
and it can be frozen, and left for "back".
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.browser import chromium

LISTENING = re.compile(r"DevTools listening on (ws://\S+)")
SECONDS_MAX = 60.0
LOOK_S = 0.05


class Refused(Exception):
    """The browser can't do it, at the moment or at all."""


class Session:
    """A line to the browser, or to one of its pages or workers."""

    _ids = itertools.count(1)

    def __init__(self, connection: ClientConnection, id: str = "") -> None:
        self._connection = connection
        self._id = id

    def begin(self, method: str, **params: Any) -> int:
        """Call a method of the protocol that may never answer."""
        number = next(self._ids)
        call: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._id:
            call["sessionId"] = self._id
        self._connection.send(json.dumps(call))
        return number

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        return self._finish(self.begin(method, **params), [])

    def _finish(self, number: int, events: list[dict[str, Any]]) -> dict[str, Any]:
        """The answer to a call; what the browser tells before goes to `events`."""
        while True:
            answer = json.loads(self._connection.recv(timeout=SECONDS_MAX))
            if answer.get("id") == number:
                if "error" in answer:
                    raise Refused(str(answer["error"]))
                result: dict[str, Any] = answer["result"]
                return result
            events.append(answer)

    def workers(self) -> list[Session]:
        """Lines to the workers that it has started; to be asked for once."""
        events: list[dict[str, Any]] = []
        options = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}
        self._finish(self.begin("Target.setAutoAttach", **options), events)
        return [
            Session(self._connection, event["params"]["sessionId"])
            for event in events
            if event.get("method") == "Target.attachedToTarget"
        ]


class Tab:
    """One page."""

    def __init__(self, browser: Browser, target: str, session: Session) -> None:
        self._browser = browser
        self._target = target
        self._session = session
        self.send, self.workers = session.send, session.workers

    def evaluate(self, javascript: str) -> Any:
        """The value of an expression, or what its promise resolves to."""
        options = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        found = self.send("Runtime.evaluate", expression=javascript, **options)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, javascript: str, seconds: float = SECONDS_MAX) -> Any:
        """The value of an expression once it is true."""
        until = time.monotonic() + seconds
        while True:
            with suppress(Refused):  # between two pages there is none
                if value := self.evaluate(javascript):
                    return value
            assert time.monotonic() < until, f"{javascript} is not true after {seconds} s"
            time.sleep(LOOK_S)  # a page that is told to wait for something may be frozen

    def show(self) -> None:
        """Bring it to the front: the one that was there is hidden."""
        self._browser.session.send("Target.activateTarget", targetId=self._target)

    def freeze(self) -> None:
        """Have it stand still; it has to be hidden."""
        self.send("Page.setWebLifecycleState", state="frozen")

    def thaw(self) -> None:
        """Have it go on."""
        self.send("Page.setWebLifecycleState", state="active")

    def crash(self) -> None:
        """End its process."""
        self._session.begin("Page.crash")

    def close(self) -> None:
        """Close it, as a user does."""
        self.send("Page.close")


class Browser:
    """One Chromium."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.session = Session(connection)

    def open(self, url: str) -> Tab:
        """A page in front of all others."""
        target = self.session.send("Target.createTarget", url=url)["targetId"]
        attached = self.session.send("Target.attachToTarget", targetId=target, flatten=True)
        return Tab(self, target, Session(self._connection, attached["sessionId"]))


@contextmanager
def started() -> Iterator[tuple[Browser, int]]:
    """A fresh one without a window, and its process id; it ends with the context."""
    program = chromium.executable()
    assert program is not None, "no Chromium on the PATH: run `make browser`"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--headless", f"--user-data-dir={profile}", "--remote-debugging-port=0"]
        process = subprocess.Popen(
            [program, *flags, *chromium.ARGUMENTS, "about:blank"],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            assert process.stderr is not None
            address = next(
                found.group(1) for line in process.stderr if (found := LISTENING.search(line))
            )
            with connect(address, max_size=None) as connection:
                yield Browser(connection), process.pid
        finally:
            process.terminate()
            process.wait(timeout=30)
            process.stderr.close()
