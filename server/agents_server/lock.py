"""One `agents up` per folder."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Self

from agents_core.errors import AgentsError
from agents_server.disk import usable


class AlreadyRunning(AgentsError):
    """Another `agents up` has the folder.

    Args:
        folder: which.
        pid: of the other process; 0 if it did not say yet.
        url: of its page; empty if it did not say yet.
    """

    def __init__(self, folder: str, pid: int, url: str) -> None:
        super().__init__(folder, pid, url)
        self.folder, self.pid, self.url = folder, pid, url

    def data(self) -> dict[str, object]:
        """See `AgentsError.data`."""
        return {"folder": self.folder, "pid": self.pid, "url": self.url}

    def __str__(self) -> str:
        where = f", its page is {self.url}" if self.url else ""
        return f"`agents up` runs in {self.folder} already (process {self.pid}{where})"


class Lock:
    """Held while `agents up` runs; the system frees it when the process ends, however it ends.

    Args:
        folder: where the lock file is.

    Raises:
        AlreadyRunning: on entering, another process holds it.
        Unusable: on entering, the folder can't be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "lock"
        self._file = -1

    def __enter__(self) -> Self:
        with usable(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._file)
                raise self._taken() from None
        self.tell("")
        return self

    def tell(self, url: str) -> None:
        """Write down who holds it, for the message that the next one gets."""
        with usable(self._path):
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, json.dumps({"pid": os.getpid(), "url": url}).encode(), 0)

    def _taken(self) -> AlreadyRunning:
        try:
            holder = json.loads(self._path.read_text(encoding="utf-8"))
        except ValueError:  # it is being written at this moment
            holder = {}
        return AlreadyRunning(str(self._folder), holder.get("pid", 0), holder.get("url", ""))

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
